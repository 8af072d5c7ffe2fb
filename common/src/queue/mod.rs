//! Items that any number of processes put and get, first in, first out (in Python: `Queue`).
//!
//! ```
//! use common::{Process, Queue};
//!
//! fn double((numbers, doubled): (Queue<u64>, Queue<u64>)) -> common::Result<()> {
//!     for number in numbers.iter() {
//!         doubled.put(2 * number?)?;
//!     }
//!     Ok(())
//! }
//!
//! # common::init();
//! let (numbers, doubled) = (Queue::new()?, Queue::new()?);
//! let child = Process::new(double, (numbers.clone(), doubled.clone())).start()?;
//! for number in 1..=3 {
//!     numbers.put(number)?;
//! }
//! numbers.shutdown();
//! child.join()?;
//! assert_eq!([doubled.get()?, doubled.get()?, doubled.get()?], [2, 4, 6]);
//! # common::Result::Ok(())
//! ```
//!
//! An item is in shared memory when `put` returns. No thread has to bring it there, so a process may end,
//! or be killed, right after it has put something, and may be waited for before anybody gets it. In
//! Python that hangs; and that is why there is no `join_thread` here and no `cancel_join_thread`.
//!
//! # When a process is killed
//!
//! An item that it was putting is not there, unless `put` had returned. One that it was getting is there
//! still, or lost with it. All other items are got once each. Nobody waits for the dead.
//!
//! # Memory
//!
//! A queue is one descriptor, and memory that grows with what waits in it and shrinks when it is empty. It
//! is taken before it is used: a machine that has no more is an error of `put`, which gives the item back.
//!
//! | the type of the items | costs |
//! | --- | --- |
//! | numbers, `bool`, `char`, `String`, `Vec` of numbers | one copy into the queue, one out of it |
//! | any other that `serde` knows | is encoded into the queue and decoded out of it |
//! | bytes, by [`put_with`](Queue::put_with) and [`get_with`](Queue::get_with) | none: they are lent in place |

pub(crate) mod item;
mod joinable;
mod simple;

pub use joinable::{JoinableQueue, Joined, NothingInHand};
pub use simple::SimpleQueue;

use crate::codec::{DecodeError, EncodeError};
use crate::point::{self, Kind, Name, Named, Operation};
use crate::shared::guarded;
use crate::shared::ring::{MOST, NotGot, NotPut, RingMemory};
use crate::sync::word::Deadline;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the memory of a queue says that it is.
const KIND: u32 = u32::from_be_bytes(*b"queu");

/// A queue that processes share.
///
/// A clone, and what arrives in another process, is the same queue; each process takes one descriptor for
/// each time that it receives it.
pub struct Queue<T> {
    shared: Arc<Shared>,
    /// This handle puts nothing more.
    is_closed: AtomicBool,
    items: PhantomData<fn(T) -> T>,
}

struct Shared {
    name: Name,
    ring: RingMemory,
}

/// Nothing was put, and here is the item.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PutError<T, R = PutRefusal> {
    /// What was to be put.
    pub item: T,
    /// Why it was not.
    pub reason: R,
}

/// Why nothing was put.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutRefusal {
    /// As many items wait as may, and that did not change in time (in Python: `queue.Full`).
    #[error("the queue is full: {0} items wait; get some, or wait longer")]
    Full(usize),
    /// This handle was closed (in Python: `ValueError`).
    #[error("this handle of the queue is closed; put through another one")]
    Closed,
    /// The queue was shut down (in Python: `queue.ShutDown`).
    #[error("the queue is shut down: nothing more may be put")]
    ShutDown,
    /// The item has no encoding, or holds a handle.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The item is longer than a queue takes.
    #[error("an item of {0} bytes is longer than a queue takes; put it in parts")]
    TooLong(usize),
    /// There is no memory for it.
    #[error("the queue cannot grow: {0}; get items first, or put smaller ones")]
    Memory(#[source] io::Error),
}

/// Why nothing was got.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// Nothing waits, and that did not change in time (in Python: `queue.Empty`).
    #[error("the queue is empty; put something, or wait longer")]
    Empty,
    /// The queue was shut down, and nothing waits any more (in Python: `queue.ShutDown`).
    #[error("the queue is shut down, and nothing is left in it")]
    ShutDown,
    /// What was taken is no such item.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The memory of the queue could not be used.
    #[error("the queue cannot be read: {0}")]
    Memory(#[source] io::Error),
}

impl<T> Queue<T> {
    /// A new queue in which any number of items may wait, as far as the memory goes (in Python:
    /// `Queue()`).
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        Self::with_limit(MOST)
    }

    /// A new queue in which at most `maxsize` items wait: who puts more waits until others are got (in
    /// Python: `Queue(maxsize)`; 0 is an error here, not "any number").
    ///
    /// # Errors
    ///
    /// Where `maxsize` is 0 or at least 2²⁸, or the machine has no shared memory or no descriptor left.
    #[doc(alias = "maxsize")]
    #[track_caller]
    pub fn bounded(maxsize: usize) -> io::Result<Self> {
        match u32::try_from(maxsize) {
            Ok(limit) if (1..MOST).contains(&limit) => Self::with_limit(limit),
            _ => {
                let text = format!("a queue is bounded to 1 to {} items, not {maxsize}", MOST - 1);
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
        }
    }

    #[track_caller]
    fn with_limit(limit: u32) -> io::Result<Self> {
        let name = Name::new(Kind::Queue);
        let ring = RingMemory::new("queue", KIND, limit)?;
        Ok(Self::over(name, ring))
    }

    fn over(name: Name, ring: RingMemory) -> Self {
        let shared = Arc::new(Shared { name, ring });
        Self { shared, is_closed: AtomicBool::new(false), items: PhantomData }
    }

    /// How many items wait at this moment.
    #[doc(alias = "qsize")]
    #[must_use]
    #[track_caller]
    pub fn len(&self) -> usize {
        point::before(Operation::State, &*self.shared);
        self.waiting()
    }

    fn waiting(&self) -> usize {
        self.shared.ring.ring().len() as usize
    }

    /// Whether none waits at this moment.
    #[doc(alias = "empty")]
    #[must_use]
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether as many wait at this moment as may.
    #[doc(alias = "full")]
    #[must_use]
    #[track_caller]
    pub fn is_full(&self) -> bool {
        self.len() >= self.shared.ring.limit() as usize
    }

    /// How many may wait; `None` where that is bounded by the memory only.
    #[must_use]
    pub fn maxsize(&self) -> Option<usize> {
        Some(self.shared.ring.limit()).filter(|&limit| limit < MOST).map(|limit| limit as usize)
    }

    /// Ends the putting of this handle, and of clones that are made from it later (in Python: `close`).
    /// It still gets, and other handles still put; for all of them there is
    /// [`shutdown`](Queue::shutdown).
    #[track_caller]
    pub fn close(&self) {
        point::before(Operation::Close, &*self.shared);
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Ends the queue for all processes: nothing more is put, what waits is still got, and then
    /// [`get`](Queue::get) says [`ShutDown`](GetError::ShutDown) and iteration ends.
    #[track_caller]
    pub fn shutdown(&self) {
        point::before(Operation::Shutdown, &*self.shared);
        let ring = &self.shared.ring;
        ring.ring().shut(&ring.putting());
    }
}

impl<T: Serialize + 'static> Queue<T> {
    /// Puts an item at the end; waits for room where the queue is bounded.
    ///
    /// # Errors
    ///
    /// See [`PutRefusal`]; the error holds the item.
    #[track_caller]
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        point::before(Operation::Put, &*self.shared);
        self.put_until(item, Deadline::NEVER)
    }

    /// Puts an item at the end if there is room.
    ///
    /// # Errors
    ///
    /// [`Full`](PutRefusal::Full), or as for [`put`](Queue::put).
    #[doc(alias = "put_nowait")]
    #[track_caller]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        point::before(Operation::TryPut, &*self.shared);
        self.put_until(item, Deadline::after(Duration::ZERO))
    }

    /// Puts an item at the end; waits for room, at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`Full`](PutRefusal::Full), or as for [`put`](Queue::put).
    #[doc(alias = "put")]
    #[track_caller]
    pub fn put_timeout(&self, item: T, limit: Duration) -> Result<(), PutError<T>> {
        point::before(Operation::PutTimeout, &*self.shared);
        self.put_until(item, Deadline::after(limit))
    }

    fn put_until(&self, item: T, deadline: Deadline) -> Result<(), PutError<T>> {
        self.write(&item, deadline).map_err(|reason| PutError { item, reason })
    }

    fn write(&self, item: &T, deadline: Deadline) -> Result<(), PutRefusal> {
        if let Some(bytes) = item::plain_bytes(item) {
            return self.write_bytes(bytes, deadline);
        }
        item::with_buffer(|buffer| {
            if item::encode(item, buffer)? {
                return self.write_bytes(buffer, deadline);
            }
            let len = item::len(item)?;
            self.write_with(len, deadline, |bytes| item::encode_in_place(item, bytes))
        })
    }

    fn write_bytes(&self, item: &[u8], deadline: Deadline) -> Result<(), PutRefusal> {
        self.write_with(item.len(), deadline, |bytes| {
            bytes.copy_from_slice(item);
            Ok(())
        })
    }
}

impl<T> Queue<T> {
    fn write_with(
        &self,
        len: usize,
        deadline: Deadline,
        write: impl FnOnce(&mut [u8]) -> Result<(), EncodeError>,
    ) -> Result<(), PutRefusal> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(PutRefusal::Closed);
        }
        let ring = &self.shared.ring;
        ring.ring().put(&ring.putting(), len, deadline, write).map_err(|refused| match refused {
            NotPut::Full => PutRefusal::Full(self.waiting()),
            NotPut::Shut => PutRefusal::ShutDown,
            NotPut::TooLong => PutRefusal::TooLong(len),
            NotPut::Memory(error) => PutRefusal::Memory(error),
            NotPut::Writer(error) => PutRefusal::Encode(error),
        })
    }

    /// What `look` sees while nobody takes an item.
    fn while_nobody_gets<R>(&self, look: impl FnOnce() -> R) -> Result<R, GetError> {
        let ring = &self.shared.ring;
        ring.ring().peek(&ring.getting(), |_| look()).map_err(not_got)
    }

    fn read_with<R>(
        &self,
        deadline: Deadline,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, GetError> {
        let ring = &self.shared.ring;
        ring.ring().get(&ring.getting(), deadline, read).map_err(not_got)
    }
}

fn not_got(refused: NotGot<io::Error>) -> GetError {
    match refused {
        NotGot::Empty => GetError::Empty,
        NotGot::Shut => GetError::ShutDown,
        NotGot::Memory(error) => GetError::Memory(error),
        NotGot::Damaged => {
            GetError::Memory(io::Error::new(io::ErrorKind::InvalidData, "it is damaged"))
        }
    }
}

impl<T: DeserializeOwned + 'static> Queue<T> {
    /// Takes the first item; waits for one.
    ///
    /// # Errors
    ///
    /// [`ShutDown`](GetError::ShutDown) where nothing more comes; see [`GetError`] for the rest.
    #[track_caller]
    pub fn get(&self) -> Result<T, GetError> {
        point::before(Operation::Get, &*self.shared);
        self.get_until(Deadline::NEVER)
    }

    /// Takes the first item if there is one.
    ///
    /// # Errors
    ///
    /// [`Empty`](GetError::Empty), or as for [`get`](Queue::get).
    #[doc(alias = "get_nowait")]
    #[track_caller]
    pub fn try_get(&self) -> Result<T, GetError> {
        point::before(Operation::TryGet, &*self.shared);
        self.get_until(Deadline::after(Duration::ZERO))
    }

    /// Takes the first item; waits for one, at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`Empty`](GetError::Empty), or as for [`get`](Queue::get).
    #[doc(alias = "get")]
    #[track_caller]
    pub fn get_timeout(&self, limit: Duration) -> Result<T, GetError> {
        point::before(Operation::GetTimeout, &*self.shared);
        self.get_until(Deadline::after(limit))
    }

    /// The items as they come, until the queue is shut down and empty. An error that is none of the end
    /// is an item too.
    #[track_caller]
    pub fn iter(&self) -> impl Iterator<Item = Result<T, GetError>> {
        let made = Location::caller();
        std::iter::from_fn(move || {
            point::before_at(Operation::Get, &*self.shared, &made);
            match self.get_until(Deadline::NEVER) {
                Err(GetError::ShutDown) => None,
                other => Some(other),
            }
        })
    }

    fn get_until(&self, deadline: Deadline) -> Result<T, GetError> {
        self.get_and_note(deadline, || ())
    }

    /// Takes the first item, and has `note` called right before it is taken, when nobody else can.
    fn get_and_note(&self, deadline: Deadline, note: impl FnOnce()) -> Result<T, GetError> {
        if item::is_plain::<T>() {
            let read = |bytes: &[u8]| {
                note();
                item::from_plain(bytes)
            };
            return Ok(self.read_with(deadline, read)??);
        }
        item::with_buffer(|buffer| {
            let long = self.read_with(deadline, |bytes| {
                note();
                if bytes.len() > item::LONG {
                    return Some(item::decode(bytes));
                }
                buffer.extend_from_slice(bytes);
                None
            })?;
            Ok(long.unwrap_or_else(|| item::decode(buffer))?)
        })
    }
}

/// Without a copy.
impl Queue<Vec<u8>> {
    /// Puts an item of `len` bytes that `write` writes where they lie in the queue; they are whatever was
    /// there before. Others wait meanwhile who put.
    ///
    /// ```
    /// let queue = common::Queue::<Vec<u8>>::new()?;
    /// queue.put_with(3, |bytes| bytes.copy_from_slice(b"abc"))?;
    /// assert_eq!(queue.get_with(|bytes| bytes.len())?, 3);
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`put`](Queue::put).
    ///
    /// # Panics
    ///
    /// Where `write` does; nothing was put then.
    #[track_caller]
    pub fn put_with(&self, len: usize, write: impl FnOnce(&mut [u8])) -> Result<(), PutRefusal> {
        point::before(Operation::Put, &*self.shared);
        self.write_with(len, Deadline::NEVER, |bytes| {
            write(bytes);
            Ok(())
        })
    }

    /// Takes the first item: what `read` makes of it where it lies in the queue. Others wait meanwhile who
    /// get.
    ///
    /// # Errors
    ///
    /// As for [`get`](Queue::get).
    ///
    /// # Panics
    ///
    /// Where `read` does; the item is taken then.
    #[track_caller]
    pub fn get_with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> Result<R, GetError> {
        point::before(Operation::Get, &*self.shared);
        self.read_with(Deadline::NEVER, read)
    }
}

impl Named for Shared {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        let is_closed = AtomicBool::new(self.is_closed.load(Ordering::Relaxed));
        Self { shared: Arc::clone(&self.shared), is_closed, items: PhantomData }
    }
}

/// `Queue(3 items)`, `Queue(3 of 10 items)`.
impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.maxsize() {
            None => write!(f, "Queue({} items)", self.waiting()),
            Some(maxsize) => write!(f, "Queue({} of {maxsize} items)", self.waiting()),
        }
    }
}

impl<T, R: fmt::Debug> fmt::Debug for PutError<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T, R: fmt::Display> fmt::Display for PutError<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<T, R: std::error::Error> std::error::Error for PutError<T, R> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.reason.source()
    }
}

impl<T: 'static> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_closed = self.is_closed.load(Ordering::Relaxed);
        let ring = AsRing(&self.shared.ring);
        (ring, &self.shared.name, guarded::tag::<T>(), is_closed).serialize(serializer)
    }
}

impl<'de, T: 'static> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Arrived(ring), name, tag, is_closed) =
            <(Arrived, Name, u64, bool)>::deserialize(deserializer)?;
        if tag != guarded::tag::<T>() {
            return Err(guarded::wrong_type::<T, D::Error>());
        }
        let queue = Self::over(name, ring);
        queue.is_closed.store(is_closed, Ordering::Relaxed);
        Ok(queue)
    }
}

struct AsRing<'a>(&'a RingMemory);

impl Serialize for AsRing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

struct Arrived(RingMemory);

impl<'de> Deserialize<'de> for Arrived {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RingMemory::deserialize(KIND, deserializer).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Lock;
    use std::collections::BTreeMap;

    #[test]
    fn items_of_any_type_come_back() {
        let queue = Queue::new().unwrap();
        let item = BTreeMap::from([("a".to_string(), vec![Some(1.5), None])]);
        queue.put(item.clone()).unwrap();
        assert_eq!(queue.get().unwrap(), item);
        let queue = Queue::new().unwrap();
        let long: Vec<(String, u32)> = (0..50_000).map(|n| (n.to_string(), n)).collect();
        for _ in 0..3 {
            queue.put(long.clone()).unwrap();
        }
        assert_eq!(queue.len(), 3);
        for _ in 0..3 {
            assert!(queue.get().unwrap() == long);
        }
        let queue = Queue::new().unwrap();
        let text = "Straße ".repeat(1_000_000);
        queue.put(text.clone()).unwrap();
        assert!(queue.try_get().unwrap() == text);
    }

    #[test]
    fn what_is_full_or_empty_or_ended_says_so_and_the_item_comes_back() {
        let queue = Queue::bounded(1).unwrap();
        assert!(matches!(queue.try_get(), Err(GetError::Empty)));
        queue.put("first".to_string()).unwrap();
        assert!(queue.is_full());
        let refused = queue.try_put("second".to_string()).unwrap_err();
        assert!(matches!(refused.reason, PutRefusal::Full(1)), "{refused:?}");
        let refused = queue.put_timeout(refused.item, Duration::from_millis(5)).unwrap_err();
        assert_eq!(refused.item, "second");
        let other = queue.clone();
        queue.close();
        let refused = queue.put(refused.item).unwrap_err();
        assert!(matches!(refused.reason, PutRefusal::Closed));
        assert_eq!(other.get().unwrap(), "first");
        other.put(refused.item).unwrap();
        queue.shutdown();
        assert!(matches!(other.try_put(String::new()).unwrap_err().reason, PutRefusal::ShutDown));
        assert_eq!(queue.iter().collect::<Result<Vec<_>, _>>().unwrap(), ["second"]);
        assert!(matches!(queue.get_timeout(Duration::ZERO), Err(GetError::ShutDown)));
        assert_eq!(format!("{queue:?}"), "Queue(0 of 1 items)");
        for wrong in [0, 1 << 28] {
            let error = Queue::<u8>::bounded(wrong).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_handle_in_an_item_is_an_error_that_names_the_way() {
        let queue = Queue::new().unwrap();
        let refused = queue.put(vec![Lock::new().unwrap()]).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("send a handle through a Connection"), "{text}");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_write_or_read_that_panics_leaves_the_queue_as_it_says() {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        let queue = Queue::<Vec<u8>>::new().unwrap();
        let panics = || panic!("a panic that the test expects");
        assert!(catch_unwind(AssertUnwindSafe(|| queue.put_with(9, |_| panics()))).is_err());
        queue.put(vec![1]).unwrap();
        queue.put(vec![2]).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| queue.get_with(|_| panics()))).is_err());
        assert_eq!(queue.get().unwrap(), [2]);
        assert!(queue.is_empty());
    }
}
