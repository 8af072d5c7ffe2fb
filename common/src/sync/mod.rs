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
mod lock;
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
