//! Wait, with a lock, until another says that something has changed (in Python: `Condition`).
//!
//! The states stand in `algorithm/condition.rs`. A waiter that is killed takes no notification along.

use super::algorithm::condition as algorithm;
use super::algorithm::event_count::EventCount;
use super::algorithm::members::{ENTRY, Members};
use super::lock::{Lock, LockGuard};
use super::word::Deadline;
use crate::point::{self, Kind, Name, Operation};
use crate::shared::arena::{self, Slot};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the slot of a condition says that it is.
const KIND: u32 = u32::from_be_bytes(*b"cond");
/// Nine words, and a table of the processes that wait.
const NEXT: usize = 0;
const WAITING: usize = 4;
const OTHERS: usize = 8;
const OWED: usize = 12;
const UNTIL: usize = 16;
const SLEEPERS: usize = 20;
const LOOKED: usize = 24;
const NOTIFIED: usize = 28;
const CORE: usize = 32;
const MEMBERS: usize = 36;
/// For how many processes the table has room.
const PROCESSES: usize = 64;
const BYTES: usize = MEMBERS + PROCESSES * 4 * ENTRY;

/// A lock, and a place to wait in until another process says that something has changed.
///
/// Who waits gives the lock back meanwhile. What is waited for is best told by a question that is asked
/// again each time ([`wait_while`](Condition::wait_while)): a notification that came before the wait
/// would not be seen by a bare [`wait`](Condition::wait).
///
/// A clone, and what arrives in another process, is the same condition.
///
/// ```
/// use common::sync::Condition;
/// use std::time::Duration;
///
/// let condition = Condition::new()?;
/// let mut guard = condition.acquire();
/// condition.notify(&guard, 1); // nobody waits
/// assert!(!condition.wait_timeout(&mut guard, Duration::from_millis(1)));
/// # std::io::Result::Ok(())
/// ```
///
/// # Limits
///
/// Any number may wait. Where waiters are killed, a later notification may end a bare `wait` more than
/// was asked for.
#[derive(Clone)]
pub struct Condition {
    lock: Lock,
    slot: Arc<Slot>,
}

impl Condition {
    /// A new condition with a lock of its own.
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        Self::with_lock(&Lock::new()?)
    }

    /// A new condition with a lock that there is already: several can share one, such as "not empty" and
    /// "not full" of one buffer.
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left.
    #[doc(alias = "Condition")]
    #[track_caller]
    pub fn with_lock(lock: &Lock) -> io::Result<Self> {
        Ok(Self { lock: lock.clone(), slot: Slot::new(Name::new(Kind::Condition), KIND, BYTES)? })
    }

    /// Its lock.
    #[must_use]
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Takes its lock; waits until it is free. Dropping the guard gives it back.
    ///
    /// # Panics
    ///
    /// Where this thread holds it already.
    #[track_caller]
    pub fn acquire(&self) -> LockGuard<'_> {
        self.lock.acquire()
    }

    /// Takes its lock if it is free.
    #[doc(alias = "acquire")]
    #[must_use]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<LockGuard<'_>> {
        self.lock.try_acquire()
    }

    /// Takes its lock; waits until it is free, at most for `limit`.
    #[doc(alias = "acquire")]
    #[must_use]
    #[track_caller]
    pub fn acquire_timeout(&self, limit: Duration) -> Option<LockGuard<'_>> {
        self.lock.acquire_timeout(limit)
    }

    /// Gives the lock back, waits to be notified, and takes the lock again.
    ///
    /// # Panics
    ///
    /// Where the guard is of another lock, or a copy that a fork has made.
    #[track_caller]
    pub fn wait(&self, guard: &mut LockGuard<'_>) {
        point::before(Operation::Wait, &*self.slot);
        while !self.wait_until(guard, Deadline::NEVER) {}
    }

    /// Gives the lock back, waits to be notified, at most for `limit`, and takes the lock again, however
    /// long that takes; whether it was notified.
    ///
    /// # Panics
    ///
    /// Where the guard is of another lock, or a copy that a fork has made.
    #[doc(alias = "wait")]
    #[track_caller]
    pub fn wait_timeout(&self, guard: &mut LockGuard<'_>, limit: Duration) -> bool {
        point::before(Operation::WaitTimeout, &*self.slot);
        self.wait_until(guard, Deadline::after(limit))
    }

    /// Waits while `is_to_wait` says so: it is asked at first, each time this is notified, and every
    /// 100 ms, always with the lock.
    ///
    /// # Panics
    ///
    /// Where the guard is of another lock or a copy that a fork has made, or `is_to_wait` panics.
    #[doc(alias = "wait_for")]
    #[track_caller]
    pub fn wait_while(&self, guard: &mut LockGuard<'_>, mut is_to_wait: impl FnMut() -> bool) {
        point::before(Operation::Wait, &*self.slot);
        while is_to_wait() {
            self.wait_until(guard, Deadline::NEVER.or_a_slice());
        }
    }

    /// Waits while `is_to_wait` says so, at most for `limit`; whether it says so no more.
    ///
    /// # Panics
    ///
    /// Where the guard is of another lock or a copy that a fork has made, or `is_to_wait` panics.
    #[doc(alias = "wait_for")]
    #[track_caller]
    pub fn wait_while_timeout(
        &self,
        guard: &mut LockGuard<'_>,
        limit: Duration,
        mut is_to_wait: impl FnMut() -> bool,
    ) -> bool {
        point::before(Operation::WaitTimeout, &*self.slot);
        let deadline = Deadline::after(limit);
        while is_to_wait() {
            if deadline.has_passed() {
                return false;
            }
            self.wait_until(guard, deadline.or_a_slice());
        }
        true
    }

    /// Lets at most `count` of those who wait go on. They need the lock, so they do when the guard is
    /// dropped.
    ///
    /// # Panics
    ///
    /// Where the guard is of another lock, or a copy that a fork has made.
    #[track_caller]
    pub fn notify(&self, guard: &LockGuard<'_>, count: u32) {
        point::before(Operation::Notify, &*self.slot);
        self.words(guard).notify(count);
    }

    /// Lets all who wait go on.
    ///
    /// # Panics
    ///
    /// Where the guard is of another lock, or a copy that a fork has made.
    #[track_caller]
    pub fn notify_all(&self, guard: &LockGuard<'_>) {
        point::before(Operation::Notify, &*self.slot);
        self.words(guard).notify(u32::MAX);
    }

    #[track_caller]
    fn wait_until(&self, guard: &mut LockGuard<'_>, deadline: Deadline) -> bool {
        let words = self.words(guard);
        guard.leave_news();
        let notified = words.wait(deadline);
        guard.renew();
        notified
    }

    #[track_caller]
    fn words(&self, guard: &LockGuard<'_>) -> algorithm::Condition<'_> {
        assert!(
            guard.is_of(&self.lock),
            "the guard is of another lock; take that of this condition by acquire()"
        );
        assert!(
            guard.is_original(),
            "the guard is a copy that a fork has made, and the lock its parent's; take it by acquire()"
        );
        let slot = &self.slot;
        algorithm::Condition {
            lock: self.lock.words(),
            next: slot.word(NEXT),
            waiting: slot.word(WAITING),
            others: slot.word(OTHERS),
            owed: slot.word(OWED),
            until: slot.word(UNTIL),
            members: Members { words: slot.words(MEMBERS, PROCESSES * ENTRY) },
            sleepers: EventCount { word: slot.word(SLEEPERS) },
            looked: slot.word(LOOKED),
            notified: slot.word(NOTIFIED),
            core: slot.word(CORE),
        }
    }
}

/// Its lock, and how many wait: `Condition(Lock(None), 2)`.
impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.slot.word(WAITING).load(Ordering::Relaxed);
        write!(f, "Condition({:?}, {waiting})", self.lock)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.lock, arena::AsSlot(&self.slot)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (lock, arena::OfKind(slot)) =
            <(Lock, arena::OfKind<KIND, BYTES>)>::deserialize(deserializer)?;
        Ok(Self { lock, slot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Process;
    use crate::connection::{Connection, pipe};
    use crate::sync::word::is_due;
    use std::sync::atomic::AtomicU32;
    use std::time::Instant;

    #[test]
    fn a_notification_lets_one_go_on_and_all_of_them_all() {
        let condition = Condition::new().unwrap();
        let (inside, passed) = (AtomicU32::new(0), AtomicU32::new(0));
        let wait_for = |word: &AtomicU32, number| {
            while word.load(Ordering::SeqCst) < number {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let mut guard = condition.acquire();
                    inside.fetch_add(1, Ordering::SeqCst);
                    condition.wait(&mut guard);
                    passed.fetch_add(1, Ordering::SeqCst);
                });
            }
            wait_for(&inside, 6);
            for (count, after) in [(2, 2), (1, 3), (u32::MAX, 6)] {
                let guard = condition.acquire();
                condition.notify(&guard, count);
                drop(guard);
                wait_for(&passed, after);
                let mut guard = condition.acquire();
                assert!(!condition.wait_timeout(&mut guard, Duration::from_millis(5)));
                assert_eq!(passed.load(Ordering::SeqCst), after);
            }
        });
        assert_eq!(format!("{condition:?}"), "Condition(Lock(None), 0)");
    }

    #[test]
    fn a_waiter_that_was_killed_takes_no_notification_along() {
        fn wait((condition, ready): (Condition, Connection<(), ()>)) {
            let mut guard = condition.acquire();
            ready.send(&()).unwrap();
            condition.wait(&mut guard);
        }
        let condition = Condition::new().unwrap();
        let (ours, theirs) = pipe::<(), ()>().unwrap();
        let child = Process::new(wait, (condition.clone(), theirs)).start().unwrap();
        ours.recv().unwrap();
        // It has the lock until it waits.
        drop(condition.acquire());
        child.kill().unwrap();
        child.join().unwrap();
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut guard = condition.acquire();
                inside.store(1, Ordering::SeqCst);
                condition.wait(&mut guard);
            });
            while inside.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let guard = condition.acquire();
            condition.notify(&guard, 1);
            drop(guard);
            waiter.join().unwrap();
        });
    }

    #[test]
    fn what_was_owed_to_a_waiter_that_was_killed_hides_no_later_notification() {
        fn wait((condition, ready): (Condition, Connection<(), ()>)) {
            let mut guard = condition.acquire();
            ready.send(&()).unwrap();
            condition.wait(&mut guard);
        }
        let condition = Condition::new().unwrap();
        let (ours, theirs) = pipe::<(), ()>().unwrap();
        let child = Process::new(wait, (condition.clone(), theirs)).start().unwrap();
        ours.recv().unwrap();
        let guard = condition.acquire();
        condition.notify(&guard, 1);
        // It is notified, and cannot go on as long as the lock is held.
        child.kill().unwrap();
        child.join().unwrap();
        drop(guard);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                condition.wait_timeout(&mut condition.acquire(), Duration::from_secs(30))
            });
            let shown = |waiting: u32| {
                format!("{condition:?}") == format!("Condition(Lock(None), {waiting})")
            };
            for waiting in [2, 1] {
                // The second time it has found that the other is gone.
                while !shown(waiting) {
                    std::thread::yield_now();
                }
            }
            condition.notify(&condition.acquire(), 1);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn a_death_that_is_noticed_in_a_wait_is_told_to_the_next_who_can_ask() {
        fn hold((condition, ready): (Condition, Connection<(), ()>)) {
            let _guard = condition.acquire();
            ready.send(&()).unwrap();
            loop {
                std::thread::park();
            }
        }
        let condition = Condition::new().unwrap();
        let (asked, is_over) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut guard = condition.acquire();
                condition.wait_while(&mut guard, || {
                    asked.fetch_add(1, Ordering::SeqCst);
                    is_over.load(Ordering::SeqCst) == 0
                });
                guard.previous_holder_died()
            });
            let (ours, theirs) = pipe::<(), ()>().unwrap();
            let child = Process::new(hold, (condition.clone(), theirs)).start().unwrap();
            ours.recv().unwrap();
            let before = asked.load(Ordering::SeqCst);
            child.kill().unwrap();
            child.join().unwrap();
            // The question is asked again, with the lock, and once more after it was given back.
            while asked.load(Ordering::SeqCst) < before + 2 {
                std::thread::yield_now();
            }
            let guard = condition.acquire();
            let told = guard.previous_holder_died();
            is_over.store(1, Ordering::SeqCst);
            condition.notify_all(&guard);
            drop(guard);
            assert_eq!((told, waiter.join().unwrap()), (true, false));
        });
    }

    #[test]
    fn a_waiter_that_was_woken_for_the_lock_and_does_not_want_it_wakes_the_next() {
        let mut is_quick = false;
        // Mostly the first time; where nobody is woken, never, because all sleep for a slice.
        for _ in 0..20 {
            let condition = Condition::new().unwrap();
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| condition.wait(&mut condition.acquire()));
                while condition.slot.word(SLEEPERS).load(Ordering::Relaxed) == 0 {
                    std::thread::yield_now();
                }
                std::thread::sleep(Duration::from_millis(5));
                let guard = condition.acquire();
                condition.notify(&guard, 1);
                let other = scope.spawn(|| drop(condition.acquire()));
                std::thread::sleep(Duration::from_millis(5));
                // As if another waiter had been faster, and somebody had just looked for the dead.
                condition.slot.word(OWED).store(0, Ordering::Relaxed);
                is_due(condition.slot.word(LOOKED));
                let start = Instant::now();
                drop(guard);
                other.join().unwrap();
                is_quick |= start.elapsed() < Duration::from_millis(40);
                condition.notify(&condition.acquire(), 1);
                waiter.join().unwrap();
            });
            if is_quick {
                return;
            }
        }
        panic!("the lock was free, and who waited for it slept on");
    }

    #[test]
    fn conditions_can_share_a_lock() {
        let lock = Lock::new().unwrap();
        let (full, empty) =
            (Condition::with_lock(&lock).unwrap(), Condition::with_lock(&lock).unwrap());
        let item = AtomicU32::new(0);
        let moved = std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..=500 {
                    let mut guard = empty.acquire();
                    empty.wait_while(&mut guard, || item.load(Ordering::Relaxed) != 0);
                    item.store(number, Ordering::Relaxed);
                    full.notify(&guard, 1);
                }
            });
            let mut sum = 0;
            for _ in 0..500 {
                let mut guard = lock.acquire();
                full.wait_while(&mut guard, || item.load(Ordering::Relaxed) == 0);
                sum += item.swap(0, Ordering::Relaxed);
                empty.notify(&guard, 1);
            }
            sum
        });
        assert_eq!(moved, 500 * 501 / 2);
    }

    #[test]
    #[should_panic(expected = "the guard is of another lock")]
    fn a_guard_of_another_lock_is_refused() {
        let (one, other) = (Condition::new().unwrap(), Condition::new().unwrap());
        one.notify(&other.acquire(), 1);
    }
}
