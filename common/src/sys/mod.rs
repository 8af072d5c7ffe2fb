//! The kernel: one Rust function per kernel call, and the only place that names `nix` or `libc`.
//!
//! | file | what it wraps |
//! | --- | --- |
//! | [`process`] | make processes, wait for them, watch them by descriptor |
//! | [`lifeline`] | a pipe whose end tells that a process is gone |
//! | [`entry`] | a function as its distance in the executable, and which executable it is |
//! | [`descriptor`] | descriptors of this crate, shut in a forked child that was not given them |
//! | [`socket`] | socket pairs that carry bytes and descriptors, `poll` |
//! | [`memory`] | memory that has no name and that several processes map |
//! | [`thread`] | which thread this is, and on which core it runs |
//! | [`identity`] | which process this is, so that no later one can be taken for it |
//! | [`robust`] | words that the kernel marks when the thread that holds them dies |
//! | [`named`] | memory in /dev/shm: how it gets a name and loses it |
//! | [`sysv`] | System V message queues and shared memory |
//! | [`lock`] | locks on bytes of an open file, which end with its last descriptor |
//! | [`futex`] | sleep until a word in shared memory changes |
//! | `before_main` | lets tests start processes |
//! | [`signal`] | signals and their names |
//! | [`cpu`] | processors, and on which of them a process runs |
//!
//! Everything here takes and gives descriptors as owned or borrowed types, goes on after an
//! interrupted call, and reports [`std::io::Error`].
#![expect(unsafe_code, reason = "this is where the system calls are")]

mod before_main;
pub(crate) mod cpu;
pub(crate) mod descriptor;
pub(crate) mod entry;
pub(crate) mod futex;
pub(crate) mod identity;
pub(crate) mod lifeline;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod named;
pub(crate) mod process;
pub(crate) mod robust;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod sysv;
pub(crate) mod thread;

use std::io;

/// Calls `call` again for as long as a signal interrupts it.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(nix::errno::Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// The result of a raw system call: -1 means that `errno` holds the reason.
fn checked(result: libc::c_long) -> nix::Result<libc::c_long> {
    nix::errno::Errno::result(result)
}

// The unit tests of this crate start processes too.
#[cfg(test)]
crate::init_in_tests!();
