#![doc = include_str!("README.md")]

mod attendant;
mod builder;
mod chunks;
mod crew;
mod desk;
mod dispatch;
mod error;
mod imap;
mod job;
mod ledger;
mod line;
mod message;
pub(crate) mod panic;
#[cfg(feature = "progress")]
mod progress;
mod promise;
mod ticket;
mod worker;

pub use builder::PoolBuilder;
pub use chunks::Chunks;
pub use error::{CallError, MapError, PoolError, TaskError};
pub use imap::{Imap, NotYet};
#[cfg(feature = "progress")]
pub use progress::WithProgress;
pub use promise::{AsyncResult, GetTimeoutError};

use crate::process::Finalizer;
use crate::sync::word::Deadline;
use attendant::Attendant;
use crew::{Crew, GRACE};
use dispatch::{Dispatch, Job};
use job::{Feeder, One};
use promise::Promise;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use worker::Target;

/// When the program ends, pools end before what was registered without a priority.
const EXIT_PRIORITY: i32 = 15;
/// The result of [`Pool::map_async`].
pub type MapResult<R> = AsyncResult<Vec<R>, MapError<R>>;

/// A fixed number of worker processes that share out the calls of a function (in Python: `Pool`).
///
/// ```
/// use common::Pool;
///
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// # common::init();
/// let pool = Pool::new(2)?;
/// assert_eq!(pool.map(square, 1..=4)?, [1, 4, 9, 16]);
///
/// let later = pool.apply_async(square, 12)?;
/// assert_eq!(later.get()?, 144);
/// # common::Result::Ok(())
/// ```
///
/// Threads may share it, and any number of calls be under way. Dropping a pool ends its workers, and so does
/// the end of the program; they also end when this process does, however it ends.
pub struct Pool {
    office: Arc<Office>,
    /// Ends the pool when it is dropped, and at the end of the program. A fork has none.
    end: Finalizer,
}

/// What a pool consists of.
struct Office {
    dispatch: Arc<Dispatch>,
    crew: Crew,
    attendant: Arc<Attendant>,
}

impl Pool {
    /// Starts `workers` processes.
    ///
    /// # Errors
    ///
    /// Where `workers` is 0 or one could not be started; those that were are ended again.
    pub fn new(workers: usize) -> Result<Self, PoolError> {
        Self::builder().workers(workers).build()
    }

    /// A pool that is made in another way: see [`PoolBuilder`].
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }

    /// A pool of these workers; `finishes` is what is done when it is dropped.
    fn over(dispatch: Arc<Dispatch>, crew: Crew, finishes: bool) -> Self {
        let office = Arc::new(Office { dispatch, crew, attendant: Arc::default() });
        let ended = Arc::clone(&office);
        let end = move || {
            if finishes {
                ended.close();
                ended.finish();
            }
            ended.end(GRACE);
        };
        Self { office, end: Finalizer::at_exit(EXIT_PRIORITY, end) }
    }

    /// Calls `function` with `argument` in a worker, and waits for the value (in Python: `apply`).
    ///
    /// # Errors
    ///
    /// [`CallError::Task`] where the call panicked or its worker died, [`CallError::Pool`] where it was not
    /// made.
    pub fn apply<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<R, CallError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        Ok(self.apply_async(function, argument)?.get()?)
    }

    /// Has `function` called with `argument` in a worker, and does not wait (in Python: `apply_async`).
    ///
    /// ```
    /// # common::init();
    /// let pool = common::Pool::new(1)?;
    /// let length = pool
    ///     .apply_async(|text: String| text.len(), "hello".to_string())?
    ///     .callback(|length| println!("it has {length} bytes"));
    /// assert_eq!(length.get()?, 5);
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where the pool takes no calls any more, or `argument` has no encoding; what comes of the call tells
    /// the result.
    pub fn apply_async<A, R>(
        &self,
        function: fn(A) -> R,
        argument: A,
    ) -> Result<AsyncResult<R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let promise = Promise::new(self.dispatch());
        let mut feeder = self.feeder(function, Arc::new(One(Arc::clone(&promise))), false)?;
        feeder.add(&argument, 1)?;
        Ok(AsyncResult::new(promise, &self.office.attendant))
    }

    /// As [`apply_async`](Pool::apply_async), of a call that can be cancelled; also its number.
    pub(crate) fn submit<A, R>(
        &self,
        function: fn(A) -> R,
        argument: A,
    ) -> Result<(AsyncResult<R>, u64), PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let promise = Promise::new(self.dispatch());
        let mut feeder = self.feeder(function, Arc::new(One(Arc::clone(&promise))), true)?;
        feeder.add(&argument, 1)?;
        let chunk = feeder.chunks()[0];
        Ok((AsyncResult::new(promise, &self.office.attendant), chunk))
    }

    /// Calls `function` for each input, in the workers, and gives the results in the order of the inputs (in
    /// Python: `map`).
    ///
    /// The inputs go to the workers in chunks: large ones at first, and single inputs at the end, so that no
    /// worker waits long for another. What a slow worker has not begun is given to the others. To choose
    /// the size yourself, see [`chunk_size`](Pool::chunk_size). The inputs are read while the first of them
    /// are worked on; at most 64 MiB of them wait.
    ///
    /// # Errors
    ///
    /// [`MapError::Tasks`] where a call panicked or its worker died; every other call is made, and
    /// its result stands in the error. [`MapError::Pool`] where the pool could not go on, or an input has no
    /// encoding; calls for earlier inputs may have been made.
    pub fn map<A, R, I>(&self, function: fn(A) -> R, inputs: I) -> Result<Vec<R>, MapError<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.guided().map(function, inputs)
    }

    /// As [`map`](Pool::map), and does not wait (in Python: `map_async`). All inputs are read at once.
    ///
    /// # Errors
    ///
    /// Where the pool takes no calls any more, or an input has no encoding.
    pub fn map_async<A, R, I>(
        &self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<MapResult<R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.guided().map_async(function, inputs)
    }

    /// As [`map`](Pool::map), for a function of two arguments (in Python: `starmap`). For more of them,
    /// `map` a function of a tuple.
    ///
    /// ```
    /// fn power(base: u64, exponent: u32) -> u64 {
    ///     base.pow(exponent)
    /// }
    ///
    /// # common::init();
    /// let pool = common::Pool::new(2)?;
    /// assert_eq!(pool.starmap(power, [(2, 10), (3, 2)])?, [1024, 9]);
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`map`](Pool::map).
    pub fn starmap<A, B, R, I>(
        &self,
        function: fn(A, B) -> R,
        inputs: I,
    ) -> Result<Vec<R>, MapError<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        B: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = (A, B)>,
    {
        self.guided().starmap(function, inputs)
    }

    /// As [`starmap`](Pool::starmap), and does not wait (in Python: `starmap_async`).
    ///
    /// # Errors
    ///
    /// As for [`map_async`](Pool::map_async).
    pub fn starmap_async<A, B, R, I>(
        &self,
        function: fn(A, B) -> R,
        inputs: I,
    ) -> Result<MapResult<R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        B: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = (A, B)>,
    {
        self.guided().starmap_async(function, inputs)
    }

    /// Calls `function` for each input, and gives each result as soon as it and those before it are there
    /// (in Python: `imap`).
    ///
    /// Inputs are read as results are taken: never more than eight a worker are ahead, so an iterator
    /// without an end is no trouble. A call that fails is an `Err` in its place, and the next one comes after
    /// it.
    ///
    /// ```
    /// # common::init();
    /// let pool = common::Pool::new(2)?;
    /// let squares = pool.imap(|x: u64| x * x, 1..)?;
    /// let first: Result<Vec<u64>, _> = squares.take(3).collect();
    /// assert_eq!(first?, [1, 4, 9]);
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where the pool takes no calls any more.
    pub fn imap<A, R, I>(
        &self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<Imap<'_, I::IntoIter, R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.chunks(1).imap(function, inputs)
    }

    /// As [`imap`](Pool::imap), and gives each result as soon as it is there, in any order (in Python:
    /// `imap_unordered`).
    ///
    /// # Errors
    ///
    /// As for [`imap`](Pool::imap).
    pub fn imap_unordered<A, R, I>(
        &self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<Imap<'_, I::IntoIter, R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.chunks(1).imap_unordered(function, inputs)
    }

    /// The same pool, with chunks of `size` inputs (in Python: `chunksize`). A chunk is shorter where it
    /// would have more than 64 KiB.
    ///
    /// ```
    /// # common::init();
    /// let pool = common::Pool::new(2)?;
    /// assert_eq!(pool.chunk_size(2)?.map(|x: u64| x + 1, 0..5)?, [1, 2, 3, 4, 5]);
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where `size` is 0.
    #[doc(alias = "chunksize")]
    pub fn chunk_size(&self, size: usize) -> Result<Chunks<'_>, PoolError> {
        if size == 0 {
            return Err(PoolError::Zero("the size of a chunk"));
        }
        Ok(self.chunks(size))
    }

    /// The same pool; its calls show on standard error how far they are, under this name.
    ///
    /// On a terminal that is a bar with the rate and the time that is left; elsewhere, such as in the log of a
    /// batch job, lines: one for each tenth, and none within a second of another. Needs the feature `progress`.
    ///
    /// ```
    /// # common::init();
    /// let pool = common::Pool::new(2)?;
    /// assert_eq!(pool.with_progress("squares").map(|x: u64| x * x, 0..4)?, [0, 1, 4, 9]);
    /// # common::Result::Ok(())
    /// ```
    #[cfg(feature = "progress")]
    pub fn with_progress(&self, name: impl Into<String>) -> WithProgress<'_> {
        self.guided().with_progress(name)
    }

    fn chunks(&self, size: usize) -> Chunks<'_> {
        Chunks { size: Some(size), ..self.guided() }
    }

    fn guided(&self) -> Chunks<'_> {
        Chunks { pool: self, size: None, can_cancel: false, window: None, limit: None }
    }

    /// The results of calls that can be cancelled, one by one.
    pub(crate) fn stream<A, R, I>(
        &self,
        (size, window, limit): (usize, Option<usize>, Option<Duration>),
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<Imap<'_, I::IntoIter, R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        let window = Some(window.unwrap_or(usize::MAX));
        let chunks = Chunks { pool: self, size: Some(size), can_cancel: true, window, limit };
        let mut imap = chunks.imap(function, inputs)?;
        imap.read_ahead();
        Ok(imap)
    }

    /// Takes no more calls; those that there are will be made, and then the workers leave (in Python:
    /// `close`).
    pub fn close(&self) {
        self.office.close();
    }

    /// Ends the workers, and fails every call that has not ended with [`TaskError::Terminated`] (in Python:
    /// `terminate`). Dropping the pool does the same.
    pub fn terminate(&self) {
        self.end_within(GRACE);
    }

    /// Ends the workers, by SIGKILL alone where they have no `grace`.
    pub(crate) fn end_within(&self, grace: Duration) {
        if self.end.cancel() {
            self.office.end(grace);
        }
    }

    /// Waits until all calls are made, everybody is called back, and the workers have ended (in Python:
    /// `join`).
    ///
    /// # Errors
    ///
    /// [`PoolError::StillRunning`] where the pool was neither closed nor terminated before.
    pub fn join(&self) -> Result<(), PoolError> {
        match self.dispatch().check() {
            Ok(()) => return Err(PoolError::StillRunning),
            Err(error @ PoolError::Inherited) => return Err(error),
            Err(_) => {}
        }
        self.office.finish();
        self.end_within(GRACE);
        Ok(())
    }

    /// Cancels every call that can be cancelled and was not begun.
    pub(crate) fn cancel_all(&self) {
        self.dispatch().cancel_all();
    }

    /// How many workers there are (in Python: `_processes`).
    #[expect(clippy::len_without_is_empty, reason = "a pool is never without workers")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.dispatch().size
    }

    /// Whether it takes calls, and if not, why (in Python: `_state`).
    #[doc(alias = "_state")]
    #[must_use]
    pub fn state(&self) -> PoolState {
        self.dispatch().lock().phase().state()
    }

    /// How many chunks wait for a worker at this moment; a call by itself is one.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.dispatch().tasks.len()
    }

    /// The process ids of the workers at this moment; one is missing while it is being replaced.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.office.crew.pids()
    }

    fn dispatch(&self) -> &Arc<Dispatch> {
        &self.office.dispatch
    }

    /// How many calls of a job are done that workers have not reported.
    fn at_work(&self, job: &Arc<dyn Job>) -> usize {
        self.office.crew.at_work(|chunk| self.dispatch().is_of(chunk, job))
    }

    fn feeder<T: Target>(
        &self,
        function: T,
        job: Arc<dyn Job>,
        can_cancel: bool,
    ) -> Result<Feeder, PoolError> {
        self.dispatch().check()?;
        let function = function.function().ok_or(PoolError::ForeignTarget)?;
        Ok(Feeder::new(self.dispatch(), job, function, can_cancel))
    }
}

/// Whether a pool takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolState {
    /// It does.
    Running,
    /// It was closed: what it has will be done.
    Closed,
    /// It was terminated.
    Terminated,
    /// It could not go on.
    Broken,
}

/// As Python writes it: `RUN`, `CLOSE`, `TERMINATE`; and `BROKEN`.
impl fmt::Display for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "RUN",
            Self::Closed => "CLOSE",
            Self::Terminated => "TERMINATE",
            Self::Broken => "BROKEN",
        })
    }
}

/// `Pool(RUN, 4 workers)`.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({}, {} workers)", self.state(), self.len())
    }
}

impl Office {
    /// Takes no more calls, and has the workers leave when there is nothing to do.
    fn close(&self) {
        if self.dispatch.close() {
            self.attendant.attend(&self.dispatch);
        }
    }

    /// Waits until all calls are made and the workers have left.
    fn finish(&self) {
        self.dispatch.wait(Deadline::NEVER, |state| state.is_idle().then_some(()));
        if self.dispatch.lock().phase().state() == PoolState::Closed {
            self.crew.leave();
        }
    }

    /// Ends everything.
    fn end(&self, grace: Duration) {
        self.dispatch.terminate();
        self.crew.end(grace);
        self.dispatch.lock().has_ended = true;
        self.dispatch.notify();
        self.attendant.join();
    }
}
