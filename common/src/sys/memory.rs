//! Memory without a name that several processes map.
//!
//! [`anonymous`] makes it, [`reserve`] gives it pages, [`Mapping`] shows it in this process. Its
//! descriptor is all there is: when the last process that holds it ends, however it ends, the
//! memory is gone.
//!
//! Pages are reserved before anyone touches them, so a full machine is an error here and never a
//! SIGBUS later; the file-size limit is asked first, so it is an error and never a SIGXFSZ.
//!
//! # System calls
//!
//! `memfd_create(2)` or, where a sandbox refuses that, a file in /dev/shm that is unlinked at once;
//! `fallocate(2)`, `mmap(2)`, `munmap(2)`, `getrlimit(2)`; `/proc/meminfo` before large reservations.

use super::retry;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, fstat};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

/// Makes shared memory of `len` bytes, all zero. `label` is what `/proc/PID/maps` shows.
pub(crate) fn anonymous(label: &str, len: usize) -> io::Result<OwnedFd> {
    let memory = match memfd_create(label, MFdFlags::MFD_CLOEXEC) {
        Ok(memory) => memory,
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EACCES) => unlinked("/dev/shm")?,
        Err(error) => return Err(error.into()),
    };
    reserve(&memory, len)?;
    Ok(memory)
}

/// A new file in `folder` that has no name.
pub(super) fn unlinked(folder: &str) -> io::Result<OwnedFd> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    retry(|| nix::fcntl::open(folder, flags, Mode::S_IRUSR | Mode::S_IWUSR))
}

/// Makes `memory` at least `len` bytes long, with pages behind every byte.
pub(crate) fn reserve(memory: impl AsFd, len: usize) -> io::Result<()> {
    reserve_part(memory, 0, len)
}

/// Puts pages behind `len` bytes from `offset` on, which makes `memory` so long if it was shorter.
pub(crate) fn reserve_part(memory: impl AsFd, offset: usize, len: usize) -> io::Result<()> {
    let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
    let [offset, bytes] =
        [offset, len].map(i64::try_from).map(|bytes| bytes.map_err(|_| Errno::EFBIG));
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    if end as u64 > limit {
        return Err(Errno::EFBIG.into());
    }
    if len >= LARGE && available().is_some_and(|available| len > available) {
        return Err(Errno::ENOMEM.into());
    }
    let (offset, bytes) = (offset?, bytes?);
    retry(|| fallocate(memory.as_fd(), FallocateFlags::empty(), offset, bytes))
}

/// Takes the pages away from behind `len` bytes from `offset` on, which have to be reserved again before
/// anyone touches them.
pub(crate) fn give_back(memory: impl AsFd, offset: usize, len: usize) -> io::Result<()> {
    let offset = offset.try_into().map_err(|_| Errno::EFBIG)?;
    let len = len.try_into().map_err(|_| Errno::EFBIG)?;
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    retry(|| fallocate(memory.as_fd(), hole, offset, len))
}

/// From this size on the machine is asked first whether it has as much: the kernel would take every
/// page there is, and then end processes, before it says no.
const LARGE: usize = 64 << 20;

/// How many bytes the machine can give without ending a process, where it tells.
fn available() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// Device and inode of `memory`: the same in every process, and no other's while it exists.
pub(crate) fn place(memory: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = fstat(memory.as_fd())?;
    Ok((stat.st_dev, stat.st_ino))
}

/// How many bytes `memory` has.
pub(crate) fn len(memory: impl AsFd) -> io::Result<usize> {
    let size = fstat(memory.as_fd())?.st_size;
    size.try_into().map_err(|_| Errno::EOVERFLOW.into())
}

/// The bytes of shared memory as this process sees them; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: NonZeroUsize,
}

// SAFETY: a mapping is an address range of the process, no thread owns it.
unsafe impl Send for Mapping {}
// SAFETY: the mapping itself never changes; who reads and writes the bytes is for `shared` to order.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `memory`, which must have as many.
    pub(crate) fn new(memory: impl AsFd, len: usize) -> io::Result<Self> {
        Self::of(memory, 0, len)
    }

    /// Maps `len` bytes of `memory` from `offset` on, a multiple of the size of a page.
    pub(crate) fn of(memory: impl AsFd, offset: usize, len: usize) -> io::Result<Self> {
        let offset = offset.try_into().map_err(|_| Errno::EINVAL)?;
        let len = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses a free range, so nothing that exists is mapped over.
        let start = unsafe { mmap(None, len, prot, MapFlags::MAP_SHARED, memory, offset) }?;
        Ok(Self { start: start.cast(), len })
    }

    /// The first byte. Valid for `len` bytes for as long as the mapping lives.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes are mapped.
    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that `mmap` gave, and whatever borrowed from it is gone.
        let result = unsafe { munmap(self.start.cast(), self.len.get()) };
        debug_assert!(result.is_ok(), "a range that mmap gave can be unmapped");
    }
}

/// How many blocks of 512 bytes it has.
#[cfg(test)]
pub(crate) fn pages(memory: impl AsFd) -> io::Result<usize> {
    Ok(fstat(memory.as_fd())?.st_blocks as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_too_large_for_the_machine_is_an_error() {
        assert!(anonymous("test", usize::MAX >> 1).is_err());
    }

    #[test]
    fn without_memfd_an_unlinked_file_serves() {
        let memory = unlinked("/dev/shm").unwrap();
        reserve(&memory, 4096).unwrap();
        assert_eq!(len(&memory).unwrap(), 4096);
        assert_eq!(Mapping::new(&memory, 4096).unwrap().len(), 4096);
    }

    #[test]
    fn reserving_less_keeps_what_is_there() {
        let memory = anonymous("test", 8192).unwrap();
        reserve(&memory, 10).unwrap();
        assert_eq!(len(&memory).unwrap(), 8192);
    }
}
