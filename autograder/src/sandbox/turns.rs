//! Short turns on a processor, which come sooner.
//!
//! A thread that needs little at a time, and needs it soon, can say so: the scheduler lets those with
//! short turns go first. It gains nothing else by that, and everyone may ask.
//!
//! # System calls
//!
//! `sched_getattr(2)`, `sched_setattr(2)`, whose `sched_runtime` is the length of a turn since Linux
//! 6.12. Older kernels overlook it.

use std::io;
use std::ptr;

use nix::errno::Errno;

/// The shortest turn that the kernel gives, in nanoseconds.
const SHORTEST: u64 = 100_000;

/// How a thread is scheduled: `struct sched_attr` in its first size.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// From now on this thread has the shortest turns.
pub(crate) fn shorten() -> io::Result<()> {
    let (this_thread, no_flags): (libc::pid_t, libc::c_uint) = (0, 0);
    let size = size_of::<Attributes>() as libc::c_uint;
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes at most `size` bytes, which is how many there are.
    let answer = unsafe {
        libc::syscall(libc::SYS_sched_getattr, this_thread, &raw mut attributes, size, no_flags)
    };
    Errno::result(answer)?;
    attributes.runtime = SHORTEST;
    // SAFETY: the kernel reads the struct, which states its own size.
    let answer = unsafe {
        libc::syscall(libc::SYS_sched_setattr, this_thread, ptr::from_ref(&attributes), no_flags)
    };
    Errno::result(answer)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn everyone_may_ask_for_short_turns() {
        super::shorten().unwrap();
    }
}
