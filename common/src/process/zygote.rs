//! The zygote: a [server](super::server) for one pool, which makes workers.
//!
//! | pool under | the zygote is | it makes |
//! | --- | --- | --- |
//! | spawn | this executable, started again when the first worker is replaced | those that come later |
//! | fork | a copy of this process as it was when the pool was built | all of them |
//!
//! A copy takes a third of the time that an executable takes to start; and this process may have threads
//! when a worker is replaced, so that it could not be copied itself.

use super::Process;
use super::begin::Task;
use super::child::Child;
use super::method::StartMethod;
use super::server::{self, Arriving, OnError, Request, Server};
use super::start::StartError;
use crate::connection::channel::Channel;
use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Its name in `ps`.
const NAME: &str = "zygote";

/// Who makes the workers of a pool, also when this process has threads.
pub(crate) struct Zygote {
    method: StartMethod,
    stage: Mutex<Stage>,
}

enum Stage {
    Arriving(Box<Arriving>),
    Running(Server),
    /// It was killed, or not needed yet.
    Gone,
    /// It could not begin.
    Failed,
    /// The program has threads before `init`, so that no copy of it would be safe.
    Unfit,
    /// The pool ends, and so does it.
    Ending(Child),
    Ended,
}

/// What came of a request.
pub(super) enum Asked {
    /// A child may come, over this channel.
    Server(Channel, Request),
    /// The child is to be started by itself.
    Nobody,
}

impl Zygote {
    /// Copies this process, which must have one thread.
    pub(crate) fn fork() -> Result<Arc<Self>, StartError> {
        let stage = Stage::Arriving(Self::launch(StartMethod::Fork)?);
        Ok(Arc::new(Self { method: StartMethod::Fork, stage: Mutex::new(stage) }))
    }

    /// This executable, started again by the first request.
    pub(crate) fn spawn() -> Arc<Self> {
        Arc::new(Self { method: StartMethod::Spawn, stage: Mutex::new(Stage::Gone) })
    }

    fn launch(method: StartMethod) -> Result<Box<Arriving>, StartError> {
        let process = |main, setup| Process::helper(NAME, main, setup).start_method(method);
        Arriving::launch(&[], OnError::Ignore, process, NAME).map(Box::new)
    }

    /// Asks it for a child. Where it was killed, this executable is started once more; but what a copy was
    /// of is gone.
    pub(super) fn request(&self, task: &Task) -> Result<Asked, StartError> {
        let refused = |why| {
            let (name, source) = (task.life.name.clone(), io::Error::other(why));
            Err(StartError::Io { name, source })
        };
        let mut stage = self.lock();
        loop {
            let line = match &*stage {
                Stage::Arriving(arriving) => Some(arriving.line()),
                Stage::Running(server) => Some(server.line()),
                Stage::Unfit => return Ok(Asked::Nobody),
                Stage::Ending(_) | Stage::Ended => return refused("its pool ends"),
                Stage::Gone | Stage::Failed => None,
            };
            match line.map(|line| line.request(task)).transpose()?.flatten() {
                Some((channel, request)) => return Ok(Asked::Server(channel, request)),
                None => self.settle(&mut stage)?,
            }
            match &*stage {
                Stage::Running(_) => {
                    // It was heard of before it ended.
                    if let Stage::Running(server) = mem::replace(&mut *stage, Stage::Gone) {
                        server.stop();
                    }
                }
                Stage::Gone | Stage::Failed if self.method == StartMethod::Fork => {
                    return refused("the zygote, of which it would be a copy, was killed");
                }
                Stage::Gone | Stage::Failed => {
                    *stage = Stage::Arriving(Self::launch(self.method)?);
                }
                Stage::Arriving(_) | Stage::Unfit | Stage::Ending(_) | Stage::Ended => {}
            }
        }
    }

    /// Waits until it has begun, or it is known why it cannot; whether children are to be started by
    /// themselves.
    pub(super) fn is_unfit(&self) -> Result<bool, StartError> {
        let mut stage = self.lock();
        self.settle(&mut stage)?;
        match &*stage {
            Stage::Failed => {
                let (name, source) = (NAME.to_string(), io::Error::other("it has not begun"));
                Err(StartError::Io { name, source })
            }
            stage => Ok(matches!(stage, Stage::Unfit)),
        }
    }

    fn settle(&self, stage: &mut Stage) -> Result<(), StartError> {
        let Stage::Arriving(_) = stage else { return Ok(()) };
        let Stage::Arriving(arriving) = mem::replace(stage, Stage::Failed) else { return Ok(()) };
        match arriving.arrived() {
            Ok(server) => *stage = Stage::Running(server),
            Err(StartError::Preload { .. }) if self.method == StartMethod::Spawn => {
                *stage = Stage::Unfit;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Has it end; dropping waits for that.
    pub(crate) fn end(&self) {
        let mut stage = self.lock();
        *stage = match mem::replace(&mut *stage, Stage::Ended) {
            Stage::Arriving(arriving) => {
                arriving.stop();
                Stage::Ended
            }
            Stage::Running(server) => {
                let child = server.child().clone();
                // One that cannot be told has ended.
                let _ = child.kill();
                Stage::Ending(child)
            }
            ending @ Stage::Ending(_) => ending,
            Stage::Gone | Stage::Failed | Stage::Unfit | Stage::Ended => Stage::Ended,
        };
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Zygote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let child = match &*self.lock() {
            Stage::Running(server) => Some(server.child().clone()),
            _ => None,
        };
        f.debug_tuple("Zygote").field(&child).finish()
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.end();
        if let Stage::Ending(child) = &*self.lock() {
            server::stop(child);
        }
    }
}
