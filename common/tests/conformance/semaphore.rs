//! Semaphores: permits that are taken, refused and handed over.

use crate::trial::{LONG, Outcome, Trial, each, once};
use common::sync::{BoundedSemaphore, Event, OverRelease, Semaphore};
use common::{Exit, Process, StartMethod};
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        once("c111_a_semaphore_counts_down_to_refusal_and_up_without_bound", counts),
        once("c112_a_semaphore_of_0_refuses_at_once_or_after_the_limit", limits),
        once("c113_a_bounded_semaphore_refuses_a_release_too_many", bounded),
        each("edge_a_permit_that_one_process_took_another_releases", handed_over),
        each("edge_a_permit_of_a_guard_returns_with_the_end_of_its_process", guard_ends),
        once("edge_a_semaphore_has_from_0_to_2_31_minus_1_permits", bounds),
    ]
    .concat()
}

fn counts() -> Outcome {
    let semaphore = Semaphore::new(2)?;
    for left in [1, 0] {
        semaphore.acquire().keep();
        assert_eq!(semaphore.value(), left);
    }
    assert!(semaphore.try_acquire().is_none());
    assert_eq!(semaphore.value(), 0);
    for there in [1, 2, 3, 4] {
        semaphore.release()?;
        assert_eq!(semaphore.value(), there);
    }
    assert_eq!(format!("{semaphore:?}"), "Semaphore(value=4)");
    Ok(())
}

fn limits() -> Outcome {
    let semaphore = Semaphore::new(0)?;
    assert!(semaphore.try_acquire().is_none());
    assert!(semaphore.acquire_timeout(Duration::ZERO).is_none());
    for limit in [5, 200, 700].map(Duration::from_millis) {
        let start = Instant::now();
        assert!(semaphore.acquire_timeout(limit).is_none());
        assert!(start.elapsed() >= limit, "{limit:?}: {:?}", start.elapsed());
    }
    thread::scope(|scope| {
        let waiter = scope.spawn(|| semaphore.acquire_timeout(LONG).is_some());
        semaphore.release()?;
        assert!(waiter.join().map_err(|_| "the waiter has panicked")?);
        Ok(())
    })
}

fn bounded() -> Outcome {
    let semaphore = BoundedSemaphore::new(2)?;
    for left in [1, 0] {
        semaphore.acquire().keep();
        assert_eq!(semaphore.value(), left);
    }
    assert!(semaphore.try_acquire().is_none());
    for there in [1, 2] {
        assert_eq!(semaphore.release(), Ok(()));
        assert_eq!(semaphore.value(), there);
    }
    assert_eq!(semaphore.release(), Err(OverRelease(2)));
    assert_eq!(semaphore.value(), 2);
    assert_eq!(format!("{semaphore:?}"), "BoundedSemaphore(value=2, maxvalue=2)");
    let empty = BoundedSemaphore::new(0)?;
    assert_eq!(empty.release(), Err(OverRelease(0)));
    Ok(())
}

fn handed_over(method: StartMethod) -> Outcome {
    fn child((semaphore, bounded): (Semaphore, BoundedSemaphore)) {
        semaphore.release().expect("there is no bound");
        bounded.release().expect("one was taken");
        assert_eq!(bounded.release(), Err(OverRelease(1)));
    }
    let (semaphore, bounded) = (Semaphore::new(1)?, BoundedSemaphore::new(1)?);
    semaphore.acquire().keep();
    bounded.acquire().keep();
    let handles = (semaphore.clone(), bounded.clone());
    let child = Process::new(child, handles).start_method(method).start()?;
    assert!(semaphore.acquire_timeout(LONG).is_some());
    assert!(bounded.acquire_timeout(LONG).is_some());
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!((semaphore.value(), bounded.value()), (1, 1));
    Ok(())
}

fn guard_ends(method: StartMethod) -> Outcome {
    fn child((semaphore, taken, end): (Semaphore, Event, Event)) {
        semaphore.acquire().keep();
        std::mem::forget([semaphore.acquire(), semaphore.acquire()]);
        taken.set();
        end.wait();
    }
    let semaphore = Semaphore::new(3)?;
    let (taken, end) = (Event::new()?, Event::new()?);
    let argument = (semaphore.clone(), taken.clone(), end.clone());
    let child = Process::new(child, argument).start_method(method).start()?;
    assert!(taken.wait_timeout(LONG));
    assert_eq!(semaphore.value(), 0);
    end.set();
    assert_eq!(child.join()?, Exit::Code(0));
    // Two come back; the one that was kept beyond its guard does not.
    let first = semaphore.acquire_timeout(LONG).ok_or("the first has returned")?;
    let second = semaphore.acquire_timeout(LONG).ok_or("the second has returned")?;
    assert!(semaphore.acquire_timeout(Duration::from_millis(300)).is_none());
    drop((first, second));
    assert_eq!(semaphore.value(), 2);
    Ok(())
}

fn bounds() -> Outcome {
    for value in [1 << 31, u32::MAX] {
        let errors = [Semaphore::new(value).err(), BoundedSemaphore::new(value).err()];
        let kinds = errors.map(|error| error.map(|error| error.kind()));
        assert_eq!(kinds, [Some(ErrorKind::InvalidInput); 2]);
    }
    let most = (1 << 31) - 1;
    let semaphore = Semaphore::new(most)?;
    assert_eq!(semaphore.release(), Err(OverRelease(most)));
    semaphore.acquire().keep();
    assert_eq!(semaphore.value(), most - 1);
    assert_eq!(semaphore.release(), Ok(()));
    Ok(())
}
