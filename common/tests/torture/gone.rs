//! Primitives are used when all others are gone who had a handle: who has made them, who held them, who
//! was to get them.

use crate::LIMIT;
use crate::herd::text;
use common::sync::{
    Barrier, BoundedSemaphore, BrokenBarrier, Condition, Event, Lock, RLock, Semaphore,
};
use common::{Connection, Exit, Process, StartMethod, pipe};
use libtest_mimic::Failed;
use serde::{Deserialize, Serialize};
use std::io;
use std::thread;
use std::time::Duration;

#[derive(Clone, Serialize, Deserialize)]
struct All {
    lock: Lock,
    rlock: RLock,
    semaphore: Semaphore,
    bounded: BoundedSemaphore,
    condition: Condition,
    event: Event,
    barrier: Barrier,
}

const SHORT: Duration = Duration::from_millis(1);

impl All {
    fn new() -> io::Result<Self> {
        Ok(Self {
            lock: Lock::new()?,
            rlock: RLock::new()?,
            semaphore: Semaphore::new(2)?,
            bounded: BoundedSemaphore::new(2)?,
            condition: Condition::new()?,
            event: Event::new()?,
            barrier: Barrier::new(2)?,
        })
    }

    /// Has and waits for everything, and never ends by itself.
    fn hold(self, ready: impl FnOnce(&Self)) {
        self.lock.acquire().keep();
        self.rlock.acquire().keep();
        self.rlock.acquire().keep();
        let _permits = (self.semaphore.acquire(), self.bounded.acquire());
        self.bounded.acquire().keep();
        self.event.set();
        thread::scope(|scope| {
            scope.spawn(|| self.condition.wait(&mut self.condition.acquire()));
            scope.spawn(|| self.barrier.wait());
            while self.barrier.n_waiting() == 0 || !format!("{:?}", self.condition).ends_with("1)")
            {
                thread::yield_now();
            }
            ready(&self);
        });
    }

    /// Everything, by the only one who is left; `died` where somebody has held and waited for it.
    fn use_alone(&self, died: bool) -> Result<(), String> {
        let check = |is: bool, what: &str| if is { Ok(()) } else { Err(what.to_string()) };
        let guard = self.lock.acquire_timeout(LIMIT).ok_or("the lock is held")?;
        check(guard.previous_holder_died() == died, "the lock tells")?;
        drop(guard);
        let outer = self.rlock.acquire_timeout(LIMIT).ok_or("the RLock is held")?;
        check(outer.previous_holder_died() == died, "the RLock tells")?;
        drop((self.rlock.acquire(), outer));
        check(!self.rlock.is_locked(), "the RLock is held by nobody")?;

        let permits =
            [self.semaphore.acquire_timeout(LIMIT), self.semaphore.acquire_timeout(LIMIT)];
        check(permits.iter().all(Option::is_some), "a permit has not come back")?;
        check(self.semaphore.try_acquire().is_none(), "there are three permits")?;
        drop(permits);
        check(self.semaphore.value() == 2, "both permits are free")?;
        // The one that was kept is nobody's, and gone until somebody releases it.
        let permit = self.bounded.acquire_timeout(LIMIT).ok_or("a permit has not come back")?;
        check(self.bounded.try_acquire().is_none() == died, "what was kept is gone")?;
        drop(permit);
        check(self.bounded.release().is_ok() == died, "what was kept is put back")?;
        check(self.bounded.release().is_err(), "and no more than that")?;

        check(self.event.is_set() == died, "the event is as it was left")?;
        self.event.clear();
        check(!self.event.wait_timeout(SHORT), "the event is clear")?;
        self.event.set();
        check(self.event.wait_timeout(LIMIT), "the event is set")?;
        self.event.clear();

        let mut guard = self.condition.lock().acquire_timeout(LIMIT).ok_or("its lock is held")?;
        check(!guard.previous_holder_died(), "the condition's lock was not held")?;
        check(!self.condition.wait_timeout(&mut guard, SHORT), "nobody notifies")?;
        self.condition.notify_all(&guard);
        let answer = self.condition.wait_while_timeout(&mut guard, SHORT, || true);
        check(!answer, "what does not become true")?;
        drop(guard);

        if died {
            // It had come before it was killed, so the two go on; but it does not come again.
            check(self.barrier.wait_timeout(LIMIT).is_ok(), "both have come")?;
        }
        check(self.barrier.wait_timeout(SHORT) == Err(BrokenBarrier), "the other does not come")?;
        check(self.barrier.is_broken(), "the barrier is broken")?;
        self.barrier.reset();
        thread::scope(|scope| {
            let other = scope.spawn(|| self.barrier.wait_timeout(LIMIT).is_ok());
            let both = (self.barrier.wait_timeout(LIMIT).is_ok(), other.join().unwrap_or(false));
            check(both == (true, true), "two have come")
        })?;
        self.barrier.abort();
        self.barrier.reset();

        let shown = format!("{:?} {:?} {:?}", self.lock, self.rlock, self.condition);
        check(shown == "Lock(None) RLock(None, 0) Condition(Lock(None), 0)", &shown)?;
        let shown = format!("{:?} {:?}", self.event, self.barrier);
        check(shown == "Event(unset) Barrier(waiters=0/2)", &shown)
    }
}

/// Makes everything, gives it away, and keeps it as well.
fn make(parent: Connection<All, ()>) -> Result<(), String> {
    let all = All::new().map_err(text)?;
    all.hold(|all| parent.send(all).expect("the parent listens"));
    Ok(())
}

/// Gets everything.
fn take((all, parent): (All, Connection<(), All>)) {
    all.hold(|_| parent.send(&()).expect("the parent listens"));
}

fn visit(all: All) -> Result<(), String> {
    all.use_alone(false)
}

/// Who has made, held or was to get everything is killed, and the rest of it is used.
fn outlive(method: StartMethod) -> Result<(), String> {
    let visited = |all: &All| {
        let child = Process::new(visit, all.clone()).start_method(method).start().map_err(text)?;
        match child.join_timeout(LIMIT).map_err(text)? {
            Some(Exit::Code(0)) => Ok(()),
            exit => Err(format!("one that came later: {exit:?}")),
        }
    };

    let (ours, theirs) = pipe::<(), All>().map_err(text)?;
    let maker = Process::new(make, theirs).daemon().start_method(method).start().map_err(text)?;
    let all = ours.recv().map_err(text)?;
    maker.kill().map_err(text)?;
    maker.join().map_err(text)?;
    all.use_alone(true)?;
    all.use_alone(false)?;
    visited(&all)?;

    let all = All::new().map_err(text)?;
    let (ours, theirs) = pipe::<All, ()>().map_err(text)?;
    let taker = Process::new(take, (all.clone(), theirs)).daemon().start_method(method);
    let taker = taker.start().map_err(text)?;
    ours.recv().map_err(text)?;
    // Under way, and nobody takes them.
    for _ in 0..10 {
        ours.send(&all).map_err(text)?;
    }
    taker.kill().map_err(text)?;
    taker.join().map_err(text)?;
    all.use_alone(true)?;
    drop(ours);
    all.use_alone(false)?;
    visited(&all)
}

/// With every start method, twice: the second time no descriptor may be open that was not the first time.
fn keep((): ()) -> Result<(), String> {
    let round = || {
        for method in StartMethod::ALL {
            outlive(method).map_err(|error| format!("{method}: {error}"))?;
        }
        Ok::<_, String>(crate::names_in("/proc/self/fd").len())
    };
    let (open, again) = (round()?, round()?);
    if open != again { Err(format!("{open} descriptors were open, then {again}")) } else { Ok(()) }
}

/// See the top of this file.
pub(crate) fn torture() -> Result<(), Failed> {
    // With a fork server of its own, which ends with it.
    let keeper = Process::new(keep, ()).start()?;
    match keeper.join_timeout(LIMIT)? {
        Some(Exit::Code(0)) => Ok(()),
        exit => {
            keeper.kill()?;
            Err(format!("the keeper: {exit:?}").into())
        }
    }
}
