//! Every error of this crate in one type, for a `main` that returns [`Result`].

use crate::array::OutOfRange;
use crate::connection::{AcceptError, ConnectError, ListenError};
use crate::connection::{RecvError, RecvIntoError, SendError};
use crate::executor::ResultTimeoutError;
use crate::ipc::IpcError;
use crate::logging::LoggingError;
use crate::manager::ManagerError;
use crate::pool::{CallError, GetTimeoutError, MapError, PoolError, TaskError};
use crate::process::{JoinError, StartError, StartMethodAlreadySet, StillRunning};
use crate::queue::{GetError, NothingInHand, PutError, PutRefusal};
use crate::shared_memory::{ListError, OutOfBounds, SharedMemoryError};
use crate::sync::{BrokenBarrier, NotOwner, OverRelease};
use std::fmt;
use std::io;

/// What `main` and the functions that only pass errors on return.
pub type Result<T> = std::result::Result<T, Error>;

/// Any error of this crate.
///
/// Its debug text is its message, because that is what Rust prints when `main` returns it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A process could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A process could not be waited for.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The default start method was fixed before.
    #[error(transparent)]
    StartMethod(#[from] StartMethodAlreadySet),
    /// A process was closed that still runs.
    #[error(transparent)]
    StillRunning(#[from] StillRunning),
    /// A message could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Nobody can come to an address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Nobody was accepted.
    #[error(transparent)]
    Accept(#[from] AcceptError),
    /// There is no connection to an address.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No message was received.
    #[error(transparent)]
    Recv(#[from] RecvError),
    /// No message was received into a buffer.
    #[error(transparent)]
    RecvInto(#[from] RecvIntoError),
    /// Shared memory could not be created, opened or unlinked.
    #[error(transparent)]
    SharedMemory(#[from] SharedMemoryError),
    /// An object of the kernel could not be made or used.
    #[error(transparent)]
    Ipc(#[from] IpcError),
    /// An access beyond a block of shared memory.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// An element that an array does not have.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// A shareable list or an item of it could not be used.
    #[error(transparent)]
    List(#[from] ListError),
    /// A lock was released by one who does not hold it.
    #[error(transparent)]
    NotOwner(#[from] NotOwner),
    /// A semaphore was released too often.
    #[error(transparent)]
    OverRelease(#[from] OverRelease),
    /// A barrier broke.
    #[error(transparent)]
    BrokenBarrier(#[from] BrokenBarrier),
    /// Log records cannot be logged as asked for.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// Nothing was put into a queue.
    #[error(transparent)]
    Put(PutRefusal),
    /// An item was done that nobody had in hand.
    #[error(transparent)]
    NothingInHand(#[from] NothingInHand),
    /// Nothing was got from a queue.
    #[error(transparent)]
    Get(#[from] GetError),
    /// A manager, or an object of it, could not be used.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// A pool could not do its work.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A call that a pool or executor had made has failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Calls of a `map` have failed; this is the first of them.
    #[error("{failed} of {total} tasks failed; task {index}: {first}")]
    Tasks {
        /// How many failed.
        failed: usize,
        /// How many there were.
        total: usize,
        /// Which one failed first, in the order of the inputs.
        index: usize,
        /// Why.
        first: TaskError,
    },
    /// A plot could not be drawn or saved.
    #[cfg(feature = "plot")]
    #[error(transparent)]
    Plot(#[from] crate::plot::PlotError),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The item is dropped.
impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Self {
        Self::Put(error.reason)
    }
}

impl From<PutRefusal> for Error {
    fn from(reason: PutRefusal) -> Self {
        Self::Put(reason)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Task(error) => Self::Task(error),
            CallError::Pool(error) => Self::Pool(error),
        }
    }
}

/// The result that was waited for is dropped.
impl<T, E: Into<Error>> From<GetTimeoutError<T, E>> for Error {
    fn from(error: GetTimeoutError<T, E>) -> Self {
        match error {
            GetTimeoutError::TimedOut(_) => Self::Task(TaskError::TimedOut),
            GetTimeoutError::Failed(error) => error.into(),
        }
    }
}

/// The future that was waited for is dropped.
impl<R> From<ResultTimeoutError<R>> for Error {
    fn from(error: ResultTimeoutError<R>) -> Self {
        match error {
            ResultTimeoutError::TimedOut(_) => Self::Task(TaskError::TimedOut),
            ResultTimeoutError::Failed(error) => Self::Task(error),
        }
    }
}

impl<R> From<MapError<R>> for Error {
    fn from(error: MapError<R>) -> Self {
        let results = match error {
            MapError::Pool(error) => return Self::Pool(error),
            MapError::Tasks(results) => results,
        };
        let total = results.len();
        let mut errors = results
            .into_iter()
            .enumerate()
            .filter_map(|(index, result)| Some((index, result.err()?)));
        match errors.next() {
            Some((index, first)) => Self::Tasks { failed: 1 + errors.count(), total, index, first },
            None => {
                Self::Pool(PoolError::Io(io::Error::other("a map failed without a failed task")))
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
