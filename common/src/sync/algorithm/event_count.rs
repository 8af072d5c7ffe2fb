//! Where those sleep who wait for a change of something else: an event count.
//!
//! | word | meaning |
//! | --- | --- |
//! | even | nobody sleeps |
//! | odd | somebody may sleep |
//!
//! Who waits announces itself ([`announce`](EventCount::announce)), looks at what it waits for, and
//! sleeps on the number that it got. Who changes something does so and then advances. Both steps write
//! the word, with Acquire and Release, so one comes after the other: either the change is seen by the
//! look, or the sleeper by the one who advances, who then wakes; and a number that is no longer the
//! word's does not sleep.
//!
//! A wake-up that finds nobody takes the mark of sleepers away, unless somebody has announced itself
//! since: that changed the number. So a sleeper that was killed costs one useless wake-up.

use super::super::word::{Deadline, Ordering, Word, requeue, sleep, wake};

const SLEEPERS: u32 = 1;
const STEP: u32 = 2;

#[derive(Clone, Copy)]
pub(crate) struct EventCount<'a> {
    pub(crate) word: &'a Word,
}

/// The number that an advance has made.
#[derive(Clone, Copy)]
#[must_use = "who sleeps has to be woken"]
pub(crate) struct Advanced(u32);

impl EventCount<'_> {
    /// Says that this thread is about to sleep; the number to [sleep](EventCount::sleep) on.
    pub(crate) fn announce(self) -> u32 {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let next = seen.wrapping_add(STEP) | SLEEPERS;
            let order = (Ordering::AcqRel, Ordering::Relaxed);
            match self.word.compare_exchange_weak(seen, next, order.0, order.1) {
                Ok(_) => return next,
                Err(other) => seen = other,
            }
        }
    }

    /// Sleeps until an advance, for a slice at most; false when the time is up.
    pub(crate) fn sleep(self, announced: u32, deadline: Deadline) -> bool {
        sleep(self.word, announced, deadline)
    }

    /// Says that there is something to see.
    pub(crate) fn advance(self) -> Advanced {
        Advanced(self.word.fetch_add(STEP, Ordering::AcqRel).wrapping_add(STEP))
    }

    /// Whether somebody may sleep.
    #[inline]
    pub(crate) fn has_sleepers(self) -> bool {
        self.word.load(Ordering::Relaxed) & SLEEPERS != 0
    }

    /// Advances and wakes one, if any may sleep. To be called after a change and a
    /// [`barrier`](super::super::word::barrier); who announces itself has another before it looks.
    #[inline]
    pub(crate) fn ring_one(self) {
        if self.has_sleepers() {
            self.wake(self.advance(), 1);
        }
    }

    /// Wakes at most `count` of those who slept at the advance.
    #[inline]
    pub(crate) fn wake(self, advanced: Advanced, count: u32) {
        if advanced.0 & SLEEPERS != 0 {
            self.wake_sleepers(advanced.0, count);
        }
    }

    #[cold]
    fn wake_sleepers(self, advanced: u32, count: u32) {
        let woken = wake(self.word, count);
        self.unmark(advanced, woken < count);
    }

    /// Lets at most `count` of them sleep on `other` instead, if they can be told from those who came
    /// later, and else wakes them; how many were moved.
    #[inline]
    pub(crate) fn move_to(self, advanced: Advanced, other: &Word, count: u32) -> u32 {
        if advanced.0 & SLEEPERS == 0 {
            return 0;
        }
        self.move_sleepers(advanced.0, other, count)
    }

    #[cold]
    fn move_sleepers(self, advanced: u32, other: &Word, count: u32) -> u32 {
        match requeue(self.word, advanced, other, count) {
            Some(moved) => {
                self.unmark(advanced, moved < count);
                moved
            }
            None => {
                self.wake_sleepers(advanced, count);
                0
            }
        }
    }

    /// Takes the mark of sleepers away, if that was all.
    fn unmark(self, advanced: u32, was_all: bool) {
        if was_all {
            let (none, order) = (advanced & !SLEEPERS, Ordering::Relaxed);
            let _ = self.word.compare_exchange(advanced, none, order, order);
        }
    }
}
