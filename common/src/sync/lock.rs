//! One holder at a time, of all threads of all processes (in Python: `Lock`).
//!
//! The states stand in `algorithm/lock.rs`. A holder that dies, by whatever means, does not keep it: the
//! kernel gives it to the next waiter, who is told, because what it protects may be half changed.

use super::algorithm::lock::{self as algorithm, Refused};
use super::travels;
use super::word::Deadline;
use crate::point::{self, Kind, Name, Operation};
use crate::process;
use crate::shared::arena::Slot;
use crate::sys::{robust, thread};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// What the slot of a lock says that it is.
const KIND: u32 = u32::from_be_bytes(*b"lock");
/// The record; in its free bytes, where the lock was last taken, and the news.
pub(crate) const BYTES: usize = robust::BYTES;
const CORE: usize = 4;
const NEWS: usize = 8;

/// A lock that processes and their threads share.
///
/// A clone, and what arrives in another process, is the same lock.
///
/// ```
/// use common::sync::Lock;
///
/// let lock = Lock::new()?;
/// let guard = lock.acquire();
/// assert!(!guard.previous_holder_died());
/// assert!(lock.try_acquire().is_none());
/// drop(guard);
/// assert!(lock.try_acquire().is_some());
/// # std::io::Result::Ok(())
/// ```
///
/// # Limits
///
/// Of a thread that dies while it holds more than 2048 locks, the 2048 that it took last are given on
/// (the kernel looks no further), and the others stay held.
#[derive(Clone)]
pub struct Lock {
    slot: Arc<Slot>,
}

/// Only the thread that holds a lock can release it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this thread does not hold the lock; for what one hands over to another take a Semaphore")]
pub struct NotOwner;

impl Lock {
    /// A new lock that nobody holds.
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        Ok(Self { slot: Slot::new(Name::new(Kind::Lock), KIND, BYTES)? })
    }

    pub(super) fn words(&self) -> algorithm::Lock<'_> {
        words(&self.slot)
    }

    /// Takes it; waits until it is free. Dropping the guard gives it back.
    ///
    /// # Panics
    ///
    /// Where this thread holds it already: it would wait for itself for ever. For that there is an
    /// [`RLock`](super::RLock).
    #[track_caller]
    pub fn acquire(&self) -> LockGuard<'_> {
        point::before(Operation::Acquire, &*self.slot);
        match self.words().take(Deadline::NEVER) {
            Ok(()) => LockGuard::new(self),
            Err(Refused::Mine | Refused::Held) => {
                panic!("this thread holds the lock already, and would wait for itself for ever")
            }
        }
    }

    /// Takes it if it is free.
    #[doc(alias = "acquire")]
    #[must_use]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<LockGuard<'_>> {
        point::before(Operation::TryAcquire, &*self.slot);
        if self.words().try_take() { Some(LockGuard::new(self)) } else { None }
    }

    /// Takes it; waits until it is free, at most for `limit`.
    #[doc(alias = "acquire")]
    #[must_use]
    #[track_caller]
    pub fn acquire_timeout(&self, limit: Duration) -> Option<LockGuard<'_>> {
        point::before(Operation::AcquireTimeout, &*self.slot);
        let taken = self.words().take(Deadline::after(limit)).is_ok();
        if taken { Some(LockGuard::new(self)) } else { None }
    }

    /// Whether anybody holds it at this moment.
    #[doc(alias = "locked")]
    #[must_use]
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        point::before(Operation::State, &*self.slot);
        self.words().holder() != 0
    }

    /// Gives back what [`LockGuard::keep`] has kept.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] where this thread does not hold it.
    #[track_caller]
    pub fn release(&self) -> Result<(), NotOwner> {
        point::before(Operation::Release, &*self.slot);
        let words = self.words();
        if !words.is_mine() {
            return Err(NotOwner);
        }
        words.give_back();
        Ok(())
    }
}

/// The words of a lock at the beginning of a slot.
pub(crate) fn words(slot: &Slot) -> algorithm::Lock<'_> {
    algorithm::Lock { record: slot.record(), core: slot.word(CORE), news: slot.word(NEWS) }
}

/// A [`Lock`] that this thread holds.
#[derive(Debug)]
#[must_use = "dropping it gives the lock back"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    news: u32,
    /// Whether the news was asked for.
    asked: Cell<bool>,
    made: &'static Location<'static>,
    /// By a destructor that runs in a panic: that it is given back in one tells nothing.
    taken_in_panic: bool,
    /// It is this thread that holds it.
    thread: PhantomData<*const ()>,
}

impl<'a> LockGuard<'a> {
    #[track_caller]
    fn new(lock: &'a Lock) -> Self {
        Self {
            lock,
            news: lock.words().take_news(),
            asked: Cell::new(false),
            made: Location::caller(),
            taken_in_panic: std::thread::panicking(),
            thread: PhantomData,
        }
    }

    /// Whether the holder before died while it held the lock, or panicked: what the lock protects may
    /// be half changed. It is said once, to the next holder; who waits on a
    /// [`Condition`](super::Condition) without having asked leaves it to the one after.
    #[must_use]
    pub fn previous_holder_died(&self) -> bool {
        self.asked.set(true);
        self.news != algorithm::NOTHING
    }

    /// Whether it is a guard of this lock.
    pub(super) fn is_of(&self, lock: &Lock) -> bool {
        self.lock.slot.is(&lock.slot)
    }

    /// Whether this thread holds the lock: not where a fork has copied the guard.
    pub(super) fn is_original(&self) -> bool {
        self.lock.words().is_mine()
    }

    /// Before the lock is given back and taken again: what nobody has asked for is not lost.
    pub(super) fn leave_news(&self) {
        if self.news != algorithm::NOTHING && !self.asked.get() {
            self.lock.words().tell(self.news);
        }
    }

    /// After it: what the holders in between have left.
    pub(super) fn renew(&mut self) {
        self.news = self.lock.words().take_news();
        self.asked.set(false);
    }

    /// Keeps the lock beyond the guard, until [`Lock::release`] in this same thread (in Python:
    /// `acquire` without `with`), or until the thread ends.
    #[track_caller]
    pub fn keep(self) {
        point::before(Operation::Keep, &*self.lock.slot);
        std::mem::forget(self);
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        point::before_at(Operation::Release, &*self.lock.slot, &self.made);
        let words = self.lock.words();
        // Both do nothing in a copy that a fork has made: the lock is still the parent's.
        if !self.taken_in_panic && std::thread::panicking() {
            words.tell(algorithm::HOLDER_PANICKED);
        }
        words.give_back();
    }
}

/// Who holds it: `Lock(None)`, the name of this process (and of this thread, if it has one and is not
/// the main one), `SomeOtherThread` or `SomeOtherProcess`.
impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lock({})", holder(self.words()))
    }
}

/// Who holds a lock, as Python shows it.
pub(super) fn holder(words: algorithm::Lock<'_>) -> String {
    let holder = words.holder();
    if holder == 0 {
        return "None".to_string();
    }
    if words.is_mine() {
        let process = process::current().name().to_string();
        let is_main = holder == std::process::id();
        return match std::thread::current().name().filter(|_| !is_main) {
            Some(thread) => format!("{process}|{thread}"),
            None => process,
        };
    }
    if thread::is_here(holder) { "SomeOtherThread" } else { "SomeOtherProcess" }.to_string()
}

travels!(Lock, KIND, BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Process;
    use crate::connection::{Connection, pipe};

    #[test]
    fn threads_take_turns() {
        let (lock, counter) = (Lock::new().unwrap(), std::sync::atomic::AtomicU64::new(0));
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let _guard = lock.acquire();
                        counter.store(counter.load(relaxed) + 1, relaxed);
                    }
                });
            }
        });
        assert_eq!(counter.into_inner(), 80_000);
        assert_eq!(format!("{lock:?}"), "Lock(None)");
    }

    #[test]
    fn a_holder_that_is_killed_does_not_keep_it_and_the_next_is_told() {
        fn hold((lock, ready): (Lock, Connection<(), ()>)) {
            let _guard = lock.acquire();
            ready.send(&()).unwrap();
            loop {
                std::thread::park();
            }
        }
        let lock = Lock::new().unwrap();
        let (ours, theirs) = pipe::<(), ()>().unwrap();
        let child = Process::new(hold, (lock.clone(), theirs)).start().unwrap();
        ours.recv().unwrap();
        assert!(lock.try_acquire().is_none());
        assert!(lock.acquire_timeout(Duration::from_millis(5)).is_none());
        assert_eq!(format!("{lock:?}"), "Lock(SomeOtherProcess)");
        child.kill().unwrap();
        assert!(lock.acquire().previous_holder_died());
        assert!(!lock.acquire().previous_holder_died());
        child.join().unwrap();
    }

    #[test]
    fn a_holder_that_panics_gives_it_back_and_the_next_is_told() {
        let lock = Lock::new().unwrap();
        let other = lock.clone();
        let panicked = std::thread::spawn(move || {
            let _guard = other.acquire();
            panic!("a panic that the test expects");
        });
        assert!(panicked.join().is_err());
        assert!(lock.acquire().previous_holder_died());
        assert!(!lock.acquire().previous_holder_died());
    }

    #[test]
    fn only_the_owner_releases() {
        let lock = Lock::new().unwrap();
        assert_eq!(lock.release(), Err(NotOwner));
        lock.acquire().keep();
        assert!(lock.is_locked());
        let other = lock.clone();
        assert_eq!(std::thread::spawn(move || other.release()).join().unwrap(), Err(NotOwner));
        assert_eq!(lock.release(), Ok(()));
        assert!(!lock.is_locked());
    }

    #[test]
    #[should_panic(expected = "holds the lock already")]
    fn waiting_for_oneself_is_told() {
        let lock = Lock::new().unwrap();
        let _guard = lock.acquire();
        let _again = lock.acquire();
    }
}
