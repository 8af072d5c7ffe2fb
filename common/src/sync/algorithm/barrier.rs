//! A generation of waiters ends when as many wait as there are parties, or when it is broken.
//!
//! | `state` | meaning |
//! | --- | --- |
//! | [`FILLING`] | who comes waits |
//! | [`ACTING`] | all are there, and the last runs the action |
//! | [`BROKEN`] | who comes is refused, until a reset |
//!
//! | `ends` | content |
//! | --- | --- |
//! | upper half | the number of the generation that waits |
//! | lower half | how the last 16 ended, the latest in the lowest bit: 1 for broken |
//!
//! So one store ends a generation, and tells each of its waiters how. All words are written under a lock.
//!
//! The members are the processes that have waited since the last reset, and their counts how many wait
//! in each. Where a member is gone, the generation can never be full and is broken; but not where more
//! processes have come than there are parties, as long as none of those that wait is gone. Who dies
//! while it holds the lock is noticed by the next holder, and that breaks the generation too.

use super::super::word::{Deadline, Ordering, Word, compare, is_due, sign, spin};
use super::event_count::EventCount;
use super::lock::{HOLDER_DIED, Lock};
use super::members::{Entered, Members};

pub(crate) const FILLING: u32 = 0;
pub(crate) const ACTING: u32 = 1;
pub(crate) const BROKEN: u32 = 2;

#[derive(Clone, Copy)]
pub(crate) struct Barrier<'a> {
    pub(crate) lock: Lock<'a>,
    pub(crate) state: &'a Word,
    pub(crate) ends: &'a Word,
    /// How many wait.
    pub(crate) arrived: &'a Word,
    /// Not 0 where a member's entry was given to another.
    pub(crate) crowded: &'a Word,
    pub(crate) members: Members<'a>,
    pub(crate) sleepers: EventCount<'a>,
    /// When somebody looked last for processes that are gone.
    pub(crate) looked: &'a Word,
    /// Where one last came and had to wait.
    pub(crate) came: &'a Word,
    /// Where that was, as the last who ended a generation saw it.
    pub(crate) core: &'a Word,
    pub(crate) parties: u32,
}

/// The generation was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Barrier<'_> {
    /// Waits for the others; how many were there before. The last runs `action`, if there is one, before
    /// all go on; where it returns false, they do not.
    pub(crate) fn wait(
        self,
        deadline: Deadline,
        mut action: Option<impl FnMut() -> bool>,
    ) -> Result<u32, Broken> {
        self.enter_filling(deadline)?;
        let index = self.arrived();
        match self.members.enter() {
            Entered::Own(member) => add_one(member.counter()),
            Entered::Taken(member) => {
                self.crowded.store(1, Ordering::Relaxed);
                add_one(member.counter());
            }
            Entered::Full => self.crowded.store(1, Ordering::Relaxed),
        }
        add_one(self.arrived);
        let generation = self.generation();
        if index + 1 < self.parties {
            sign(self.came);
            self.lock.give_back();
            self.wait_for_the_end(generation, deadline)?;
        } else {
            if let Some(action) = &mut action {
                self.state.store(ACTING, Ordering::Relaxed);
                self.lock.give_back();
                let succeeded = action();
                self.enter();
                // It may have been broken meanwhile.
                if self.generation() != generation {
                    self.lock.give_back();
                    return Err(Broken);
                }
                if !succeeded {
                    self.end_broken(BROKEN);
                    return Err(Broken);
                }
            }
            self.end(FILLING, 0);
        }
        Ok(index)
    }

    /// Takes the lock at a moment when one may come.
    fn enter_filling(self, deadline: Deadline) -> Result<(), Broken> {
        loop {
            self.enter();
            match self.state.load(Ordering::Relaxed) {
                FILLING => return Ok(()),
                ACTING => {
                    let generation = self.generation();
                    self.lock.give_back();
                    // It is not this thread's; how it ends is nothing to it, but that it ends.
                    let _ = self.wait_for_the_end(generation, deadline);
                    if deadline.has_passed() {
                        return Err(Broken);
                    }
                }
                _ => {
                    self.lock.give_back();
                    return Err(Broken);
                }
            }
        }
    }

    fn wait_for_the_end(self, generation: u32, deadline: Deadline) -> Result<(), Broken> {
        let ended = || (self.generation() != generation).then_some(());
        if spin(self.core, ended).is_some() {
            return self.ending(generation);
        }
        let mut is_in_time = true;
        loop {
            // Also before the first sleep: whoever comes may have waited for the lock, whose holder and next
            // holder were killed, as long as for this.
            if !is_in_time || is_due(self.looked) {
                self.enter();
                if ended().is_none() && (!is_in_time || self.has_lost_one()) {
                    self.end_broken(BROKEN);
                } else {
                    self.lock.give_back();
                }
            }
            let announced = self.sleepers.announce();
            if ended().is_some() {
                return self.ending(generation);
            }
            is_in_time = self.sleepers.sleep(announced, deadline);
            if ended().is_some() {
                return self.ending(generation);
            }
        }
    }

    /// How a generation ended.
    fn ending(self, generation: u32) -> Result<(), Broken> {
        let ends = self.ends.load(Ordering::Acquire);
        let later = (ends >> 16).wrapping_sub(generation + 1) & 0xffff;
        // Of those longer ago nothing is known, but that all who came since have passed.
        if later < 16 && ends >> later & 1 != 0 { Err(Broken) } else { Ok(()) }
    }

    /// Whether one is gone without whom the generation cannot be full.
    fn has_lost_one(self) -> bool {
        let is_crowded = self.crowded.load(Ordering::Relaxed) != 0
            || self.members.processes() > self.parties as usize;
        self.members.dead(u32::from(is_crowded)).next().is_some()
    }

    /// Ends the generation and gives the lock back.
    fn end(self, state: u32, broken: u32) {
        self.members.clear_counts();
        self.arrived.store(0, Ordering::Relaxed);
        self.state.store(state, Ordering::Relaxed);
        let ends = self.ends.load(Ordering::Relaxed);
        let next = (ends >> 16).wrapping_add(1) << 16 | (ends << 1 & 0xffff) | broken;
        compare(self.core, self.came);
        self.ends.store(next, Ordering::Release);
        let advanced = self.sleepers.advance();
        self.lock.give_back();
        self.sleepers.wake(advanced, u32::MAX);
    }

    fn end_broken(self, state: u32) {
        self.end(state, 1);
    }

    /// Takes the lock.
    fn enter(self) {
        while self.lock.take(Deadline::NEVER).is_ok() && self.lock.take_news() == HOLDER_DIED {
            self.end_broken(BROKEN);
        }
    }

    /// Breaks it.
    pub(crate) fn abort(self) {
        self.enter();
        self.end_broken(BROKEN);
    }

    /// Makes it as it was at first; those who wait are told that it was broken.
    pub(crate) fn reset(self) {
        self.enter();
        self.members.clear();
        self.crowded.store(0, Ordering::Relaxed);
        self.end_broken(FILLING);
    }

    pub(crate) fn is_broken(self) -> bool {
        self.state.load(Ordering::Acquire) == BROKEN
    }

    /// How many wait.
    pub(crate) fn arrived(self) -> u32 {
        self.arrived.load(Ordering::Relaxed)
    }

    fn generation(self) -> u32 {
        self.ends.load(Ordering::Acquire) >> 16
    }
}

fn add_one(word: &Word) {
    word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
