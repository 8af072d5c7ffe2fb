//! Start this executable again, wait for a child, watch one by descriptor.
//!
//! A child is started by `posix_spawn`, which shares the parent's memory until the child executes,
//! so its cost does not grow with the parent. The child's exit is watched through a pidfd, which a
//! reused number cannot fool, and collected once.
//!
//! # System calls
//!
//! `posix_spawn(3)` of `/proc/self/exe`, `pidfd_open(2)`, `waitid(2)`, `kill(2)`, `close_range(2)`,
//! `prctl(2)` (`PR_SET_NAME`).

use super::{checked, retry};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use std::ffi::{CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

pub(crate) use nix::unistd::getpid;

/// The descriptor under which a child finds what its parent gave it.
pub(crate) const GIVEN: RawFd = 3;

/// Starts this executable again with `arguments` and, beside the standard streams, one descriptor:
/// `given`, which the child finds as [`GIVEN`].
pub(crate) fn start_again(arguments: &[&OsStr], given: BorrowedFd<'_>) -> io::Result<i32> {
    let arguments: Vec<CString> =
        arguments.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<_, _>>()?;
    let environment: Vec<CString> = std::env::vars_os()
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec()).ok()
        })
        .collect();
    let mut actions = PosixSpawnFileActions::init()?;
    // Where `given` is GIVEN already, posix_spawn clears its close-on-exec flag in the child.
    actions.add_dup2(given.as_raw_fd(), GIVEN)?;
    let attributes = PosixSpawnAttr::init()?;
    let pid = posix_spawn(c"/proc/self/exe", &actions, &attributes, &arguments, &environment)?;
    Ok(pid.as_raw())
}

/// Takes what the parent gave, and closes every other descriptor but the standard streams.
///
/// To be called once, before anything else in the child opens a descriptor.
pub(crate) fn take_given() -> io::Result<OwnedFd> {
    // SAFETY: only asks for the flags of a number; that it is open is what is being checked.
    let given = unsafe { BorrowedFd::borrow_raw(GIVEN) };
    fcntl(given, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    close_from(GIVEN + 1)?;
    // SAFETY: the descriptor is open, as fcntl has shown, and nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(GIVEN) })
}

/// Closes every descriptor from `first` on.
fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: called before anything in this process owns a descriptor that high.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    match checked(result) {
        Ok(_) => Ok(()),
        // An older kernel or a sandbox: close what /proc lists.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let listed: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .filter(|&number| number >= first)
                .collect();
            for number in listed {
                // Closed already is fine: it was the listing's own.
                let _ = nix::unistd::close(number);
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// A descriptor that polls ready when process `pid`, a child that was not yet collected, has ended.
pub(crate) fn watch(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers; the result is checked below.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let descriptor = checked(result)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) })
}

/// How a process ended, as the kernel tells it.
pub(crate) enum Ended {
    /// It left with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Collects child `pid` if it has ended; `None` while it runs.
///
/// # Errors
///
/// ECHILD where somebody else has collected it.
pub(crate) fn collect(pid: i32) -> io::Result<Option<Ended>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    retry(|| {
        let flags = libc::WEXITED | libc::WNOHANG;
        // SAFETY: `info` has room for one record.
        Errno::result(unsafe { libc::waitid(libc::P_PID, pid as u32, info.as_mut_ptr(), flags) })
    })?;
    // SAFETY: zeroed memory is a valid record, and the kernel has filled it if there was news.
    let info = unsafe { info.assume_init() };
    // SAFETY: a record of waitid has a pid (0 when there is no news) and a status.
    let child = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    Ok((child != 0).then_some(match info.si_code {
        libc::CLD_EXITED => Ended::Code(status),
        _ => Ended::Signal(status),
    }))
}

/// Sends `signal` to child `pid`, which must not have been collected.
pub(crate) fn signal(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: sends a signal to another process; no memory is involved.
    checked(unsafe { libc::kill(pid, signal) }.into())?;
    Ok(())
}

/// Ends this process at once: no destructor, no exit hook.
pub(crate) fn die() -> ! {
    // Where even that is refused, abort() ends it as well.
    let _ = signal(getpid().as_raw(), libc::SIGKILL);
    std::process::abort()
}

/// Gives this thread the name that `ps` and `top` show; the kernel keeps 15 bytes.
pub(crate) fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // A name is a courtesy: where it cannot be set, nothing is lost.
        let _ = nix::sys::prctl::set_name(&name);
    }
}
