//! A number of permits (in Python: `Semaphore`, `BoundedSemaphore`).
//!
//! The states stand in `algorithm/semaphore.rs`. A permit whose guard dies with its process returns; it
//! belongs to the process, so any of its threads may hold and drop the guard. A permit without a guard
//! is a number: anybody may release it, and nobody does so for one who was killed.

use super::algorithm::event_count::EventCount;
use super::algorithm::members::{ENTRY, Members};
use super::algorithm::semaphore::{self as algorithm, Full};
use super::lock::{self, words};
use super::travels;
use super::word::{Deadline, Identity, this_process};
use crate::point::{self, Kind, Name, Operation};
use crate::shared::arena::Slot;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the slots say that they are.
const KIND: u32 = u32::from_be_bytes(*b"sema");
const KIND_BOUNDED: u32 = u32::from_be_bytes(*b"bsem");
/// A lock, seven words, a table of the processes that hold permits.
const TOTAL: usize = lock::BYTES;
const FREE: usize = TOTAL + 4;
const SLEEPERS: usize = TOTAL + 8;
const LOOKED: usize = TOTAL + 12;
const GIVEN: usize = TOTAL + 16;
const CORE: usize = TOTAL + 20;
const BOUND: usize = TOTAL + 24;
const MEMBERS: usize = TOTAL + 28;
const BYTES: usize = MEMBERS + 4 * ENTRY;
/// For how many processes the table has room: one for each permit, and within these limits.
const LEAST: u32 = 16;
const MOST: u32 = 4096;

/// How many permits there can be (in C: `SEM_VALUE_MAX`).
const MAX: u32 = i32::MAX.cast_unsigned();

/// Permits that processes share: at most so many go on at once.
///
/// A clone, and what arrives in another process, is the same semaphore.
///
/// ```
/// use common::sync::Semaphore;
///
/// let semaphore = Semaphore::new(2)?;
/// let first = semaphore.acquire();
/// let second = semaphore.acquire();
/// assert!(semaphore.try_acquire().is_none());
/// drop(first);
/// assert_eq!(semaphore.value(), 1);
/// # std::io::Result::Ok(())
/// ```
///
/// To let one process go on when another says so, take permits for good and release others:
///
/// ```
/// # use common::sync::Semaphore;
/// let ready = Semaphore::new(0)?;
/// ready.release()?; // one process
/// ready.acquire().keep(); // another
/// # common::Result::Ok(())
/// ```
///
/// # Limits
///
/// A guard's permit returns when its process dies for as many processes at a time as the semaphore had
/// permits at first, and for 16 in any case, 4096 at most; the permit of one beyond that is lost with it.
#[derive(Clone)]
pub struct Semaphore {
    slot: Arc<Slot>,
}

/// A [`Semaphore`] that refuses a release which nobody has acquired.
///
/// ```
/// use common::sync::BoundedSemaphore;
///
/// let semaphore = BoundedSemaphore::new(1)?;
/// semaphore.acquire().keep();
/// assert!(semaphore.release().is_ok());
/// assert!(semaphore.release().is_err());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore {
    slot: Arc<Slot>,
}

/// There are as many permits as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("released more often than acquired: there are {0} permits, and more are not allowed")]
pub struct OverRelease(pub u32);

#[track_caller]
fn new(kind: Kind, tag: u32, value: u32, bound: u32) -> io::Result<Arc<Slot>> {
    if value > MAX {
        let text = format!("a semaphore has at most {MAX} permits, not {value}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let members = value.clamp(LEAST, MOST) as usize;
    let slot = Slot::new(Name::new(kind), tag, MEMBERS + members * 4 * ENTRY)?;
    for (word, number) in [(TOTAL, value), (FREE, value), (BOUND, bound)] {
        slot.word(word).store(number, Ordering::Relaxed);
    }
    Ok(slot)
}

fn semaphore(slot: &Slot) -> algorithm::Semaphore<'_> {
    let members = (slot.len() - MEMBERS) / (4 * ENTRY) * ENTRY;
    algorithm::Semaphore {
        lock: words(slot),
        total: slot.word(TOTAL),
        free: slot.word(FREE),
        members: Members { words: slot.words(MEMBERS, members) },
        sleepers: EventCount { word: slot.word(SLEEPERS) },
        looked: slot.word(LOOKED),
        given: slot.word(GIVEN),
        core: slot.word(CORE),
    }
}

#[track_caller]
fn acquire(slot: &Slot, deadline: Deadline) -> Option<Permit<'_>> {
    let permit = semaphore(slot).take(algorithm::Permit::Held, deadline)?;
    Some(Permit::new(slot, permit))
}

fn release(slot: &Slot, permit: algorithm::Permit) -> Result<(), OverRelease> {
    let bound = slot.word(BOUND).load(Ordering::Relaxed);
    semaphore(slot).give_back(permit, bound).map_err(|Full| OverRelease(bound))
}

macro_rules! methods {
    ($type:ident) => {
        impl $type {
            /// Takes a permit; waits until one is free. Dropping the guard gives it back.
            #[track_caller]
            pub fn acquire(&self) -> Permit<'_> {
                point::before(Operation::Acquire, &*self.slot);
                acquire(&self.slot, Deadline::NEVER)
                    .expect("a wait without an end ends with a permit")
            }

            /// Takes a permit if one is free.
            #[doc(alias = "acquire")]
            #[must_use]
            #[track_caller]
            pub fn try_acquire(&self) -> Option<Permit<'_>> {
                point::before(Operation::TryAcquire, &*self.slot);
                let permit = semaphore(&self.slot).try_take(algorithm::Permit::Held)?;
                Some(Permit::new(&self.slot, permit))
            }

            /// Takes a permit; waits until one is free, at most for `limit`.
            #[doc(alias = "acquire")]
            #[must_use]
            #[track_caller]
            pub fn acquire_timeout(&self, limit: Duration) -> Option<Permit<'_>> {
                point::before(Operation::AcquireTimeout, &*self.slot);
                acquire(&self.slot, Deadline::after(limit))
            }

            /// Adds a permit that is nobody's: one that [`Permit::keep`] has kept, or a new one.
            ///
            /// # Errors
            ///
            /// [`OverRelease`] where there are as many as there may be.
            #[track_caller]
            pub fn release(&self) -> Result<(), OverRelease> {
                point::before(Operation::Release, &*self.slot);
                release(&self.slot, algorithm::Permit::Loose)
            }

            /// How many permits are free at this moment.
            #[doc(alias = "get_value")]
            #[must_use]
            #[track_caller]
            pub fn value(&self) -> u32 {
                point::before(Operation::State, &*self.slot);
                self.slot.word(FREE).load(Ordering::Acquire)
            }
        }
    };
}

methods!(Semaphore);
methods!(BoundedSemaphore);

impl Semaphore {
    /// A new semaphore with `value` permits.
    ///
    /// # Errors
    ///
    /// Where `value` is more than 2³¹ - 1, or the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new(value: u32) -> io::Result<Self> {
        Ok(Self { slot: new(Kind::Semaphore, KIND, value, MAX)? })
    }
}

impl BoundedSemaphore {
    /// A new semaphore with `value` permits, and never more.
    ///
    /// # Errors
    ///
    /// Where `value` is more than 2³¹ - 1, or the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new(value: u32) -> io::Result<Self> {
        Ok(Self { slot: new(Kind::BoundedSemaphore, KIND_BOUNDED, value, value)? })
    }
}

/// A permit of a semaphore.
#[must_use = "dropping it gives the permit back"]
pub struct Permit<'a> {
    slot: &'a Slot,
    permit: algorithm::Permit,
    made: &'static Location<'static>,
    /// Who took it: a copy that a fork has made is nobody's.
    process: Identity,
}

impl<'a> Permit<'a> {
    #[track_caller]
    fn new(slot: &'a Slot, permit: algorithm::Permit) -> Self {
        Self { slot, permit, made: Location::caller(), process: this_process() }
    }

    /// Keeps the permit beyond the guard and beyond the process: it is gone until somebody, of any
    /// process, calls `release` (in Python: `acquire` without `with`).
    #[track_caller]
    pub fn keep(self) {
        point::before(Operation::Keep, self.slot);
        if self.permit == algorithm::Permit::Held && self.process == this_process() {
            semaphore(self.slot).let_go();
        }
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        point::before_at(Operation::Release, self.slot, &self.made);
        if self.process == this_process() {
            // One that was taken is below the bound.
            let _ = release(self.slot, self.permit);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// `Semaphore(value=2)`.
impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore(value={})", self.value())
    }
}

/// `BoundedSemaphore(value=1, maxvalue=2)`.
impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.slot.word(BOUND).load(Ordering::Relaxed);
        write!(f, "BoundedSemaphore(value={}, maxvalue={bound})", self.value())
    }
}

travels!(Semaphore, KIND, BYTES);
travels!(BoundedSemaphore, KIND_BOUNDED, BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Process;
    use crate::connection::{Connection, pipe};

    #[test]
    fn no_more_go_on_than_there_are_permits() {
        let semaphore = Semaphore::new(2).unwrap();
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let _permit = semaphore.acquire();
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(format!("{semaphore:?}"), "Semaphore(value=2)");
    }

    #[test]
    fn a_permit_returns_when_its_process_is_killed_and_one_that_was_kept_does_not() {
        fn hold((semaphore, ready): (Semaphore, Connection<(), ()>)) {
            semaphore.acquire().keep();
            let permits = [semaphore.acquire(), semaphore.acquire()];
            ready.send(&()).unwrap();
            loop {
                std::thread::park();
                std::hint::black_box(&permits);
            }
        }
        let semaphore = Semaphore::new(3).unwrap();
        let (ours, theirs) = pipe::<(), ()>().unwrap();
        let child = Process::new(hold, (semaphore.clone(), theirs)).start().unwrap();
        ours.recv().unwrap();
        assert!(semaphore.acquire_timeout(Duration::from_millis(5)).is_none());
        child.kill().unwrap();
        let first = semaphore.acquire();
        let second = semaphore.acquire();
        assert!(semaphore.acquire_timeout(Duration::from_millis(300)).is_none());
        semaphore.release().unwrap();
        let third = semaphore.acquire();
        drop((first, second, third));
        assert_eq!(semaphore.value(), 3);
        child.join().unwrap();
    }

    #[test]
    fn a_bounded_one_refuses_what_nobody_has_acquired() {
        let semaphore = BoundedSemaphore::new(1).unwrap();
        assert_eq!(semaphore.release(), Err(OverRelease(1)));
        let permit = semaphore.acquire();
        assert_eq!(semaphore.release(), Err(OverRelease(1)));
        permit.keep();
        assert_eq!(format!("{semaphore:?}"), "BoundedSemaphore(value=0, maxvalue=1)");
        assert_eq!(semaphore.release(), Ok(()));
        let error = Semaphore::new(1 << 31).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let most = Semaphore::new(MAX).unwrap();
        assert_eq!(most.release(), Err(OverRelease(MAX)));
    }

    #[test]
    fn a_guard_may_be_dropped_by_another_thread() {
        let semaphore = Semaphore::new(1).unwrap();
        std::thread::scope(|scope| {
            let permit = semaphore.acquire();
            scope.spawn(move || drop(permit));
            drop(semaphore.acquire());
        });
        assert_eq!(semaphore.value(), 1);
    }
}
