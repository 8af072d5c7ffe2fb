//! Memory with a name, which any process may open, a Python program too (in Python:
//! `multiprocessing.shared_memory`).
//!
//! [`SharedMemory`] is a block of bytes, [`ShareableList`] a list of a few plain values in one.
//! A name takes the place of a handle: a block travels to another process as its name, however that is
//! sent, and the other process opens it. `CPython` finds the same blocks under the same names.
//!
//! ```
//! use common::{Process, SharedMemory};
//!
//! fn add_one(block: SharedMemory) -> common::Result<()> {
//!     let mut numbers = [0i64; 3];
//!     block.copy_out(0, &mut numbers)?;
//!     block.copy_in(0, &numbers.map(|number| number + 1))?;
//!     Ok(())
//! }
//!
//! # common::init();
//! let block = SharedMemory::create(24)?;
//! block.copy_in(0, &[1i64, 2, 3])?;
//! let same = SharedMemory::open(block.name())?;
//! Process::new(add_one, same).start()?.join()?;
//! assert_eq!(block.to_vec::<i64>(0, 3)?, [2, 3, 4]);
//! block.unlink()?;
//! # common::Result::Ok(())
//! ```
//!
//! # The life of a block
//!
//! A block lives until its name is taken away ([`SharedMemory::unlink`], once, by anyone) and the last
//! process that has it open lets go of it. Dropping or closing a handle is only the latter.
//!
//! A program that is killed does not come to `unlink`. So a process that creates a block has it
//! tracked: a helper process, named `tracker` in `ps`, removes it when the last process of the family
//! (the main process and all that it and they have started) has ended, and says on standard error how
//! many it has removed. Who only opens a block never removes it by ending.
//!
//! | | removed by the end of |
//! | --- | --- |
//! | created | the family of its creator, if nobody has unlinked it before |
//! | created [`untracked`](Options::untracked) | nobody: it stays until it is unlinked, or the machine restarts |
//! | opened | nobody (a Python program that opens it, before 3.13 or without `track=False`, removes it when it ends) |
//!
//! # What others may do
//!
//! Everybody who runs as the same user can open a block by its name, write to it at any time, and make
//! it shorter. So there is no reference into it: values are copied in and out. A value that does not
//! cross a multiple of 8 bytes is read and written in one piece; for anything longer, or for more than
//! one step, agree on a lock. Touching what somebody has cut off is a SIGBUS, as for every mapped
//! file: memory that is shared with strangers is not for secrets, nor for programs that must not stop.
//!
//! | | reads |
//! | --- | --- |
//! | [`SharedMemory`], its options and errors | `mod.rs` |
//! | [`ShareableList`], its layout | `list.rs` |
//! | [`SharedMemoryManager`] | `manager.rs` |
//! | what removes the blocks of a program that was killed | `tracker.rs` |

mod list;
mod manager;
mod tracker;

pub use list::{ListError, ShareableList, ShareableValue};
pub use manager::SharedMemoryManager;

use crate::point::{self, Kind, Name, Operation};
use crate::shared::named::Named;
use crate::shared::register::{Entry, MAX_NAME};
use crate::shared::words::Mapped as _;
use crate::sys::{named, process};
use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::io;
use std::iter;

/// A block of memory with a name (in Python: `SharedMemory`).
///
/// Offsets and lengths are in bytes, except that slices count their elements. Dropping it closes it;
/// the block stays: see [`unlink`](SharedMemory::unlink). Each block that was opened takes a descriptor.
///
/// It is serialised as its name, by any serializer, and opened again where it arrives; there it is an
/// error if the block was unlinked meanwhile.
///
/// ```
/// use common::SharedMemory;
///
/// # common::init();
/// let block = SharedMemory::create(100)?;
/// assert!(block.name().starts_with("psm_"));
/// assert_eq!(block.len(), 100);
///
/// let other = SharedMemory::open(block.name())?;
/// other.set(4, 2.5f64)?;
/// assert_eq!(block.get::<f64>(4)?, 2.5);
///
/// block.unlink()?;
/// assert!(SharedMemory::open(block.name()).is_err());
/// # common::Result::Ok(())
/// ```
pub struct SharedMemory {
    name: String,
    point: Name,
    memory: Named,
    is_new: bool,
}

impl point::Named for SharedMemory {
    fn name(&self) -> &Name {
        &self.point
    }
}

/// Why shared memory could not be created, opened or unlinked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SharedMemoryError {
    /// A block of no bytes (in Python: `ValueError`).
    #[error("shared memory cannot have no bytes; ask for at least one")]
    NoBytes,
    /// No block can have this name.
    #[error("no shared memory can be named {name:?}: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// The name is taken (in Python: `FileExistsError`).
    #[error("there is shared memory named {name:?} already; open it, or choose another name")]
    AlreadyExists {
        /// The name.
        name: String,
    },
    /// No block has this name (in Python: `FileNotFoundError`).
    #[error(
        "there is no shared memory named {name:?}; it was never created, or is unlinked already"
    )]
    NotFound {
        /// The name.
        name: String,
    },
    /// The block has no bytes: another library is making it at this moment, or was killed over it.
    #[error("shared memory {name:?} has no bytes yet; try again when its creator has made it")]
    Empty {
        /// The name.
        name: String,
    },
    /// The machine, the container or the user's limits do not give as much.
    #[error(
        "{len} bytes of shared memory cannot be had: {source}; unlink what is not needed, see \
         df /dev/shm, or give the container more (docker run --shm-size=1g)"
    )]
    NoSpace {
        /// How many bytes were asked for.
        len: usize,
        /// What the system says.
        source: io::Error,
    },
    /// `main` did not begin with [`init`](crate::init), so there can be no tracker.
    #[error(
        "no tracked shared memory can be created before common::init(); make it the first line of \
         main, or create the memory untracked()"
    )]
    NotInitialised,
    /// There is no tracker, so nobody would remove the block of a program that is killed.
    #[error("the tracker of shared memory cannot be started: {0}; untracked() does without it")]
    Tracker(#[source] io::Error),
    /// The system refused.
    #[error("shared memory {name:?}: {source}")]
    Io {
        /// The name.
        name: String,
        /// What the system says.
        source: io::Error,
    },
}

/// An access that reaches beyond a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at offset {offset} do not lie in a block of {block} bytes")]
pub struct OutOfBounds {
    /// Where it begins.
    pub offset: usize,
    /// How many bytes it takes.
    pub len: usize,
    /// How many bytes the block has.
    pub block: usize,
}

impl SharedMemory {
    /// Creates a block of `len` bytes, all zero, under a name that nobody has: `psm_` and eight
    /// hexadecimal digits (in Python: `SharedMemory(create=True, size=len)`).
    ///
    /// Only this user can open it. Its pages are reserved at once, so a full /dev/shm is an error here
    /// and not a signal later.
    ///
    /// # Errors
    ///
    /// [`NoBytes`](SharedMemoryError::NoBytes), [`NoSpace`](SharedMemoryError::NoSpace),
    /// [`NotInitialised`](SharedMemoryError::NotInitialised),
    /// [`Tracker`](SharedMemoryError::Tracker), [`Io`](SharedMemoryError::Io).
    #[track_caller]
    pub fn create(len: usize) -> Result<Self, SharedMemoryError> {
        Self::options().create(len)
    }

    /// Creates a block under this name (in Python: `SharedMemory(name, create=True, size=len)`).
    ///
    /// A name has 1 to 255 bytes and no zero byte; one slash before it is left out, as Python
    /// does, and there is none inside.
    ///
    /// # Errors
    ///
    /// As for [`create`](SharedMemory::create), and [`BadName`](SharedMemoryError::BadName),
    /// [`AlreadyExists`](SharedMemoryError::AlreadyExists).
    #[track_caller]
    pub fn create_named(name: &str, len: usize) -> Result<Self, SharedMemoryError> {
        Self::options().create_named(name, len)
    }

    /// Opens the block of this name, whoever has created it (in Python: `SharedMemory(name)`).
    ///
    /// # Errors
    ///
    /// [`NotFound`](SharedMemoryError::NotFound), [`BadName`](SharedMemoryError::BadName),
    /// [`Empty`](SharedMemoryError::Empty), [`Io`](SharedMemoryError::Io).
    #[track_caller]
    pub fn open(name: &str) -> Result<Self, SharedMemoryError> {
        let name = checked(name)?.to_string();
        let point = Name::given(Kind::SharedMemory, &name);
        point::before(Operation::Open, &point);
        Self::arrived(name, point)
    }

    fn arrived(name: String, point: Name) -> Result<Self, SharedMemoryError> {
        match Named::open(&name) {
            Ok(memory) => Ok(Self { name, point, memory, is_new: false }),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::NotFound => SharedMemoryError::NotFound { name },
                io::ErrorKind::InvalidInput => SharedMemoryError::Empty { name },
                _ => SharedMemoryError::Io { name, source: error },
            }),
        }
    }

    /// More ways to create: see [`Options`].
    pub fn options() -> Options {
        Options { untracked: false }
    }

    /// Its name, by which any process opens it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has (in Python: `size`); exactly as many as were asked for.
    #[doc(alias = "size")]
    #[expect(clippy::len_without_is_empty, reason = "a block of no bytes does not exist")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.memory.len()
    }

    /// Whether this handle has created the block, and not opened what was there.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The value at `offset`, which need not be aligned (in Python: `buf`, a `memoryview`).
    ///
    /// Plain data: numbers, arrays of them, structs that derive `bytemuck::Pod`.
    ///
    /// ```
    /// # common::init();
    /// let block = common::SharedMemory::create(16)?;
    /// block.set(1, [7u16, 8])?;
    /// assert_eq!(block.get::<[u16; 2]>(1)?, [7, 8]);
    /// assert_eq!(block.get::<u8>(16).unwrap_err().block, 16);
    /// # block.unlink()?;
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`].
    #[doc(alias = "buf")]
    #[track_caller]
    pub fn get<T: Pod>(&self, offset: usize) -> Result<T, OutOfBounds> {
        point::before(Operation::Get, self);
        let mut value = T::zeroed();
        self.load(offset, bytemuck::bytes_of_mut(&mut value))?;
        Ok(value)
    }

    /// Puts a value at `offset`, which need not be aligned. What is around it stays as it is.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`]; nothing was written.
    #[track_caller]
    pub fn set<T: Pod>(&self, offset: usize, value: T) -> Result<(), OutOfBounds> {
        point::before(Operation::Set, self);
        self.store(offset, bytemuck::bytes_of(&value))
    }

    /// Copies `values` into the block, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`]; nothing was written.
    #[track_caller]
    pub fn copy_in<T: Pod>(&self, offset: usize, values: &[T]) -> Result<(), OutOfBounds> {
        point::before(Operation::Set, self);
        self.store(offset, bytemuck::cast_slice(values))
    }

    /// Copies from the block, from `offset` on, as many values as `values` has room for.
    ///
    /// ```
    /// # common::init();
    /// let block = common::SharedMemory::create(5)?;
    /// block.copy_in(0, b"howdy")?;
    /// let mut bytes = [0; 3];
    /// block.copy_out(1, &mut bytes)?;
    /// assert_eq!(&bytes, b"owd");
    /// # block.unlink()?;
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`].
    #[track_caller]
    pub fn copy_out<T: Pod>(&self, offset: usize, values: &mut [T]) -> Result<(), OutOfBounds> {
        point::before(Operation::Get, self);
        self.load(offset, bytemuck::cast_slice_mut(values))
    }

    /// A copy of `count` values from `offset` on.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`].
    #[track_caller]
    pub fn to_vec<T: Pod>(&self, offset: usize, count: usize) -> Result<Vec<T>, OutOfBounds> {
        point::before(Operation::Get, self);
        let len = count.saturating_mul(size_of::<T>());
        // Before the memory for them is asked for.
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(self.out_of_bounds(offset, len));
        }
        let mut values = vec![T::zeroed(); count];
        self.load(offset, bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }

    /// Closes this handle, as dropping it does; the block stays.
    #[track_caller]
    pub fn close(self) {
        point::before(Operation::Close, &self);
    }

    /// Takes the name away: nobody can open the block any more, and it is gone when the last who has
    /// it open closes it.
    ///
    /// To be called once; any process that has the block open may. A block of the same name that was
    /// created after this one is not touched.
    ///
    /// # Errors
    ///
    /// [`NotFound`](SharedMemoryError::NotFound) where it is unlinked already,
    /// [`Io`](SharedMemoryError::Io).
    #[track_caller]
    pub fn unlink(&self) -> Result<(), SharedMemoryError> {
        point::before(Operation::Unlink, self);
        unlink(&self.entry())
    }

    /// What a register knows it by.
    fn entry(&self) -> Entry {
        Entry { name: self.name.clone(), inode: self.memory.inode() }
    }

    fn load(&self, offset: usize, to: &mut [u8]) -> Result<(), OutOfBounds> {
        let len = to.len();
        if self.memory.load(offset, to) { Ok(()) } else { Err(self.out_of_bounds(offset, len)) }
    }

    fn store(&self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        if self.memory.store(offset, from) {
            Ok(())
        } else {
            Err(self.out_of_bounds(offset, from.len()))
        }
    }

    fn out_of_bounds(&self, offset: usize, len: usize) -> OutOfBounds {
        OutOfBounds { offset, len, block: self.len() }
    }
}

/// Ways to create a block: tracked or not, under which name, or only if there is none.
///
/// ```
/// use common::SharedMemory;
///
/// # common::init();
/// // Whoever comes first creates it; `open_or_create` has the same options.
/// let name = format!("counters-{}", std::process::id());
/// let first = SharedMemory::options().open_or_create(&name, 64)?;
/// let second = SharedMemory::options().open_or_create(&name, 64)?;
/// assert!(first.is_new() && !second.is_new());
/// second.unlink()?;
///
/// // Stays when this program is gone, until somebody unlinks it.
/// let kept = SharedMemory::options().untracked().create(64)?;
/// # kept.unlink()?;
/// # common::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a block is made by one of the methods that create"]
pub struct Options {
    untracked: bool,
}

impl Options {
    /// Nobody removes the block when this program ends without `unlink` (in Python: `track=False`).
    /// Works before [`init`](crate::init), too.
    #[doc(alias = "track")]
    pub fn untracked(self) -> Self {
        Self { untracked: true }
    }

    /// As [`SharedMemory::create`].
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::create`].
    #[track_caller]
    pub fn create(self, len: usize) -> Result<SharedMemory, SharedMemoryError> {
        self.make(Name::new(Kind::SharedMemory), generated(), len, &[])
    }

    /// As [`SharedMemory::create_named`].
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::create_named`].
    #[track_caller]
    pub fn create_named(self, name: &str, len: usize) -> Result<SharedMemory, SharedMemoryError> {
        self.make(will_be(name), iter::once(name.to_string()), len, &[])
    }

    /// Creates a block under the first of `names` that is free.
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::create_named`]; [`AlreadyExists`](SharedMemoryError::AlreadyExists)
    /// names the last of them.
    #[track_caller]
    pub fn create_first_free(
        self,
        names: impl IntoIterator<Item = String>,
        len: usize,
    ) -> Result<SharedMemory, SharedMemoryError> {
        self.make(Name::new(Kind::SharedMemory), names.into_iter(), len, &[])
    }

    /// Opens the block of this name, whatever its length, or creates it with `len` bytes.
    /// [`is_new`](SharedMemory::is_new) tells which.
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::create_named`] and [`SharedMemory::open`].
    #[track_caller]
    pub fn open_or_create(self, name: &str, len: usize) -> Result<SharedMemory, SharedMemoryError> {
        loop {
            // It may come and go in between.
            match SharedMemory::open(name) {
                Err(SharedMemoryError::NotFound { .. }) => {}
                other => return other,
            }
            match self.create_named(name, len) {
                Err(SharedMemoryError::AlreadyExists { .. }) => {}
                other => return other,
            }
        }
    }

    /// A block of `len` bytes that begins with `content`, under the first of `names` that is free.
    fn make(
        self,
        point: Name,
        names: impl Iterator<Item = String>,
        len: usize,
        content: &[u8],
    ) -> Result<SharedMemory, SharedMemoryError> {
        if len == 0 {
            return Err(SharedMemoryError::NoBytes);
        }
        let mut made = None;
        let mut taken = String::new();
        for name in names {
            let name = checked(&name)?.to_string();
            let failed = |source: io::Error| match source.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge
                | io::ErrorKind::OutOfMemory => SharedMemoryError::NoSpace { len, source },
                _ => SharedMemoryError::Io { name: name.clone(), source },
            };
            let (memory, file) = match made.take() {
                Some(made) => made,
                None => Named::new(len, content).map_err(failed)?,
            };
            let entry = Entry { name: name.clone(), inode: memory.inode() };
            if !self.untracked {
                tracker::list(&entry)?;
            }
            match named::link(&file, &name) {
                Ok(()) => return Ok(SharedMemory { name, point, memory, is_new: true }),
                Err(error) => {
                    tracker::strike(&entry);
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        return Err(failed(error));
                    }
                    taken = name;
                }
            }
            made = Some((memory, file));
        }
        Err(SharedMemoryError::AlreadyExists { name: taken })
    }
}

/// The name of a block that is about to be created under a name of the program's own.
#[track_caller]
fn will_be(name: &str) -> Name {
    let point = Name::given(Kind::SharedMemory, name.strip_prefix('/').unwrap_or(name));
    point::before(Operation::Create, &point);
    point
}

/// Takes the name off a block.
fn unlink(entry: &Entry) -> Result<(), SharedMemoryError> {
    let name = entry.name.clone();
    match named::unlink(&name, entry.inode) {
        Ok(was_there) => {
            tracker::strike(entry);
            if was_there { Ok(()) } else { Err(SharedMemoryError::NotFound { name }) }
        }
        Err(source) => Err(SharedMemoryError::Io { name, source }),
    }
}

/// Names as Python makes them, for as long as the system has random numbers.
fn generated() -> impl Iterator<Item = String> {
    iter::from_fn(|| {
        let number = u32::from_ne_bytes(process::random::<4>().ok()?);
        Some(format!("psm_{number:08x}"))
    })
}

/// The name without the slash that may stand before it, if a block can have it.
fn checked(name: &str) -> Result<&str, SharedMemoryError> {
    let plain = name.strip_prefix('/').unwrap_or(name);
    let reason = match plain {
        "" => "it is empty",
        "." | ".." => "it stands for a folder",
        _ if plain.contains('\0') => "it has a zero byte in it",
        _ if plain.contains('/') => "it has a slash in it",
        _ if plain.len() > MAX_NAME => "it has more than 255 bytes",
        _ => return Ok(plain),
    };
    Err(SharedMemoryError::BadName { name: name.to_string(), reason })
}

/// `SharedMemory("psm_0a1b2c3d", 512 bytes)`.
impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedMemory({:?}, {} bytes)", self.name, self.len())
    }
}

/// Its name.
impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.name.serialize(serializer);
        }
        // A message takes along what the points call it.
        (&self.name, &self.point).serialize(serializer)
    }
}

/// Opens the block of the name.
impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, point) = if deserializer.is_human_readable() {
            let name = String::deserialize(deserializer)?;
            let point = Name::given(Kind::SharedMemory, &name);
            (name, point)
        } else {
            Deserialize::deserialize(deserializer)?
        };
        let name = checked(&name).map_err(de::Error::custom)?.to_string();
        Self::arrived(name, point).map_err(de::Error::custom)
    }
}
