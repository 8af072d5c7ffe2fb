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
//! next sleeper, so that a wake-up which the dead thread has swallowed, or not yet sent, is not lost.
//!
//! Beside it lies the news: what the next holder has to be told.

use super::super::word::{
    DIED, Deadline, HOLDER, Ordering, Record, WAITERS, Word, me, sign, sleep, spin, wake,
};

/// What a holder is told about the one before.
pub(crate) const NOTHING: u32 = 0;
pub(crate) const HOLDER_DIED: u32 = 1;
pub(crate) const HOLDER_PANICKED: u32 = 2;

#[derive(Clone, Copy)]
pub(crate) struct Lock<'a> {
    pub(crate) record: Record<'a>,
    /// Where it was last taken.
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
        self.record.begin();
        let taken = self.take_free(0).is_some();
        if taken {
            self.record.enlist();
            sign(self.core);
        }
        self.record.end();
        taken
    }

    /// Takes it, waiting until the deadline.
    #[inline]
    pub(crate) fn take(self, deadline: Deadline) -> Result<(), Refused> {
        self.record.begin();
        let taken = match self.take_free(0) {
            Some(()) => Ok(()),
            None => self.take_later(deadline),
        };
        if taken.is_ok() {
            self.record.enlist();
            sign(self.core);
        }
        self.record.end();
        taken
    }

    /// One try; `waiters` is what one that has slept adds to its id.
    #[inline]
    fn take_free(self, waiters: u32) -> Option<()> {
        let word = self.record.word();
        let mut seen = word.load(Ordering::Relaxed);
        while seen & HOLDER == 0 {
            let held = me() | (seen & WAITERS) | waiters;
            match word.compare_exchange_weak(seen, held, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    if seen & DIED != 0 {
                        self.news.store(HOLDER_DIED, Ordering::Relaxed);
                    }
                    return Some(());
                }
                Err(other) => seen = other,
            }
        }
        None
    }

    #[cold]
    fn take_later(self, deadline: Deadline) -> Result<(), Refused> {
        if self.is_mine() && deadline.is_never() {
            return Err(Refused::Mine);
        }
        let word = self.record.word();
        let mut waiters = 0;
        loop {
            if let Some(()) = spin(self.core, || self.take_free(waiters)) {
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
                return self.take_free(waiters).ok_or(Refused::Held);
            }
            waiters = WAITERS;
        }
    }

    /// Gives it back. To be called by the holder only.
    #[inline]
    pub(crate) fn give_back(self) {
        self.record.begin();
        self.record.delist();
        let word = self.record.word();
        if word.swap(0, Ordering::Release) & WAITERS != 0 {
            wake(word, 1);
        }
        self.record.end();
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

    /// Leaves something for the next holder. To be called by the holder only.
    pub(crate) fn tell(self, news: u32) {
        self.news.store(news, Ordering::Relaxed);
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
