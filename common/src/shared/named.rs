//! Named memory as this process sees it: the crate `shared_memory`, and nothing of it beyond this file.
//!
//! The crate opens a name, learns the length and maps it; closing is its `Drop`. What it leaves to its
//! caller, and how that is met:
//!
//! | the crate | here |
//! | --- | --- |
//! | makes a block in steps that others see, without pages behind it, and raises SIGXFSZ at a limit | blocks are made by [`crate::sys::named`], whole, and mapped by their creator before they have a name |
//! | unlinks a block when its creator's handle is dropped, and keeps quiet where that fails | it owns none: [`unlink`](crate::sys::named::unlink) says what came of it |
//! | may get the number of a standard stream that is closed, and never closes number 0 | those numbers are taken while it opens |
//! | does not show its descriptor, by which a block could be told from another of the same name | the name is looked up before and after |
//! | gives an address, or a slice to those who promise that nobody else writes | words are read and written one at a time, as atomics |
//!
//! Its descriptor is not one of common's list, so a forked child keeps it, as it keeps the mapping.
//!
//! Others write at any time, also other threads of this process: [`Mapped`] has how it is read and written.

use super::words::Mapped;
use crate::sys::descriptor::Descriptor;
use crate::sys::memory::Mapping;
use crate::sys::named::{self, Inode};
use shared_memory::{Shmem, ShmemConf, ShmemError};
use std::fmt;
use std::io;
use std::ptr::NonNull;

/// How often a name is looked at again that is given to another block at just that moment.
const ATTEMPTS: u32 = 100;

/// Named memory, mapped until this is dropped.
pub(crate) struct Named {
    memory: Memory,
    inode: Inode,
}

/// Who has mapped it.
enum Memory {
    /// The crate, by its name.
    Opened(Opened),
    /// This process has made it.
    Made(Mapping),
}

struct Opened {
    memory: Shmem,
    start: NonNull<u8>,
}

// SAFETY: it owns a mapping and a descriptor, which belong to the process and to no thread.
unsafe impl Send for Opened {}
// SAFETY: nothing in it changes after it was made, and the bytes are only touched as atomics.
unsafe impl Sync for Opened {}

impl Named {
    /// New memory of `len` bytes that begins with `content`, the rest zero; it has no name yet. The
    /// descriptor is what can be [given one](named::link).
    pub(crate) fn new(len: usize, content: &[u8]) -> io::Result<(Self, Descriptor)> {
        let file = named::unnamed(len, content)?;
        let memory = Memory::Made(Mapping::new(&file, len)?);
        Ok((Self { memory, inode: named::inode(&file)? }, file))
    }

    /// Opens and maps what bears a name.
    ///
    /// # Errors
    ///
    /// `NotFound`; `InvalidInput` where it has no bytes, as while another library is making it.
    pub(crate) fn open(name: &str) -> io::Result<Self> {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        let _streams = named::occupy_streams()?;
        let mut inode = named::find(name)?.ok_or_else(not_found)?;
        for _ in 0..ATTEMPTS {
            let memory = ShmemConf::new().os_id(format!("/{name}")).open().map_err(reason)?;
            // While it is mapped its inode is nobody else's. So if the name led there before and does
            // so now, it led there when it was opened.
            match named::find(name)? {
                Some(now) if now == inode => {
                    let start = NonNull::new(memory.as_ptr()).ok_or(io::ErrorKind::InvalidData)?;
                    return Ok(Self { memory: Memory::Opened(Opened { memory, start }), inode });
                }
                Some(now) => inode = now,
                None => return Err(not_found()),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Which block it is, whatever bears its name now.
    pub(crate) fn inode(&self) -> Inode {
        self.inode
    }
}

// SAFETY: both ways map from the beginning of a page, and unmap when they are dropped.
unsafe impl Mapped for Named {
    fn start(&self) -> NonNull<u8> {
        match &self.memory {
            Memory::Opened(opened) => opened.start,
            Memory::Made(memory) => memory.start(),
        }
    }

    /// How many bytes it had when it was opened or made.
    fn len(&self) -> usize {
        match &self.memory {
            Memory::Opened(opened) => opened.memory.len(),
            Memory::Made(memory) => memory.len(),
        }
    }
}

/// What the crate says, as the error of the call that failed.
fn reason(error: ShmemError) -> io::Error {
    match error {
        ShmemError::MapOpenFailed(code)
        | ShmemError::MapCreateFailed(code)
        | ShmemError::UnknownOsError(code) => io::Error::from_raw_os_error(code.cast_signed()),
        other => io::Error::other(other),
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named").field("len", &self.len()).field("inode", &self.inode).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of `content`, whose name is gone already, as its creator and as another sees it.
    fn block(name: &str, content: &[u8]) -> [Named; 2] {
        let name = format!("common-test-{}-{name}", std::process::id());
        let (made, file) = Named::new(content.len(), content).unwrap();
        named::link(file, &name).unwrap();
        let opened = Named::open(&name).unwrap();
        assert_eq!((opened.inode(), opened.len()), (made.inode(), made.len()));
        assert!(named::unlink(&name, opened.inode()).unwrap());
        [made, opened]
    }

    #[test]
    fn every_range_is_read_and_written_and_nothing_beside_it() {
        let content: Vec<u8> = (1..=29).collect();
        let [made, opened] = block("ranges", &content);
        for (one, other) in [(&made, &opened), (&opened, &made)] {
            for offset in 0..=29 {
                for len in 0..=29 - offset {
                    let mut read = vec![0; len];
                    assert!(one.load(offset, &mut read));
                    assert_eq!(read, content[offset..offset + len]);
                    assert!(one.store(offset, &vec![200; len]));
                    let mut all = content.clone();
                    all[offset..offset + len].fill(200);
                    let mut seen = vec![0; 29];
                    assert!(other.load(0, &mut seen));
                    assert_eq!(seen, all, "{len} bytes at {offset}");
                    assert!(other.store(offset, &read));
                }
            }
        }
    }

    #[test]
    fn what_lies_outside_is_refused() {
        for block in block("outside", &[7; 10]) {
            assert!(!block.load(10, &mut [0]));
            assert!(!block.load(3, &mut [0; 8]));
            assert!(!block.store(usize::MAX, b"x"));
            assert!(block.store(10, b""));
            assert!(!block.store(11, b""));
        }
    }

    #[test]
    fn threads_that_write_beside_each_other_lose_nothing() {
        let blocks = block("threads", &[0; 8]);
        std::thread::scope(|scope| {
            for offset in 0..4 {
                let block = &blocks[offset % 2];
                scope.spawn(move || {
                    for number in 1..=10_000u16 {
                        assert!(block.store(offset * 2, &number.to_ne_bytes()));
                        let mut read = [0; 2];
                        assert!(block.load(offset * 2, &mut read));
                        assert_eq!(u16::from_ne_bytes(read), number);
                    }
                });
            }
        });
    }

    #[test]
    fn what_is_not_there_or_has_no_bytes_cannot_be_opened() {
        let error = Named::open("common-test-no-such-block").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let name = format!("common-test-{}-empty", std::process::id());
        std::fs::write(format!("/dev/shm/{name}"), "").unwrap();
        assert_eq!(Named::open(&name).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        std::fs::remove_file(format!("/dev/shm/{name}")).unwrap();
    }
}
