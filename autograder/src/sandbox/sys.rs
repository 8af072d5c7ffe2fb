//! The kernel calls of the sandbox that no crate wraps, or that are unsafe in every crate.
//!
//! Each caller runs in the launcher or below it, where there is one thread only. That is what makes
//! it sound to go on in a copy of the process, and to speak of "the" credentials of it.
//!
//! # System calls
//!
//! `clone`, `fork`, `mount_setattr`, `open_tree`, `move_mount`, `close_range`, `capset`, `prctl(PR_CAPBSET_DROP)`,
//! `prctl(PR_CAP_AMBIENT)`, `ioctl(SIOCSIFFLAGS)`.

use std::ffi::{CStr, c_char, c_int, c_short};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigAction, Signal, sigaction};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{ForkResult, Pid};

/// Which side of a fork this is.
pub(super) enum Side {
    /// The one that was there before.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Forks into new namespaces.
pub(super) fn clone_into(namespaces: CloneFlags) -> io::Result<Side> {
    let flags = i64::from(namespaces.bits() | libc::SIGCHLD);
    // SAFETY: without a stack and without CLONE_VM this is fork; the process has one thread, so the
    // copy finds no lock held by another. No pointer is passed.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    Ok(match Errno::result(pid)? {
        0 => Side::Child,
        pid => Side::Parent(Pid::from_raw(pid as i32)),
    })
}

/// Forks.
pub(super) fn fork() -> io::Result<Side> {
    // SAFETY: the process has one thread, so the copy finds no lock held by another.
    let result = unsafe { nix::unistd::fork() }?;
    Ok(match result {
        ForkResult::Child => Side::Child,
        ForkResult::Parent { child } => Side::Parent(child),
    })
}

/// Leaves at once: nothing of the process that this one was copied from is flushed or dropped.
pub(super) fn leave(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and touches no memory of the process.
    unsafe { libc::_exit(code) }
}

/// Sets what happens on a signal.
pub(super) fn set_signal_action(signal: Signal, action: &SigAction) -> nix::Result<()> {
    // SAFETY: the actions set here are the kernel's own, no functions of this program.
    unsafe { sigaction(signal, action) }.map(drop)
}

/// Adds attributes (`MOUNT_ATTR_*`) to the mount at `path`.
pub(super) fn restrict_mount(path: &CStr, attributes: u64, recursive: bool) -> io::Result<()> {
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path ends with a null byte, the structure is as long as the length says, and both
    // outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// A copy of the mounts at and below a path, attached nowhere.
pub(super) fn take_mount(path: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as u32;
    // SAFETY: the path ends with a null byte and outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    Ok(own(Errno::result(result)? as RawFd))
}

/// Attaches such a copy to a folder.
pub(super) fn put_mount(tree: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    // MOVE_MOUNT_F_EMPTY_PATH of linux/mount.h: what is moved is the descriptor itself.
    let flags: libc::c_uint = 0x4;
    // SAFETY: both paths end with a null byte and outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Takes over a descriptor that a message or a call brought.
pub(super) fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made it for this process, and nobody else has been told.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Closes a descriptor that this process has only because it was copied from the launcher.
pub(super) fn close_copy(descriptor: BorrowedFd<'_>) {
    // SAFETY: its owner lies in a frame of the launcher's, to which the copy never returns.
    unsafe { libc::close(descriptor.as_raw_fd()) };
}

/// From now on, `execve` closes every descriptor from `first` on.
pub(super) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: only a flag of descriptors changes; nothing is closed under anybody's hands.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result)?;
    Ok(())
}

/// Gives up every capability, and that any could be had again.
pub(super) fn drop_capabilities() -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: takes numbers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match Errno::result(result) {
            Ok(_) => {}
            // There are no more capabilities than this.
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    // SAFETY: takes numbers only.
    let result =
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    Errno::result(result)?;
    give_up_capabilities()
}

/// Gives up the capabilities of this process, where it may not change what others could get.
pub(super) fn give_up_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    // _LINUX_CAPABILITY_VERSION_3 of linux/capability.h: two groups of effective, permitted and
    // inheritable.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [[0_u32; 3]; 2];
    // SAFETY: header and sets have the layout of capset(2), version 3, and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const none) };
    Errno::result(result)?;
    Ok(())
}

/// Brings up the loopback device of the current network namespace.
pub(super) fn raise_loopback() -> io::Result<()> {
    /// `struct ifreq` of netdevice(7), with the member of its union that is used here.
    #[repr(C)]
    struct Request {
        name: [c_char; libc::IFNAMSIZ],
        flags: c_short,
        rest: [u8; 22],
    }
    let mut request = Request {
        name: [0; libc::IFNAMSIZ],
        flags: (libc::IFF_UP | libc::IFF_RUNNING) as c_short,
        rest: [0; 22],
    };
    for (to, from) in request.name.iter_mut().zip(*b"lo") {
        *to = from as c_char;
    }
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: the request has the size and layout of `struct ifreq` and outlives the call.
    let result = unsafe {
        libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request)
    };
    Errno::result(result)?;
    Ok(())
}
