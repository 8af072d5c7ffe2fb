//! Descriptors, shared mappings, futexes and processes, with nothing around them.
//!
//! What is measured through these is what the machine charges. They panic where the kernel refuses.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// The result of a kernel call.
///
/// # Panics
///
/// Where it failed.
pub fn checked(result: isize) -> usize {
    assert!(result >= 0, "{}", io::Error::last_os_error());
    result.unsigned_abs()
}

/// Lets this process open as many files as it is allowed to: some peers hold two for every call.
pub fn raise_limit_of_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes and reads the one limit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Runs `child` in a forked process, which then ends; gives its process id.
pub fn fork(child: impl FnOnce()) -> i32 {
    // SAFETY: the programs fork while they have one thread only.
    match unsafe { libc::fork() } {
        0 => {
            child();
            exit_at_once()
        }
        pid => checked(pid as isize) as i32,
    }
}

/// Ends this process and runs nothing more.
pub fn exit_at_once() -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(0) }
}

/// Waits for a child's end.
pub fn wait_for_exit(pid: i32) {
    let _ = exit_status(pid);
}

/// Waits for a child's end and gives its status.
#[must_use]
pub fn exit_status(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the kernel writes the one number.
    checked(unsafe { libc::waitpid(pid, &raw mut status, 0) } as isize);
    status
}

/// Zeroes that forked children share.
#[derive(Debug)]
pub struct Shared {
    /// Where they begin.
    pub start: *mut u8,
    /// How many bytes there are.
    pub len: usize,
}

impl Shared {
    /// Maps at least `len` bytes, all of them present.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let len = len.next_multiple_of(4096);
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Self { start: start.cast(), len }
    }

    /// What lies at `offset`.
    ///
    /// # Safety
    ///
    /// A `T` of zeroes is one, `offset` keeps its alignment, and nothing else lies there.
    #[must_use]
    pub unsafe fn at<T>(&self, offset: usize) -> &T {
        assert!(offset + size_of::<T>() <= self.len);
        // SAFETY: it lies within the mapping, and the caller promises the rest.
        unsafe { &*self.start.add(offset).cast::<T>() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and nobody borrows from it any more.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// Sleeps while the word is `expected`, until somebody wakes it, in any process.
pub fn futex_wait(word: &AtomicU32, expected: u32) {
    // SAFETY: the kernel reads the word only.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, expected, 0usize) };
}

/// Wakes `count` that sleep on the word.
pub fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: the kernel takes the word's address only.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, count) };
}

/// Several meet, so that a timed section begins for all at once.
#[repr(C)]
#[derive(Debug)]
pub struct Gate {
    here: AtomicU32,
}

impl Gate {
    /// Returns once `parties` are here.
    pub fn meet(&self, parties: u32) {
        self.here.fetch_add(1, Ordering::AcqRel);
        while self.here.load(Ordering::Acquire) < parties {
            std::hint::spin_loop();
        }
    }
}

/// Writes all of `bytes`.
pub fn write_all(fd: i32, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads these bytes only.
        let count = checked(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) });
        bytes = &bytes[count..];
    }
}

/// Fills `buffer`; `false` at the end of the file.
pub fn read_exact(fd: i32, mut buffer: &mut [u8]) -> bool {
    while !buffer.is_empty() {
        // SAFETY: the kernel writes into this buffer only.
        let count = checked(unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) });
        if count == 0 {
            return false;
        }
        buffer = &mut buffer[count..];
    }
    true
}

/// A pipe: the end to read, and the end to write.
#[must_use]
pub fn pipe() -> (i32, i32) {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes the two numbers.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } as isize);
    (ends[0], ends[1])
}

/// Two sockets of a kind, connected.
#[must_use]
pub fn socketpair(kind: i32) -> (i32, i32) {
    let mut ends = [0; 2];
    let kind = kind | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes the two numbers.
    checked(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } as isize);
    (ends[0], ends[1])
}

/// Closes a descriptor.
pub fn close(fd: i32) {
    // SAFETY: whoever calls this uses the descriptor no more.
    unsafe { libc::close(fd) };
}
