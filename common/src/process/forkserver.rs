//! The fork server: a [server](super::server) of this process's own that is started once and copied for
//! each child.
//!
//! One that was killed is replaced by the next request.
//!
//! # What a child inherits
//!
//! Its memory is the server's, which is that of a fresh program after the preload hooks. The working
//! directory, the environment and the standard streams are the server's as well; so the server is
//! renewed when these have changed here since it was started.

use super::Process;
use super::begin::Task;
use super::server::{Arriving, OnError, Request, Server};
use super::start::StartError;
use crate::connection::channel::Channel;
use crate::sys::entry::{self, Distance};
use crate::sys::process::Surroundings;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Its name in `ps`.
const NAME: &str = "forkserver";

/// A hook that the fork server runs once, before its first child.
pub type Preload = fn() -> crate::Result<()>;

struct Desk {
    /// The server, and what it was like around this process when it was started.
    server: Option<(Server, Surroundings)>,
    hooks: Vec<Distance>,
    on_error: OnError,
}

static DESK: Mutex<Desk> =
    Mutex::new(Desk { server: None, hooks: Vec::new(), on_error: OnError::Ignore });

fn desk() -> MutexGuard<'static, Desk> {
    DESK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the fork server run `hooks`, in their order, before its first child (in Python:
/// `set_forkserver_preload`): what takes long to prepare is then there in each child. A server that
/// runs already is renewed.
///
/// A hook that leaves a thread running is an error under every policy: with a second thread there
/// the server could not be copied safely.
///
/// ```
/// use common::process::{Context, OnError, StartMethod, set_forkserver_preload};
/// use std::sync::OnceLock;
///
/// static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
///
/// fn prepare() -> common::Result<()> {
///     TABLE.get_or_init(|| (0..1000).collect());
///     Ok(())
/// }
///
/// # common::init();
/// set_forkserver_preload(&[prepare], OnError::Fail)?;
/// let context = Context::new(StartMethod::ForkServer);
/// let child = context.process(|()| TABLE.get().map_or(1, |table| table.len() as i32 - 1000), ());
/// assert!(child.start()?.join()?.is_success());
/// # common::Result::Ok(())
/// ```
///
/// # Errors
///
/// [`StartError::ForeignTarget`] where a hook is no code of this executable.
pub fn set_forkserver_preload(hooks: &[Preload], on_error: OnError) -> Result<(), StartError> {
    let hooks: Option<Vec<Distance>> = hooks.iter().map(|&hook| entry::of_hook(hook)).collect();
    let hooks = hooks.ok_or_else(|| StartError::ForeignTarget { name: NAME.to_string() })?;
    let mut desk = desk();
    (desk.hooks, desk.on_error) = (hooks, on_error);
    let before = desk.server.take();
    drop(desk);
    if let Some((server, _)) = before {
        server.stop();
    }
    Ok(())
}

/// Asks the server for a child; the channel leads to it.
pub(super) fn request(task: &Task) -> Result<(Channel, Request), StartError> {
    let name = &task.life.name;
    let mut desk = desk();
    loop {
        match desk.running(name)?.line().request(task)? {
            Some(asked) => return Ok(asked),
            // It was killed since it was looked at.
            None => desk.server = None,
        }
    }
}

impl Desk {
    /// The server, started or renewed if that must be, for process `name`.
    fn running(&mut self, name: &str) -> Result<&Server, StartError> {
        let surroundings = Surroundings::now();
        let usable = |(server, before): &(Server, Surroundings)| {
            *before == surroundings && server.child().is_alive()
        };
        if !self.server.as_ref().is_some_and(usable) {
            if let Some((before, _)) = self.server.take() {
                before.stop();
            }
            let process = |main, setup| Process::helper(NAME, main, setup);
            let server = Arriving::launch(&self.hooks, self.on_error, process, name)?.arrived()?;
            self.server = Some((server, surroundings));
        }
        Ok(&self.server.as_ref().expect("it runs, or was started just now").0)
    }
}

/// Ends the server, if there is one.
pub(super) fn stop() {
    let server = desk().server.take();
    if let Some((server, _)) = server {
        server.stop();
    }
}

/// The desk, held while this process forks.
pub(super) struct Held(MutexGuard<'static, Desk>);

pub(super) fn hold() -> Held {
    Held(desk())
}

impl Held {
    /// In a forked child: the server is its parent's.
    pub(super) fn forget(mut self) {
        self.0.server = None;
    }
}
