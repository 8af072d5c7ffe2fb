//! The word of a lock is the kernel's: the holder's thread id, [`WAITERS`], [`DIED`].
//!
//! | word | meaning |
//! | --- | --- |
//! | 0 | free |
//! | id | held; nobody sleeps |
//! | id and [`WAITERS`] | held; somebody may sleep |
//! | [`DIED`], perhaps [`WAITERS`] | free; its last holder died with it |
//!
//! Taking is a swap of a free word for one's id, with Acquire; giving back is a swap for 0, with
//! Release, and a wake-up if [`WAITERS`] was there. One that has slept takes it with [`WAITERS`],
//! because it cannot know whether others still sleep.
//!
//! While a thread takes or gives back, and while it waits, the kernel knows the word as pending. If it
//! dies then, the kernel looks: a word that bears its id becomes [`DIED`], and a free one wakes the
//! next sleeper, in place of a wake-up that the dead thread has swallowed or not yet sent. Where another
//! has taken the word before the kernel looks, the next sleeper finds out by its next look.
//!
//! Beside it lies the news: what the next holder has to be told.

use super::super::word::{
    DIED, Deadline, HOLDER, Ordering, Record, WAITERS, Word, ask, me, sign_if_asked, sleep, spin,
    wake,
};

/// What a holder is told about the one before.
pub(crate) const NOTHING: u32 = 0;
pub(crate) const HOLDER_DIED: u32 = 1;
pub(crate) const HOLDER_PANICKED: u32 = 2;

/// How often one who waits spins before it only sleeps. Where thousands wait, and each spins whenever
/// its slice is over, no core is left for the holder.
const SPINS: u32 = 3;

#[derive(Clone, Copy)]
pub(crate) struct Lock<'a> {
    pub(crate) record: Record<'a>,
    /// Where it was last taken, from the first wait for it on.
    pub(crate) core: &'a Word,
    /// Written by the holder only.
    pub(crate) news: &'a Word,
}

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The time is up.
    Held,
    /// This thread holds it already, and would wait for itself for ever.
    Mine,
}

impl Lock<'_> {
    /// Takes it if it is free.
    #[inline]
    pub(crate) fn try_take(self) -> bool {
        let step = self.record.begin();
        let taken = self.take_free(step.me());
        if taken {
            step.enlist();
        }
        step.end();
        taken
    }

    /// Takes it, waiting until the deadline.
    #[inline]
    pub(crate) fn take(self, deadline: Deadline) -> Result<(), Refused> {
        let step = self.record.begin();
        let me = step.me();
        let taken = if self.take_free(me) { Ok(()) } else { self.take_later(me, me, deadline) };
        if taken.is_ok() {
            step.enlist();
        }
        step.end();
        taken
    }

    /// One try; `held` is what the word shall be: this thread's id, and [`WAITERS`] after a sleep.
    #[inline]
    fn take_free(self, held: u32) -> bool {
        let word = self.record.word();
        match word.compare_exchange(0, held, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                sign_if_asked(self.core);
                true
            }
            Err(seen) => seen & HOLDER == 0 && self.take_left(held, seen),
        }
    }

    /// The same, of a word that is free and not 0.
    #[cold]
    fn take_left(self, held: u32, mut seen: u32) -> bool {
        let word = self.record.word();
        while seen & HOLDER == 0 {
            let held = held | (seen & WAITERS);
            match word.compare_exchange_weak(seen, held, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    sign_if_asked(self.core);
                    if seen & DIED != 0 {
                        self.news.store(HOLDER_DIED, Ordering::Relaxed);
                    }
                    return true;
                }
                Err(other) => seen = other,
            }
        }
        false
    }

    /// Takes it after a wait for something else, in which this thread has perhaps been moved to those
    /// who sleep on the word, and was woken in their place.
    pub(crate) fn take_again(self, was_woken: bool) {
        let step = self.record.begin();
        let held = if was_woken { step.me() | WAITERS } else { step.me() };
        if self.take_free(held) || self.take_later(step.me(), held, Deadline::NEVER).is_ok() {
            step.enlist();
        }
        step.end();
    }

    #[cold]
    fn take_later(self, me: u32, mut held: u32, deadline: Deadline) -> Result<(), Refused> {
        if self.is_mine() && deadline.is_never() {
            return Err(Refused::Mine);
        }
        ask(self.core);
        let word = self.record.word();
        let mut spins = SPINS;
        loop {
            let look = || {
                (word.load(Ordering::Relaxed) & HOLDER == 0 && self.take_free(held)).then_some(())
            };
            let taken = if spins > 0 { spin(self.core, look) } else { look() };
            spins = spins.saturating_sub(1);
            if taken.is_some() {
                return Ok(());
            }
            let seen = word.load(Ordering::Relaxed);
            if seen & HOLDER == 0 {
                continue;
            }
            let waited = seen | WAITERS;
            if seen != waited
                && word
                    .compare_exchange(seen, waited, Ordering::Relaxed, Ordering::Relaxed)
                    .is_err()
            {
                continue;
            }
            if !sleep(word, waited, deadline) {
                return if self.take_free(held) { Ok(()) } else { Err(Refused::Held) };
            }
            held = me | WAITERS;
        }
    }

    /// Gives it back; does nothing where this thread does not hold it, because a fork copies guards.
    #[inline]
    pub(crate) fn give_back(self) {
        let step = self.record.begin();
        if self.holder() != step.me() {
            step.end();
            return;
        }
        step.delist();
        if self.record.word().swap(0, Ordering::Release) & WAITERS != 0 {
            self.wake_one();
        }
        step.end();
    }

    #[cold]
    fn wake_one(self) {
        wake(self.record.word(), 1);
    }

    /// Hands a wake-up on that has come to this thread, which does not want the lock.
    pub(crate) fn pass_on(self) {
        let word = self.record.word();
        let mut seen = word.load(Ordering::Relaxed);
        while seen & HOLDER != 0 {
            // Who holds it wakes the next.
            let marked = seen | WAITERS;
            match word.compare_exchange_weak(seen, marked, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
        self.wake_one();
    }

    /// Whether this thread holds it.
    #[inline]
    pub(crate) fn is_mine(self) -> bool {
        self.holder() == me()
    }

    /// The holder's thread id; 0 where nobody holds it.
    pub(crate) fn holder(self) -> u32 {
        self.record.word().load(Ordering::Relaxed) & HOLDER
    }

    /// Leaves something for the next holder; nothing where this thread does not hold it, because a fork
    /// copies guards.
    pub(crate) fn tell(self, news: u32) {
        if self.is_mine() {
            self.news.store(news, Ordering::Relaxed);
        }
    }

    /// What the holder is told, once.
    pub(crate) fn take_news(self) -> u32 {
        match self.news.load(Ordering::Relaxed) {
            NOTHING => NOTHING,
            news => {
                self.news.store(NOTHING, Ordering::Relaxed);
                news
            }
        }
    }
}
