//! A process that was started: wait for it, ask how it is, end it.
//!
//! Its exit is watched by a pidfd, so no thread is needed and any number may wait; it is collected
//! once, by whoever notices first, and remembered.

use super::state;
use crate::logging::event;
use crate::point::{self, Named, Operation};
use crate::sys::descriptor::Descriptor;
use crate::sys::process::{self, Ended};
use crate::sys::signal::Signal;
use crate::sys::socket::{self, Interest};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It left with this code; 0 means success, and a panic gives 101.
    Code(i32),
    /// This signal ended it.
    Signal(Signal),
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
    #[track_caller]
    pub fn exitcode(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => -signal.number(),
        }
    }
}

/// `exited with code 3`, `was killed by SIGKILL`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was killed by {signal}"),
        }
    }
}

/// Why a process could not be waited for.
#[derive(Debug, thiserror::Error)]
#[error(
    "process {name:?} (pid {pid}) cannot be waited for: {source}; is it a child of this process, \
         and does the program ignore SIGCHLD, or collect children by itself?"
)]
pub struct JoinError {
    name: String,
    pid: u32,
    source: io::Error,
}

/// It cannot be closed while it runs; here it is.
#[derive(Debug, thiserror::Error)]
#[error(
    "process {:?} (pid {}) still runs; join or terminate it before closing",
    .0.name(),
    .0.pid()
)]
pub struct StillRunning(pub Child);

/// A process that was started (in Python: a `Process` after `start`).
///
/// Dropping it does not end the process and does not wait for it: that happens at the end of `main`
/// (see [`process`](crate::process)). A clone is the same process.
#[derive(Clone)]
pub struct Child {
    inner: Arc<Inner>,
}

/// As what a process is known.
#[derive(Clone, Debug)]
pub(super) struct Title {
    pub(super) name: String,
    pub(super) daemon: bool,
    /// A process of this crate's own, of which the program is not told.
    pub(super) hidden: bool,
    pub(super) point: point::Name,
}

struct Inner {
    title: Title,
    pid: i32,
    watch: Descriptor,
    exit: Mutex<Option<Exit>>,
}

impl Named for Child {
    fn name(&self) -> &point::Name {
        &self.inner.title.point
    }
}

impl Child {
    /// Watches `pid`, which was started just now. Where it cannot be watched it is ended.
    pub(super) fn adopt(title: &Title, pid: i32) -> io::Result<Self> {
        match process::watch(pid) {
            Ok(watch) => {
                let (watch, exit) = (watch.into(), Mutex::default());
                Ok(Self { inner: Arc::new(Inner { title: title.clone(), pid, watch, exit }) })
            }
            Err(error) => {
                let _ = process::end(pid);
                Err(error)
            }
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.title.name
    }

    /// Its process id.
    #[doc(alias = "ident")]
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.inner.pid.cast_unsigned()
    }

    /// Whether it is a daemon: ended when this process ends.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.inner.title.daemon
    }

    /// Waits until it has ended, and says how. Asked again, it says the same at once.
    ///
    /// # Errors
    ///
    /// Where somebody else has collected the child, so that its exit is lost.
    #[track_caller]
    pub fn join(&self) -> Result<Exit, JoinError> {
        point::before(Operation::Join, self);
        loop {
            if let Some(exit) = self.join_until(None)? {
                return Ok(exit);
            }
        }
    }

    /// As [`join`](Child::join), at most for `limit`; `None` where it still runs then.
    ///
    /// # Errors
    ///
    /// As for [`join`](Child::join).
    #[track_caller]
    pub fn join_timeout(&self, limit: Duration) -> Result<Option<Exit>, JoinError> {
        point::before(Operation::Join, self);
        // A limit beyond the clock is none.
        self.join_until(Instant::now().checked_add(limit))
    }

    fn join_until(&self, until: Option<Instant>) -> Result<Option<Exit>, JoinError> {
        loop {
            if let Some(exit) = self.look()? {
                return Ok(Some(exit));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            let watched = [(self.inner.watch.as_fd(), Interest::Read)];
            socket::poll(&watched, left).map_err(|source| self.error(source))?;
        }
    }

    /// Whether it still runs.
    #[must_use]
    #[track_caller]
    pub fn is_alive(&self) -> bool {
        point::before(Operation::IsAlive, self);
        matches!(self.look(), Ok(None))
    }

    /// How it ended; `None` while it runs, and where its exit is lost.
    #[must_use]
    #[track_caller]
    pub fn exit(&self) -> Option<Exit> {
        point::before(Operation::IsAlive, self);
        self.look().ok().flatten()
    }

    /// Python's number for how it ended: the code, or the signal as a negative number; `None` while
    /// it runs, and where its exit is lost.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        self.exit().map(Exit::exitcode)
    }

    /// Asks it to end, by SIGTERM; nothing where it has ended already.
    ///
    /// It ends at once, unless it does something about the signal: no destructor runs, no hook, and
    /// the processes that it has started live on.
    ///
    /// # Errors
    ///
    /// EPERM where it has become another user.
    #[track_caller]
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends it, by SIGKILL; nothing where it has ended already.
    ///
    /// # Errors
    ///
    /// As for [`terminate`](Child::terminate).
    #[track_caller]
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// Sends it SIGINT, as Ctrl-C does; nothing where it has ended already.
    ///
    /// # Errors
    ///
    /// As for [`terminate`](Child::terminate).
    #[track_caller]
    pub fn interrupt(&self) -> io::Result<()> {
        self.signal(Signal::INT)
    }

    /// Sends it a signal; nothing where it has ended already, so a stranger that has got its number
    /// is never hit.
    ///
    /// # Errors
    ///
    /// As for [`terminate`](Child::terminate).
    #[doc(alias = "send_signal")]
    #[track_caller]
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        point::before(Operation::Signal, self);
        process::signal_watched(self.inner.watch.as_fd(), signal.number())
    }

    /// Lets go of it, which must have ended (in Python: `close`). Dropping does the same without
    /// asking.
    ///
    /// # Errors
    ///
    /// [`StillRunning`] gives it back.
    #[track_caller]
    pub fn close(self) -> Result<(), StillRunning> {
        point::before(Operation::Close, &self);
        if self.is_alive() { Err(StillRunning(self)) } else { Ok(()) }
    }

    /// How it ended, or `None` while it runs. Who sees the end first collects it.
    fn look(&self) -> Result<Option<Exit>, JoinError> {
        let mut exit = self.locked();
        if exit.is_some() {
            return Ok(*exit);
        }
        let ended = process::collect(self.inner.pid);
        if let Ok(ended) = &ended {
            *exit = ended.as_ref().map(|ended| match *ended {
                Ended::Code(code) => Exit::Code(code),
                Ended::Signal(number) => Exit::Signal(Signal::from_kernel(number)),
            });
        }
        let answer = *exit;
        drop(exit);
        if let (Some(exit), false) = (answer, self.inner.title.hidden) {
            event!("{} (pid {}) {exit}", self.inner.title.name, self.inner.pid);
        }
        if answer.is_some() || ended.is_err() {
            let pid = self.inner.pid;
            state::lock().children.retain(|child| child.inner.pid != pid);
        }
        ended.map(|_| answer).map_err(|source| self.error(source))
    }

    fn locked(&self) -> MutexGuard<'_, Option<Exit>> {
        self.inner.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, source: io::Error) -> JoinError {
        JoinError { name: self.name().to_string(), pid: self.pid(), source }
    }
}

/// Its name, pid and state: `Child("Process-1", pid 4711, started, daemon)`.
impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Child({:?}, pid {}, ", self.name(), self.pid())?;
        match self.look() {
            Ok(Some(exit)) => write!(f, "{exit}")?,
            Ok(None) => f.write_str("started")?,
            Err(_) => f.write_str("unknown")?,
        }
        f.write_str(if self.is_daemon() { ", daemon)" } else { ")" })
    }
}

/// Polls ready when the process has ended (in Python: `sentinel`).
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.watch.as_fd()
    }
}
