//! One wait for every primitive: look, spin a while if that can help, sleep on a futex.
//!
//! Who waits spins only while the other side was last seen on another core, by the clock, and for
//! about as long as a wake-up costs; then it sleeps. Sleeping alone would cost two wake-ups for each
//! turn on two cores; spinning alone would keep the other side from running on one.
//!
//! Where the other side is tells a word beside the one that is waited on:
//!
//! | word | meaning | who waits on core n |
//! | --- | --- | --- |
//! | [`NOWHERE`] | nobody knows yet | sleeps |
//! | n + 1 | the other side was seen on core n | sleeps |
//! | any other | it was seen on another core | spins |
//!
//! Where one side waits and the other acts, who acts [signs](sign) the word. Where both do both, the
//! last who acted may be the very one that waits now, and its own signature would tell it to sleep. So
//! those sign another word, and who has waited [compares](compare) that with its own core. Signing
//! costs as much as an uncontended lock; a lock is signed only from the first wait for it on
//! ([`ask`], [`sign_if_asked`]).
//!
//! All this is a hint: whatever stands there, a wait ends.
//!
//! A sleep is a slice of at most [`SLICE`], after which the sleeper looks again: the wake-up that was
//! meant for it may have gone to one that was killed before it could act.

use crate::sys::{futex, thread};
use std::hint;
use std::sync::atomic::{self, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

pub(crate) use crate::sys::identity::{Identity, is_alive, this as this_process};
pub(crate) use crate::sys::robust::{DIED, HOLDER, Record, WAITERS};
pub(crate) use crate::sys::thread::id as me;
pub(crate) use std::sync::atomic::Ordering;

/// A word of shared memory on which processes sleep.
pub(crate) type Word = AtomicU32;
/// A word of shared memory that holds more.
pub(crate) type Wide = AtomicU64;

/// The longest sleep without a look: with [`GAP`], less than 100 ms.
const SLICE: Duration = Duration::from_millis(75);
/// How long what [`is_due`] guards rests between two times, in milliseconds.
const GAP: u32 = 15;
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

    /// This one, or in a slice from now.
    pub(crate) fn or_a_slice(self) -> Self {
        let slice = Instant::now().checked_add(SLICE);
        Self(self.0.into_iter().chain(slice).min())
    }

    /// This one, or in a slice from now if that is later.
    pub(crate) fn at_least_a_slice(self) -> Self {
        let slice = Instant::now().checked_add(SLICE);
        Self(self.0.zip(slice).map(|(deadline, slice)| deadline.max(slice)))
    }

    /// How long it is until then; `None` where it never is.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether it is over.
    pub(crate) fn has_passed(self) -> bool {
        self.0.is_some_and(|deadline| deadline <= Instant::now())
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

/// Between a store, then a swap or the like of anything, and a load: the load comes after the store.
#[inline]
pub(crate) fn barrier() {
    // There the swap is enough for the processor.
    if cfg!(target_arch = "x86_64") {
        atomic::compiler_fence(Ordering::SeqCst);
    } else {
        atomic::fence(Ordering::SeqCst);
    }
}

/// Wakes at most `count` of those who sleep on `word`; how many it has woken.
pub(crate) fn wake(word: &Word, count: u32) -> u32 {
    futex::wake(word, count.try_into().unwrap_or(i32::MAX))
}

/// Lets at most `count` of those who sleep on `word` sleep on `other`; how many, or `None` where `word`
/// does not hold `expected` any more.
pub(crate) fn requeue(word: &Word, expected: u32, other: &Word, count: u32) -> Option<u32> {
    futex::requeue(word, expected, other, count.try_into().unwrap_or(i32::MAX))
}

/// Whether it is time to look for processes that are gone, and this thread is the one to do it.
///
/// Such a look costs a file for each process; however many wait, one in [`GAP`] does it.
pub(crate) fn is_due(last: &Word) -> bool {
    let (now, then) = (milliseconds(), last.load(Ordering::Relaxed));
    now.wrapping_sub(then) >= GAP
        && last.compare_exchange(then, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// Of a clock that all processes share.
fn milliseconds() -> u32 {
    thread::clock().as_millis() as u32
}

/// What says where the other side is, before anybody knows.
const NOWHERE: u32 = 0;
/// Another core than one's own, whichever that is.
const APART: u32 = u32::MAX;

/// The core of this thread, as it stands in a word.
#[inline]
fn here() -> u32 {
    thread::core().wrapping_add(1)
}

/// Notes in `core` where this thread acts, for those who wait for it.
#[inline]
pub(crate) fn sign(core: &Word) {
    note(core, here());
}

/// Says that somebody wants to know where others act.
pub(crate) fn ask(core: &Word) {
    if core.load(Ordering::Relaxed) == NOWHERE {
        sign(core);
    }
}

/// Notes in `core` where this thread acts, if anybody has ever wanted to know.
#[inline]
pub(crate) fn sign_if_asked(core: &Word) {
    if core.load(Ordering::Relaxed) != NOWHERE {
        sign(core);
    }
}

/// Notes in `core`, for the next who waits, whether this thread, which has waited, and the one that has
/// signed `acted` are on different cores.
pub(crate) fn compare(core: &Word, acted: &Word) {
    let here = here();
    note(core, if acted.load(Ordering::Relaxed) == here { here } else { APART });
}

/// A line that is not written stays with all who read it.
#[inline]
fn note(core: &Word, value: u32) {
    if core.load(Ordering::Relaxed) != value {
        core.store(value, Ordering::Relaxed);
    }
}

/// Looks until there is something, or it is better to sleep. `core` is where the other side was last.
pub(crate) fn spin<T>(core: &Word, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let core = core.load(Ordering::Relaxed);
    if core == NOWHERE || core == here() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;

    /// Runs `check` in a thread that stays on one core.
    fn on_one_core(check: impl FnOnce() + Send) {
        let pinned = || {
            let cpus = cpu::affinity().unwrap();
            cpu::set_affinity(&cpus[..1]).unwrap();
            check();
        };
        std::thread::scope(|scope| scope.spawn(pinned).join().unwrap());
    }

    /// Whether one who waits, and finds nothing, looks more than once.
    fn is_worth_a_spin(core: &Word) -> bool {
        let mut looks = 0;
        let found = spin(core, || {
            looks += 1;
            None::<()>
        });
        assert_eq!(found, None);
        looks > 1
    }

    #[test]
    fn who_waits_spins_only_for_one_that_was_seen_on_another_core() {
        on_one_core(|| {
            let core = Word::new(NOWHERE);
            assert!(!is_worth_a_spin(&core));
            sign(&core);
            assert!(!is_worth_a_spin(&core));
            core.store(here() + 1, Ordering::Relaxed);
            assert!(is_worth_a_spin(&core));
        });
    }

    #[test]
    fn nobody_signs_before_it_was_asked() {
        let core = Word::new(NOWHERE);
        sign_if_asked(&core);
        assert_eq!(core.load(Ordering::Relaxed), NOWHERE);
        ask(&core);
        assert_ne!(core.load(Ordering::Relaxed), NOWHERE);
        core.store(APART, Ordering::Relaxed);
        ask(&core);
        assert_eq!(core.load(Ordering::Relaxed), APART);
        sign_if_asked(&core);
        assert_ne!(core.load(Ordering::Relaxed), APART);
    }

    #[test]
    fn one_that_acted_and_waits_now_goes_by_where_the_other_acted() {
        on_one_core(|| {
            let (core, acted) = (Word::new(NOWHERE), Word::new(here() + 1));
            // It has waited for one on another core.
            compare(&core, &acted);
            // Then it has acted itself.
            sign(&acted);
            assert!(is_worth_a_spin(&core));
            // It has waited for one on its own.
            compare(&core, &acted);
            assert!(!is_worth_a_spin(&core));
        });
    }
}
