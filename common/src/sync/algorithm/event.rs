//! | bits of the state | meaning |
//! | --- | --- |
//! | [`SET`] | it is set |
//! | [`WAITED`] | somebody may sleep on the word |
//! | the rest | how often it was set, over and over from 0 |
//!
//! Who waits goes on when it is set, or when that number is another than at first: it was set, and is
//! cleared again. (Where it was set 2³⁰ times within one slice, the next look comes too late.)
//!
//! `set` swaps with Release and `wait` reads with Acquire, and what is swapped in between continues that,
//! so what was done before `set` is seen after `wait`. Nobody owns an event; a sleeper that is killed
//! leaves [`WAITED`] behind, which costs the next `set` one wake-up of nobody. One that is killed between
//! its swap and its wake-up leaves sleepers who see by their next look that it was set.

use super::super::word::{Deadline, Ordering, Word, sign, sleep, spin, wake};

pub(crate) const WAITED: u32 = 1;
pub(crate) const SET: u32 = 2;
const STEP: u32 = 4;

#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) state: &'a Word,
    /// Where it was last set.
    pub(crate) core: &'a Word,
}

impl Event<'_> {
    pub(crate) fn set(self) {
        sign(self.core);
        if self.change(|seen| (seen & !WAITED).wrapping_add(STEP) | SET) & WAITED != 0 {
            wake(self.state, u32::MAX);
        }
    }

    pub(crate) fn clear(self) {
        // Who sleeps goes on sleeping: WAITED must stay.
        self.change(|seen| seen & !SET);
    }

    /// Swaps the state for another; what it was.
    fn change(self, next: impl Fn(u32) -> u32) -> u32 {
        let mut seen = self.state.load(Ordering::Relaxed);
        loop {
            let order = (Ordering::AcqRel, Ordering::Relaxed);
            match self.state.compare_exchange_weak(seen, next(seen), order.0, order.1) {
                Ok(_) => return seen,
                Err(other) => seen = other,
            }
        }
    }

    pub(crate) fn is_set(self) -> bool {
        self.look() & SET != 0
    }

    fn look(self) -> u32 {
        self.state.load(Ordering::Acquire)
    }

    /// Whether it was set before the deadline.
    pub(crate) fn wait(self, deadline: Deadline) -> bool {
        let first = self.look();
        let has_come = |now: u32| now & SET != 0 || (now ^ first) & !WAITED != 0;
        if has_come(first) {
            return true;
        }
        if spin(self.core, || has_come(self.look()).then_some(())).is_some() {
            return true;
        }
        loop {
            let seen = self.look();
            if has_come(seen) {
                return true;
            }
            let waited = seen | WAITED;
            if seen != waited {
                let order = Ordering::Relaxed;
                if self.state.compare_exchange(seen, waited, order, order).is_err() {
                    continue;
                }
            }
            if !sleep(self.state, waited, deadline) {
                return has_come(self.look());
            }
        }
    }
}
