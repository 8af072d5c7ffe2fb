//! Log records of all processes of a program (in Python: `get_logger`, `log_to_stderr`, `QueueHandler` and
//! `QueueListener`).
//!
//! Records are those of the [`log`] crate, whatever library makes them. A child has no logger of its own;
//! what it logs goes where this process has said, before the child was started:
//!
//! | after | a child's records go to |
//! | --- | --- |
//! | nothing | nobody |
//! | [`log_to_stderr`] | its standard error, as `[INFO/Process-1] text` |
//! | [`gather`] | the logger of this process, whichever it is |
//! | [`gather_to`] | a logger that this process does not have yet |
//!
//! The level travels with the child, and so does all of this to the child's children.
//!
//! ```text
//!   child 1: log::info!(..) ──put──▶ ┌───────────┐
//!                                    │  a queue  │ ──▶ a thread of this process ──▶ its logger
//!   child 2: log::info!(..) ──put──▶ └───────────┘
//! ```
//!
//! What a child has logged is in the queue when the macro returns, so it arrives also when the child is
//! killed next. The records of one process arrive in their order. Each says whose it is: [`Origin::of`].
//!
//! # tracing
//!
//! With the feature `tracing`, events of the `tracing` crate in children are such records too. In this
//! process they are handed to its logger inside a span `process` with the fields `name`, `pid` and `time`; a
//! subscriber that takes records of `log`, as that of `tracing_subscriber::fmt().init()` does, shows all three.
//!
//! # Where it ends
//!
//! * When this process ends by itself, it waits until all records are handed on; when it is killed, its
//!   children say so and log on standard error.
//! * A logger that takes longer than its children log makes them wait: 65,536 records may lie in the queue,
//!   and a second later they log on standard error.
//! * A child that has its records sent has a logger by that; one more that it installs itself is refused by
//!   `log`, unless it comes by [`gather_to`].
//! * A forked child has a copy of its parent's logger. That of `gather_to` passes records on; another one
//!   does in the child what it does in the parent. And a process that gathers has two threads, so it must not
//!   be forked without [`even_with_threads`](crate::Process::even_with_threads).
//!
//! # What this crate logs
//!
//! At debug level, under the target `common`: that a process has started, how it has exited, that a pool
//! replaces a worker.
//!
//! ```
//! use common::Process;
//! use common::logging::{self, Writer};
//!
//! # common::init();
//! logging::gather_to(Writer::new(std::io::stdout()), log::LevelFilter::Info)?;
//! let child = Process::new(|()| log::info!("hello"), ()).start()?;
//! assert!(child.join()?.is_success());
//! // [INFO/Process-1] hello
//! # common::Result::Ok(())
//! ```

mod gatherer;
mod record;
mod router;
mod writer;

pub use record::Origin;
pub(crate) use router::{Plan, begin, hold, plan};
pub use writer::Writer;

use log::{LevelFilter, Log};
use std::io;

/// Logs what this crate does, unless the process is at its end: loggers may be gone then.
macro_rules! event {
    ($($text:tt)*) => {
        if !$crate::process::is_leaving() {
            ::log::debug!(target: "common", $($text)*);
        }
    };
}
pub(crate) use event;

/// Why records cannot be logged as asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoggingError {
    /// A program has one logger, and it has another one.
    #[error(
        "this program has a logger already; to have the records of its children go there, call \
         common::logging::gather()"
    )]
    OtherLogger,
    /// There is no memory for the records, or no thread to hand them on.
    #[error("records cannot be gathered: {0}")]
    Io(#[from] io::Error),
}

/// Writes the records of this process, and of all children that it starts from now on, to standard error, as
/// `[INFO/Process-1] text` (in Python: `log_to_stderr`). What is below `level` is silent.
///
/// Each process writes its own, one line at a time. Where standard error is closed, they are lost.
///
/// ```
/// common::init();
/// common::log_to_stderr(log::LevelFilter::Info)?;
/// log::info!("to be seen");
/// # common::Result::Ok(())
/// ```
///
/// # Errors
///
/// [`LoggingError::OtherLogger`].
pub fn log_to_stderr(level: LevelFilter) -> Result<(), LoggingError> {
    router::to_stderr(level)
}

/// Has the records of all children that are started from now on handed to the logger of this process, which
/// may be installed before or after.
///
/// They arrive on a thread of this process; what is below the level of this process when a child is started
/// ([`log::max_level`]) does not leave the child.
///
/// # Errors
///
/// [`LoggingError::Io`].
pub fn gather() -> Result<(), LoggingError> {
    router::gather(gatherer::start()?);
    Ok(())
}

/// The same for a process that has no logger: it gets this one.
///
/// # Errors
///
/// See [`LoggingError`].
pub fn gather_to(logger: impl Log + 'static, level: LevelFilter) -> Result<(), LoggingError> {
    router::install(logger, level)?;
    gather()
}

/// Waits until all records that children have logged by now are handed to the logger of this process, and has
/// that write what it holds back.
pub fn flush() {
    gatherer::flush();
    log::logger().flush();
}
