//! A queue that knows when everything that was put is done (in Python: `JoinableQueue`).
//!
//! An item is unfinished while it waits, and then while it is in the hands of the process that took it, until
//! that says [`task_done`](JoinableQueue::task_done). A table says how many each process has in hand:
//!
//! | what happens | in this order |
//! | --- | --- |
//! | an item is taken | it is counted in the table, then it leaves the ring; both under the ring's lock |
//! | it is done | it is taken off the table; who makes it 0 wakes those who join |
//! | somebody joins | looks at the table and at the ring, and at both at a time under the ring's lock |
//!
//! So an item is counted twice for a moment, and never not at all. What a process that is gone had in hand
//! counts as done, and is remembered as lost.

use super::{GetError, PutError, Queue};
use crate::point::{self, Kind, Name, Operation};
use crate::shared::arena::{self, Slot};
use crate::sync::algorithm::event_count::EventCount;
use crate::sync::algorithm::lock::Lock;
use crate::sync::algorithm::members::{ENTRY, Entered, Members};
use crate::sync::lock;
use crate::sync::word::{Deadline, Word, is_due};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the slot says that it is.
const KIND: u32 = u32::from_be_bytes(*b"join");
/// A lock, four words, and the table.
const LOOSE: usize = lock::BYTES;
const LOST: usize = LOOSE + 4;
const SLEEPERS: usize = LOOSE + 8;
const LOOKED: usize = LOOSE + 12;
const MEMBERS: usize = LOOSE + 16;
/// For so many processes the table has room.
const MOST: usize = 256;
const BYTES: usize = MEMBERS + 4 * ENTRY * MOST;

/// A [`Queue`] that can be waited for: [`join`](JoinableQueue::join) returns when each item that was put was
/// taken, and whoever took it has said that it is done.
///
/// ```
/// use common::{JoinableQueue, Process};
///
/// fn work(tasks: JoinableQueue<u64>) -> common::Result<()> {
///     for task in tasks.iter() {
///         let _square = task?.pow(2);
///         tasks.task_done()?;
///     }
///     Ok(())
/// }
///
/// # common::init();
/// let tasks = JoinableQueue::new()?;
/// Process::new(work, tasks.clone()).daemon().start()?;
/// for task in 0..10 {
///     tasks.put(task)?;
/// }
/// assert_eq!(tasks.join()?.lost, 0);
/// # common::Result::Ok(())
/// ```
///
/// # When a process is killed
///
/// As for a [`Queue`]; and what it had taken and not done counts as done, which [`Joined::lost`] tells.
///
/// # Limits
///
/// That holds for 256 processes that have items in hand at a time. The items of one beyond that are waited for
/// until somebody has done them, also when it is gone.
pub struct JoinableQueue<T> {
    queue: Queue<T>,
    tasks: Arc<Slot>,
}

/// Everything that was put is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// How many items were in the hands of processes that had ended before they were done, since the queue was
    /// made. They count as done.
    pub lost: usize,
}

/// This process has nothing in hand that could be done (in Python: `ValueError`).
///
/// In Python any process may say that an item is done that another one has taken. Here nobody would know then
/// what a process had in hand that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "task_done() was called more often than this process has taken items; call it once for each of them"
)]
pub struct NothingInHand;

/// What all handles see.
#[derive(Clone, Copy)]
struct Tasks<'a> {
    lock: Lock<'a>,
    members: Members<'a>,
    /// How many are in hand for whose processes the table had no room.
    loose: &'a Word,
    /// How many were in the hands of the dead.
    lost: &'a Word,
    /// Those who wait for the end.
    sleepers: EventCount<'a>,
    /// When somebody looked last for processes that are gone.
    looked: &'a Word,
}

fn tasks(slot: &Slot) -> Tasks<'_> {
    Tasks {
        lock: lock::words(slot),
        members: Members { words: slot.words(MEMBERS, MOST * ENTRY) },
        loose: slot.word(LOOSE),
        lost: slot.word(LOST),
        sleepers: EventCount { word: slot.word(SLEEPERS) },
        looked: slot.word(LOOKED),
    }
}

fn add(word: &Word, number: u32) -> u32 {
    let sum = word.load(Ordering::Relaxed).wrapping_add(number);
    word.store(sum, Ordering::Release);
    sum
}

impl Tasks<'_> {
    /// What the lock protects is right at any instant, so nothing has to be told.
    fn with<R>(self, work: impl FnOnce() -> R) -> R {
        // It waits without a limit, and this thread does not hold it.
        let _ = self.lock.take(Deadline::NEVER);
        self.lock.take_news();
        let result = work();
        self.lock.give_back();
        result
    }

    /// This process has one more in hand.
    fn take(self) {
        self.with(|| match self.members.enter() {
            Entered::Own(member) | Entered::Taken(member) => add(member.counter(), 1),
            Entered::Full => add(self.loose, 1),
        });
    }

    /// And one less.
    fn done(self) -> Result<(), NothingInHand> {
        let left = self.with(|| match self.members.own() {
            Some(member) => Ok(add(member.counter(), u32::MAX)),
            None if self.loose.load(Ordering::Relaxed) > 0 => Ok(add(self.loose, u32::MAX)),
            None => Err(NothingInHand),
        })?;
        if left == 0 {
            let advanced = self.sleepers.advance();
            self.sleepers.wake(advanced, u32::MAX);
        }
        Ok(())
    }

    fn in_hand(self) -> u32 {
        self.members.sum().wrapping_add(self.loose.load(Ordering::Acquire))
    }

    /// What the dead had in hand counts as done.
    fn bury(self) {
        self.with(|| {
            for member in self.members.dead(1) {
                // In this order one that is killed in between counts some twice, and forgets none.
                add(self.lost, member.counter().load(Ordering::Relaxed));
                member.counter().store(0, Ordering::Release);
            }
        });
    }
}

impl<T> JoinableQueue<T> {
    /// A new queue in which any number of items may wait, as [`Queue::new`].
    ///
    /// # Errors
    ///
    /// As for [`Queue::new`].
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        Queue::new().and_then(Self::over)
    }

    /// A new queue in which at most `maxsize` items wait, as [`Queue::bounded`].
    ///
    /// # Errors
    ///
    /// As for [`Queue::bounded`].
    #[doc(alias = "maxsize")]
    #[track_caller]
    pub fn bounded(maxsize: usize) -> io::Result<Self> {
        Queue::bounded(maxsize).and_then(Self::over)
    }

    #[track_caller]
    fn over(queue: Queue<T>) -> io::Result<Self> {
        Ok(Self { queue, tasks: Slot::new(Name::new(Kind::JoinableQueue), KIND, BYTES)? })
    }

    /// As [`Queue::len`].
    #[doc(alias = "qsize")]
    #[must_use]
    #[track_caller]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// As [`Queue::is_empty`].
    #[doc(alias = "empty")]
    #[must_use]
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// As [`Queue::is_full`].
    #[doc(alias = "full")]
    #[must_use]
    #[track_caller]
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// As [`Queue::maxsize`].
    #[must_use]
    pub fn maxsize(&self) -> Option<usize> {
        self.queue.maxsize()
    }

    /// As [`Queue::close`].
    #[track_caller]
    pub fn close(&self) {
        self.queue.close();
    }

    /// As [`Queue::shutdown`]. Who joins still waits for what is unfinished.
    #[track_caller]
    pub fn shutdown(&self) {
        self.queue.shutdown();
    }

    /// Says that an item which this process has taken is done.
    ///
    /// # Errors
    ///
    /// [`NothingInHand`] where this process has said so for all it has taken.
    #[track_caller]
    pub fn task_done(&self) -> Result<(), NothingInHand> {
        point::before(Operation::TaskDone, &*self.tasks);
        tasks(&self.tasks).done()
    }

    /// Waits until everything that was put is done.
    ///
    /// # Errors
    ///
    /// Where the memory of the queue cannot be used.
    #[track_caller]
    pub fn join(&self) -> Result<Joined, GetError> {
        point::before(Operation::Join, &*self.tasks);
        loop {
            if let Some(joined) = self.join_until(Deadline::NEVER)? {
                return Ok(joined);
            }
        }
    }

    /// As [`join`](JoinableQueue::join), at most for `limit`; `None` where something is unfinished then.
    ///
    /// # Errors
    ///
    /// As for [`join`](JoinableQueue::join).
    #[track_caller]
    pub fn join_timeout(&self, limit: Duration) -> Result<Option<Joined>, GetError> {
        point::before(Operation::Join, &*self.tasks);
        self.join_until(Deadline::after(limit))
    }

    fn join_until(&self, deadline: Deadline) -> Result<Option<Joined>, GetError> {
        let tasks = tasks(&self.tasks);
        loop {
            let announced = tasks.sleepers.announce();
            if self.is_finished(tasks)? {
                let lost = tasks.lost.load(Ordering::Acquire) as usize;
                return Ok(Some(Joined { lost }));
            }
            if deadline.has_passed() {
                return Ok(None);
            }
            tasks.sleepers.sleep(announced, deadline);
            if is_due(tasks.looked) {
                tasks.bury();
            }
        }
    }

    /// Whether at one instant nothing waited and nothing was in hand.
    fn is_finished(&self, tasks: Tasks<'_>) -> Result<bool, GetError> {
        if self.queue.waiting() > 0 || tasks.in_hand() > 0 {
            return Ok(false);
        }
        // Nothing is taken meanwhile; so what is not in hand now is not in hand when the ring is looked at.
        self.queue.while_nobody_gets(|| tasks.in_hand() == 0 && self.queue.waiting() == 0)
    }
}

impl<T: Serialize + 'static> JoinableQueue<T> {
    /// As [`Queue::put`].
    ///
    /// # Errors
    ///
    /// As for [`Queue::put`].
    #[track_caller]
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.queue.put(item)
    }

    /// As [`Queue::try_put`].
    ///
    /// # Errors
    ///
    /// As for [`Queue::try_put`].
    #[doc(alias = "put_nowait")]
    #[track_caller]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.queue.try_put(item)
    }

    /// As [`Queue::put_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Queue::put_timeout`].
    #[track_caller]
    pub fn put_timeout(&self, item: T, limit: Duration) -> Result<(), PutError<T>> {
        self.queue.put_timeout(item, limit)
    }
}

impl<T: DeserializeOwned + 'static> JoinableQueue<T> {
    /// As [`Queue::get`]; the item is in hand until [`task_done`](JoinableQueue::task_done).
    ///
    /// # Errors
    ///
    /// As for [`Queue::get`]. An item that cannot be decoded counts as done.
    #[track_caller]
    pub fn get(&self) -> Result<T, GetError> {
        point::before(Operation::Get, &*self.queue.shared);
        self.get_until(Deadline::NEVER)
    }

    /// As [`Queue::try_get`].
    ///
    /// # Errors
    ///
    /// As for [`Queue::try_get`].
    #[doc(alias = "get_nowait")]
    #[track_caller]
    pub fn try_get(&self) -> Result<T, GetError> {
        point::before(Operation::TryGet, &*self.queue.shared);
        self.get_until(Deadline::after(Duration::ZERO))
    }

    /// As [`Queue::get_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Queue::get_timeout`].
    #[track_caller]
    pub fn get_timeout(&self, limit: Duration) -> Result<T, GetError> {
        point::before(Operation::GetTimeout, &*self.queue.shared);
        self.get_until(Deadline::after(limit))
    }

    /// As [`Queue::iter`].
    #[track_caller]
    pub fn iter(&self) -> impl Iterator<Item = Result<T, GetError>> {
        let made = Location::caller();
        std::iter::from_fn(move || {
            point::before_at(Operation::Get, &*self.queue.shared, &made);
            match self.get_until(Deadline::NEVER) {
                Err(GetError::ShutDown) => None,
                other => Some(other),
            }
        })
    }

    fn get_until(&self, deadline: Deadline) -> Result<T, GetError> {
        let tasks = tasks(&self.tasks);
        let got = self.queue.get_and_note(deadline, || tasks.take());
        if matches!(got, Err(GetError::Decode(_))) {
            // It was taken just now.
            let _ = tasks.done();
        }
        got
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), tasks: Arc::clone(&self.tasks) }
    }
}

/// `JoinableQueue(3 items, 1 in hand)`.
impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_hand = tasks(&self.tasks).in_hand();
        write!(f, "JoinableQueue({} items, {in_hand} in hand)", self.queue.waiting())
    }
}

impl<T: 'static> Serialize for JoinableQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.queue, Sent(&self.tasks)).serialize(serializer)
    }
}

impl<'de, T: 'static> Deserialize<'de> for JoinableQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (queue, Arrived(tasks)) = <(Queue<T>, Arrived)>::deserialize(deserializer)?;
        Ok(Self { queue, tasks })
    }
}

struct Sent<'a>(&'a Arc<Slot>);

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        arena::serialize(self.0, serializer)
    }
}

struct Arrived(Arc<Slot>);

impl<'de> Deserialize<'de> for Arrived {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        arena::deserialize(KIND, BYTES, deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_unfinished_until_it_is_done() {
        let queue = JoinableQueue::new().unwrap();
        assert_eq!(queue.join().unwrap(), Joined { lost: 0 });
        assert_eq!(queue.task_done(), Err(NothingInHand));
        queue.put(1u8).unwrap();
        queue.put(2).unwrap();
        let at_once = Duration::ZERO;
        assert_eq!(queue.join_timeout(at_once).unwrap(), None);
        assert_eq!((queue.get().unwrap(), queue.get().unwrap()), (1, 2));
        assert_eq!(format!("{queue:?}"), "JoinableQueue(0 items, 2 in hand)");
        assert_eq!(queue.join_timeout(at_once).unwrap(), None);
        queue.task_done().unwrap();
        assert_eq!(queue.join_timeout(at_once).unwrap(), None);
        queue.task_done().unwrap();
        assert_eq!(queue.join_timeout(at_once).unwrap(), Some(Joined { lost: 0 }));
        assert_eq!(queue.task_done(), Err(NothingInHand));
    }

    #[test]
    fn who_joins_is_woken_by_the_last_that_is_done() {
        let queue = JoinableQueue::bounded(3).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while queue.get().unwrap() != 0u32 {
                        queue.task_done().unwrap();
                    }
                    queue.task_done().unwrap();
                });
            }
            (1..=1000).for_each(|number| queue.put(number).unwrap());
            queue.join().unwrap();
            assert!(queue.is_empty());
            (0..3).for_each(|_| queue.put(0).unwrap());
            queue.join().unwrap();
        });
    }

    #[test]
    fn an_item_that_cannot_be_decoded_is_done() {
        let queue = JoinableQueue::<bool>::new().unwrap();
        queue
            .queue
            .write_with(1, Deadline::NEVER, |bytes| {
                bytes[0] = 7;
                Ok(())
            })
            .unwrap();
        assert!(matches!(queue.get(), Err(GetError::Decode(_))));
        queue.join().unwrap();
    }
}
