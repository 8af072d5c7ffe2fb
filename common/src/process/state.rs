//! What a process knows about itself: who started it, as what, and whom it has started.
//!
//! One lock guards it all, because a fork has to hold it: the child finds it free, with its own
//! answers in it.

use super::child::Child;
use super::family;
use super::method::StartMethod;
use crate::connection::Handle;
use crate::logging;
use crate::shared::register::Register;
use crate::sys::descriptor::Descriptor;
use crate::sys::{lifeline, process};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The name of a process that nobody started.
pub(super) const MAIN: &str = "MainProcess";

/// What a process is told by the one that starts it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Life {
    pub(super) name: String,
    pub(super) daemon: bool,
    /// It may not start processes: nobody would be there to end them.
    pub(super) childless: bool,
    /// The numbers in `Process-N:M`.
    pub(super) identity: Vec<u64>,
    pub(super) method: StartMethod,
    pub(super) parent: Origin,
    pub(super) authkey: Vec<u8>,
    /// That of its family; a helper that belongs to none has none.
    pub(super) family: Option<Register>,
    /// What it does with log records.
    pub(super) records: Option<logging::Plan>,
}

/// A process, as others know it that it has to do with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(super) lifeline: Handle,
}

impl Origin {
    /// Whether it runs no more.
    pub(crate) fn has_ended(&self) -> bool {
        lifeline::is_cut(&self.lifeline, Some(Duration::ZERO)).unwrap_or(true)
    }
}

pub(super) struct State {
    /// Whose state this is; another pid means a copy that somebody else has forked.
    pub(super) pid: i32,
    /// `None` in a process that nobody started.
    pub(super) life: Option<Life>,
    /// Set by `init`.
    pub(super) initialised: bool,
    /// How many processes were made here.
    pub(super) made: u64,
    /// Those that were started and not yet collected.
    pub(super) children: Vec<Child>,
    /// What shows this process's children that it lives: the end they get, and the one it keeps.
    lifeline: Option<(Handle, Descriptor)>,
    /// The default start method, once it is fixed.
    pub(super) method: Option<StartMethod>,
    pub(super) authkey: Option<Vec<u8>>,
    /// The arguments of the program, where they are not those of this process.
    pub(super) arguments: Option<Vec<OsString>>,
    /// The register of its family, once there is one.
    pub(super) family: Option<Register>,
    /// The tracker, if this process has started it.
    pub(super) tracker: Option<Child>,
}

static STATE: Mutex<State> = Mutex::new(State {
    pid: 0,
    life: None,
    initialised: false,
    made: 0,
    children: Vec::new(),
    lifeline: None,
    method: None,
    authkey: None,
    arguments: None,
    family: None,
    tracker: None,
});

pub(super) fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// In a child: what it knows from now on.
    pub(super) fn begin(&mut self, mut life: Life) {
        logging::begin(life.records.take());
        *self = Self {
            pid: process::getpid().as_raw(),
            initialised: true,
            made: 0,
            // They are the parent's, and so is what would be done about them.
            children: Vec::new(),
            lifeline: None,
            method: Some(life.method),
            authkey: Some(life.authkey.clone()),
            arguments: self.arguments.take(),
            family: life.family.take(),
            tracker: None,
            life: Some(life),
        };
    }

    pub(super) fn name(&self) -> &str {
        self.life.as_ref().map_or(MAIN, |life| &life.name)
    }

    /// The numbers of this process.
    pub(super) fn path(&self) -> Vec<u64> {
        self.life.as_ref().map_or(Vec::new(), |life| life.identity.clone())
    }

    /// The numbers of a process that is made now.
    pub(super) fn next_identity(&mut self) -> Vec<u64> {
        self.made += 1;
        let mut identity = self.path();
        identity.push(self.made);
        identity
    }

    /// What a child of this process is told about its parent.
    pub(super) fn origin(&mut self) -> io::Result<Origin> {
        let lifeline = match &self.lifeline {
            Some((given, _)) => given.clone(),
            None => {
                let (given, kept) = lifeline::new()?;
                let given = Handle::from_descriptor(given);
                self.lifeline = Some((given.clone(), kept));
                given
            }
        };
        Ok(Origin { name: self.name().to_string(), pid: std::process::id(), lifeline })
    }

    /// The register of its family; made when it is first asked for.
    pub(super) fn family(&mut self) -> io::Result<&mut Register> {
        if self.family.is_none() {
            self.family = Some(family::found()?);
        }
        self.family.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The authentication key; made when it is first asked for.
    pub(super) fn authkey(&mut self) -> io::Result<Vec<u8>> {
        if let Some(key) = &self.authkey {
            return Ok(key.clone());
        }
        let key = process::random::<32>()?.to_vec();
        self.authkey = Some(key.clone());
        Ok(key)
    }
}
