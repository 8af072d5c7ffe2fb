//! A process that becomes a program when it is told to: where there is no launcher to do that. Like one,
//! it ends with whoever has started it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::limits;

/// Stops, and becomes the program when it goes on, on so many processors; comes back only with what went
/// wrong.
pub fn hold(program: &Path, args: &[OsString], processors: Option<u32>) -> io::Error {
    let ready = prctl::set_pdeathsig(Signal::SIGKILL)
        .and_then(|()| processors.map_or(Ok(()), limits::keep_to))
        .and_then(|()| raise(Signal::SIGSTOP));
    match ready {
        Ok(()) => Command::new(program).arg0("program").args(args).exec(),
        Err(errno) => errno.into(),
    }
}

/// Waits until such a process has stopped itself, or has failed to.
pub(crate) fn await_stop(process: Pid) {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(process), flags) == Err(Errno::EINTR) {}
}
