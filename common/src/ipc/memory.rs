//! System V segments, and whatever a descriptor has behind it.

use super::IpcError;
use crate::point::{self, Kind, Name, Operation};
use crate::shared::words::Mapped;
use crate::shared_memory::OutOfBounds;
use crate::sys::memory;
use crate::sys::sysv::{self, Attached};
use bytemuck::Pod;
use std::fmt;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::process;

/// Bytes that others may write at any time, so that values are copied in and out, as with
/// [`SharedMemory`](crate::SharedMemory): what lies within 8 bytes, at a multiple of 8, is never torn.
pub struct Memory {
    point: Name,
    bytes: Box<dyn Mapped + Send + Sync>,
}

impl Memory {
    /// How many bytes it has.
    #[expect(clippy::len_without_is_empty, reason = "memory of no bytes cannot be mapped")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The value at `offset`, in bytes, which need not be aligned.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`].
    #[track_caller]
    pub fn get<T: Pod>(&self, offset: usize) -> Result<T, OutOfBounds> {
        let mut value = T::zeroed();
        self.load(offset, bytemuck::bytes_of_mut(&mut value))?;
        Ok(value)
    }

    /// Puts a value at `offset`, in bytes, which need not be aligned.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`]; nothing was written.
    #[track_caller]
    pub fn set<T: Pod>(&self, offset: usize, value: T) -> Result<(), OutOfBounds> {
        self.store(offset, bytemuck::bytes_of(&value))
    }

    /// Copies as many values as `values` has room for, from `offset` on, in bytes.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`].
    #[track_caller]
    pub fn copy_out<T: Pod>(&self, offset: usize, values: &mut [T]) -> Result<(), OutOfBounds> {
        self.load(offset, bytemuck::cast_slice_mut(values))
    }

    /// Copies `values` into the memory, from `offset` on, in bytes.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`]; nothing was written.
    #[track_caller]
    pub fn copy_in<T: Pod>(&self, offset: usize, values: &[T]) -> Result<(), OutOfBounds> {
        self.store(offset, bytemuck::cast_slice(values))
    }

    #[track_caller]
    fn load(&self, offset: usize, to: &mut [u8]) -> Result<(), OutOfBounds> {
        point::before(Operation::Get, &self.point);
        let len = to.len();
        if self.bytes.load(offset, to) { Ok(()) } else { Err(self.out_of_bounds(offset, len)) }
    }

    #[track_caller]
    fn store(&self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        point::before(Operation::Set, &self.point);
        let is_done = self.bytes.store(offset, from);
        if is_done { Ok(()) } else { Err(self.out_of_bounds(offset, from.len())) }
    }

    fn out_of_bounds(&self, offset: usize, len: usize) -> OutOfBounds {
        OutOfBounds { offset, len, block: self.len() }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Memory of the kernel with a number (System V: `shmget`, `shmat`, `shmdt`, `shmctl`).
///
/// Any process of this user attaches it by its number; dropping the handle detaches it. The process that has
/// made it removes it when it drops its handle: it is gone with the last that has it attached. It does not
/// travel by itself: send its [`id`](Segment::id).
///
/// ```
/// use common::Process;
/// use common::ipc::Segment;
///
/// fn double(id: i32) -> common::Result<()> {
///     let segment = Segment::attach(id)?;
///     segment.set(8, 2 * segment.get::<u32>(8)?)?;
///     Ok(())
/// }
///
/// # common::init();
/// let segment = Segment::create(4096)?;
/// segment.set(8, 21u32)?;
/// Process::new(double, segment.id()).start()?.join()?;
/// assert_eq!(segment.get::<u32>(8)?, 42);
/// # common::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Segment {
    id: i32,
    memory: Memory,
    /// The process that has made it; none where it was only attached.
    maker: Option<u32>,
}

const WHAT: &str = "segment";

impl Segment {
    /// Makes a segment of `len` bytes, all zero, that only this user may attach (`shmget` with
    /// `IPC_PRIVATE`), and attaches it.
    ///
    /// # Errors
    ///
    /// [`NoSpace`](IpcError::NoSpace) where the kernel has as many as it may, or not as many bytes; none at
    /// all is too few.
    #[track_caller]
    pub fn create(len: usize) -> Result<Self, IpcError> {
        let no_space = |source| IpcError::NoSpace { what: WHAT, source };
        let id = sysv::new_segment(len).map_err(no_space)?;
        let point = Name::given(Kind::Segment, &id.to_string());
        point::before(Operation::Create, &point);
        let attached = Attached::new(id).map_err(|source| {
            // The first error is the one to tell.
            let _ = sysv::remove_segment(id);
            no_space(source)
        })?;
        let memory = Memory { point, bytes: Box::new(attached) };
        Ok(Self { id, memory, maker: Some(process::id()) })
    }

    /// Attaches the segment with this number, whoever has made it (`shmat`).
    ///
    /// # Errors
    ///
    /// [`Gone`](IpcError::Gone), [`Refused`](IpcError::Refused) where it is another user's.
    #[track_caller]
    pub fn attach(id: i32) -> Result<Self, IpcError> {
        let point = Name::given(Kind::Segment, &id.to_string());
        point::before(Operation::Open, &point);
        let attached = Attached::new(id).map_err(|source| IpcError::of(WHAT, id, source))?;
        Ok(Self { id, memory: Memory { point, bytes: Box::new(attached) }, maker: None })
    }

    /// Its number, by which other processes attach it.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Removes the segment (`shmctl` with `IPC_RMID`): those who have it attached keep it until they
    /// detach it.
    ///
    /// # Errors
    ///
    /// [`Gone`](IpcError::Gone), [`Refused`](IpcError::Refused).
    #[track_caller]
    pub fn remove(mut self) -> Result<(), IpcError> {
        point::before(Operation::Unlink, &self.memory.point);
        self.maker = None;
        sysv::remove_segment(self.id).map_err(|source| IpcError::of(WHAT, self.id, source))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // Not in a forked child that has a copy of the handle.
        if self.maker == Some(process::id()) {
            point::before(Operation::Unlink, &self.memory.point);
            // Somebody else may have removed it.
            let _ = sysv::remove_segment(self.id);
        }
    }
}

impl Deref for Segment {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.memory
    }
}

/// The bytes behind a descriptor, as memory (POSIX: `mmap`, after `shm_open`); unmapped when it is dropped.
///
/// What the descriptor comes from need not stay open. Whoever makes it shorter while it is mapped ends those
/// who touch what is gone, by a SIGBUS: map what relatives and trusted programs have made.
///
/// ```
/// use common::ipc::Mapping;
///
/// let file = tempfile::tempfile()?;
/// file.set_len(16)?;
/// let mapping = Mapping::new(&file, 16)?;
/// mapping.copy_in(4, b"here")?;
/// assert_eq!(mapping.get::<[u8; 4]>(4)?, *b"here");
/// # common::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Mapping {
    memory: Memory,
}

impl Mapping {
    /// Maps the first `len` bytes for reading and writing.
    ///
    /// # Errors
    ///
    /// [`TooShort`](IpcError::TooShort); [`NoSpace`](IpcError::NoSpace) where it cannot be mapped, such as what
    /// was opened for reading only.
    #[track_caller]
    pub fn new(file: impl AsFd, len: usize) -> Result<Self, IpcError> {
        let point = Name::new(Kind::Mapping);
        let no_space = |source| IpcError::NoSpace { what: "mapping", source };
        let has = memory::len(&file).map_err(no_space)?;
        if has < len {
            return Err(IpcError::TooShort { len, has });
        }
        let mapping = memory::Mapping::new(&file, len).map_err(no_space)?;
        Ok(Self { memory: Memory { point, bytes: Box::new(mapping) } })
    }
}

impl Deref for Mapping {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.memory
    }
}
