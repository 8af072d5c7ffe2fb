//! System V message queues and shared memory: objects of the kernel with a number, which stay until somebody
//! removes them.
//!
//! # System calls
//!
//! `msgget(2)`, `msgsnd(2)`, `msgrcv(2)`, `msgctl(2)`; `shmget(2)`, `shmat(2)`, `shmdt(2)`, `shmctl(2)`. An
//! overview is `sysvipc(7)`.

use super::{checked, retry};
use nix::errno::Errno;
use std::ffi::{c_int, c_long};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// What a new object may be done with: its owner may read and write.
const OWNER: c_int = 0o600;

/// How much room a message gets that was not seen yet; as much as one may have unless the machine was told
/// otherwise.
const ROOM: usize = 8192;

/// Whether an object with the number that was given is not there, or was removed meanwhile.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIDRM | libc::EINVAL))
}

/// Whether a call that must not wait would have to.
pub(crate) fn would_wait(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMSG))
}

/// A new message queue, which nobody finds by a key.
pub(crate) fn new_queue() -> io::Result<i32> {
    // SAFETY: msgget takes no address.
    let id = unsafe { libc::msgget(libc::IPC_PRIVATE, libc::IPC_CREAT | OWNER) };
    Ok(Errno::result(id)?)
}

/// Whether there is such a message queue, and this user may read what the system says of it.
pub(crate) fn find_queue(id: i32) -> io::Result<()> {
    let mut state = MaybeUninit::<libc::msqid_ds>::uninit();
    // SAFETY: IPC_STAT writes one msqid_ds, for which there is room.
    let result = unsafe { libc::msgctl(id, libc::IPC_STAT, state.as_mut_ptr()) };
    Errno::result(result)?;
    Ok(())
}

/// Whether a call waits for room or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Waits,
    None,
}

impl Patience {
    fn flags(self) -> c_int {
        match self {
            Self::Waits => 0,
            Self::None => libc::IPC_NOWAIT,
        }
    }
}

/// Puts a message of a kind above 0 into a queue.
pub(crate) fn send(id: i32, kind: c_long, message: &[u8], patience: Patience) -> io::Result<()> {
    let mut buffer = buffer(message.len());
    buffer[0] = kind;
    bytemuck::cast_slice_mut::<c_long, u8>(&mut buffer[1..])[..message.len()]
        .copy_from_slice(message);
    // SAFETY: the buffer has a kind and, behind it, as many bytes as the message.
    let call =
        || unsafe { libc::msgsnd(id, buffer.as_ptr().cast(), message.len(), patience.flags()) };
    retry(|| Errno::result(call())).map(drop)
}

/// Takes the first message of a kind (0: of any; below: of the lowest kind up to that) out of a queue.
pub(crate) fn receive(id: i32, kind: c_long, patience: Patience) -> io::Result<(c_long, Vec<u8>)> {
    let flags = patience.flags();
    let mut room = ROOM;
    loop {
        let mut buffer = buffer(room);
        // SAFETY: the buffer has room for a kind and `room` bytes behind it.
        let mut call =
            || unsafe { libc::msgrcv(id, buffer.as_mut_ptr().cast(), room, kind, flags) };
        match retry(|| checked(call() as c_long)) {
            // The message stays where it is, and may be the next one's then.
            Err(error) if error.raw_os_error() == Some(libc::E2BIG) => room *= 2,
            Err(error) => return Err(error),
            Ok(len) => {
                let bytes = &bytemuck::cast_slice::<c_long, u8>(&buffer[1..])[..len as usize];
                return Ok((buffer[0], bytes.to_vec()));
            }
        }
    }
}

/// Room for a kind and a message of `len` bytes.
fn buffer(len: usize) -> Vec<c_long> {
    vec![0; 1 + len.div_ceil(size_of::<c_long>())]
}

/// Removes a message queue and what is in it; whoever waits there is told.
pub(crate) fn remove_queue(id: i32) -> io::Result<()> {
    // SAFETY: IPC_RMID looks at no address.
    let result = unsafe { libc::msgctl(id, libc::IPC_RMID, ptr::null_mut()) };
    Errno::result(result)?;
    Ok(())
}

/// A new segment of `len` bytes, all zero, which nobody finds by a key.
pub(crate) fn new_segment(len: usize) -> io::Result<i32> {
    // SAFETY: shmget takes no address.
    let id = unsafe { libc::shmget(libc::IPC_PRIVATE, len, libc::IPC_CREAT | OWNER) };
    Ok(Errno::result(id)?)
}

/// Marks a segment as to be removed with the last process that has it attached.
pub(crate) fn remove_segment(id: i32) -> io::Result<()> {
    // SAFETY: IPC_RMID looks at no address.
    let result = unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) };
    Errno::result(result)?;
    Ok(())
}

/// A segment as this process sees it; detached when dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is an address range of the process, no thread owns it.
unsafe impl Send for Attached {}
// SAFETY: the range itself never changes; who reads and writes the bytes is for `shared` to order.
unsafe impl Sync for Attached {}

impl Attached {
    /// Attaches a segment where the kernel finds room.
    pub(crate) fn new(id: i32) -> io::Result<Self> {
        // SAFETY: the kernel chooses a free range, so nothing that exists is mapped over.
        let start = unsafe { libc::shmat(id, ptr::null(), 0) };
        checked(start as c_long)?;
        let start = NonNull::new(start.cast()).ok_or(Errno::ENOMEM)?;
        // From here on it is detached whatever happens.
        let mut attached = Self { start, len: 0 };
        let mut state = MaybeUninit::<libc::shmid_ds>::uninit();
        // SAFETY: IPC_STAT writes one shmid_ds, for which there is room.
        let result = unsafe { libc::shmctl(id, libc::IPC_STAT, state.as_mut_ptr()) };
        Errno::result(result)?;
        // SAFETY: the call has succeeded, so the kernel has written it.
        attached.len = unsafe { state.assume_init() }.shm_segsz;
        Ok(attached)
    }

    /// The first byte. Valid for `len` bytes for as long as the segment is attached.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes the segment has.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: the address is the one that shmat gave, and whatever borrowed from it is gone.
        let result = unsafe { libc::shmdt(self.start.as_ptr().cast()) };
        debug_assert!(result == 0, "what shmat gave can be detached");
    }
}
