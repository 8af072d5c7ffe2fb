//! A process of one thread that makes children by copying itself, and its owner's line to it.
//!
//! ```text
//!   owner                             server                          child
//!   request: task, socket  ────────▶  clone, as a child of its parent
//!                                       kernel writes the pid ──┐
//!   argument ──────────────────────────────────────────────────┼────▶ takes its argument
//!   report ◀───────────────────────────────────────────────────┼───── has begun
//!   reads the pid  ◀───────────────── shared page ◀────────────┘
//! ```
//!
//! A child is a child of the process that asked for it: it is waited for, signalled and collected as
//! any other, also when the server is gone. The server is its owner's own, met over an inherited
//! socket: there is no address and nothing to authenticate. It ends with its owner.
//!
//! A server may be asked before it has begun; what it is asked for waits in the socket.

use super::begin::{self, Report, Task};
use super::child::Child;
use super::start::{self, StartError, Starting};
use super::{Process, exit, forkserver};
use crate::codec::{self, MAX_BYTES};
use crate::connection::channel::Channel;
use crate::connection::{Handle, SendError};
use crate::shared::Region;
use crate::shared::register::Register;
use crate::sys::entry::{self, Distance};
use crate::sys::process::{self, Side};
use crate::sys::signal::{self, Signal};
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// How many starts may be under way at once.
const SLOTS: usize = 1024;

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

/// A server that was started, and has perhaps not begun.
pub(super) struct Arriving {
    name: String,
    starting: Starting,
    line: Line,
}

/// A server that has begun.
pub(super) struct Server {
    child: Child,
    line: Line,
}

/// What its owner asks a server over.
pub(super) struct Line {
    channel: Channel,
    slots: Arc<Slots>,
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
pub(super) struct Setup {
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

impl Arriving {
    /// Starts a server that `process` makes of its setup; errors name process `name`.
    pub(super) fn launch(
        hooks: &[Distance],
        on_error: OnError,
        process: impl FnOnce(fn(Setup), Setup) -> Process<Setup, ()>,
        name: &str,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Io { name: name.to_string(), source };
        let (channel, theirs) = Channel::pair().map_err(failed)?;
        let page = Region::new("forkserver", SLOTS * 4).map_err(failed)?;
        let setup = Setup {
            channel: Handle::from_shared(Arc::clone(theirs.socket())),
            page: page.clone(),
            hooks: hooks.to_vec(),
            on_error,
        };
        drop(theirs);
        let starting = start::launch(process(main, setup))?;
        let slots = Arc::new(Slots { page, taken: Mutex::new(vec![false; SLOTS]) });
        Ok(Self { name: name.to_string(), starting, line: Line { channel, slots } })
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Waits until its hooks have run.
    pub(super) fn arrived(self) -> Result<Server, StartError> {
        let Self { name, starting, line } = self;
        let child = starting.begun()?;
        let ready = line.channel.receive(MAX_BYTES).map_err(io::Error::other).and_then(|frame| {
            codec::decode(&frame.bytes, frame.descriptors).map_err(io::Error::other)
        });
        let reason = match ready {
            Ok(Ready(Ok(()))) => return Ok(Server { child, line }),
            Ok(Ready(Err(reason))) => reason,
            Err(_) => match child.join() {
                Ok(exit) => format!("it {exit} while its hooks ran"),
                Err(error) => error.to_string(),
            },
        };
        stop(&child);
        Err(StartError::Preload { name, reason })
    }

    /// Ends it, and waits for its end.
    pub(super) fn stop(self) {
        self.starting.stop();
    }
}

impl Server {
    pub(super) fn child(&self) -> &Child {
        &self.child
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Ends it, and waits for its end.
    pub(super) fn stop(self) {
        stop(&self.child);
    }
}

/// Ends a process of ours, and waits for its end.
pub(super) fn stop(child: &Child) {
    // One that cannot be told has ended, or was collected by somebody else.
    let _ = child.kill();
    let _ = child.join();
}

impl Line {
    /// Asks for a child; `None` where the server is gone.
    pub(super) fn request(&self, task: &Task) -> Result<Option<(Channel, Request)>, StartError> {
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
        let held = (forkserver::hold(), exit::hold());
        match process::clone_sibling(pid) {
            Ok(Side::Child) => {
                let life = &commission.task.life;
                let mut given = vec![life.parent.lifeline.share(), commission.channel.share()];
                given.extend(life.family.as_ref().map(Register::descriptor));
                // What was decoded has an encoding.
                given.extend(codec::handles(&life.records).map_or(vec![], |of| of.descriptors));
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
