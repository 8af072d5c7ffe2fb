//! Barriers of five parties: four children and this process.
//!
//! `CPython` makes a barrier of no parties, at which nobody can ever wait well; here that is an error.

use crate::program::until;
use crate::trial::{LONG, Outcome, Trial, each, once};
use common::connection::{Sender, one_way_pipe};
use common::sync::{Barrier, BrokenBarrier, Lock, Semaphore};
use common::{Exit, Process, StartMethod};
use libtest_mimic::Failed;
use serde::{Deserialize, Serialize};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c123_the_parties_of_a_barrier_go_in_step", two_passes),
        each("c124_the_parties_of_a_barrier_go_in_step_ten_times", ten_passes),
        each("c125_one_party_of_a_pass_has_number_0", numbers),
        each("c127_an_abort_breaks_the_barrier_for_all_who_wait", abort),
        each("c128_a_reset_breaks_it_for_all_who_wait_and_it_works_again", reset),
        each("c129_a_reset_mends_a_barrier_that_was_aborted", abort_and_reset),
        each("c130_a_party_that_is_late_breaks_it_for_all", late_for_a_wait),
        each("c131_a_party_that_is_late_for_its_own_limit_breaks_it_for_all", late_for_all),
        once("c132_one_party_alone_never_waits", alone),
        each("c133_five_parties_pass_a_thousand_times", thousand),
        each("edge_one_party_runs_its_action_before_any_goes_on", action),
        each("edge_an_action_that_panics_breaks_it_for_all", failing_action),
        once("edge_a_barrier_of_no_parties_is_an_error", no_parties),
    ]
    .concat()
}

const PARTIES: u32 = 5;
/// The party that does something else.
const ODD: u32 = PARTIES / 2;

/// What the parties share, beside the barrier: counts, which are semaphores that nobody acquires.
#[derive(Clone, Serialize, Deserialize)]
struct Party {
    barrier: Barrier,
    /// To meet at while the first is broken.
    other: Barrier,
    before: Semaphore,
    after: Semaphore,
    passed: Semaphore,
    broken: Semaphore,
}

impl Party {
    fn new(limit: Duration) -> io::Result<Self> {
        let count = || Semaphore::new(0);
        Ok(Self {
            barrier: Barrier::new(PARTIES)?.timeout(limit),
            other: Barrier::new(PARTIES)?.timeout(LONG),
            before: count()?,
            after: count()?,
            passed: count()?,
            broken: count()?,
        })
    }

    /// Passes the barrier, which is whole; its number.
    fn pass(&self) -> u32 {
        self.barrier.wait().expect("the barrier is whole").index()
    }

    fn note(&self, result: Result<u32, BrokenBarrier>) {
        add_one(if result.is_ok() { &self.passed } else { &self.broken });
    }

    fn wait(&self) {
        self.note(self.barrier.wait().map(|result| result.index()));
    }

    /// How many have passed, and how many were told that it was broken.
    fn counts(&self) -> [u32; 2] {
        [self.passed.value(), self.broken.value()]
    }
}

fn add_one(count: &Semaphore) {
    count.release().expect("there is no bound");
}

/// All five do the same.
fn together(method: StartMethod, limit: Duration, body: fn(Party)) -> Result<Party, Failed> {
    let party = Party::new(limit)?;
    let start = |_| Process::new(body, party.clone()).start_method(method).start();
    let children = (1..PARTIES).map(start).collect::<Result<Vec<_>, _>>()?;
    body(party.clone());
    for child in children {
        assert_eq!(child.join()?, Exit::Code(0));
    }
    Ok(party)
}

fn in_step(party: &Party, passes: u32) {
    for pass in 0..passes {
        add_one(&party.before);
        assert_eq!(party.after.value(), pass * PARTIES);
        party.pass();
        add_one(&party.after);
        assert_eq!(party.before.value(), (pass + 1) * PARTIES);
        party.pass();
    }
}

fn is_as_at_first(barrier: &Barrier) {
    assert_eq!((barrier.n_waiting(), barrier.parties()), (0, PARTIES));
    assert!(!barrier.is_broken());
    assert_eq!(format!("{barrier:?}"), "Barrier(waiters=0/5)");
}

fn two_passes(method: StartMethod) -> Outcome {
    is_as_at_first(&together(method, LONG, |party| in_step(&party, 1))?.barrier);
    Ok(())
}

fn ten_passes(method: StartMethod) -> Outcome {
    is_as_at_first(&together(method, LONG, |party| in_step(&party, 10))?.barrier);
    Ok(())
}

fn numbers(method: StartMethod) -> Outcome {
    let party = together(method, LONG, |party| {
        let result = party.barrier.wait().expect("the barrier is whole");
        assert_eq!(result.is_leader(), result.index() == 0);
        if result.is_leader() {
            add_one(&party.passed);
        }
        // Bit by bit, so that no two can have the same number.
        (0..1 << (4 * result.index())).for_each(|_| add_one(&party.before));
    })?;
    assert_eq!((party.passed.value(), party.before.value()), (1, 0x1_1111));
    Ok(())
}

fn abort(method: StartMethod) -> Outcome {
    let party = together(method, LONG, |party| {
        if party.pass() == ODD { party.barrier.abort() } else { party.wait() }
    })?;
    assert_eq!(party.counts(), [0, 4]);
    assert!(party.barrier.is_broken());
    assert_eq!(format!("{:?}", party.barrier), "Barrier(broken)");
    Ok(())
}

fn reset(method: StartMethod) -> Outcome {
    let party = together(method, LONG, |party| {
        if party.pass() == ODD {
            until(|| party.barrier.n_waiting() == PARTIES - 1);
            party.barrier.reset();
        } else {
            assert_eq!(party.barrier.wait(), Err(BrokenBarrier));
            add_one(&party.broken);
        }
        party.wait();
    })?;
    assert_eq!(party.counts(), [5, 4]);
    is_as_at_first(&party.barrier);
    Ok(())
}

fn abort_and_reset(method: StartMethod) -> Outcome {
    let party = together(method, LONG, |party| {
        if party.pass() == ODD {
            party.barrier.abort();
        } else {
            party.wait();
        }
        // All have left it before it is made whole, and it is whole before anyone comes again.
        if party.other.wait().expect("it is whole").is_leader() {
            assert_eq!(party.counts(), [0, 4]);
            assert!(party.barrier.is_broken());
            party.barrier.reset();
        }
        party.other.wait().expect("it is whole");
        party.wait();
    })?;
    assert_eq!(party.counts(), [5, 4]);
    is_as_at_first(&party.barrier);
    Ok(())
}

const LIMIT: Duration = Duration::from_millis(500);

/// One party comes a second too late to this `wait`.
fn late(party: &Party, wait: impl Fn() -> Result<u32, BrokenBarrier>) {
    let is_odd = party.other.wait().expect("it is whole").index() == ODD;
    // Nobody waits before all have looked at the clock, so no limit runs out earlier.
    let start = Instant::now();
    party.other.wait().expect("it is whole");
    if is_odd {
        thread::sleep(2 * LIMIT);
    }
    party.note(wait());
    assert!(start.elapsed() >= LIMIT);
}

fn is_broken_for_all(party: &Party) {
    assert_eq!(party.counts(), [0, 5]);
    assert!(party.barrier.is_broken());
}

fn late_for_a_wait(method: StartMethod) -> Outcome {
    let party = together(method, LONG, |party| {
        late(&party, || party.barrier.wait_timeout(LIMIT).map(|result| result.index()));
    })?;
    is_broken_for_all(&party);
    Ok(())
}

fn late_for_all(method: StartMethod) -> Outcome {
    let party = together(method, LIMIT, |party| {
        late(&party, || party.barrier.wait().map(|result| result.index()));
    })?;
    is_broken_for_all(&party);
    Ok(())
}

fn alone() -> Outcome {
    let barrier = Barrier::new(1)?;
    for _ in 0..2 {
        let result = barrier.wait()?;
        assert!(result.is_leader() && result.index() == 0);
        assert!(barrier.wait_timeout(Duration::ZERO).is_ok());
    }
    Ok(())
}

fn thousand(method: StartMethod) -> Outcome {
    type Argument = (Barrier, Lock, Sender<u32>);
    fn child((barrier, lock, sender): Argument) -> common::Result<()> {
        for pass in 0..1000 {
            barrier.wait()?;
            let _guard = lock.acquire();
            sender.send(&pass)?;
        }
        Ok(())
    }
    let (barrier, lock) = (Barrier::new(PARTIES)?.timeout(LONG), Lock::new()?);
    let (receiver, sender) = one_way_pipe::<u32>()?;
    // One end for all of them: each gets a copy.
    let (copies, copier) = one_way_pipe::<Sender<u32>>()?;
    let mut children = Vec::new();
    for _ in 0..PARTIES {
        copier.send(&sender)?;
        let argument = (barrier.clone(), lock.clone(), copies.recv()?);
        children.push(Process::new(child, argument).start_method(method).start()?);
    }
    drop(sender);
    for pass in 0..1000 {
        for _ in 0..PARTIES {
            assert_eq!(receiver.recv()?, pass);
        }
    }
    for child in children {
        assert_eq!(child.join()?, Exit::Code(0));
    }
    Ok(())
}

fn action(method: StartMethod) -> Outcome {
    let party = together(method, LONG, |party| {
        for pass in 1..=10 {
            add_one(&party.before);
            let action = || {
                assert_eq!(party.before.value(), pass * PARTIES);
                add_one(&party.after);
            };
            party.barrier.wait_with(action).expect("the barrier is whole");
            assert_eq!(party.after.value(), pass);
            // Nobody begins the next pass before all have looked.
            party.other.wait().expect("it is whole");
        }
    })?;
    assert_eq!(party.after.value(), 10);
    is_as_at_first(&party.barrier);
    Ok(())
}

fn failing_action(method: StartMethod) -> Outcome {
    let party = together(method, LONG, |party| {
        let action = || panic!("a panic that the trial expects");
        let wait = || party.barrier.wait_with(action).map(|result| result.index());
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(wait)) {
            Ok(result) => party.note(result),
            Err(_) => add_one(&party.before),
        }
    })?;
    assert_eq!((party.counts(), party.before.value()), ([0, 4], 1));
    assert!(party.barrier.is_broken());
    Ok(())
}

fn no_parties() -> Outcome {
    let error = Barrier::new(0).err().ok_or("a barrier of nobody was made")?;
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    Ok(())
}
