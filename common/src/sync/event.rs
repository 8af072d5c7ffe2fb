//! Something that has happened or not, for any number of processes (in Python: `Event`).
//!
//! # States
//!
//! | word | meaning |
//! | --- | --- |
//! | [`CLEAR`] | not set; who waits sleeps on the word |
//! | [`SET`] | set; nobody sleeps |
//!
//! `set` stores [`SET`] with Release and wakes all; `wait` returns after it has read [`SET`] with
//! Acquire, so whatever was done before `set` is seen after `wait`. Nobody owns an event, so a
//! process that dies beside it takes nothing with it.

use crate::shared::Region;
use crate::sys::futex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const CLEAR: u32 = 0;
const SET: u32 = 1;

/// A wake-up may be swallowed by a waiter that is killed before it acts on it; so nobody sleeps
/// longer than this without looking again.
const SLICE: Duration = Duration::from_millis(100);

/// A flag that processes set, clear and wait for.
///
/// A clone, and what arrives in another process, is the same event.
///
/// ```
/// use common::sync::Event;
///
/// let event = Event::new()?;
/// assert!(!event.is_set());
/// event.set();
/// event.wait();
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    region: Region,
}

impl Event {
    /// A new event that is not set.
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { region: Region::new("event", size_of::<AtomicU32>())? })
    }

    fn word(&self) -> &AtomicU32 {
        self.region.word32(0).expect("an event's region holds its word")
    }

    /// Says that it has happened: all who wait go on.
    pub fn set(&self) {
        if self.word().swap(SET, Ordering::Release) == CLEAR {
            futex::wake(self.word(), i32::MAX);
        }
    }

    /// Takes it back: who waits from now on waits for the next [`set`](Event::set).
    pub fn clear(&self) {
        self.word().store(CLEAR, Ordering::Release);
    }

    /// Whether it is set at this moment.
    pub fn is_set(&self) -> bool {
        self.word().load(Ordering::Acquire) == SET
    }

    /// Waits until it is set.
    pub fn wait(&self) {
        while !self.is_set() {
            futex::wait(self.word(), CLEAR, SLICE);
        }
    }

    /// Waits until it is set, at most for `limit`; whether it was set.
    #[doc(alias = "wait")]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        let Some(deadline) = Instant::now().checked_add(limit) else {
            self.wait();
            return true;
        };
        loop {
            if self.is_set() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            futex::wait(self.word(), CLEAR, left.min(SLICE));
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.region.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let region = Region::deserialize(deserializer)?;
        if region.word32(0).is_none() {
            return Err(de::Error::custom("the handle is not an event's"));
        }
        Ok(Self { region })
    }
}
