//! | state | meaning |
//! | --- | --- |
//! | [`CLEAR`] | not set; nobody sleeps |
//! | [`WAITED`] | not set; somebody may sleep on the word |
//! | [`SET`] | set; nobody sleeps |
//!
//! `set` swaps with Release and `wait` reads [`SET`] with Acquire, so what was done before `set` is
//! seen after `wait`. Nobody owns an event; a sleeper that is killed leaves [`WAITED`] behind, which
//! costs the next `set` one wake-up of nobody. One that is killed between its swap and its wake-up leaves
//! sleepers who see by their next look that it is set.

use super::super::word::{Deadline, Ordering, Word, sign, sleep, spin, wake};

pub(crate) const CLEAR: u32 = 0;
pub(crate) const WAITED: u32 = 1;
pub(crate) const SET: u32 = 2;

#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) state: &'a Word,
    /// Where it was last set.
    pub(crate) core: &'a Word,
}

impl Event<'_> {
    pub(crate) fn set(self) {
        sign(self.core);
        if self.state.swap(SET, Ordering::Release) == WAITED {
            wake(self.state, u32::MAX);
        }
    }

    pub(crate) fn clear(self) {
        // Who sleeps goes on sleeping: WAITED must stay.
        let _ = self.state.compare_exchange(SET, CLEAR, Ordering::AcqRel, Ordering::Relaxed);
    }

    pub(crate) fn is_set(self) -> bool {
        self.state.load(Ordering::Acquire) == SET
    }

    /// Whether it was set before the deadline.
    pub(crate) fn wait(self, deadline: Deadline) -> bool {
        if self.is_set() {
            return true;
        }
        if spin(self.core, || self.is_set().then_some(())).is_some() {
            return true;
        }
        loop {
            let free =
                self.state.compare_exchange(CLEAR, WAITED, Ordering::Relaxed, Ordering::Acquire);
            if free == Err(SET) {
                return true;
            }
            if !sleep(self.state, WAITED, deadline) {
                return self.is_set();
            }
            if self.is_set() {
                return true;
            }
        }
    }
}
