//! Which thread this is, and on which core it runs.
//!
//! The kernel's id of a thread is what a lock's word bears, so every lock needs it. Asking costs a
//! call, so each thread remembers its own. A fork makes the memory wrong: the copy has another id.
//! That is noticed by a page that the kernel wipes in a child, by whatever call it was made
//! (`MADV_WIPEONFORK`): there stands the number of the epoch in which a memory is right, and 0 in a
//! child that nobody has told yet.
//!
//! # System calls
//!
//! `gettid(2)`, `tgkill(2)` with no signal, `madvise(2)`, `mmap(2)`; `sched_getcpu(3)`, which reads a word that the kernel keeps.

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use nix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::time::Duration;

/// The page that is wiped.
static EPOCH: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const NONE).cast_mut());
/// Stands for the page before it is made.
static NONE: AtomicU32 = AtomicU32::new(0);
/// Stands for it where no page can be wiped: always 0, so that nobody trusts his memory.
static NEVER: AtomicU32 = AtomicU32::new(0);
/// How many epochs this process and those that it is a copy of have had.
static EPOCHS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The epoch in which the id is right, and the id.
    static KNOWN: Cell<(u32, u32)> = const { Cell::new((NO_EPOCH, 0)) };
}

/// Never the number of an epoch, nor what a wiped page holds.
pub(super) const NO_EPOCH: u32 = u32::MAX;

/// Whether `remembered`, a number that [`epoch`] gave or [`NO_EPOCH`], is that of this process.
#[inline]
pub(super) fn is_now(remembered: u32) -> bool {
    remembered == number()
}

/// What the page holds: 0 where a new epoch has to be begun.
#[inline]
fn number() -> u32 {
    let page = EPOCH.load(Ordering::Acquire);
    // SAFETY: a static or the page, which is never unmapped; its first word is only used as an atomic.
    unsafe { &*page }.load(Ordering::Relaxed)
}

/// The number of the epoch: another one in each process that is a copy of this one.
#[inline]
pub(crate) fn epoch() -> u32 {
    match number() {
        0 => new_epoch(),
        epoch => epoch,
    }
}

/// The kernel's id of this thread; never 0.
#[inline]
pub(crate) fn id() -> u32 {
    let (epoch, id) = KNOWN.get();
    if is_now(epoch) { id } else { ask() }
}

#[cold]
fn ask() -> u32 {
    let id = nix::unistd::gettid().as_raw().cast_unsigned();
    KNOWN.set((epoch(), id));
    id
}

#[cold]
fn new_epoch() -> u32 {
    let mut page = EPOCH.load(Ordering::Acquire);
    if ptr::eq(page, &raw const NONE) {
        page = new_page();
    }
    let next = EPOCHS.fetch_add(1, Ordering::Relaxed) % (NO_EPOCH - 1) + 1;
    if ptr::eq(page, &raw const NEVER) {
        return next;
    }
    // SAFETY: the page is never unmapped, and its first word is only used as an atomic.
    match unsafe { &*page }.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => next,
        // Another thread was first.
        Err(epoch) => epoch,
    }
}

/// Makes the page that the kernel wipes, once.
fn new_page() -> *mut AtomicU32 {
    let len = NonZeroUsize::new(4096).expect("a page has bytes");
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses a free range, so nothing that exists is mapped over.
    let page = unsafe { mmap_anonymous(None, len, prot, MapFlags::MAP_PRIVATE) };
    let mut made: *mut AtomicU32 = (&raw const NEVER).cast_mut();
    if let Ok(page) = page {
        // SAFETY: the range was mapped just now; its content is zero, before and after.
        if unsafe { madvise(page, len.get(), MmapAdvise::MADV_WIPEONFORK) }.is_ok() {
            made = page.as_ptr().cast();
        }
    }
    let (order, none) = (Ordering::AcqRel, (&raw const NONE).cast_mut());
    // One that another thread has made meanwhile is taken, and ours stays unused: once, at most.
    EPOCH.compare_exchange(none, made, order, Ordering::Acquire).map_or_else(|page| page, |_| made)
}

/// Whether `id` is that of a thread of this process which has not ended.
pub(crate) fn is_here(id: u32) -> bool {
    // SAFETY: takes numbers and sends nothing.
    unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), id, 0) == 0 }
}

/// The core that this thread runs on at this moment.
#[inline]
pub(crate) fn core() -> u32 {
    // SAFETY: takes nothing and returns a number; -1 where the kernel cannot tell.
    unsafe { libc::sched_getcpu() }.cast_unsigned()
}

/// How long the machine runs, by a clock that all its processes share.
pub(crate) fn clock() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    time.expect("a monotonic clock is always there")
}

/// The same as of the kernel's last tick, at most 10 ms ago: costs a read of memory.
#[inline]
pub(crate) fn tick() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map(Duration::from);
    time.expect("a monotonic clock is always there")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{self, Side};

    #[test]
    fn a_tick_is_not_ahead_of_the_clock() {
        let before = tick();
        assert!(before <= clock());
        let later = clock() + Duration::from_millis(20);
        while tick() == before {
            assert!(clock() < later + Duration::from_secs(10), "the kernel ticks");
        }
    }

    #[test]
    fn every_thread_has_its_own_id_and_keeps_it() {
        let here = id();
        assert_eq!(here, nix::unistd::gettid().as_raw().cast_unsigned());
        assert_eq!(here, id());
        let (there, ended) = std::thread::spawn(|| (id(), is_here(id()))).join().unwrap();
        assert_ne!(there, here);
        assert!(ended && is_here(here));
        let init = 1;
        assert!(!is_here(init));
    }

    #[test]
    fn a_fork_is_noticed() {
        let (here, epoch_here) = (id(), epoch());
        match process::fork().unwrap() {
            Side::Child => {
                let right = id() != here
                    && id() == nix::unistd::gettid().as_raw().cast_unsigned()
                    && epoch() != epoch_here;
                process::leave(i32::from(!right));
            }
            Side::Parent { child } => {
                let watch = process::watch(child).unwrap();
                let watched =
                    [(std::os::fd::AsFd::as_fd(&watch), super::super::socket::Interest::Read)];
                super::super::socket::poll(&watched, None).unwrap();
                let ended = process::collect(child).unwrap().unwrap();
                assert!(matches!(ended, process::Ended::Code(0)));
            }
        }
        assert_eq!((id(), epoch()), (here, epoch_here));
    }
}
