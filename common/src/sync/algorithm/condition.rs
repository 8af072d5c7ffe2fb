//! Who waits gives a lock back and takes it again when it is notified.
//!
//! All words are written under that lock.
//!
//! | word | content |
//! | --- | --- |
//! | `next` | the number of the next one who waits |
//! | the members' counts | how many wait in each process, notified or not |
//! | `others` | how many wait for whose process the table has no room |
//! | `waiting` | the sum of both |
//! | `owed` | how many of them are notified and have not gone on yet |
//! | `until` | only those with a smaller number may go on for it |
//!
//! A notification is nobody's: any who waited already may take it, and takes it under the lock, as the
//! last thing before it goes on. So one that was woken and is killed has taken nothing, and another of
//! them goes on in its place when it looks again.
//!
//! Those who were killed are still counted as waiting until somebody looks for them, forgets their
//! counts, and computes the sum again. What is owed to them stays owed, and with the next notification
//! somebody else may take it: a wait may then end for nothing, as it may in most libraries. That a wait
//! does not end is what must not be; so a notification counts all who wait, and not only those who do
//! not seem to be notified already.
//!
//! Who notifies writes `owed` first. If it is killed before it raises `until`, more is owed to those who
//! waited at an earlier notification than they were promised. In the other order, one who came later
//! could take what they were promised, and nobody would owe them anything.
//!
//! Who is notified could do nothing while the notifier holds the lock. So it is not woken: it is moved
//! from the sleepers of the condition to those of the lock, of which each give-back wakes one. Who is
//! woken there is expected to take the lock and, when it gives it back, to wake the next. One that finds
//! its notification taken by another sleeps again instead, and passes the wake-up on before.

use super::super::word::{Deadline, Ordering, WAITERS, Word, compare, is_due, sign, spin};
use super::event_count::EventCount;
use super::lock::Lock;
use super::members::{Entered, Members};

#[derive(Clone, Copy)]
pub(crate) struct Condition<'a> {
    pub(crate) lock: Lock<'a>,
    pub(crate) next: &'a Word,
    pub(crate) waiting: &'a Word,
    pub(crate) others: &'a Word,
    pub(crate) owed: &'a Word,
    pub(crate) until: &'a Word,
    pub(crate) members: Members<'a>,
    pub(crate) sleepers: EventCount<'a>,
    /// When somebody looked last for processes that are gone.
    pub(crate) looked: &'a Word,
    /// Where it was last notified.
    pub(crate) notified: &'a Word,
    /// Where that was, as the last who waited for it saw it.
    pub(crate) core: &'a Word,
}

/// How a waiter has slept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slept {
    No,
    UntilOwed,
    /// Until it was time to look for those who are gone.
    UntilDue,
    /// The time is up.
    TooLong,
}

impl Condition<'_> {
    /// Gives the lock back, waits, and takes the lock again; whether it was notified before the
    /// deadline. To be called by the lock's holder only.
    pub(crate) fn wait(self, deadline: Deadline) -> bool {
        let number = get(self.next);
        set(self.next, number.wrapping_add(1));
        let count = match self.members.enter() {
            Entered::Own(member) | Entered::Taken(member) => member.counter(),
            Entered::Full => self.others,
        };
        set(count, get(count) + 1);
        set(self.waiting, get(self.waiting) + 1);
        self.lock.give_back();

        let look = || self.is_owed(number).then_some(Slept::No);
        let mut slept = spin(self.core, look);
        let notified = loop {
            let slept = slept.take().unwrap_or_else(|| self.sleep(number, deadline));
            self.lock.take_again(slept != Slept::No);
            if self.is_owed(number) {
                set(self.owed, get(self.owed) - 1);
                compare(self.core, self.notified);
                break true;
            }
            match slept {
                Slept::TooLong => break false,
                Slept::UntilDue => self.forget_the_dead(),
                Slept::No | Slept::UntilOwed => {}
            }
            self.lock.give_back();
        };
        set(count, get(count).saturating_sub(1));
        set(self.waiting, get(self.waiting).saturating_sub(1));
        notified
    }

    /// Waits without the lock until there may be something to do with it.
    fn sleep(self, number: u32, deadline: Deadline) -> Slept {
        let mut slept = Slept::No;
        loop {
            let announced = self.sleepers.announce();
            if self.is_owed(number) {
                return slept;
            }
            if !self.sleepers.sleep(announced, deadline) {
                return Slept::TooLong;
            }
            slept = Slept::UntilOwed;
            if self.is_owed(number) {
                return slept;
            }
            // The lock is not for everyone who has slept for a slice: thousands may wait.
            if is_due(self.looked) {
                return Slept::UntilDue;
            }
            // Perhaps it was moved to those who sleep on the lock, and another has taken what was owed. Then
            // the wake-up was one for the lock, of which the next has to know.
            if self.was_notified(number) {
                self.lock.pass_on();
            }
        }
    }

    fn is_owed(self, number: u32) -> bool {
        self.was_notified(number) && self.owed.load(Ordering::Acquire) > 0
    }

    /// Whether there was a notification since one with this number came to wait.
    fn was_notified(self, number: u32) -> bool {
        number.wrapping_sub(get(self.until)).cast_signed() < 0
    }

    /// Notifies at most `count` of those who wait. To be called by the lock's holder only.
    pub(crate) fn notify(self, count: u32) {
        let waiting = get(self.waiting);
        let count = count.min(waiting);
        if count == 0 {
            return;
        }
        sign(self.notified);
        self.owed.store(get(self.owed).saturating_add(count).min(waiting), Ordering::Release);
        // What is owed already may be owed to one who is dead, and then nobody who waits may take it before
        // this step. So all that wait may from here on, also where no more can be owed.
        set(self.until, get(self.next));
        let advanced = self.sleepers.advance();
        // Whoever gives the lock back wakes the next of its sleepers.
        if self.sleepers.move_to(advanced, self.lock.record.word(), count) > 0 {
            self.lock.record.word().fetch_or(WAITERS, Ordering::Relaxed);
        }
    }

    fn forget_the_dead(self) {
        self.members.dead(1).for_each(|member| set(member.counter(), 0));
        set(self.waiting, self.members.sum() + get(self.others));
        set(self.owed, get(self.owed).min(get(self.waiting)));
    }
}

fn get(word: &Word) -> u32 {
    word.load(Ordering::Relaxed)
}

fn set(word: &Word, value: u32) {
    word.store(value, Ordering::Relaxed);
}
