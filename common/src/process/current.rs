//! This process, its parent, its children.

use super::child::Child;
use super::method::StartMethod;
use super::state::{self, Origin};
use crate::point::{self, Name, Named, Operation};
use crate::sys::{lifeline, process};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// This process as common knows it (in Python: `current_process()`).
///
/// ```
/// let current = common::process::current();
/// assert_eq!(current.name(), "MainProcess");
/// assert_eq!(current.pid(), std::process::id());
/// assert!(current.is_alive() && !current.is_daemon());
/// ```
#[derive(Clone, Debug)]
pub struct Current {
    name: String,
    daemon: bool,
    method: Option<StartMethod>,
}

/// This process (in Python: `current_process`).
#[doc(alias = "current_process")]
#[must_use]
pub fn current() -> Current {
    let state = state::lock();
    let life = state.life.as_ref();
    Current {
        name: state.name().to_string(),
        daemon: life.is_some_and(|life| life.daemon),
        method: life.map(|life| life.method),
    }
}

impl Current {
    /// Its name; `MainProcess` where nobody has started it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[doc(alias = "ident")]
    #[must_use]
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Whether it is a daemon.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// Whether it runs: always, as it is the one that asks.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        true
    }

    /// None yet, as it runs.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        None
    }

    /// How it was started; `None` where nobody of this program has started it.
    #[must_use]
    pub fn start_method(&self) -> Option<StartMethod> {
        self.method
    }

    /// The key with which processes of this program show one another that they belong together.
    ///
    /// # Errors
    ///
    /// Where the system has no random bytes for a new one.
    pub fn authkey(&self) -> io::Result<AuthKey> {
        state::lock().authkey().map(AuthKey)
    }
}

/// A secret that a process gives to its children (in Python: `authkey`). It is not shown, and it
/// does not travel in messages.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey(Vec<u8>);

impl AuthKey {
    /// Its bytes; 32 of them unless [`set_authkey`] was called.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKey({} bytes)", self.0.len())
    }
}

/// Gives this process, and the children that it starts later, another key (in Python:
/// `current_process().authkey = key`).
pub fn set_authkey(key: &[u8]) {
    state::lock().authkey = Some(key.to_vec());
}

/// The arguments of the program, which are the same in its children (in Python: `sys.argv`).
///
/// In a child, [`std::env::args_os`] tells how the child was started instead.
#[must_use]
pub fn args() -> Vec<OsString> {
    state::lock().arguments.clone().unwrap_or_else(|| std::env::args_os().collect())
}

/// The process that has started this one (in Python: `parent_process()`).
#[derive(Clone)]
pub struct Parent {
    origin: Origin,
    point: Name,
}

impl Named for Parent {
    fn name(&self) -> &Name {
        &self.point
    }
}

/// The process that has started this one; `None` in the main process (in Python:
/// `parent_process`).
#[doc(alias = "parent_process")]
#[must_use]
pub fn parent() -> Option<Parent> {
    state::lock().life.as_ref().map(|life| Parent {
        origin: life.parent.clone(),
        point: Name::of_process(life.identity.split_last().map_or(&[], |(_, path)| path)),
    })
}

impl Parent {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.origin.name
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.origin.pid
    }

    /// Whether it still runs.
    #[must_use]
    #[track_caller]
    pub fn is_alive(&self) -> bool {
        point::before(Operation::IsAlive, self);
        !lifeline::is_cut(self, Some(Duration::ZERO)).unwrap_or(true)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// Where this process was forked by other means and does not hold its lifeline.
    #[track_caller]
    pub fn join(&self) -> io::Result<()> {
        point::before(Operation::Join, self);
        lifeline::is_cut(self, None).map(drop)
    }

    /// As [`join`](Parent::join), at most for `limit`; whether it has ended.
    ///
    /// # Errors
    ///
    /// As for [`join`](Parent::join).
    #[track_caller]
    pub fn join_timeout(&self, limit: Duration) -> io::Result<bool> {
        point::before(Operation::Join, self);
        lifeline::is_cut(self, Some(limit))
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parent({:?}, pid {})", self.name(), self.pid())
    }
}

/// Polls ready when it has ended (in Python: `parent_process().sentinel`).
impl AsFd for Parent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.origin.lifeline.as_fd()
    }
}

/// The processes that this one has started and that run (in Python: `active_children`). Those that
/// have ended are collected.
#[must_use]
pub fn active_children() -> Vec<Child> {
    let children = state::lock().children.clone();
    children.into_iter().filter(Child::is_alive).collect()
}

/// Collects children that have ended and for which nobody has waited yet.
pub(super) fn sweep() {
    if process::any_has_ended() {
        let _ = active_children();
    }
}

/// Waits until all of `children` have ended or the time is up; the names of those that have not.
pub(super) fn join_all(children: &[Child], until: Option<Instant>) -> Vec<String> {
    children
        .iter()
        .filter_map(|child| {
            let ended = match until {
                None => child.join().is_ok(),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    // One that cannot be waited for is gone.
                    !matches!(child.join_timeout(left), Ok(None))
                }
            };
            (!ended).then(|| format!("{:?} (pid {})", child.name(), child.pid()))
        })
        .collect()
}
