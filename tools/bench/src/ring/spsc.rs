//! One producer, one consumer, places of eight bytes.

use super::{Line, Patience, SLOTS, Sleepers, core};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// The consumer tells the producer of free slots in batches of this size.
const BATCH: u64 = 64;

/// The ring, valid when it is all zeroes.
#[repr(C)]
#[derive(Debug)]
pub struct Spsc {
    tail: Line<AtomicU64>,
    tail_sleep: Line<Sleepers>,
    head: Line<AtomicU64>,
    head_sleep: Line<Sleepers>,
    tx_core: Line<AtomicU32>,
    rx_core: Line<AtomicU32>,
    slot: [AtomicU64; SLOTS],
}

/// The producer's side.
#[derive(Debug)]
pub struct Tx<'a> {
    ring: &'a Spsc,
    tail: u64,
    head: u64,
    patience: Patience,
}

/// The consumer's side.
#[derive(Debug)]
pub struct Rx<'a> {
    ring: &'a Spsc,
    head: u64,
    told: u64,
    tail: u64,
    patience: Patience,
}

impl Spsc {
    /// The producer, who goes on where the last one stopped.
    #[must_use]
    pub fn tx(&self, patience: Patience) -> Tx<'_> {
        Tx {
            ring: self,
            tail: self.tail.0.load(Acquire),
            head: self.head.0.load(Acquire),
            patience,
        }
    }

    /// The consumer, who goes on where the last one stopped.
    #[must_use]
    pub fn rx(&self, patience: Patience) -> Rx<'_> {
        let head = self.head.0.load(Acquire);
        Rx { ring: self, head, told: head, tail: self.tail.0.load(Acquire), patience }
    }
}

impl Tx<'_> {
    /// Waits for a free place, and fills it.
    #[inline]
    pub fn send(&mut self, v: u64) {
        if self.tail - self.head == SLOTS as u64 {
            let (ring, tail) = (self.ring, self.tail);
            ring.tx_core.0.store(core(), Relaxed);
            ring.head_sleep.0.wait(self.patience.spins(&ring.rx_core.0), || {
                tail - ring.head.0.load(Acquire) < SLOTS as u64
            });
            self.head = ring.head.0.load(Acquire);
        }
        self.ring.slot[self.tail as usize % SLOTS].store(v, Relaxed);
        self.tail += 1;
        self.ring.tail.0.store(self.tail, Release);
        self.ring.tail_sleep.0.wake();
    }

    /// Tells on which core this side is; told when it may soon be waited for.
    pub fn on_core(&self) {
        self.ring.tx_core.0.store(core(), Relaxed);
    }
}

impl Rx<'_> {
    /// Waits for a number, and takes it.
    #[inline]
    pub fn recv(&mut self) -> u64 {
        if self.tail == self.head {
            let (ring, head) = (self.ring, self.head);
            self.tell();
            ring.rx_core.0.store(core(), Relaxed);
            ring.tail_sleep
                .0
                .wait(self.patience.spins(&ring.tx_core.0), || ring.tail.0.load(Acquire) != head);
            self.tail = ring.tail.0.load(Acquire);
        }
        let v = self.ring.slot[self.head as usize % SLOTS].load(Relaxed);
        self.head += 1;
        if self.head - self.told == BATCH {
            self.tell();
        }
        v
    }

    fn tell(&mut self) {
        if self.told != self.head {
            self.told = self.head;
            self.ring.head.0.store(self.head, Release);
            self.ring.head_sleep.0.wake();
        }
    }
}

impl Drop for Rx<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}
