//! The fork server: a small process of one thread that is copied for each child.
//!
//! ```text
//!   this process                      fork server                     child
//!   request: task, socket  ────────▶  clone, as a child of its parent
//!                                       kernel writes the pid ──┐
//!   argument ──────────────────────────────────────────────────┼────▶ takes its argument
//!   report ◀───────────────────────────────────────────────────┼───── has begun
//!   reads the pid  ◀───────────────── shared page ◀────────────┘
//! ```
//!
//! A child is a child of the process that asked for it: it is waited for, signalled and collected as
//! any other, also when the server is gone. The server is the asking process's own, met over an
//! inherited socket: there is no address and nothing to authenticate. It ends with that process; one
//! that was killed is replaced by the next request.
//!
//! # What a child inherits
//!
//! Its memory is the server's, which is that of a fresh program after the preload hooks. The working
//! directory, the environment and the standard streams are the server's as well; so the server is
//! renewed when these have changed here since it was started.

use super::begin::{self, Report, Task};
use super::child::Child;
use super::start::{self, StartError};
use super::{Process, exit};
use crate::codec::{self, MAX_BYTES};
use crate::connection::channel::Channel;
use crate::connection::{Handle, SendError};
use crate::shared::Region;
use crate::shared::register::Register;
use crate::sys::entry::{self, Distance};
use crate::sys::process::{self, Side, Surroundings};
use crate::sys::signal::{self, Signal};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many starts may be under way at once.
const SLOTS: usize = 1024;
/// Its name in `ps`.
const NAME: &str = "forkserver";
const ZYGOTE: &str = "zygote";

/// A hook that the fork server runs once, before its first child.
pub type Preload = fn() -> crate::Result<()>;

/// What to do when a preload hook returns an error or panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnError {
    /// Go on without a word.
    #[default]
    Ignore,
    /// Go on, and say so on standard error.
    Warn,
    /// Starting a process fails.
    Fail,
}

struct Desk {
    server: Option<Server>,
    hooks: Vec<Distance>,
    on_error: OnError,
}

static DESK: Mutex<Desk> =
    Mutex::new(Desk { server: None, hooks: Vec::new(), on_error: OnError::Ignore });

fn desk() -> MutexGuard<'static, Desk> {
    DESK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server, as its owner sees it.
struct Server {
    child: Child,
    channel: Channel,
    slots: Arc<Slots>,
    surroundings: Surroundings,
}

/// Where the kernel writes the pids of children: one word for each start that is under way.
struct Slots {
    page: Region,
    taken: Mutex<Vec<bool>>,
}

/// A child that was asked for.
pub(super) struct Request {
    slots: Arc<Slots>,
    slot: usize,
}

/// What a server begins with.
#[derive(Serialize, Deserialize)]
struct Setup {
    channel: Handle,
    page: Region,
    hooks: Vec<Distance>,
    on_error: OnError,
}

/// What a server says when its hooks have run.
#[derive(Serialize, Deserialize)]
struct Ready(Result<(), String>);

/// What a server is asked for.
#[derive(Serialize, Deserialize)]
struct Commission<T> {
    task: T,
    channel: Handle,
    slot: usize,
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
    if let Some(server) = before {
        server.stop();
    }
    Ok(())
}

/// Asks the server for a child; the channel leads to it.
pub(super) fn request(task: &Task) -> Result<(Channel, Request), StartError> {
    let name = &task.life.name;
    let mut desk = desk();
    loop {
        match desk.running(name)?.request(task)? {
            Some(asked) => return Ok(asked),
            // It was killed since it was looked at.
            None => desk.server = None,
        }
    }
}

/// A server that is a copy of this process as it was when it was made: under
/// [`Fork`](super::StartMethod::Fork) it makes the workers of a pool, also when this process has threads.
pub(crate) struct Zygote(Option<Server>);

impl Zygote {
    /// Copies this process, which must have one thread.
    pub(crate) fn fork() -> Result<Arc<Self>, StartError> {
        let process =
            |setup| Process::helper(ZYGOTE, main, setup).start_method(super::StartMethod::Fork);
        let server = Server::start(&[], OnError::Ignore, process, ZYGOTE)?;
        Ok(Arc::new(Self(Some(server))))
    }

    /// Asks it for a child.
    pub(super) fn request(&self, task: &Task) -> Result<(Channel, Request), StartError> {
        let asked = self.0.as_ref().map_or(Ok(None), |server| server.request(task))?;
        asked.ok_or_else(|| StartError::Io {
            name: task.life.name.clone(),
            source: io::Error::other("the zygote, of which it would be a copy, was killed"),
        })
    }
}

impl fmt::Debug for Zygote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zygote").field(&self.0.as_ref().map(|server| &server.child)).finish()
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Server::stop);
    }
}

impl Desk {
    /// The server, started or renewed if that must be, for process `name`.
    fn running(&mut self, name: &str) -> Result<&Server, StartError> {
        let surroundings = Surroundings::now();
        let usable =
            |server: &Server| server.surroundings == surroundings && server.child.is_alive();
        if !self.server.as_ref().is_some_and(usable) {
            if let Some(before) = self.server.take() {
                before.stop();
            }
            let process = |setup| Process::helper(NAME, main, setup);
            self.server = Some(Server::start(&self.hooks, self.on_error, process, name)?);
        }
        Ok(self.server.as_ref().expect("it runs, or was started just now"))
    }
}

impl Server {
    /// Starts a server, by what makes a process of its setup; for process `name`.
    fn start(
        hooks: &[Distance],
        on_error: OnError,
        process: impl FnOnce(Setup) -> Process<Setup, ()>,
        name: &str,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Io { name: name.to_string(), source };
        let surroundings = Surroundings::now();
        let (channel, theirs) = Channel::pair().map_err(failed)?;
        let page = Region::new(NAME, SLOTS * 4).map_err(failed)?;
        let setup = Setup {
            channel: Handle::from_shared(Arc::clone(theirs.socket())),
            page: page.clone(),
            hooks: hooks.to_vec(),
            on_error,
        };
        drop(theirs);
        let child = start::launch(process(setup))?.begun()?;
        let ready = channel.receive(MAX_BYTES).map_err(io::Error::other).and_then(|frame| {
            codec::decode(&frame.bytes, frame.descriptors).map_err(io::Error::other)
        });
        let reason = match ready {
            Ok(Ready(Ok(()))) => {
                let slots = Arc::new(Slots { page, taken: Mutex::new(vec![false; SLOTS]) });
                return Ok(Self { child, channel, slots, surroundings });
            }
            Ok(Ready(Err(reason))) => reason,
            Err(_) => match child.join() {
                Ok(exit) => format!("it {exit} while its hooks ran"),
                Err(error) => error.to_string(),
            },
        };
        let _ = child.kill();
        let _ = child.join();
        Err(StartError::Preload { name: name.to_string(), reason })
    }

    /// Asks for a child; `None` where the server is gone.
    fn request(&self, task: &Task) -> Result<Option<(Channel, Request)>, StartError> {
        let name = &task.life.name;
        let failed = |source| StartError::Io { name: name.clone(), source };
        let (ours, theirs) = Channel::pair().map_err(failed)?;
        let request = Slots::take(&self.slots).map_err(failed)?;
        let channel = Handle::from_shared(Arc::clone(theirs.socket()));
        let commission = codec::encode(&Commission { task, channel, slot: request.slot })
            .map_err(|source| StartError::Argument { name: name.clone(), source })?;
        match self.channel.send(&commission) {
            Ok(()) => Ok(Some((ours, request))),
            Err(SendError::Closed) => Ok(None),
            Err(error) => Err(failed(io::Error::other(error))),
        }
    }

    fn stop(self) {
        let _ = self.child.kill();
        let _ = self.child.join();
    }
}

/// Ends the server, if there is one.
pub(super) fn stop() {
    let server = desk().server.take();
    if let Some(server) = server {
        server.stop();
    }
}

impl Slots {
    fn take(slots: &Arc<Self>) -> io::Result<Request> {
        let mut taken = slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = taken.iter().position(|&taken| !taken).ok_or_else(|| {
            io::Error::other(format!("{SLOTS} processes are being started already"))
        })?;
        taken[slot] = true;
        drop(taken);
        let request = Request { slots: Arc::clone(slots), slot };
        if let Some(word) = slots.page.word32(slot * 4) {
            word.store(0, Ordering::Relaxed);
        }
        Ok(request)
    }
}

impl Request {
    /// The pid of the child, if one was made. To be asked when the child has spoken, or nobody is
    /// left who could make it.
    pub(super) fn pid(&self) -> Option<i32> {
        let pid = self.slots.page.word32(self.slot * 4)?.load(Ordering::Acquire);
        (pid != 0).then_some(pid.cast_signed())
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken[self.slot] = false;
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

/// The life of a server.
fn main(setup: Setup) {
    let Setup { channel, page, hooks, on_error } = setup;
    let channel = Channel::over(channel.share());
    // Ctrl-C is for the program; it ends its server.
    let before = signal::silence(Signal::INT);
    let ready = preload(&hooks, on_error);
    let failed = ready.is_err();
    let Ok(ready) = codec::encode(&Ready(ready)) else { return };
    if channel.send(&ready).is_err() || failed {
        return;
    }
    while let Ok(frame) = channel.receive(MAX_BYTES) {
        let Ok(commission) = codec::decode::<Commission<Task>>(&frame.bytes, frame.descriptors)
        else {
            continue;
        };
        channel.give_back(frame.bytes);
        let Some(pid) = page.word32(commission.slot * 4) else { continue };
        let held = (hold(), exit::hold());
        match process::clone_sibling(pid) {
            Ok(Side::Child) => {
                let life = &commission.task.life;
                let mut given = vec![life.parent.lifeline.share(), commission.channel.share()];
                given.extend(life.family.as_ref().map(Register::descriptor));
                held.1.begin(&given);
                held.0.forget();
                if let Ok(before) = &before {
                    before.restore();
                }
                let child = Channel::over(commission.channel.share());
                drop(commission.channel);
                begin::live_forked(|| begin::live(commission.task, child));
            }
            Ok(Side::Parent { .. }) => {}
            Err(error) => {
                let report = Report::Refused(format!("the fork server cannot make it: {error}"));
                if let Ok(report) = codec::encode(&report) {
                    let _ = Channel::over(commission.channel.share()).send(&report);
                }
            }
        }
    }
}

/// Runs the hooks; why there can be no children, if so.
fn preload(hooks: &[Distance], on_error: OnError) -> Result<(), String> {
    for (place, &hook) in hooks.iter().enumerate() {
        let Some(hook) = entry::hook::<crate::Result<()>>(hook) else {
            return Err("a preload hook is no code of this program".to_string());
        };
        let failed = match panic::catch_unwind(AssertUnwindSafe(hook)) {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => format!("preload hook {place} failed: {error}"),
            Err(_) => format!("preload hook {place} panicked"),
        };
        match on_error {
            OnError::Ignore => {}
            OnError::Warn => drop(writeln!(io::stderr(), "forkserver: {failed}")),
            OnError::Fail => return Err(failed),
        }
    }
    match process::threads() {
        Ok(1) => Ok(()),
        Ok(threads) => Err(format!("after its preload hooks it has {threads} threads, not one")),
        Err(error) => Err(format!("its threads cannot be counted: {error}")),
    }
}
