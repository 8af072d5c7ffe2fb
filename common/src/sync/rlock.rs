//! A lock that its holder may take again (in Python: `RLock`).
//!
//! The states stand in `algorithm/rlock.rs`. What is said of a holder that dies under [`Lock`] holds
//! here too, however often it had taken the lock.
//!
//! [`Lock`]: super::Lock

use super::algorithm::lock::{self, Refused};
use super::algorithm::rlock as algorithm;
use super::lock::{NotOwner, holder, words};
use super::travels;
use super::word::Deadline;
use crate::point::{self, Kind, Name, Operation};
use crate::shared::arena::Slot;
use crate::sys::robust;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// What the slot of such a lock says that it is.
const KIND: u32 = u32::from_be_bytes(*b"rlck");
/// A lock; in the free bytes of its record, its depth.
const BYTES: usize = robust::BYTES;
const DEPTH: usize = 12;

/// A lock that processes and their threads share, and that a thread which holds it may take again.
///
/// It is free when it was given back as often as it was taken. Because a thread can hold it twice, a
/// guard gives no exclusive access to anything: it keeps other threads out, not the caller's callers.
///
/// ```
/// use common::sync::RLock;
///
/// let lock = RLock::new()?;
/// let outer = lock.acquire();
/// let inner = lock.acquire();
/// assert_eq!(format!("{lock:?}"), "RLock(MainProcess, 2)");
/// drop(outer);
/// assert!(lock.is_locked());
/// drop(inner);
/// assert!(!lock.is_locked());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct RLock {
    slot: Arc<Slot>,
}

impl RLock {
    /// A new lock that nobody holds.
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        Ok(Self { slot: Slot::new(Name::new(Kind::RLock), KIND, BYTES)? })
    }

    fn words(&self) -> algorithm::RLock<'_> {
        algorithm::RLock { lock: words(&self.slot), depth: self.slot.word(DEPTH) }
    }

    /// Takes it once more; waits until no other thread holds it. Dropping the guard gives it back.
    ///
    /// # Panics
    ///
    /// Where this thread has taken it 2³² - 1 times.
    #[track_caller]
    pub fn acquire(&self) -> RLockGuard<'_> {
        point::before(Operation::Acquire, &*self.slot);
        loop {
            if let Ok(depth) = self.words().take(Deadline::NEVER) {
                return RLockGuard::new(self, depth);
            }
        }
    }

    /// Takes it once more if no other thread holds it.
    #[doc(alias = "acquire")]
    #[must_use]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<RLockGuard<'_>> {
        point::before(Operation::TryAcquire, &*self.slot);
        let depth = self.words().try_take()?;
        Some(RLockGuard::new(self, depth))
    }

    /// Takes it once more; waits until no other thread holds it, at most for `limit`.
    #[doc(alias = "acquire")]
    #[must_use]
    #[track_caller]
    pub fn acquire_timeout(&self, limit: Duration) -> Option<RLockGuard<'_>> {
        point::before(Operation::AcquireTimeout, &*self.slot);
        match self.words().take(Deadline::after(limit)) {
            Ok(depth) => Some(RLockGuard::new(self, depth)),
            Err(Refused::Held | Refused::Mine) => None,
        }
    }

    /// Whether anybody holds it at this moment, this thread included.
    #[doc(alias = "locked")]
    #[must_use]
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        point::before(Operation::State, &*self.slot);
        self.words().lock.holder() != 0
    }

    /// Gives back once what [`RLockGuard::keep`] has kept.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] where this thread does not hold it.
    #[track_caller]
    pub fn release(&self) -> Result<(), NotOwner> {
        point::before(Operation::Release, &*self.slot);
        let words = self.words();
        if !words.lock.is_mine() {
            return Err(NotOwner);
        }
        words.give_back();
        Ok(())
    }
}

/// An [`RLock`] that this thread holds.
#[derive(Debug)]
#[must_use = "dropping it gives the lock back"]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    news: u32,
    made: &'static Location<'static>,
    /// By a destructor that runs in a panic: that it is given back in one tells nothing.
    taken_in_panic: bool,
    /// It is this thread that holds it.
    thread: PhantomData<*const ()>,
}

impl<'a> RLockGuard<'a> {
    #[track_caller]
    fn new(lock: &'a RLock, depth: u32) -> Self {
        let news = if depth == 1 { lock.words().lock.take_news() } else { lock::NOTHING };
        Self {
            lock,
            news,
            made: Location::caller(),
            taken_in_panic: std::thread::panicking(),
            thread: PhantomData,
        }
    }

    /// Whether the holder before died while it held the lock, or panicked: what the lock protects may
    /// be half changed. It is said once, to the guard with which the next holder takes it first.
    #[must_use]
    pub fn previous_holder_died(&self) -> bool {
        self.news != lock::NOTHING
    }

    /// Keeps the lock beyond the guard, until [`RLock::release`] in this same thread (in Python:
    /// `acquire` without `with`).
    #[track_caller]
    pub fn keep(self) {
        point::before(Operation::Keep, &*self.lock.slot);
        std::mem::forget(self);
    }
}

impl Drop for RLockGuard<'_> {
    fn drop(&mut self) {
        point::before_at(Operation::Release, &*self.lock.slot, &self.made);
        let words = self.lock.words();
        if !words.lock.is_mine() {
            // A copy that a fork has made: the lock is still the parent's.
            return;
        }
        if !self.taken_in_panic && std::thread::panicking() {
            words.lock.tell(lock::HOLDER_PANICKED);
        }
        words.give_back();
    }
}

/// Who holds it and how often: `RLock(None, 0)`, `RLock(MainProcess, 2)`; the others as for a
/// [`Lock`](super::Lock).
impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words();
        let depth = if words.lock.holder() == 0 { 0 } else { words.depth() };
        write!(f, "RLock({}, {depth})", holder(words.lock))
    }
}

travels!(RLock, KIND, BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Process;
    use crate::connection::{Connection, pipe};

    #[test]
    fn it_is_free_when_it_was_given_back_as_often_as_it_was_taken() {
        let lock = RLock::new().unwrap();
        let in_another_thread = |lock: &RLock| {
            let lock = lock.clone();
            std::thread::spawn(move || lock.try_acquire().is_some()).join().unwrap()
        };
        let first = lock.acquire();
        let second = lock.try_acquire().unwrap();
        let third = lock.acquire_timeout(Duration::ZERO).unwrap();
        drop(first);
        drop(third);
        assert!(!in_another_thread(&lock));
        drop(second);
        assert!(in_another_thread(&lock));
        assert_eq!(lock.release(), Err(NotOwner));
        assert_eq!(format!("{lock:?}"), "RLock(None, 0)");
    }

    #[test]
    fn a_holder_that_is_killed_in_the_depth_does_not_keep_it() {
        fn hold((lock, ready): (RLock, Connection<(), ()>)) {
            let guards = [lock.acquire(), lock.acquire(), lock.acquire()];
            ready.send(&()).unwrap();
            loop {
                std::thread::park();
                std::hint::black_box(&guards);
            }
        }
        let lock = RLock::new().unwrap();
        let (ours, theirs) = pipe::<(), ()>().unwrap();
        let child = Process::new(hold, (lock.clone(), theirs)).start().unwrap();
        ours.recv().unwrap();
        assert!(lock.acquire_timeout(Duration::from_millis(5)).is_none());
        assert_eq!(format!("{lock:?}"), "RLock(SomeOtherProcess, 3)");
        child.kill().unwrap();
        let outer = lock.acquire();
        assert!(outer.previous_holder_died());
        assert!(!lock.acquire().previous_holder_died());
        assert!(format!("{lock:?}").ends_with(", 1)"), "{lock:?}");
        drop(outer);
        assert!(!lock.acquire().previous_holder_died());
        child.join().unwrap();
    }
}
