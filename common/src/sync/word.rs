//! One wait for every primitive: look, spin a while if that can help, sleep on a futex.
//!
//! Who waits spins only while the other side was last seen on another core, by the clock, and for
//! about as long as a wake-up costs; then it sleeps. Sleeping alone would cost two wake-ups for each
//! turn on two cores; spinning alone would keep the other side from running on one.
//!
//! A sleep is a slice of at most [`SLICE`], after which the sleeper looks again: the wake-up that was
//! meant for it may have gone to one that was killed before it could act.

use crate::sys::{futex, thread};
use std::hint;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

pub(crate) use crate::sys::robust::{DIED, HOLDER, Record, WAITERS};
pub(crate) use crate::sys::thread::id as me;
pub(crate) use std::sync::atomic::Ordering;

/// A word of shared memory on which processes sleep.
pub(crate) type Word = AtomicU32;

/// The longest sleep without a look.
pub(crate) const SLICE: Duration = Duration::from_millis(100);
/// How long spinning is worth it: about what it costs to be woken.
const SPIN: Duration = Duration::from_micros(50);
/// How many looks between two at the clock.
const LOOKS: u32 = 16;

/// When a wait ends at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) const NEVER: Self = Self(None);

    /// In `limit` from now; a limit beyond the clock is none.
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Instant::now().checked_add(limit))
    }

    pub(crate) fn is_never(self) -> bool {
        self.0.is_none()
    }
}

/// Sleeps while `word` holds `expected`, for a slice at most; false when the time is up.
pub(crate) fn sleep(word: &Word, expected: u32, deadline: Deadline) -> bool {
    let slice = match deadline.0 {
        None => SLICE,
        Some(deadline) => SLICE.min(deadline.saturating_duration_since(Instant::now())),
    };
    if slice.is_zero() {
        return false;
    }
    futex::wait(word, expected, slice);
    true
}

/// Wakes at most `count` of those who sleep on `word`; how many it has woken.
pub(crate) fn wake(word: &Word, count: u32) -> u32 {
    futex::wake(word, count.try_into().unwrap_or(i32::MAX))
}

/// Notes in `core` where this thread acts, for those who wait for it.
#[inline]
pub(crate) fn sign(core: &Word) {
    let here = thread::core();
    // A line that is not written stays with all who read it.
    if core.load(Ordering::Relaxed) != here {
        core.store(here, Ordering::Relaxed);
    }
}

/// Looks until there is something, or it is better to sleep. `core` is where the other side was last.
pub(crate) fn spin<T>(core: &Word, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    if core.load(Ordering::Relaxed) == thread::core() {
        return look();
    }
    let start = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if let Some(found) = look() {
                return Some(found);
            }
            hint::spin_loop();
        }
        if start.elapsed() >= SPIN {
            return None;
        }
    }
}
