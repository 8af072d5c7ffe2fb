//! The yardstick that survives a kill: any number of producers and consumers of byte messages.
//!
//! Each side has a robust lock of its own, so that the sides do not contend with one another, and a
//! process that dies in either neither blocks nor corrupts the others: what it did becomes visible by
//! one last store, or not at all.

use super::{Line, Sleepers};
use std::cell::UnsafeCell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The ring.
#[repr(C)]
pub struct RobustRing {
    tail: Line<AtomicU64>,
    head: Line<AtomicU64>,
    send_lock: Line<UnsafeCell<libc::pthread_mutex_t>>,
    recv_lock: Line<UnsafeCell<libc::pthread_mutex_t>>,
    full: Line<Sleepers>,
    empty: Line<Sleepers>,
    buffer: UnsafeCell<[u8; RobustRing::BYTES]>,
}

impl RobustRing {
    /// Room for messages, each with its length.
    pub const BYTES: usize = 1 << 20;

    /// Makes a ring of zeroes one that is empty.
    pub fn init(&self) {
        // SAFETY: nobody uses the locks yet.
        unsafe {
            robust_mutex(self.send_lock.0.get());
            robust_mutex(self.recv_lock.0.get());
        }
    }

    /// Waits for room, and adds a message; looks `spin` times before it sleeps.
    pub fn send(&self, message: &[u8], spin: u32) {
        let need = 8 + message.len().next_multiple_of(8);
        let room = || {
            Self::BYTES - (self.tail.0.load(Acquire) - self.head.0.load(Acquire)) as usize >= need
        };
        let try_send = || {
            let tail = self.tail.0.load(Relaxed);
            if Self::BYTES - (tail - self.head.0.load(Acquire)) as usize >= need {
                // SAFETY: whoever holds the lock of the senders writes alone, and only where there is room.
                let buffer = unsafe { &mut *self.buffer.get() };
                copy_in(buffer, tail, &(message.len() as u64).to_ne_bytes());
                copy_in(buffer, tail + 8, message);
                self.tail.0.store(tail + need as u64, Release);
                return true;
            }
            false
        };
        while !locked(&self.send_lock.0, try_send) {
            self.full.0.wait(spin, room);
        }
        self.empty.0.wake();
    }

    /// Waits for a message, and takes it; looks `spin` times before it sleeps.
    pub fn recv(&self, out: &mut Vec<u8>, spin: u32) {
        let some = || self.tail.0.load(Acquire) != self.head.0.load(Acquire);
        let mut try_recv = || {
            let head = self.head.0.load(Relaxed);
            if self.tail.0.load(Acquire) == head {
                return false;
            }
            // SAFETY: what lies between head and tail is not written.
            let buffer = unsafe { &*self.buffer.get() };
            let mut len = [0; 8];
            copy_out(buffer, head, &mut len);
            let len = u64::from_ne_bytes(len) as usize;
            out.resize(len, 0);
            copy_out(buffer, head + 8, out);
            self.head.0.store(head + 8 + len.next_multiple_of(8) as u64, Release);
            true
        };
        while !locked(&self.recv_lock.0, &mut try_recv) {
            self.empty.0.wait(spin, some);
        }
        self.full.0.wake();
    }
}

/// Does `f` under the lock, which a dead owner leaves to the next.
fn locked<R>(lock: &UnsafeCell<libc::pthread_mutex_t>, f: impl FnOnce() -> R) -> R {
    // SAFETY: the lock has been made by `init`.
    unsafe {
        if libc::pthread_mutex_lock(lock.get()) == libc::EOWNERDEAD {
            libc::pthread_mutex_consistent(lock.get());
        }
        let r = f();
        libc::pthread_mutex_unlock(lock.get());
        r
    }
}

fn copy_in(buffer: &mut [u8], at: u64, from: &[u8]) {
    let at = at as usize % buffer.len();
    let first = from.len().min(buffer.len() - at);
    buffer[at..at + first].copy_from_slice(&from[..first]);
    buffer[..from.len() - first].copy_from_slice(&from[first..]);
}

fn copy_out(buffer: &[u8], at: u64, to: &mut [u8]) {
    let at = at as usize % buffer.len();
    let first = to.len().min(buffer.len() - at);
    to[..first].copy_from_slice(&buffer[at..at + first]);
    let rest = to.len() - first;
    to[first..].copy_from_slice(&buffer[..rest]);
}

/// Makes a mutex for processes, which tells its next owner that the last one died.
///
/// # Safety
///
/// `mutex` points to memory for a mutex that nobody uses yet.
pub unsafe fn robust_mutex(mutex: *mut libc::pthread_mutex_t) {
    // SAFETY: the caller promises the memory; the attributes are used here only.
    unsafe {
        let mut attr = std::mem::zeroed();
        libc::pthread_mutexattr_init(&mut attr);
        libc::pthread_mutexattr_setpshared(&mut attr, libc::PTHREAD_PROCESS_SHARED);
        libc::pthread_mutexattr_setrobust(&mut attr, libc::PTHREAD_MUTEX_ROBUST);
        assert_eq!(libc::pthread_mutex_init(mutex, &attr), 0);
    }
}
