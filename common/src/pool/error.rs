//! What can go wrong with a pool, with one of its tasks, with many.

use crate::codec::EncodeError;
use crate::process::{Exit, StartError};
use std::fmt;
use std::io;

/// Why a pool could not take on work, or be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// A pool of no workers was asked for.
    #[error("a pool needs at least one worker")]
    NoWorkers,
    /// Chunks of no tasks were asked for, or workers that do no task.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// A worker could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An input has no encoding, or holds a handle.
    #[error("input {index}: {source}")]
    Input {
        /// Which one, from 0.
        index: usize,
        /// Why not.
        source: EncodeError,
    },
    /// The function is not code of this executable.
    #[error("the function lies in a dynamic library; name a function of this program")]
    ForeignTarget,
    /// The pool takes no tasks any more (in Python: `ValueError`, "Pool not running").
    #[error("the pool is {0} and takes no tasks any more; make a new one")]
    NotRunning(&'static str),
    /// The pool still takes tasks (in Python: `ValueError`, "Pool is still running").
    #[error("the pool still takes tasks; close() or terminate() it before join()")]
    StillRunning,
    /// This process is a fork of the one whose pool it is.
    #[error("the pool belongs to another process; make one in this process")]
    Inherited,
    /// The pool cannot go on.
    #[error("the pool is broken: {0}")]
    Broken(TaskError),
    /// The system refused.
    #[error("the pool could not go on: {0}")]
    Io(#[from] io::Error),
}

/// Why one task has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked. The worker goes on.
    #[error("the task panicked at {place}: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
        /// `file:line:column`.
        place: String,
    },
    /// The worker died while it had the task.
    #[error(
        "worker {worker:?} (pid {pid}) {exit}; its task is lost, and the pool has started \
             another worker"
    )]
    Lost {
        /// The worker's name.
        worker: String,
        /// The worker's process id.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// A worker died, and with it the executor, which does not replace workers (in Python:
    /// `BrokenProcessPool`).
    #[error(
        "worker {worker:?} (pid {pid}) {exit}, and the executor ended with it; make a new one, or one \
         that replaces its workers"
    )]
    BrokenExecutor {
        /// The worker's name.
        worker: String,
        /// The worker's process id.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// Worker after worker ended before it could take a task.
    #[error(
        "{count} workers in a row ended before they took a task, the last {exit}; does the \
             program's main begin with common::init(), and does the initializer return?"
    )]
    WorkersEnd {
        /// How many.
        count: usize,
        /// How the last one ended.
        exit: Exit,
    },
    /// No worker could be started any more.
    #[error("no worker is left, and no other can be started: {0}")]
    NoWorkers(String),
    /// The argument could not be decoded in the worker.
    #[error("the argument could not be read: {0}")]
    Argument(String),
    /// The result has no encoding, or there was no memory for it.
    #[error("the result could not be handed over: {0}")]
    Result(String),
    /// The pool was terminated, or dropped, before the task was done.
    #[error("the pool was ended before the task was done; close() and join() it instead")]
    Terminated,
    /// The results have not come in the time that was set for all of them (in Python: `TimeoutError`).
    #[error("the result has not come in time; set a longer limit")]
    TimedOut,
    /// The task was cancelled (in Python: `CancelledError`).
    #[error("the task was cancelled")]
    Cancelled,
}

/// What a task has that its pool could not give out.
impl From<PoolError> for TaskError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Broken(error) => error,
            PoolError::NotRunning(_) => Self::Terminated,
            PoolError::Input { source, .. } => Self::Argument(source.to_string()),
            other => Self::Argument(other.to_string()),
        }
    }
}

/// Why a single call has no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The task failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The pool did not take the task.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Why a `map` has not given all its results.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum MapError<R> {
    /// Some tasks failed; the results that there are stand in their places.
    #[error("{} of {} tasks failed; the first: {}", failed(.0).count(), .0.len(), first(.0))]
    Tasks(Vec<Result<R, TaskError>>),
    /// The pool could not do its work.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

fn failed<R>(results: &[Result<R, TaskError>]) -> impl Iterator<Item = &TaskError> {
    results.iter().filter_map(|result| result.as_ref().err())
}

fn first<R>(results: &[Result<R, TaskError>]) -> String {
    failed(results).next().map(ToString::to_string).unwrap_or_default()
}

impl<R> fmt::Debug for MapError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
