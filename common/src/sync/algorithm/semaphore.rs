//! Permits, counted under a lock.
//!
//! | word | content |
//! | --- | --- |
//! | `total` | permits that there are, free or held |
//! | the members' counts | permits that each process holds |
//! | `free` | total without the sum of the counts |
//!
//! What a process holds is written before `free`, and `free` can be computed from the rest. So it is,
//! where the holder of the lock died, and where a process that held permits is found to be gone: that
//! is how they return. A permit that is taken for good, or for which the table has no room, lowers the
//! total instead, and does not return by itself.

use super::super::word::{Deadline, Ordering, Word, compare, is_due, sign, spin};
use super::event_count::EventCount;
use super::lock::{HOLDER_DIED, Lock};
use super::members::{Entered, Members};

#[derive(Clone, Copy)]
pub(crate) struct Semaphore<'a> {
    pub(crate) lock: Lock<'a>,
    pub(crate) total: &'a Word,
    pub(crate) free: &'a Word,
    pub(crate) members: Members<'a>,
    /// Where those sleep who wait for a permit.
    pub(crate) sleepers: EventCount<'a>,
    /// When somebody looked last for processes that are gone.
    pub(crate) looked: &'a Word,
    /// Where a permit was last given back.
    pub(crate) given: &'a Word,
    /// Where that was, as the last who waited for it saw it.
    pub(crate) core: &'a Word,
}

/// Whose a permit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// The process's: it returns when the process is gone.
    Held,
    /// Nobody's: who has it has to release it.
    Loose,
}

/// There are as many permits as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Semaphore<'_> {
    /// Takes a permit, waiting until the deadline; `None` when the time is up.
    pub(crate) fn take(self, wanted: Permit, deadline: Deadline) -> Option<Permit> {
        let (mut has_waited, mut is_due) = (false, false);
        loop {
            if !self.enter(deadline) {
                // It was perhaps woken for a permit, which is now there for another.
                if has_waited && self.free() > 0 {
                    self.sleepers.wake(self.sleepers.advance(), 1);
                }
                return None;
            }
            if let Some(permit) = self.take_free(wanted) {
                if has_waited {
                    compare(self.core, self.given);
                }
                self.lock.give_back();
                return Some(permit);
            }
            if is_due && self.take_back_from_the_dead() {
                self.leave_and_wake(u32::MAX);
                is_due = false;
                continue;
            }
            self.lock.give_back();
            let seen = if has_waited {
                None
            } else {
                spin(self.core, || (self.free() > 0).then_some(false))
            };
            has_waited = true;
            is_due = match seen.map_or_else(|| self.sleep(deadline), Some) {
                Some(is_due) => is_due,
                None => return self.try_take(wanted),
            };
        }
    }

    /// Waits without the lock until a permit may be free, or it is time to look for those who are gone,
    /// which is the answer; `None` when the time is up.
    fn sleep(self, deadline: Deadline) -> Option<bool> {
        loop {
            let announced = self.sleepers.announce();
            if self.free() > 0 {
                return Some(false);
            }
            if !self.sleepers.sleep(announced, deadline) {
                return None;
            }
            if self.free() > 0 {
                return Some(false);
            }
            if is_due(self.looked) {
                return Some(true);
            }
        }
    }

    /// Takes a permit if one is free.
    pub(crate) fn try_take(self, wanted: Permit) -> Option<Permit> {
        if !self.enter(Deadline::NEVER) {
            return None;
        }
        let taken = self.take_free(wanted);
        self.lock.give_back();
        taken
    }

    fn take_free(self, wanted: Permit) -> Option<Permit> {
        if self.free() == 0 {
            return None;
        }
        let permit = match wanted {
            Permit::Held => self.hold(),
            Permit::Loose => Permit::Loose,
        };
        if permit == Permit::Loose {
            add(self.total, u32::MAX);
        }
        add(self.free, u32::MAX);
        Some(permit)
    }

    fn hold(self) -> Permit {
        match self.members.enter() {
            Entered::Own(member) | Entered::Taken(member) => {
                add(member.counter(), 1);
                Permit::Held
            }
            Entered::Full => Permit::Loose,
        }
    }

    /// Gives a permit back; one that is held, or one more. `bound` is how many there may be.
    pub(crate) fn give_back(self, permit: Permit, bound: u32) -> Result<(), Full> {
        self.enter(Deadline::NEVER);
        let held = if permit == Permit::Held { self.members.own() } else { None };
        match held {
            Some(member) => add(member.counter(), u32::MAX),
            // Of a process that has forked, and holds nothing.
            None if permit == Permit::Held => {
                self.lock.give_back();
                return Ok(());
            }
            None if self.total() >= bound => {
                self.lock.give_back();
                return Err(Full);
            }
            None => add(self.total, 1),
        }
        sign(self.given);
        add(self.free, 1);
        self.leave_and_wake(1);
        Ok(())
    }

    /// Lets a permit that is held be nobody's.
    pub(crate) fn let_go(self) {
        self.enter(Deadline::NEVER);
        if let Some(member) = self.members.own() {
            // In this order one that dies in between loses a permit; in the other it would make one.
            add(self.total, u32::MAX);
            add(member.counter(), u32::MAX);
        }
        self.lock.give_back();
    }

    fn leave_and_wake(self, count: u32) {
        let advanced = self.sleepers.advance();
        self.lock.give_back();
        self.sleepers.wake(advanced, count);
    }

    /// Takes the lock; false when the time is up.
    fn enter(self, deadline: Deadline) -> bool {
        if self.lock.take(deadline).is_err() {
            return false;
        }
        if self.lock.take_news() == HOLDER_DIED {
            self.count_again();
        }
        true
    }

    /// Whether there is more than before.
    fn take_back_from_the_dead(self) -> bool {
        for member in self.members.dead(1) {
            member.counter().store(0, Ordering::Relaxed);
        }
        let before = self.free();
        self.count_again();
        self.free() > before
    }

    fn count_again(self) {
        let free = self.total().saturating_sub(self.members.sum());
        self.free.store(free, Ordering::Release);
    }

    /// How many permits are free.
    pub(crate) fn free(self) -> u32 {
        self.free.load(Ordering::Acquire)
    }

    fn total(self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }
}

/// Adds to a word that only the lock's holder writes; the largest number takes one away.
fn add(word: &Word, number: u32) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(number), Ordering::Release);
}
