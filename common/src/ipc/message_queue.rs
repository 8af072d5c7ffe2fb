//! System V message queues.

use super::IpcError;
use crate::point::{self, Kind, Name, Operation};
use crate::sys::sysv::{self, Patience};
use std::process;

const WHAT: &str = "message queue";

/// A message queue of the kernel (System V: `msgget`, `msgsnd`, `msgrcv`, `msgctl`).
///
/// It has a number, by which any process of this user uses it; it keeps messages also while no process has
/// anything to do with it. Each message is of a kind, a number above 0, and can be asked for by that.
///
/// The process that has made it removes it when it drops its handle. It does not travel by itself: send its
/// [`id`](MessageQueue::id).
///
/// ```
/// use common::Process;
/// use common::ipc::MessageQueue;
///
/// fn worker(id: i32) -> common::Result<()> {
///     MessageQueue::open(id)?.send(7, b"done")?;
///     Ok(())
/// }
///
/// # common::init();
/// let queue = MessageQueue::create()?;
/// Process::new(worker, queue.id()).start()?.join()?;
/// let message = queue.receive()?;
/// assert_eq!((message.kind, &message.bytes[..]), (7, &b"done"[..]));
/// # common::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct MessageQueue {
    id: i32,
    point: Name,
    /// The process that has made it; none where it was only opened.
    maker: Option<u32>,
}

/// What was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Of which kind it is; at least 1.
    pub kind: i64,
    /// What it says.
    pub bytes: Vec<u8>,
}

impl point::Named for MessageQueue {
    fn name(&self) -> &Name {
        &self.point
    }
}

impl MessageQueue {
    /// Makes a queue that only this user may use (`msgget` with `IPC_PRIVATE`).
    ///
    /// # Errors
    ///
    /// [`NoSpace`](IpcError::NoSpace) where the kernel has as many as it may.
    #[track_caller]
    pub fn create() -> Result<Self, IpcError> {
        let no_space = |source| IpcError::NoSpace { what: WHAT, source };
        let id = sysv::new_queue().map_err(no_space)?;
        let point = Name::given(Kind::MessageQueue, &id.to_string());
        point::before(Operation::Create, &point);
        Ok(Self { id, point, maker: Some(process::id()) })
    }

    /// Opens the queue with this number, whoever has made it.
    ///
    /// # Errors
    ///
    /// [`Gone`](IpcError::Gone), [`Refused`](IpcError::Refused) where it is another user's.
    #[track_caller]
    pub fn open(id: i32) -> Result<Self, IpcError> {
        let point = Name::given(Kind::MessageQueue, &id.to_string());
        point::before(Operation::Open, &point);
        sysv::find_queue(id).map_err(|source| IpcError::of(WHAT, id, source))?;
        Ok(Self { id, point, maker: None })
    }

    /// Its number, by which other processes open it.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Puts a message of a kind into the queue (`msgsnd`); waits while the queue is full.
    ///
    /// # Errors
    ///
    /// [`BadKind`](IpcError::BadKind), [`TooLong`](IpcError::TooLong), [`Gone`](IpcError::Gone) also where it is
    /// removed while this waits.
    #[track_caller]
    pub fn send(&self, kind: i64, message: &[u8]) -> Result<(), IpcError> {
        point::before(Operation::Send, self);
        self.put(kind, message, Patience::Waits).map(drop)
    }

    /// As [`send`](MessageQueue::send), and says whether there was room instead of waiting for it.
    ///
    /// # Errors
    ///
    /// As for [`send`](MessageQueue::send).
    #[track_caller]
    pub fn try_send(&self, kind: i64, message: &[u8]) -> Result<bool, IpcError> {
        point::before(Operation::Send, self);
        self.put(kind, message, Patience::None)
    }

    fn put(&self, kind: i64, message: &[u8], patience: Patience) -> Result<bool, IpcError> {
        if kind < 1 {
            return Err(IpcError::BadKind(kind));
        }
        match sysv::send(self.id, kind, message, patience) {
            Ok(()) => Ok(true),
            Err(error) if sysv::would_wait(&error) => Ok(false),
            // For a message that is too long the kernel says what it says for a queue that is not there.
            Err(error) if sysv::is_gone(&error) && sysv::find_queue(self.id).is_ok() => {
                Err(IpcError::TooLong { len: message.len() })
            }
            Err(error) => Err(IpcError::of(WHAT, self.id, error)),
        }
    }

    /// Takes the oldest message, of whatever kind (`msgrcv`); waits for one, however long that takes: a queue
    /// does not tell whether anybody will send.
    ///
    /// # Errors
    ///
    /// [`Gone`](IpcError::Gone) also where it is removed while this waits.
    #[track_caller]
    pub fn receive(&self) -> Result<Message, IpcError> {
        self.receive_of(0)
    }

    /// Takes the oldest message of a kind; of any for 0, and for `-n` the oldest of the lowest kind up to `n`.
    /// Waits for one.
    ///
    /// # Errors
    ///
    /// As for [`receive`](MessageQueue::receive).
    #[track_caller]
    pub fn receive_of(&self, kind: i64) -> Result<Message, IpcError> {
        point::before(Operation::Recv, self);
        let gone = || IpcError::Gone { what: WHAT, id: self.id };
        self.take(kind, Patience::Waits)?.ok_or_else(gone)
    }

    /// As [`receive_of`](MessageQueue::receive_of), and `None` instead of waiting.
    ///
    /// # Errors
    ///
    /// As for [`receive_of`](MessageQueue::receive_of).
    #[track_caller]
    pub fn try_receive_of(&self, kind: i64) -> Result<Option<Message>, IpcError> {
        point::before(Operation::Recv, self);
        self.take(kind, Patience::None)
    }

    fn take(&self, kind: i64, patience: Patience) -> Result<Option<Message>, IpcError> {
        match sysv::receive(self.id, kind, patience) {
            Ok((kind, bytes)) => Ok(Some(Message { kind, bytes })),
            Err(error) if sysv::would_wait(&error) => Ok(None),
            Err(error) => Err(IpcError::of(WHAT, self.id, error)),
        }
    }

    /// Removes the queue and what is in it (`msgctl` with `IPC_RMID`); whoever waits there is told.
    ///
    /// # Errors
    ///
    /// [`Gone`](IpcError::Gone), [`Refused`](IpcError::Refused).
    #[track_caller]
    pub fn remove(mut self) -> Result<(), IpcError> {
        point::before(Operation::Unlink, &self);
        self.maker = None;
        sysv::remove_queue(self.id).map_err(|source| IpcError::of(WHAT, self.id, source))
    }
}

impl Drop for MessageQueue {
    fn drop(&mut self) {
        // Not in a forked child that has a copy of the handle.
        if self.maker == Some(process::id()) {
            point::before(Operation::Unlink, &*self);
            // Somebody else may have removed it.
            let _ = sysv::remove_queue(self.id);
        }
    }
}
