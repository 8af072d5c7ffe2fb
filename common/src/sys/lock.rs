//! Locks on single bytes of a file, which belong to an open file and not to a process.
//!
//! Whoever opens a file anew gets an open file of its own; descriptors that were copied, inherited by
//! a fork or sent to another process share one. So a lock travels with the descriptor that holds it,
//! and the kernel gives it up when the last copy of that descriptor is closed, however its process
//! ends. The byte locked need not exist.
//!
//! # System calls
//!
//! `fcntl(2)` with `F_OFD_SETLK`, `F_OFD_SETLKW` and `F_OFD_GETLK`; `open(2)` of `/proc/self/fd`.

use super::retry;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The same file, opened anew: a lock of `file` is none of the new descriptor's.
pub(crate) fn open_anew(file: impl AsFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    Ok(File::options().read(true).write(true).open(path)?.into())
}

/// Locks `byte` together with others who share it.
///
/// # Errors
///
/// EAGAIN where somebody owns it.
pub(crate) fn share(file: impl AsFd, byte: i64) -> io::Result<()> {
    retry(|| fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&lock(libc::F_RDLCK, byte))))?;
    Ok(())
}

/// Locks `byte` for this open file alone, when nobody else has it any more.
pub(crate) fn own(file: impl AsFd, byte: i64) -> io::Result<()> {
    retry(|| fcntl(file.as_fd(), FcntlArg::F_OFD_SETLKW(&lock(libc::F_WRLCK, byte))))?;
    Ok(())
}

/// Locks `byte` for this open file alone; false where somebody has it.
pub(crate) fn try_own(file: impl AsFd, byte: i64) -> io::Result<bool> {
    match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&lock(libc::F_WRLCK, byte))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether no other open file has a lock on `byte`.
pub(crate) fn is_free(file: impl AsFd, byte: i64) -> io::Result<bool> {
    let mut answer = lock(libc::F_WRLCK, byte);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut answer))?;
    Ok(i32::from(answer.l_type) == libc::F_UNLCK)
}

fn lock(kind: libc::c_int, byte: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory;

    #[test]
    fn a_byte_is_shared_or_owned_until_the_last_copy_is_closed() {
        let one = memory::anonymous("test", 1).unwrap();
        let copy = one.try_clone().unwrap();
        let other = open_anew(&one).unwrap();
        share(&one, 0).unwrap();
        share(&other, 0).unwrap();
        assert!(!try_own(&other, 0).unwrap());
        drop(one);
        assert!(!is_free(&other, 0).unwrap());
        drop(copy);
        assert!(is_free(&other, 0).unwrap());
        own(&other, 0).unwrap();
        let third = open_anew(&other).unwrap();
        assert!(share(&third, 0).is_err());
        assert!(try_own(&third, 1).unwrap());
        assert!(!is_free(&other, 1).unwrap());
    }
}
