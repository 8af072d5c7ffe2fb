//! A pipe whose end tells that a process is gone.
//!
//! A process keeps the writing end of one pipe, and gives the reading end to each of its children.
//! Nothing is ever written. When the process ends, however it ends, the kernel closes its end, and
//! every child can see it.
//!
//! A child that shall not outlive its parent asks for more: that the kernel kill it at that moment
//! ([`die_with`]). `PR_SET_PDEATHSIG` would not do: it fires when the *thread* that started the
//! child ends. The signal of asynchronous input does, in which the kernel lets one choose the number.
//!
//! # System calls
//!
//! `pipe2(2)`; `fcntl(2)` with `F_SETOWN`, `F_SETSIG` and `O_ASYNC`.

use super::descriptor::Descriptor;
use super::socket::{self, Interest};
use super::{checked, process};
use nix::fcntl::OFlag;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// `F_SETSIG` of `fcntl.h`, the same on every Linux.
const F_SETSIG: libc::c_int = 10;

/// Both ends: to be given to children, to be kept.
pub(crate) fn new() -> io::Result<(Descriptor, Descriptor)> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((reader.into(), writer.into()))
}

/// Whether the process at the other end is gone, after waiting at most for `limit`.
pub(crate) fn is_cut(lifeline: impl AsFd, limit: Option<Duration>) -> io::Result<bool> {
    Ok(socket::poll(&[(lifeline.as_fd(), Interest::Close)], limit)?[0].closed)
}

/// From now on the kernel kills this process as soon as the one at the other end is gone.
///
/// Gives another descriptor of the same pipe, to be kept in place of `lifeline`: who is to be
/// signalled belongs to the open file, and `lifeline`'s is shared with all children.
pub(crate) fn die_with(lifeline: impl AsFd) -> io::Result<Descriptor> {
    let path = format!("/proc/self/fd/{}", lifeline.as_fd().as_raw_fd());
    let own: OwnedFd = std::fs::File::open(path)?.into();
    let own = Descriptor::from(own);
    let number = own.as_fd().as_raw_fd();
    let me = process::getpid().as_raw();
    for (command, value) in [
        (libc::F_SETOWN, me),
        (F_SETSIG, libc::SIGKILL),
        (libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK),
    ] {
        // SAFETY: sets a property of a descriptor of ours; no memory is involved.
        checked(unsafe { libc::fcntl(number, command, value) }.into())?;
    }
    // It may have happened before it was asked for.
    if is_cut(&own, Some(Duration::ZERO))? {
        process::die();
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifeline_is_cut_when_its_end_is_dropped() {
        let (reader, writer) = new().unwrap();
        assert!(!is_cut(&reader, Some(Duration::ZERO)).unwrap());
        drop(writer);
        assert!(is_cut(&reader, None).unwrap());
    }
}
