//! Calls whose values are asked for later, made by worker processes (in Python:
//! `concurrent.futures.ProcessPoolExecutor`).
//!
//! ```
//! use common::executor::{ProcessPoolExecutor, as_completed};
//!
//! fn square(x: u64) -> u64 {
//!     x * x
//! }
//!
//! # common::init();
//! let executor = ProcessPoolExecutor::new(2)?;
//! let future = executor.submit(square, 12)?;
//! assert_eq!(future.result()?, 144);
//!
//! let futures = [1, 2, 3].map(|x| executor.submit(square, x));
//! let futures = futures.into_iter().collect::<Result<Vec<_>, _>>()?;
//! let sum: u64 = as_completed(futures).map(|future| future.result().unwrap_or(0)).sum();
//! assert_eq!(sum, 14);
//! # common::Result::Ok(())
//! ```
//!
//! It is a [`Pool`] seen from another side: each call is a [`Future`], which can be cancelled as long as
//! nobody has begun it, and waited for together with others.
//!
//! | | [`Pool`] | [`ProcessPoolExecutor`] |
//! | --- | --- | --- |
//! | a worker dies | its task is lost, another worker takes its place | every pending call fails, no new one is taken; unless it [replaces its workers](ExecutorBuilder::replace_workers) |
//! | it is dropped | calls that have not ended fail | waits for them |
//! | a call that has not begun | is made | can be cancelled |

mod future;

pub use future::{ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, ReturnWhen};
pub use future::{
    AsCompleted, Future, ResultTimeoutError, Waited, as_completed, wait, wait_timeout,
};

use crate::pool::{Imap, Pool, PoolBuilder, PoolError};
use crate::process::{Outcome, StartMethod};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Worker processes that make calls, each of which is a [`Future`] (in Python: `ProcessPoolExecutor`).
///
/// Dropping it waits until all calls are made, and the end of the program does.
#[derive(Debug)]
pub struct ProcessPoolExecutor {
    pool: Pool,
}

impl ProcessPoolExecutor {
    /// Starts `max_workers` processes.
    ///
    /// # Errors
    ///
    /// Where `max_workers` is 0 or one could not be started; those that were are ended again.
    pub fn new(max_workers: usize) -> Result<Self, PoolError> {
        Self::builder().max_workers(max_workers).build()
    }

    /// An executor that is made in another way.
    pub fn builder() -> ExecutorBuilder {
        ExecutorBuilder(Pool::builder().name("ExecutorWorker").replaces(false).finishes())
    }

    /// Has `function` called with `argument` in a worker.
    ///
    /// # Errors
    ///
    /// [`PoolError::NotRunning`] after the shutdown (in Python: `RuntimeError`), [`PoolError::Broken`] where
    /// a worker has died (in Python: `BrokenProcessPool`), and where `argument` has no encoding.
    pub fn submit<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<Future<R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let (result, chunk) = self.pool.submit(function, argument)?;
        Ok(Future::new(result, chunk))
    }

    /// Has `function` called for each input, and gives the results in the order of the inputs, each as soon
    /// as it is there. All inputs are read at once; with a [`buffer`](Self::buffer) they are read as results
    /// are taken. Dropping the results cancels the calls that were not begun.
    ///
    /// ```
    /// # common::init();
    /// let executor = common::executor::ProcessPoolExecutor::new(2)?;
    /// let results: Result<Vec<u64>, _> = executor.map(|x: u64| x + 1, [1, 2])?.collect();
    /// assert_eq!(results?, [2, 3]);
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit). A call that fails is an `Err` in its place.
    pub fn map<A, R, I>(
        &self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<Imap<'_, I::IntoIter, R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.mapping().map(function, inputs)
    }

    fn mapping(&self) -> Mapping<'_> {
        Mapping { executor: self, chunk_size: 1, buffer: None, limit: None }
    }

    /// A `map` in which `size` inputs go to a worker at a time (in Python: `chunksize`). At least 1.
    #[doc(alias = "chunksize")]
    pub fn chunk_size(&self, size: usize) -> Mapping<'_> {
        self.mapping().chunk_size(size)
    }

    /// A `map` that reads at most `inputs` inputs more than results were taken (in Python: `buffersize`). At
    /// least 1.
    #[doc(alias = "buffersize")]
    pub fn buffer(&self, inputs: usize) -> Mapping<'_> {
        self.mapping().buffer(inputs)
    }

    /// A `map` whose results all come within `limit` of the call (in Python: `timeout`); at the first that
    /// does not, it gives [`TaskError::TimedOut`](crate::pool::TaskError::TimedOut) and ends.
    pub fn timeout(&self, limit: Duration) -> Mapping<'_> {
        self.mapping().timeout(limit)
    }

    /// Takes no more calls, and waits until those that there are have ended (in Python: `shutdown`).
    pub fn shutdown(&self) {
        self.pool.close();
        // It was closed just now; a fork has nobody to wait for.
        let _ = self.pool.join();
    }

    /// Takes no more calls (in Python: `shutdown(wait=False)`); the workers leave when those that there are
    /// have ended.
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        self.pool.close();
    }

    /// Takes no more calls, and cancels those that were not begun (in Python:
    /// `shutdown(wait=False, cancel_futures=True)`); [`shutdown`](Self::shutdown) then waits for the others.
    #[doc(alias = "cancel_futures")]
    pub fn cancel_pending(&self) {
        self.pool.close();
        self.pool.cancel_all();
    }

    /// Ends the workers by SIGTERM, and by SIGKILL a second later; calls that have not ended fail (in
    /// Python: `terminate_workers`).
    pub fn terminate_workers(&self) {
        self.pool.terminate();
    }

    /// Ends the workers by SIGKILL; calls that have not ended fail (in Python: `kill_workers`).
    pub fn kill_workers(&self) {
        self.pool.end_within(Duration::ZERO);
    }

    /// How many workers there are (in Python: `_max_workers`).
    #[must_use]
    pub fn max_workers(&self) -> usize {
        self.pool.len()
    }

    /// The process ids of the workers at this moment (in Python: `_processes`).
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.pool.pids()
    }
}

/// How an executor maps: see [`ProcessPoolExecutor::chunk_size`], [`buffer`](ProcessPoolExecutor::buffer) and
/// [`timeout`](ProcessPoolExecutor::timeout).
#[derive(Clone, Copy, Debug)]
#[must_use = "map() makes the calls"]
pub struct Mapping<'e> {
    executor: &'e ProcessPoolExecutor,
    chunk_size: usize,
    buffer: Option<usize>,
    limit: Option<Duration>,
}

impl<'e> Mapping<'e> {
    /// As [`ProcessPoolExecutor::chunk_size`].
    pub fn chunk_size(self, size: usize) -> Self {
        Self { chunk_size: size, ..self }
    }

    /// As [`ProcessPoolExecutor::buffer`].
    pub fn buffer(self, inputs: usize) -> Self {
        Self { buffer: Some(inputs), ..self }
    }

    /// As [`ProcessPoolExecutor::timeout`].
    pub fn timeout(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// As [`ProcessPoolExecutor::map`].
    ///
    /// # Errors
    ///
    /// As for [`ProcessPoolExecutor::map`], and [`PoolError::Zero`] where the chunk or the buffer has no place
    /// for an input.
    pub fn map<A, R, I>(
        self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<Imap<'e, I::IntoIter, R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        if self.chunk_size == 0 {
            return Err(PoolError::Zero("the size of a chunk"));
        }
        if self.buffer == Some(0) {
            return Err(PoolError::Zero("the size of a buffer"));
        }
        // A chunk that the buffer cannot hold would never be full.
        let chunk_size = self.chunk_size.min(self.buffer.unwrap_or(usize::MAX));
        self.executor.pool.stream((chunk_size, self.buffer, self.limit), function, inputs)
    }
}

/// How an executor is made; [`build`](ExecutorBuilder::build) makes it.
#[derive(Debug)]
#[must_use = "build() makes the executor"]
pub struct ExecutorBuilder<I = (), R = ()>(PoolBuilder<I, R>);

impl<I, R> ExecutorBuilder<I, R> {
    /// How many workers there are; as many as there are processors that this process may use, unless it is
    /// said.
    pub fn max_workers(self, workers: usize) -> Self {
        Self(self.0.workers(workers))
    }

    /// As [`PoolBuilder::max_tasks_per_child`].
    pub fn max_tasks_per_child(self, tasks: u64) -> Self {
        Self(self.0.max_tasks_per_child(tasks))
    }

    /// As [`PoolBuilder::start_method`] (in Python: `mp_context`).
    #[doc(alias = "mp_context")]
    pub fn start_method(self, method: StartMethod) -> Self {
        Self(self.0.start_method(method))
    }

    /// As [`PoolBuilder::initializer`].
    pub fn initializer<J, S>(self, function: fn(J) -> S, argument: J) -> ExecutorBuilder<J, S> {
        ExecutorBuilder(self.0.initializer(function, argument))
    }

    /// A worker that dies is replaced, and only the call that it was making fails, with
    /// [`TaskError::Lost`](crate::pool::TaskError::Lost). In Python, and here without this, the executor is
    /// broken then.
    pub fn replace_workers(self) -> Self {
        Self(self.0.replaces(true))
    }
}

impl<I, R> ExecutorBuilder<I, R>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    R: Outcome + 'static,
{
    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// See [`PoolError`]; what was started is ended again.
    pub fn build(self) -> Result<ProcessPoolExecutor, PoolError> {
        self.0.build().map(|pool| ProcessPoolExecutor { pool })
    }
}
