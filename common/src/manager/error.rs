//! What can go wrong between a proxy and its object.

use crate::codec::{DecodeError, EncodeError};
use crate::process::StartError;
use crate::sys::socket;
use std::io;

/// Why a manager, or a proxy of one of its objects, could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The server is not there any more: it was shut down, or its process was killed (in Python:
    /// `BrokenPipeError`, `ConnectionRefusedError`, `EOFError`).
    #[error("the manager has ended, and its objects with it; start a new one")]
    Ended,
    /// This process is a fork that was not given the proxy.
    #[error("this process was not given the proxy; put it into the argument of the Process")]
    NotGiven,
    /// The server could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It was to be served at an address to anybody.
    #[error("a manager is served to those who know a key only; give the listener an authkey()")]
    NoKey,
    /// It could not be served at the address.
    #[error("the manager could not be served: {0}")]
    NotServed(String),
    /// The value has no encoding, or holds a handle that is no proxy.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// What the server has is of another type than was asked for.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no element of this number (in Python: `IndexError`).
    #[error("there is no element {index}; there are {len}")]
    OutOfRange {
        /// Which one was asked for, from 0.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// The object is not there any more: somebody has kept its number and not a proxy of it.
    #[error("the manager has no such object (any more); keep a proxy of it")]
    NoObject,
    /// The object has no method of this name.
    #[error("a {kind:?} has no method {method:?}; see where its type is registered")]
    NoMethod {
        /// The type, by its registered name.
        kind: String,
        /// The method.
        method: String,
    },
    /// No type of this name is registered.
    #[error("no type is registered as {0:?}; register it when the manager is built")]
    NoType(String),
    /// Nothing of this name is published.
    #[error("nothing is published as {0:?}; publish it first")]
    NoName(String),
    /// A name is too long to be published under.
    #[error("a name of {0} bytes is too long; 255 are the limit")]
    LongName(usize),
    /// The object is another manager's.
    #[error("the object is another manager's; publish it there")]
    OtherManager,
    /// A published object is of another kind.
    #[error("what is published as {name:?} is a {kind:?}")]
    OtherKind {
        /// Under which name.
        name: String,
        /// What it is.
        kind: String,
    },
    /// The lock is not held, or by another process or thread (in Python: `RuntimeError`).
    #[error("the lock is not held by this thread; acquire it first")]
    NotOwner,
    /// A bounded semaphore has all its permits already (in Python: `ValueError`).
    #[error("all {0} permits of the semaphore are there; release what was acquired, once")]
    OverRelease(u32),
    /// A party of the barrier was too late, has gone, or aborted it (in Python: `BrokenBarrierError`).
    #[error("the barrier is broken; reset it")]
    BrokenBarrier,
    /// As many items wait as may, and that did not change in time (in Python: `queue.Full`).
    #[error("the queue is full: {0} items wait; get some, or wait longer")]
    Full(usize),
    /// Nothing waits, and that did not change in time (in Python: `queue.Empty`).
    #[error("the queue is empty; put something, or wait longer")]
    Empty,
    /// The queue was shut down (in Python: `queue.ShutDown`).
    #[error("the queue is shut down")]
    ShutDown,
    /// `task_done` was called more often than items were taken (in Python: `ValueError`).
    #[error("all items that were taken are done already; call task_done() once for each")]
    NothingInHand,
    /// A method has panicked, or could not do its work (in Python: `RemoteError`).
    #[error("it failed in the manager: {0}")]
    Failed(String),
    /// A method could not read its argument.
    #[error("the manager could not read the argument: {0}")]
    Argument(String),
    /// A function travels to a manager of the same program only, on this machine.
    #[error("the manager is another program and cannot call this function; use plain calls")]
    OtherProgram,
    /// The system refused.
    #[error("the manager could not be reached: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for ManagerError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected};
        match error.kind() {
            BrokenPipe | ConnectionRefused | ConnectionReset | NotConnected => Self::Ended,
            io::ErrorKind::UnexpectedEof => Self::Ended,
            _ if socket::is_nowhere(&error) => Self::NotGiven,
            _ => Self::Io(error),
        }
    }
}
