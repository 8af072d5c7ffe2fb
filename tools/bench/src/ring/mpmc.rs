//! Many producers, many consumers, places of eight bytes (the bounded queue of Vyukov).

use super::{Line, SLOTS, Sleepers};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The ring.
#[repr(C)]
#[derive(Debug)]
pub struct Mpmc {
    tail: Line<AtomicU64>,
    head: Line<AtomicU64>,
    full: Line<Sleepers>,
    empty: Line<Sleepers>,
    cells: [Cell; SLOTS],
}

#[repr(C)]
#[derive(Debug)]
struct Cell {
    turn: AtomicU64,
    value: AtomicU64,
}

impl Mpmc {
    /// Makes a ring of zeroes one that is empty.
    pub fn init(&self) {
        for (i, cell) in self.cells.iter().enumerate() {
            cell.turn.store(i as u64, Relaxed);
        }
    }

    fn try_send(&self, value: u64) -> bool {
        let mut position = self.tail.0.load(Relaxed);
        loop {
            let cell = &self.cells[position as usize % SLOTS];
            let difference = cell.turn.load(Acquire) as i64 - position as i64;
            if difference == 0 {
                match self.tail.0.compare_exchange_weak(position, position + 1, Relaxed, Relaxed) {
                    Ok(_) => {
                        cell.value.store(value, Relaxed);
                        cell.turn.store(position + 1, Release);
                        return true;
                    }
                    Err(p) => position = p,
                }
            } else if difference < 0 {
                return false;
            } else {
                position = self.tail.0.load(Relaxed);
            }
        }
    }

    fn try_recv(&self) -> Option<u64> {
        let mut position = self.head.0.load(Relaxed);
        loop {
            let cell = &self.cells[position as usize % SLOTS];
            let difference = cell.turn.load(Acquire) as i64 - (position + 1) as i64;
            if difference == 0 {
                match self.head.0.compare_exchange_weak(position, position + 1, Relaxed, Relaxed) {
                    Ok(_) => {
                        let value = cell.value.load(Relaxed);
                        cell.turn.store(position + SLOTS as u64, Release);
                        return Some(value);
                    }
                    Err(p) => position = p,
                }
            } else if difference < 0 {
                return None;
            } else {
                position = self.head.0.load(Relaxed);
            }
        }
    }

    /// Waits for a free place, and fills it; looks `spin` times before it sleeps.
    pub fn send(&self, value: u64, spin: u32) {
        if !self.try_send(value) {
            self.full.0.wait(spin, || self.try_send(value));
        }
        self.empty.0.wake();
    }

    /// Waits for a number, and takes it; looks `spin` times before it sleeps.
    ///
    /// # Panics
    ///
    /// Never: it has waited for the number.
    pub fn recv(&self, spin: u32) -> u64 {
        let mut got = self.try_recv();
        if got.is_none() {
            self.empty.0.wait(spin, || {
                got = self.try_recv();
                got.is_some()
            });
        }
        self.full.0.wake();
        got.unwrap()
    }
}
