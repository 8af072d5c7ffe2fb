//! A lock that its holder may take again.
//!
//! | depth | meaning |
//! | --- | --- |
//! | any | while nobody holds the lock; the next holder writes 1 |
//! | n | its holder has taken it n times |
//!
//! Only the holder reads and writes the depth, so the lock's own order is enough.

use super::super::word::{Deadline, Ordering, Word};
use super::lock::{Lock, Refused};

#[derive(Clone, Copy)]
pub(crate) struct RLock<'a> {
    pub(crate) lock: Lock<'a>,
    pub(crate) depth: &'a Word,
}

impl RLock<'_> {
    /// Takes it once more; the depth.
    #[inline]
    pub(crate) fn take(self, deadline: Deadline) -> Result<u32, Refused> {
        if self.lock.is_mine() {
            return Ok(self.deeper());
        }
        self.lock.take(deadline)?;
        Ok(self.first())
    }

    /// Takes it once more if nobody else holds it.
    #[inline]
    pub(crate) fn try_take(self) -> Option<u32> {
        if self.lock.is_mine() {
            return Some(self.deeper());
        }
        self.lock.try_take().then(|| self.first())
    }

    fn first(self) -> u32 {
        self.depth.store(1, Ordering::Relaxed);
        1
    }

    fn deeper(self) -> u32 {
        let depth = self.depth().checked_add(1).expect("a lock can be taken 2^32 - 1 times");
        self.depth.store(depth, Ordering::Relaxed);
        depth
    }

    /// Gives it back once. To be called by the holder only.
    #[inline]
    pub(crate) fn give_back(self) {
        match self.depth() {
            0 | 1 => self.lock.give_back(),
            depth => self.depth.store(depth - 1, Ordering::Relaxed),
        }
    }

    /// How often its holder has taken it.
    pub(crate) fn depth(self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }
}
