//! Memory that has a name, in /dev/shm: how it gets one and loses it.
//!
//! It is made whole and without a name, so that nobody ever sees it half made, and the name is put on
//! it in one step. From then on its [`Inode`] tells it from any other that may bear the same name later.
//!
//! # System calls
//!
//! `open(2)` with `O_TMPFILE`, `fallocate(2)`, `linkat(2)`, `fstat(2)`, `lstat(2)`, `shm_unlink(3)`.

use super::descriptor::{Descriptor, streams_are_open};
use super::memory;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::fstat;
use nix::unistd::linkat;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;

/// Where the C library keeps named memory.
const FOLDER: &str = "/dev/shm";

/// What makes a file the one that it is: while it exists, no other has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inode {
    pub(crate) device: u64,
    pub(crate) number: u64,
}

/// New memory of `len` bytes, with pages behind each of them, that only this user may open: it begins
/// with `content`, the rest is zero.
pub(crate) fn unnamed(len: usize, content: &[u8]) -> io::Result<Descriptor> {
    let file = memory::unlinked(FOLDER)?;
    memory::reserve(&file, len)?;
    let file = File::from(file);
    file.write_all_at(content, 0)?;
    Ok(OwnedFd::from(file).into())
}

/// Which file this is.
pub(crate) fn inode(file: impl AsFd) -> io::Result<Inode> {
    let stat = fstat(file.as_fd())?;
    Ok(Inode { device: stat.st_dev, number: stat.st_ino })
}

/// Puts a name on what [`unnamed`] made.
///
/// # Errors
///
/// EEXIST where something else bears it.
pub(crate) fn link(file: impl AsFd, name: &str) -> io::Result<()> {
    let (file, to) = (file.as_fd(), path(name));
    match linkat(file, "", AT_FDCWD, &to, AtFlags::AT_EMPTY_PATH) {
        // Before Linux 6.10 only the superuser may name a descriptor so.
        Err(Errno::ENOENT) => {
            let from = format!("/proc/self/fd/{}", file.as_raw_fd());
            Ok(linkat(AT_FDCWD, from.as_str(), AT_FDCWD, &to, AtFlags::AT_SYMLINK_FOLLOW)?)
        }
        result => Ok(result?),
    }
}

/// Which file bears a name; `None` where there is no such name.
pub(crate) fn find(name: &str) -> io::Result<Option<Inode>> {
    match fs::symlink_metadata(path(name)) {
        Ok(file) => Ok(Some(Inode { device: file.dev(), number: file.ino() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the name off `inode`; false where it does not bear it (any more).
pub(crate) fn unlink(name: &str, inode: Inode) -> io::Result<bool> {
    if find(name)? != Some(inode) {
        return Ok(false);
    }
    match nix::sys::mman::shm_unlink(format!("/{name}").as_str()) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes up the numbers of standard streams that the program has closed, for as long as they are held:
/// what is opened meanwhile does not get one, so nothing can be printed into it.
pub(crate) fn occupy_streams() -> io::Result<Vec<File>> {
    let mut held = Vec::new();
    while !streams_are_open() {
        held.push(File::open("/dev/null")?);
    }
    Ok(held)
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_a_name_from_its_link_to_its_unlink() {
        let name = format!("common-test-{}", std::process::id());
        let (one, other) = (unnamed(1, b"").unwrap(), unnamed(1, b"x").unwrap());
        let inode = inode(&one).unwrap();
        assert_eq!(find(&name).unwrap(), None);
        link(&one, &name).unwrap();
        assert_eq!(find(&name).unwrap(), Some(inode));
        assert_eq!(link(&other, &name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        // Another file under the same name is left alone.
        assert!(!unlink(&name, super::inode(&other).unwrap()).unwrap());
        assert!(unlink(&name, inode).unwrap());
        assert!(!unlink(&name, inode).unwrap());
    }

    #[test]
    fn only_its_user_may_open_it_and_it_has_its_pages() {
        let file = unnamed(10_000, b"begin").unwrap().into_owned().unwrap();
        let file = File::from(file);
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert_eq!(metadata.len(), 10_000);
        assert!(metadata.blocks() * 512 >= 10_000);
        let mut content = [1; 6];
        file.read_exact_at(&mut content, 0).unwrap();
        assert_eq!(&content, b"begin\0");
    }
}
