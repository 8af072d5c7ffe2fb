//! What the kernel writes down about processes: begun, ended, on a processor, off it.
//!
//! An event is opened for one process and one processor. It counts nothing; all it does is to write
//! records into a ring in memory that the kernel and this process share. What the process starts
//! inherits the event, at any depth, and writes into the same ring. So one [`Ring`] per processor sees
//! everything that a program does, whoever does it.
//!
//! ```text
//!  page 0: head, tail       pages 1..: records; the kernel writes at head, we read from tail
//!  +--------------------+---------------------------------------------------------+
//!  | ... 1024 head      |      | fork | out | in | out, preempted | exit |        |
//!  | ... 1032 tail      |      ^ tail                                    ^ head   |
//!  +--------------------+---------------------------------------------------------+
//! ```
//!
//! When the reader is slow the kernel writes nothing over what was not read: it leaves records out,
//! and says later how many.
//!
//! The event sleeps until the process, or one that has inherited it, calls `execve`: whatever a
//! launcher does before it becomes the program is not seen.
//!
//! # Permission
//!
//! For a process of the same user: `/proc/sys/kernel/perf_event_paranoid` is at most 2. As root:
//! always. A container often forbids the call.
//!
//! # System calls
//!
//! `perf_event_open(2)`, `mmap(2)`, `munmap(2)`, `clock_gettime(2)`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// The kinds of record, as in `linux/perf_event.h`.
pub(crate) const LOST: u32 = 2;
pub(crate) const COMM: u32 = 3;
pub(crate) const EXIT: u32 = 4;
pub(crate) const FORK: u32 = 7;
pub(crate) const SWITCH: u32 = 14;

/// In the header of a [`COMM`]: it is an `execve`, no mere change of name.
pub(crate) const MISC_EXEC: u16 = 1 << 13;
/// In the header of a [`SWITCH`]: off the processor.
pub(crate) const MISC_OUT: u16 = 1 << 13;
/// In the header of a [`SWITCH`]: off the processor, and would have gone on.
pub(crate) const MISC_PREEMPTED: u16 = 1 << 14;

/// Closed by `execve`, like every descriptor of the grader.
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;

/// Bytes at the end of every record: process, thread, time.
pub(crate) const TRAILER: usize = 16;

/// More than the longest record.
const LONGEST: u64 = 128;

/// The bytes of a page on the smallest-paged machines; `mmap` takes multiples of the real one.
const PAGE: usize = 4096;

/// Where head and tail lie in the first page.
const HEAD: usize = 1024;
const TAIL: usize = 1032;

/// The event, as the kernel is asked for it: `struct perf_event_attr` as of Linux 4.1.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    registers_user: u64,
    stack_user: u32,
    clock: i32,
}

impl Attributes {
    const SOFTWARE: u32 = 1;
    const DUMMY: u64 = 9;
    const SAMPLE_TID_AND_TIME: u64 = 1 << 1 | 1 << 2;

    /// `wakeup` bytes in the ring wake whoever polls.
    fn new(wakeup: usize) -> Attributes {
        let bits = [
            0,  // disabled: until
            12, // enable_on_exec
            1,  // inherit
            5,  // exclude_kernel: an ordinary user may not ask for more
            6,  // exclude_hv
            9,  // comm: a record of every name
            24, // comm_exec: and whether execve gave it
            13, // task: records of fork and exit
            26, // context_switch: records of on and off
            18, // sample_id_all: who and when, behind every record
            25, // use_clockid: when by the clock below
            14, // watermark: wake by bytes
        ];
        Attributes {
            kind: Attributes::SOFTWARE,
            size: size_of::<Attributes>() as u32,
            config: Attributes::DUMMY,
            sample_type: Attributes::SAMPLE_TID_AND_TIME,
            flags: bits.iter().fold(0, |flags, bit| flags | 1 << bit),
            wakeup: wakeup as u32,
            clock: libc::CLOCK_MONOTONIC,
            ..Attributes::default()
        }
    }
}

/// The records of one processor.
#[derive(Debug)]
pub(crate) struct Ring {
    event: OwnedFd,
    map: NonNull<u8>,
    page: usize,
    /// Bytes behind the first page, a power of two.
    size: usize,
    tail: u64,
}

// SAFETY: the mapping belongs to this value alone, and no thread is special to it.
unsafe impl Send for Ring {}

impl Ring {
    /// Opens the record of `pid`, and of all that it will start, on one processor.
    ///
    /// `pages` is a power of two.
    pub(crate) fn open(pid: i32, processor: u32, pages: usize) -> io::Result<Ring> {
        if cfg!(target_endian = "big") {
            // The flags of the event are bit fields, which lie the other way round there.
            return Err(io::ErrorKind::Unsupported.into());
        }
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?
            .map_or(PAGE, |bytes| bytes as usize);
        let size = (pages * PAGE).max(page);
        let attributes = Attributes::new(size / 4);
        let no_group: libc::c_int = -1;
        // SAFETY: the attributes are the struct that the kernel expects, and state their own size.
        let event = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                ptr::from_ref(&attributes),
                pid,
                processor as libc::c_int,
                no_group,
                CLOSE_ON_EXEC,
            )
        };
        let event = nix::errno::Errno::result(event)? as i32;
        // SAFETY: the kernel has just given it to us, and nobody else knows it.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let bytes = page + size;
        let fd = event.as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let map = unsafe { libc::mmap(ptr::null_mut(), bytes, prot, libc::MAP_SHARED, fd, 0) };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = NonNull::new(map.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Ring { event, map, page, size, tail: 0 })
    }

    /// Appends all records that are there to `bytes`; `true` if the ring was full meanwhile, so that
    /// records may be missing behind the last one.
    pub(crate) fn take(&mut self, bytes: &mut Vec<u8>) -> bool {
        let before = self.tail;
        // Acquire: the records in front of this head are written.
        let head = self.word(HEAD).load(Ordering::Acquire);
        let length = (head.wrapping_sub(self.tail) as usize).min(self.size);
        let at = self.tail as usize & (self.size - 1);
        let straight = length.min(self.size - at);
        for (offset, length) in [(at, straight), (0, length - straight)] {
            // SAFETY: the records begin behind the first page, and `offset` lies within them.
            let from = unsafe { self.map.as_ptr().add(self.page + offset) };
            // SAFETY: `length` bytes from here on are within the mapping, and the kernel does not
            // write between tail and head.
            let records = unsafe { std::slice::from_raw_parts(from, length) };
            bytes.extend_from_slice(records);
        }
        self.tail = head;
        // Release: the records were read before the kernel may write over them.
        self.word(TAIL).store(head, Ordering::Release);
        let reached = self.word(HEAD).load(Ordering::Relaxed);
        reached.wrapping_sub(before) + LONGEST >= self.size as u64
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the first page is longer than the offsets of head and tail.
        let word = unsafe { self.map.as_ptr().add(offset) };
        // SAFETY: it is aligned, lives as long as the mapping, and the kernel reads and writes it
        // in one piece.
        unsafe { AtomicU64::from_ptr(word.cast()) }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: nothing borrowed from the mapping lives longer than this value.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.page + self.size) };
    }
}

/// The clock of the records, in nanoseconds.
pub(crate) fn now() -> u64 {
    read_clock(libc::CLOCK_MONOTONIC)
}

/// How long this thread has had a processor, in nanoseconds.
pub(crate) fn work() -> u64 {
    read_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read_clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec where there is one. Both clocks exist everywhere.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_has_the_size_that_the_kernel_knows_as_its_fourth() {
        assert_eq!(size_of::<Attributes>(), 96);
    }

    #[test]
    fn the_clock_goes_forward() {
        let before = now();
        assert!(before > 0 && now() >= before);
    }
}
