//! How a process ended that is not our child.
//!
//! Only the parent is told how a process ended, unless someone held a descriptor of the process
//! meanwhile: it goes on to know after the process is gone.
//!
//! # System calls
//!
//! `pidfd_open(2)`; `ioctl(PIDFD_GET_INFO)` with `PIDFD_INFO_EXIT`, since Linux 6.15. Older kernels
//! do not tell.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// A process, whatever becomes of it.
#[derive(Debug)]
pub(crate) struct Pidfd(OwnedFd);

/// What the kernel is asked to fill in: `struct pidfd_info`.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    control_group: u64,
    /// Process ids and user ids.
    ids: [u32; 11],
    exit_code: i32,
}

const INFO_EXIT: u64 = 1 << 3;

mod request {
    use super::Info;
    nix::ioctl_readwrite!(get_info, 0xff, 11, Info);
}

impl Pidfd {
    /// Takes hold of the process that bears this id now.
    pub(crate) fn open(pid: i32) -> io::Result<Pidfd> {
        // SAFETY: the call has two numbers as arguments.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = Errno::result(fd)? as i32;
        // SAFETY: the kernel has just given it to us, and nobody else knows it.
        Ok(Pidfd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// How it ended, as `wait` tells it: once it has ended and its parent has been told. Nothing
    /// before.
    ///
    /// # Errors
    ///
    /// If the kernel does not say.
    pub(crate) fn wait_status(&self) -> io::Result<Option<i32>> {
        let mut info = Info { mask: INFO_EXIT, ..Info::default() };
        // SAFETY: the kernel writes at most the size of this struct, which is part of the request.
        unsafe { request::get_info(self.0.as_raw_fd(), &raw mut info) }?;
        Ok((info.mask & INFO_EXIT != 0).then_some(info.exit_code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus, Stdio};

    #[test]
    fn a_process_that_was_waited_for_is_still_known() {
        let mut child = Command::new("sh")
            .args(["-c", "read go; exit 7"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let held = Pidfd::open(child.id() as i32).unwrap();
        assert!(!held.wait_status().is_ok_and(|status| status.is_some()));
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(7));
        match held.wait_status() {
            Ok(Some(known)) => assert_eq!(ExitStatus::from_raw(known), status),
            _ => println!("did not run: the kernel tells nobody but the parent"),
        }
    }
}
