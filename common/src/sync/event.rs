//! Something that has happened or not, for any number of processes (in Python: `Event`).
//!
//! The states stand in `algorithm/event.rs`.

use super::algorithm::event as algorithm;
use super::travels;
use super::word::Deadline;
use crate::point::{self, Kind, Name, Operation};
use crate::shared::arena::Slot;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What the slot of an event says that it is.
const KIND: u32 = u32::from_be_bytes(*b"evnt");
/// The state, and where it was last set.
const BYTES: usize = 8;

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
#[derive(Clone)]
pub struct Event {
    slot: Arc<Slot>,
}

impl Event {
    /// A new event that is not set.
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        Ok(Self { slot: Slot::new(Name::new(Kind::Event), KIND, BYTES)? })
    }

    fn words(&self) -> algorithm::Event<'_> {
        algorithm::Event { state: self.slot.word(0), core: self.slot.word(4) }
    }

    /// Says that it has happened: all who wait go on, also where it is cleared at once.
    #[track_caller]
    pub fn set(&self) {
        point::before(Operation::Set, &*self.slot);
        self.words().set();
    }

    /// Takes it back: who waits from now on waits for the next [`set`](Event::set).
    #[track_caller]
    pub fn clear(&self) {
        point::before(Operation::Clear, &*self.slot);
        self.words().clear();
    }

    /// Whether it is set at this moment.
    #[must_use]
    #[track_caller]
    pub fn is_set(&self) -> bool {
        point::before(Operation::State, &*self.slot);
        self.words().is_set()
    }

    /// Waits until it is set; returns at once where it is.
    #[track_caller]
    pub fn wait(&self) {
        point::before(Operation::Wait, &*self.slot);
        self.words().wait(Deadline::NEVER);
    }

    /// Waits until it is set, at most for `limit`; whether it was set (in Python: whether it still is).
    #[doc(alias = "wait")]
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        point::before(Operation::WaitTimeout, &*self.slot);
        self.words().wait(Deadline::after(limit))
    }
}

/// `Event(set)` or `Event(unset)`.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "Event(set)" } else { "Event(unset)" })
    }
}

travels!(Event, KIND, BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exit, Process};
    use std::sync::atomic::Ordering;

    #[test]
    fn who_waits_goes_on_though_it_is_cleared_at_once() {
        fn wait((event, limit): (Event, Option<Duration>)) {
            match limit {
                None => event.wait(),
                Some(limit) => assert!(event.wait_timeout(limit)),
            }
        }
        const LONG: Duration = Duration::from_secs(30);
        for limit in [None, Some(LONG)] {
            let event = Event::new().unwrap();
            let child = Process::new(wait, (event.clone(), limit)).start().unwrap();
            while event.slot.word(0).load(Ordering::SeqCst) & algorithm::WAITED == 0 {
                std::thread::yield_now();
            }
            event.set();
            event.clear();
            assert!(!event.is_set() && !event.wait_timeout(Duration::from_millis(1)));
            let exit = child.join_timeout(LONG).unwrap();
            if exit.is_none() {
                child.kill().unwrap();
            }
            assert_eq!(exit, Some(Exit::Code(0)));
        }
    }
}
