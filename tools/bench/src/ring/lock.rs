//! A mutex in one word.
//!
//! | word | meaning |
//! | --- | --- |
//! | 0 | free |
//! | 1 | taken |
//! | 2 | taken, and somebody may sleep |

use crate::kernel::{futex_wait, futex_wake};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The mutex, valid when it is zero.
#[repr(C)]
#[derive(Debug)]
pub struct FutexLock(AtomicU32);

impl FutexLock {
    /// Waits until it is free, and takes it.
    #[inline]
    pub fn lock(&self) {
        if self.0.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            self.slow();
        }
    }

    #[cold]
    fn slow(&self) {
        let mut s = self.spin();
        if s == 0 {
            match self.0.compare_exchange(0, 1, Acquire, Relaxed) {
                Ok(_) => return,
                Err(now) => s = now,
            }
        }
        loop {
            if s != 2 && self.0.swap(2, Acquire) == 0 {
                return;
            }
            futex_wait(&self.0, 2);
            s = self.spin();
        }
    }

    fn spin(&self) -> u32 {
        let mut left = 100;
        loop {
            let s = self.0.load(Relaxed);
            if s != 1 || left == 0 {
                return s;
            }
            std::hint::spin_loop();
            left -= 1;
        }
    }

    /// Gives it back.
    #[inline]
    pub fn unlock(&self) {
        if self.0.swap(0, Release) == 2 {
            futex_wake(&self.0, 1);
        }
    }
}
