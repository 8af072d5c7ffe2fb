//! Locks: who holds one, and who gives it back.
//!
//! In `CPython` any process may release a `Lock`, and one whose holder died is held for ever. Here only
//! the holder releases, and what a dead one held is given on; the trials named `edge_...` show it.

use crate::trial::{LONG, Outcome, Trial, each, once};
use common::connection::{Sender, one_way_pipe};
use common::sync::{Event, Lock, NotOwner, RLock};
use common::{Exit, Process, StartMethod};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c103_the_debug_text_says_who_holds_a_lock", text_of_lock),
        once("c104_a_lock_is_taken_refused_and_released", lock_is_taken),
        each("c105_a_lock_that_a_child_holds_is_held_on_both_sides", lock_of_child),
        once("c106_a_scope_takes_a_lock_and_gives_it_back", scope_of_lock),
        each("c107_the_debug_text_says_who_holds_an_rlock_and_how_often", text_of_rlock),
        each("c109_an_rlock_that_a_child_holds_is_held_on_both_sides", rlock_of_child),
        once("c110_a_scope_takes_an_rlock_also_inside_another", scope_of_rlock),
        each("edge_a_lock_is_released_by_its_holder_only", holder_releases),
        each("edge_a_lock_of_a_process_that_has_ended_is_given_on", holder_has_ended),
        once("edge_a_lock_of_a_thread_that_has_ended_is_given_on", thread_has_ended),
        once("edge_a_limit_on_a_lock_of_ones_own_runs_out", own_limit),
    ]
    .concat()
}

/// How long it takes to see that nothing comes.
const SHORT: Duration = Duration::from_millis(100);

/// In a named thread: what `text` is there while `hold` holds something, and what it is here.
fn beside_a_thread<G>(
    hold: impl FnOnce() -> G + Send,
    text: impl Fn() -> String + Sync,
) -> io::Result<[String; 2]> {
    let (there, told) = mpsc::channel();
    let (done, end) = mpsc::channel::<()>();
    let text = &text;
    thread::scope(|scope| {
        thread::Builder::new().name("T1".to_string()).spawn_scoped(scope, move || {
            let _guard = hold();
            there.send(text()).expect("the main thread receives");
            let _ = end.recv();
        })?;
        let texts = [told.recv().expect("the thread tells"), text()];
        drop(done);
        Ok(texts)
    })
}

fn text_of_lock(method: StartMethod) -> Outcome {
    fn holds((lock, told, end): (Lock, Sender<String>, Event)) {
        let _guard = lock.acquire();
        told.send(&format!("{lock:?}")).expect("the parent receives");
        end.wait();
    }
    let (lock, end) = (Lock::new()?, Event::new()?);
    assert_eq!(format!("{lock:?}"), "Lock(None)");
    let (text, told) = one_way_pipe()?;
    let holder = Process::new(holds, (lock.clone(), told, end.clone())).name("P1");
    let holder = holder.start_method(method).start()?;
    assert_eq!(text.recv()?, "Lock(P1)");
    assert_eq!(format!("{lock:?}"), "Lock(SomeOtherProcess)");
    end.set();
    assert_eq!(holder.join()?, Exit::Code(0));

    let guard = lock.acquire();
    assert_eq!(format!("{lock:?}"), "Lock(MainProcess)");
    drop(guard);
    let texts = beside_a_thread(|| lock.acquire(), || format!("{lock:?}"))?;
    assert_eq!(texts, ["Lock(MainProcess|T1)", "Lock(SomeOtherThread)"]);
    assert_eq!(format!("{lock:?}"), "Lock(None)");
    Ok(())
}

fn text_of_rlock(method: StartMethod) -> Outcome {
    fn holds((lock, told, end): (RLock, Sender<String>, Event)) {
        let _guard = lock.acquire();
        told.send(&format!("{lock:?}")).expect("the parent receives");
        end.wait();
    }
    let (lock, end) = (RLock::new()?, Event::new()?);
    assert_eq!(format!("{lock:?}"), "RLock(None, 0)");
    let (text, told) = one_way_pipe()?;
    let holder = Process::new(holds, (lock.clone(), told, end.clone())).name("P1");
    let holder = holder.start_method(method).start()?;
    assert_eq!(text.recv()?, "RLock(P1, 1)");
    assert_eq!(format!("{lock:?}"), "RLock(SomeOtherProcess, 1)");
    end.set();
    assert_eq!(holder.join()?, Exit::Code(0));

    let mut guards = Vec::new();
    for depth in 1..=4 {
        guards.push(lock.acquire());
        assert_eq!(format!("{lock:?}"), format!("RLock(MainProcess, {depth})"));
    }
    drop(guards);
    let texts = beside_a_thread(|| [lock.acquire(), lock.acquire()], || format!("{lock:?}"))?;
    assert_eq!(texts, ["RLock(MainProcess|T1, 2)", "RLock(SomeOtherThread, 2)"]);
    assert_eq!(format!("{lock:?}"), "RLock(None, 0)");
    Ok(())
}

fn lock_is_taken() -> Outcome {
    let lock = Lock::new()?;
    let guard = lock.acquire();
    assert!(lock.is_locked());
    assert!(lock.try_acquire().is_none());
    drop(guard);
    assert!(!lock.is_locked());

    // Without a scope.
    lock.try_acquire().ok_or("it is free")?.keep();
    assert!(lock.is_locked());
    assert_eq!(lock.release(), Ok(()));
    assert!(!lock.is_locked());
    assert_eq!(lock.release(), Err(NotOwner));
    Ok(())
}

/// Starts `child`, which holds the lock, and says whether it sees that, until the event is set.
fn held_by_child<L: Serialize + DeserializeOwned>(
    method: StartMethod,
    child: fn((L, Sender<bool>, Event)),
    lock: L,
    is_locked: impl Fn() -> bool,
) -> Outcome {
    let (answer, told) = one_way_pipe()?;
    let end = Event::new()?;
    assert!(!is_locked());
    let child = Process::new(child, (lock, told, end.clone())).start_method(method).start()?;
    assert!(answer.recv()?, "the child holds it and does not see that");
    assert!(is_locked());
    end.set();
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn lock_of_child(method: StartMethod) -> Outcome {
    fn child((lock, told, end): (Lock, Sender<bool>, Event)) {
        lock.acquire().keep();
        told.send(&lock.is_locked()).expect("the parent receives");
        end.wait();
    }
    let lock = Lock::new()?;
    held_by_child(method, child, lock.clone(), || lock.is_locked())
}

fn rlock_of_child(method: StartMethod) -> Outcome {
    fn child((lock, told, end): (RLock, Sender<bool>, Event)) {
        lock.acquire().keep();
        told.send(&lock.is_locked()).expect("the parent receives");
        end.wait();
    }
    let lock = RLock::new()?;
    held_by_child(method, child, lock.clone(), || lock.is_locked())
}

fn scope_of_lock() -> Outcome {
    let lock = Lock::new()?;
    {
        let guard = lock.acquire();
        assert!(lock.is_locked() && !guard.previous_holder_died());
    }
    assert!(!lock.is_locked());
    let left_early = || -> Result<(), NotOwner> {
        let _guard = lock.acquire();
        Err(NotOwner)
    };
    assert!(left_early().is_err());
    assert!(!lock.is_locked());
    Ok(())
}

fn scope_of_rlock() -> Outcome {
    let lock = RLock::new()?;
    {
        let _outer = lock.acquire();
        {
            let _inner = lock.acquire();
            assert!(lock.is_locked());
        }
        assert!(lock.is_locked());
    }
    assert!(!lock.is_locked());
    Ok(())
}

fn holder_releases(method: StartMethod) -> Outcome {
    fn child((lock, rlock): (Lock, RLock)) {
        assert_eq!(lock.release(), Err(NotOwner));
        assert_eq!(rlock.release(), Err(NotOwner));
        assert!(lock.try_acquire().is_none() && rlock.try_acquire().is_none());
    }
    let (lock, rlock) = (Lock::new()?, RLock::new()?);
    lock.acquire().keep();
    rlock.acquire().keep();
    rlock.acquire().keep();
    let child = Process::new(child, (lock.clone(), rlock.clone())).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(lock.release(), Err(NotOwner));
            assert_eq!(rlock.release(), Err(NotOwner));
        });
    });
    assert!(lock.is_locked() && rlock.is_locked());
    assert_eq!(lock.release(), Ok(()));
    assert_eq!([rlock.release(), rlock.release()], [Ok(()), Ok(())]);
    assert_eq!(rlock.release(), Err(NotOwner));
    assert!(!lock.is_locked() && !rlock.is_locked());
    Ok(())
}

fn holder_has_ended(method: StartMethod) -> Outcome {
    fn child((lock, rlock): (Lock, RLock)) {
        lock.acquire().keep();
        rlock.acquire().keep();
        rlock.acquire().keep();
    }
    let (lock, rlock) = (Lock::new()?, RLock::new()?);
    let child = Process::new(child, (lock.clone(), rlock.clone())).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert!(!lock.is_locked() && !rlock.is_locked());
    let told = (
        lock.try_acquire().ok_or("it is free")?.previous_holder_died(),
        rlock.try_acquire().ok_or("it is free")?.previous_holder_died(),
    );
    assert_eq!(told, (true, true));
    let told = (lock.acquire().previous_holder_died(), rlock.acquire().previous_holder_died());
    assert_eq!(told, (false, false));
    Ok(())
}

fn thread_has_ended() -> Outcome {
    let (lock, rlock) = (Lock::new()?, RLock::new()?);
    let handles = (lock.clone(), rlock.clone());
    let thread = thread::spawn(move || {
        handles.0.acquire().keep();
        handles.1.acquire().keep();
    });
    thread.join().map_err(|_| "the thread has panicked")?;
    let told = lock.acquire_timeout(LONG).map(|guard| guard.previous_holder_died());
    assert_eq!(told, Some(true));
    let told = rlock.acquire_timeout(LONG).map(|guard| guard.previous_holder_died());
    assert_eq!(told, Some(true));
    Ok(())
}

fn own_limit() -> Outcome {
    let (lock, rlock) = (Lock::new()?, RLock::new()?);
    let guards = (lock.acquire(), rlock.acquire());
    let start = Instant::now();
    assert!(lock.acquire_timeout(SHORT).is_none());
    assert!(start.elapsed() >= SHORT);
    assert!(rlock.acquire_timeout(SHORT).is_some());
    drop(guards);
    assert!(lock.acquire_timeout(SHORT).is_some());
    Ok(())
}
