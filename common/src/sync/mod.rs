//! Wait for what another process does (in Python: `multiprocessing`'s synchronisation primitives).
//!
//! | you want to | take |
//! | --- | --- |
//! | keep others out while you change something | [`Lock`] |
//! | the same in functions that call one another | [`RLock`] |
//! | let only so many in at once, or let one go on when another says so | [`Semaphore`] |
//! | the same, and be told of one release too many | [`BoundedSemaphore`] |
//! | wait until something is as you need it | [`Condition`] |
//! | let others go on once something has happened | [`Event`] |
//! | go on together, step by step | [`Barrier`] |
//!
//! A primitive is a few words in anonymous shared memory: it has no name, there is nothing to unlink,
//! and it is gone when the last process that holds it ends.
//!
//! # When a process is killed
//!
//! | it has | then |
//! | --- | --- |
//! | held a [`Lock`], an [`RLock`] or the lock of a [`Condition`] | the next holder gets it, and is told |
//! | held a guard of a [`Semaphore`] | its permit returns |
//! | waited, for anything | it is forgotten; no wake-up is lost with it |
//! | been a party of a [`Barrier`] | the barrier breaks |
//!
//! A lock is given on at once, the rest is noticed by those who wait, within 100 ms.

pub(crate) mod algorithm;
mod barrier;
mod condition;
mod event;
pub(crate) mod lock;
mod rlock;
mod semaphore;
pub(crate) mod word;

pub use barrier::{Barrier, BarrierWaitResult, BrokenBarrier};
pub use condition::Condition;
pub use event::Event;
pub use lock::{Lock, LockGuard, NotOwner};
pub use rlock::{RLock, RLockGuard};
pub use semaphore::{BoundedSemaphore, OverRelease, Permit, Semaphore};

/// A primitive that is nothing but its slot travels as it.
macro_rules! travels {
    ($type:ident, $kind:ident, $bytes:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                crate::shared::arena::serialize(&self.slot, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::shared::arena::deserialize($kind, $bytes, deserializer)
                    .map(|slot| Self { slot })
            }
        }
    };
}
use travels;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Sender, one_way_pipe};
    use crate::sys::signal;
    use crate::{Process, Signal};
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    /// What a process waits for in vain, and then not in vain.
    type Held = (Lock, RLock, Semaphore, BoundedSemaphore, Condition, Event, Barrier);

    #[test]
    fn a_limit_is_kept_and_a_wait_ends_though_a_signal_comes_every_millisecond() {
        const LIMIT: Duration = Duration::from_millis(100);
        fn in_vain(what: &str, wait: impl FnOnce() -> bool) {
            let start = Instant::now();
            assert!(!wait(), "{what} has not waited");
            assert!(start.elapsed() >= LIMIT, "{what} has waited for {:?}", start.elapsed());
        }
        fn child((held, ready): (Held, Sender<()>)) {
            let (lock, rlock, semaphore, bounded, condition, event, barrier) = held;
            let count = signal::count(Signal::USR1).unwrap();
            ready.send(&()).unwrap();
            in_vain("a lock", || lock.acquire_timeout(LIMIT).is_some());
            in_vain("an rlock", || rlock.acquire_timeout(LIMIT).is_some());
            in_vain("a semaphore", || semaphore.acquire_timeout(LIMIT).is_some());
            in_vain("a bounded semaphore", || bounded.acquire_timeout(LIMIT).is_some());
            in_vain("an event", || event.wait_timeout(LIMIT));
            in_vain("a barrier", || barrier.wait_timeout(LIMIT).is_ok());
            barrier.reset();
            in_vain("a barrier's limit", || barrier.clone().timeout(LIMIT).wait().is_ok());
            in_vain("the lock of a condition", || condition.acquire_timeout(LIMIT).is_some());
            let own = Condition::new().unwrap();
            let mut guard = own.acquire();
            in_vain("a condition", || own.wait_timeout(&mut guard, LIMIT));
            in_vain("a state", || own.wait_while_timeout(&mut guard, LIMIT, || true));
            // Some of those that were sent are one when they come.
            let seen = count.load(Ordering::Relaxed);
            assert!(seen >= 100, "only {seen} signals have come in a second");

            ready.send(&()).unwrap();
            drop((lock.acquire(), rlock.acquire(), semaphore.acquire(), bounded.acquire()));
            let mut guard = condition.acquire();
            event.set();
            condition.wait(&mut guard);
            drop(guard);
            barrier.wait().unwrap();
        }
        let held: Held = (
            Lock::new().unwrap(),
            RLock::new().unwrap(),
            Semaphore::new(1).unwrap(),
            BoundedSemaphore::new(1).unwrap(),
            Condition::new().unwrap(),
            Event::new().unwrap(),
            Barrier::new(2).unwrap(),
        );
        let (lock, rlock, semaphore, bounded, condition, event, barrier) = &held;
        let guards = (lock.acquire(), rlock.acquire(), condition.acquire());
        let permits = (semaphore.acquire(), bounded.acquire());
        let (ready, told) = one_way_pipe().unwrap();
        let child = Process::new(child, (held.clone(), told)).start().unwrap();
        ready.recv().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while child.join_timeout(Duration::from_millis(1)).unwrap().is_none() {
                    child.signal(Signal::USR1).unwrap();
                }
            });
            if ready.recv().is_err() {
                // It has failed, and said how.
                return;
            }
            barrier.reset();
            std::thread::sleep(LIMIT);
            drop((guards, permits));
            event.wait();
            condition.notify(&condition.acquire(), 1);
            barrier.wait().unwrap();
        });
        assert!(child.join().unwrap().is_success());
    }
}
