//! A process that was started: wait for it, ask how it is.
//!
//! Its exit is watched by a pidfd, so no thread is needed and any number may wait; it is collected
//! once, by whoever notices first, and remembered.

use crate::sys::process::{self, Ended};
use crate::sys::signal;
use crate::sys::socket::{self, Interest};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It left with this code; 0 means success, and a panic gives 101.
    Code(i32),
    /// This signal ended it; 9 is `SIGKILL`.
    Signal(i32),
}

impl Exit {
    /// Whether it left with code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// The code it left with, or `None` where a signal ended it.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) => None,
        }
    }

    /// Python's number: the code, or the signal as a negative number.
    #[must_use]
    pub fn exitcode(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => -signal,
        }
    }
}

/// `exited with code 3`, `was killed by SIGKILL`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => write!(f, "was killed by {}", signal::name(*number)),
        }
    }
}

/// Why a process could not be waited for.
#[derive(Debug, thiserror::Error)]
#[error(
    "process {name:?} (pid {pid}) cannot be waited for: {source}; does the program ignore \
         SIGCHLD, or collect children by itself?"
)]
pub struct JoinError {
    name: String,
    pid: u32,
    source: io::Error,
}

/// A process that was started (in Python: a `Process` after `start`).
///
/// Dropping it does not end the process and does not wait for it.
#[derive(Debug)]
pub struct Child {
    name: String,
    pid: i32,
    watch: OwnedFd,
    exit: Mutex<Option<Exit>>,
    /// The child reads the end of it when this process has ended.
    _lifeline: OwnedFd,
}

impl Child {
    pub(super) fn new(name: String, pid: i32, watch: OwnedFd, lifeline: OwnedFd) -> Self {
        Self { name, pid, watch, exit: Mutex::new(None), _lifeline: lifeline }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[doc(alias = "ident")]
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.cast_unsigned()
    }

    /// Waits until it has ended, and says how. Asked again, it says the same at once.
    ///
    /// # Errors
    ///
    /// Where somebody else has collected the child, so that its exit is lost.
    pub fn join(&self) -> Result<Exit, JoinError> {
        loop {
            if let Some(exit) = self.poll_exit()? {
                return Ok(exit);
            }
            let watched = [(self.watch.as_fd(), Interest::Read)];
            socket::poll(&watched, None).map_err(|source| self.error(source))?;
        }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self.poll_exit(), Ok(None))
    }

    /// Python's number for how it ended: the code, or the signal as a negative number; `None` while
    /// it runs, and where its exit is lost.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        self.poll_exit().ok().flatten().map(Exit::exitcode)
    }

    /// How it ended, or `None` while it runs.
    fn poll_exit(&self) -> Result<Option<Exit>, JoinError> {
        let mut exit = self.locked();
        if exit.is_none() {
            let ended = process::collect(self.pid).map_err(|source| self.error(source))?;
            *exit = ended.map(|ended| match ended {
                Ended::Code(code) => Exit::Code(code),
                Ended::Signal(number) => Exit::Signal(number),
            });
        }
        Ok(*exit)
    }

    /// Sends a signal, unless it has ended: its number may belong to somebody else by then.
    pub(crate) fn signal(&self, number: i32) -> io::Result<()> {
        let exit = self.locked();
        if exit.is_none() { process::signal(self.pid, number) } else { Ok(()) }
    }

    fn locked(&self) -> MutexGuard<'_, Option<Exit>> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, source: io::Error) -> JoinError {
        JoinError { name: self.name.clone(), pid: self.pid(), source }
    }
}

/// Polls ready when the process has ended (in Python: `sentinel`).
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}
