//! The yardsticks: rings and locks in shared memory whose waits are a short spin and then a futex.
//!
//! No type erasure, no serialisation, no error handling: what remains is what the machine charges.
//!
//! | file | what it is |
//! | --- | --- |
//! | `spsc.rs` | one producer, one consumer, numbers |
//! | `mpmc.rs` | many of both, numbers |
//! | `robust.rs` | many of both, byte messages; any of them may be killed |
//! | `lock.rs` | a mutex in one word |

mod lock;
mod mpmc;
mod robust;
mod spsc;

pub use lock::FutexLock;
pub use mpmc::Mpmc;
pub use robust::{RobustRing, robust_mutex};
pub use spsc::{Rx, Spsc, Tx};

use crate::kernel::{futex_wait, futex_wake};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, fence};

/// Places of a ring of numbers.
const SLOTS: usize = 1024;

/// A word on its own pair of cache lines.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Line<T>(pub T);

/// An event count: `wake` costs one fence and one load while nobody sleeps.
#[repr(C)]
#[derive(Debug)]
pub struct Sleepers {
    seq: AtomicU32,
    waiting: AtomicU32,
}

impl Sleepers {
    /// Returns once `ready` does; spins `spin` times before each sleep.
    #[inline]
    pub fn wait(&self, spin: u32, mut ready: impl FnMut() -> bool) {
        for _ in 0..spin {
            if ready() {
                return;
            }
            std::hint::spin_loop();
        }
        loop {
            let seq = self.seq.load(Acquire);
            self.waiting.fetch_add(1, SeqCst);
            fence(SeqCst);
            if ready() {
                self.waiting.fetch_sub(1, Relaxed);
                return;
            }
            futex_wait(&self.seq, seq);
            self.waiting.fetch_sub(1, Relaxed);
            if ready() {
                return;
            }
        }
    }

    /// Wakes one that waits, where there is one.
    #[inline]
    pub fn wake(&self) {
        fence(SeqCst);
        if self.waiting.load(Relaxed) != 0 {
            self.seq.fetch_add(1, Release);
            futex_wake(&self.seq, 1);
        }
    }
}

/// How a side waits before it sleeps.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// So many looks.
    pub spin: u32,
    /// But none while the other side was last seen on the very core that would do the looking.
    pub look_at_core: bool,
}

impl Patience {
    /// Sleep at once.
    pub const NONE: Patience = Patience { spin: 0, look_at_core: false };
    /// About 50 µs of looking on a usual machine.
    pub const SPIN: Patience = Patience { spin: 2000, look_at_core: false };
    /// The same, where it can be of use.
    pub const ADAPT: Patience = Patience { spin: 2000, look_at_core: true };

    fn spins(self, other: &AtomicU32) -> u32 {
        if self.look_at_core && other.load(Relaxed) == core() { 0 } else { self.spin }
    }
}

/// The core this runs on; glibc reads it from the thread's rseq area.
#[inline]
fn core() -> u32 {
    // SAFETY: it only asks.
    unsafe { libc::sched_getcpu() as u32 }
}
