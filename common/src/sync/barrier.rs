//! All go on when all are there (in Python: `Barrier`).
//!
//! The states stand in `algorithm/barrier.rs`.

use super::algorithm::barrier as algorithm;
use super::algorithm::event_count::EventCount;
use super::algorithm::members::{ENTRY, Members};
use super::lock::{self, words};
use super::word::Deadline;
use crate::point::{self, Kind, Name, Operation};
use crate::shared::arena::{self, Slot};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the slot of a barrier says that it is.
const KIND: u32 = u32::from_be_bytes(*b"barr");
/// A lock, nine words, and a table of the processes that have waited.
const STATE: usize = lock::BYTES;
const ENDS: usize = STATE + 4;
const ARRIVED: usize = STATE + 8;
const CROWDED: usize = STATE + 12;
const SLEEPERS: usize = STATE + 16;
const LOOKED: usize = STATE + 20;
const CAME: usize = STATE + 24;
const CORE: usize = STATE + 28;
const PARTIES: usize = STATE + 32;
const MEMBERS: usize = STATE + 36;
const BYTES: usize = MEMBERS + 4 * ENTRY;

/// A meeting point for a fixed number of parties.
///
/// A process is a party from the first time it waits here. If one is gone without which the others
/// would wait for ever, the barrier breaks: all who wait are told, and all who come, until a
/// [`reset`](Barrier::reset). Where more processes meet here than there are parties, only one that is
/// gone while it waits breaks it, because another may come in the place of one that is gone otherwise.
///
/// A clone, and what arrives in another process, is the same barrier.
///
/// ```
/// use common::sync::Barrier;
///
/// let barrier = Barrier::new(2)?;
/// let other = barrier.clone();
/// let thread = std::thread::spawn(move || other.wait().map(|result| result.index()));
/// let mine = barrier.wait()?.index();
/// assert_eq!(mine + thread.join().unwrap()?, 1);
/// # common::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Barrier {
    slot: Arc<Slot>,
    limit: Option<Duration>,
}

/// The barrier is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the barrier is broken: a party waited too long, is gone, failed in its action, or called abort() \
     or reset(); reset() makes it usable again"
)]
#[doc(alias = "BrokenBarrierError")]
pub struct BrokenBarrier;

/// What a party learns when all go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    index: u32,
}

impl BarrierWaitResult {
    /// How many were there before it: another number for each party, from 0 to one less than there are.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// Whether it was the first: so is exactly one of them.
    #[must_use]
    pub fn is_leader(self) -> bool {
        self.index == 0
    }
}

impl Barrier {
    /// A new barrier for so many parties.
    ///
    /// # Errors
    ///
    /// Where there is to be no party, or the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new(parties: u32) -> io::Result<Self> {
        if parties == 0 {
            let text = "a barrier needs at least one party";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let slot =
            Slot::new(Name::new(Kind::Barrier), KIND, MEMBERS + parties as usize * 4 * ENTRY)?;
        slot.word(PARTIES).store(parties, Ordering::Relaxed);
        Ok(Self { slot, limit: None })
    }

    /// How long a [`wait`](Barrier::wait) by this handle, and by those that are made from it, takes at
    /// most (in Python: `Barrier(parties, timeout=limit)`).
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Waits until all parties are here.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] where it is broken, or breaks meanwhile.
    #[track_caller]
    pub fn wait(&self) -> Result<BarrierWaitResult, BrokenBarrier> {
        point::before(Operation::Wait, &*self.slot);
        self.wait_until(self.limit, None::<fn()>)
    }

    /// Waits until all parties are here, at most for `limit`; if they are not by then, it breaks.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] where it is broken, or breaks meanwhile.
    #[doc(alias = "wait")]
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<BarrierWaitResult, BrokenBarrier> {
        point::before(Operation::WaitTimeout, &*self.slot);
        self.wait_until(Some(limit), None::<fn()>)
    }

    /// Waits until all parties are here. The last to come runs its `action` before any goes on (in Python:
    /// `Barrier(parties, action)`).
    ///
    /// ```
    /// let barrier = common::sync::Barrier::new(1)?;
    /// let mut rounds = 0;
    /// barrier.wait_with(|| rounds += 1)?;
    /// assert_eq!(rounds, 1);
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] where it is broken, or breaks meanwhile.
    ///
    /// # Panics
    ///
    /// Where the action does; the barrier is broken then.
    #[doc(alias = "action")]
    #[track_caller]
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<BarrierWaitResult, BrokenBarrier> {
        point::before(Operation::Wait, &*self.slot);
        self.wait_until(self.limit, Some(action))
    }

    fn wait_until(
        &self,
        limit: Option<Duration>,
        action: Option<impl FnOnce()>,
    ) -> Result<BarrierWaitResult, BrokenBarrier> {
        let deadline = limit.map_or(Deadline::NEVER, Deadline::after);
        let mut panic = None;
        let run = action.map(|action| {
            let panic = &mut panic;
            let mut action = Some(action);
            move || {
                let outcome =
                    action.take().map(|action| panic::catch_unwind(AssertUnwindSafe(action)));
                match outcome {
                    Some(Err(payload)) => {
                        *panic = Some(payload);
                        false
                    }
                    _ => true,
                }
            }
        });
        let result = self.words().wait(deadline, run);
        if let Some(payload) = panic {
            panic::resume_unwind(payload);
        }
        match result {
            Ok(index) => Ok(BarrierWaitResult { index }),
            Err(algorithm::Broken) => Err(BrokenBarrier),
        }
    }

    /// Breaks it: all who wait are told, and all who come, until a [`reset`](Barrier::reset).
    #[track_caller]
    pub fn abort(&self) {
        point::before(Operation::Abort, &*self.slot);
        self.words().abort();
    }

    /// Makes it usable again. Those who wait are told that it was broken; the processes that have waited
    /// are parties no more, until they wait again.
    #[track_caller]
    pub fn reset(&self) {
        point::before(Operation::Reset, &*self.slot);
        self.words().reset();
    }

    /// How many parties it takes.
    #[must_use]
    pub fn parties(&self) -> u32 {
        self.slot.word(PARTIES).load(Ordering::Relaxed)
    }

    /// How many wait at this moment.
    #[must_use]
    #[track_caller]
    pub fn n_waiting(&self) -> u32 {
        point::before(Operation::State, &*self.slot);
        self.words().arrived()
    }

    /// Whether it is broken.
    #[doc(alias = "broken")]
    #[must_use]
    #[track_caller]
    pub fn is_broken(&self) -> bool {
        point::before(Operation::State, &*self.slot);
        self.words().is_broken()
    }

    fn words(&self) -> algorithm::Barrier<'_> {
        let slot = &self.slot;
        let members = (slot.len() - MEMBERS) / (4 * ENTRY) * ENTRY;
        algorithm::Barrier {
            lock: words(slot),
            state: slot.word(STATE),
            ends: slot.word(ENDS),
            arrived: slot.word(ARRIVED),
            crowded: slot.word(CROWDED),
            members: Members { words: slot.words(MEMBERS, members) },
            sleepers: EventCount { word: slot.word(SLEEPERS) },
            looked: slot.word(LOOKED),
            came: slot.word(CAME),
            core: slot.word(CORE),
            parties: self.parties(),
        }
    }
}

/// How many wait, of how many: `Barrier(waiters=1/3)`, or `Barrier(broken)`.
impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_broken() {
            return f.write_str("Barrier(broken)");
        }
        write!(f, "Barrier(waiters={}/{})", self.n_waiting(), self.parties())
    }
}

impl Serialize for Barrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (arena::AsSlot(&self.slot), self.limit).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Barrier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (arena::OfKind(slot), limit) =
            <(arena::OfKind<KIND, BYTES>, Option<Duration>)>::deserialize(deserializer)?;
        Ok(Self { slot, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Process;
    use crate::connection::{Connection, pipe};
    use std::sync::atomic::AtomicU32;

    #[test]
    fn nobody_goes_on_before_all_are_there() {
        let (barrier, arrived) = (Barrier::new(3).unwrap(), AtomicU32::new(0));
        let (actions, leaders) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 1..=1_000 {
                        arrived.fetch_add(1, Ordering::SeqCst);
                        let result = barrier.wait_with(|| {
                            actions.fetch_add(1, Ordering::SeqCst);
                            assert_eq!(arrived.load(Ordering::SeqCst), 3 * round);
                        });
                        assert!(arrived.load(Ordering::SeqCst) >= 3 * round);
                        leaders.fetch_add(u32::from(result.unwrap().is_leader()), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((actions.into_inner(), leaders.into_inner()), (1_000, 1_000));
        assert_eq!(format!("{barrier:?}"), "Barrier(waiters=0/3)");
    }

    #[test]
    fn it_breaks_when_one_waits_too_long_and_can_be_reset() {
        let barrier = Barrier::new(2).unwrap().timeout(Duration::from_millis(5));
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait_timeout(Duration::from_secs(3600)), Err(BrokenBarrier));
        barrier.reset();
        assert!(!barrier.is_broken());
        let limit = Duration::from_secs(3600);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| barrier.wait_timeout(limit));
            assert!(barrier.wait_timeout(limit).is_ok());
            assert!(other.join().unwrap().is_ok());
        });
    }

    #[test]
    fn it_breaks_when_a_party_is_killed_that_waits_or_has_waited() {
        fn wait((barrier, ready): (Barrier, Connection<(), ()>)) {
            barrier.wait().unwrap();
            ready.send(&()).unwrap();
            barrier.wait().unwrap();
        }
        for waits in [false, true] {
            let barrier = Barrier::new(3).unwrap();
            let (ours, theirs) = pipe::<(), ()>().unwrap();
            let child = Process::new(wait, (barrier.clone(), theirs)).start().unwrap();
            std::thread::scope(|scope| {
                let other = scope.spawn(|| barrier.wait());
                barrier.wait().unwrap();
                other.join().unwrap().unwrap();
            });
            ours.recv().unwrap();
            while waits && barrier.n_waiting() == 0 {
                std::thread::yield_now();
            }
            child.kill().unwrap();
            assert_eq!(barrier.wait(), Err(BrokenBarrier));
            child.join().unwrap();
            assert_eq!(format!("{barrier:?}"), "Barrier(broken)");
        }
    }

    #[test]
    fn an_action_that_panics_breaks_it() {
        let barrier = Barrier::new(1).unwrap();
        let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
            barrier.wait_with(|| panic!("a panic that the test expects"))
        }));
        assert!(panicked.is_err());
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
        assert_eq!(Barrier::new(0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
