//! A pool in another way than the default.

use super::crew::{Crew, Hire};
use super::desk::Desks;
use super::dispatch::Dispatch;
use super::worker::{self, Lent, Start};
use super::{Pool, PoolError};
use crate::cpu;
use crate::process::{Outcome, Process, StartMethod, Zygote, launch, start_method};
use crate::sys::entry::{self, Distance};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a pool is made; [`build`](PoolBuilder::build) makes it.
///
/// ```
/// use common::Pool;
/// use common::sync::Lock;
/// use std::sync::OnceLock;
///
/// static LOCK: OnceLock<Lock> = OnceLock::new();
///
/// fn remember(lock: Lock) {
///     LOCK.set(lock).expect("a worker begins once");
/// }
///
/// fn work(number: u64) -> u64 {
///     let _guard = LOCK.get().expect("the initializer has run").acquire();
///     number + 1
/// }
///
/// # common::init();
/// let pool = Pool::builder().workers(2).initializer(remember, Lock::new()?).build()?;
/// assert_eq!(pool.map(work, [1, 2])?, [2, 3]);
/// # common::Result::Ok(())
/// ```
#[must_use = "build() makes the pool"]
pub struct PoolBuilder<I = (), R = ()> {
    workers: Option<usize>,
    most: Option<u64>,
    method: Option<StartMethod>,
    initializer: Option<Initializer<I, R>>,
    name: String,
    replaces: bool,
    finishes: bool,
}

/// What each worker calls before its first task, and its argument.
type Initializer<I, R> = (fn(I) -> R, I);

impl Default for PoolBuilder {
    fn default() -> Self {
        Self {
            workers: None,
            most: None,
            method: None,
            initializer: None,
            name: "PoolWorker".to_string(),
            replaces: true,
            finishes: false,
        }
    }
}

impl<I, R> PoolBuilder<I, R> {
    /// How many workers there are (in Python: `processes`); as many as there are processors that this
    /// process may use, unless it is said.
    #[doc(alias = "processes")]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// A worker ends after so many calls, and another one takes its place (in Python: `maxtasksperchild`,
    /// which counts chunks). What a task has leaked goes with it.
    #[doc(alias = "maxtasksperchild")]
    pub fn max_tasks_per_child(mut self, tasks: u64) -> Self {
        self.most = Some(tasks);
        self
    }

    /// How the workers are started, whatever the default is.
    ///
    /// Under [`StartMethod::Fork`] they are copies of this process as it is when the pool is built, also
    /// those that come later; this process must have one thread then. Under [`StartMethod::Spawn`] those
    /// that replace others are copies of a process that starts this executable for the first of them.
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// Has each worker call `function` with `argument` before its first task (in Python: `initializer`,
    /// `initargs`). Handles in the argument arrive as in that of a [`Process`]: this is how workers get a
    /// lock or a queue.
    ///
    /// Where it panics, or returns an error, the worker ends; where that happens to one after the other, the
    /// pool is broken, and every call fails with [`WorkersEnd`](super::TaskError::WorkersEnd).
    #[doc(alias = "initargs")]
    pub fn initializer<J, S>(self, function: fn(J) -> S, argument: J) -> PoolBuilder<J, S> {
        PoolBuilder {
            workers: self.workers,
            most: self.most,
            method: self.method,
            initializer: Some((function, argument)),
            name: self.name,
            replaces: self.replaces,
            finishes: self.finishes,
        }
    }

    /// Names the workers: `name` and a number.
    pub(crate) fn name(mut self, name: &str) -> Self {
        self.name = name.to_string();
        self
    }

    /// For an executor: the first worker that dies ends the pool, unless it `replaces` them.
    pub(crate) fn replaces(mut self, replaces: bool) -> Self {
        self.replaces = replaces;
        self
    }

    /// For an executor: dropping the pool waits until all calls are made.
    pub(crate) fn finishes(mut self) -> Self {
        self.finishes = true;
        self
    }
}

impl<I, R> PoolBuilder<I, R>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    R: Outcome + 'static,
{
    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// See [`PoolError`]; what was started is ended again.
    pub fn build(self) -> Result<Pool, PoolError> {
        let size = self.workers.unwrap_or_else(cpu::usable);
        if size == 0 {
            return Err(PoolError::NoWorkers);
        }
        if self.most == Some(0) {
            return Err(PoolError::Zero("the number of tasks of a worker"));
        }
        let method = self.method.unwrap_or_else(start_method);
        let zygote = match method {
            StartMethod::Spawn => Some(Zygote::spawn()),
            StartMethod::Fork => Some(Zygote::fork()?),
            StartMethod::ForkServer => None,
        };
        let dispatch = Arc::new(Dispatch::new(size)?);
        let desks = Desks::new(size)?;
        let (replaces, finishes) = (self.replaces, self.finishes);
        let hire = self.hire(method, zygote.clone(), &dispatch, desks.clone())?;
        let crew = Crew::start(&dispatch, desks, hire, zygote, replaces)?;
        Ok(Pool::over(dispatch, crew, finishes))
    }

    /// What starts a worker.
    fn hire(
        self,
        method: StartMethod,
        zygote: Option<Arc<Zygote>>,
        dispatch: &Arc<Dispatch>,
        desks: Desks,
    ) -> Result<Hire, PoolError> {
        let Self { most, name, initializer, .. } = self;
        let initializer: Option<(Distance, Arc<I>)> = match initializer {
            None => None,
            Some((function, argument)) => {
                let target = entry::of_target(function).ok_or(PoolError::ForeignTarget)?;
                Some((target, Arc::new(argument)))
            }
        };
        let started = AtomicU64::new(0);
        let dispatch = Arc::clone(dispatch);
        Ok(Box::new(move |seat| {
            let number = started.fetch_add(1, Ordering::Relaxed) + 1;
            let start = Start {
                seat,
                crew: dispatch.size,
                tasks: dispatch.tasks.clone(),
                reports: dispatch.reports.clone(),
                desks: desks.clone(),
                tickets: dispatch.tickets.share(),
                most,
                initializer: initializer
                    .as_ref()
                    .map(|(target, argument)| (*target, Lent(Arc::clone(argument)))),
            };
            let process = Process::worker(worker::main::<I, R>, start)
                .name(format!("{name}-{number}"))
                .start_method(method);
            // The first ones start beside each other; for one zygote they would wait first.
            let is_alone = method == StartMethod::Spawn && number <= dispatch.size as u64;
            launch(process.by(if is_alone { None } else { zygote.clone() }))
        }))
    }
}

impl<I, R> std::fmt::Debug for PoolBuilder<I, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("workers", &self.workers)
            .field("max_tasks_per_child", &self.most)
            .field("start_method", &self.method)
            .finish_non_exhaustive()
    }
}
