//! A pool's `map` and its kin, and how their inputs are cut into chunks.

use super::dispatch::Job;
use super::job::{Feeder, Many};
use super::promise::Promise;
use super::worker::Target;
use super::{AsyncResult, Imap, MapError, MapResult, Pool, PoolError};
use crate::sync::word::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// So many bytes of arguments may wait at a time, unless there are no more of them than workers.
const WAITING: usize = 64 << 20;
/// And so many chunks for each worker.
const AHEAD: usize = 512;
/// How often who watches is told.
const TICK: Duration = Duration::from_millis(100);

/// A pool, and how many inputs make a chunk: see [`Pool::chunk_size`].
#[derive(Clone, Copy, Debug)]
pub struct Chunks<'p> {
    pub(super) pool: &'p Pool,
    /// `None`: larger ones first.
    pub(super) size: Option<usize>,
    /// Of an executor: whether the calls can be cancelled, how many are ahead, and how long they may take.
    pub(super) can_cancel: bool,
    pub(super) window: Option<usize>,
    pub(super) limit: Option<Duration>,
}

impl<'p> Chunks<'p> {
    /// As [`Pool::map`].
    ///
    /// # Errors
    ///
    /// As for [`Pool::map`].
    pub fn map<A, R, I>(self, function: fn(A) -> R, inputs: I) -> Result<Vec<R>, MapError<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.run(function, inputs)
    }

    /// As [`Pool::map_async`].
    ///
    /// # Errors
    ///
    /// As for [`Pool::map_async`].
    pub fn map_async<A, R, I>(
        self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<MapResult<R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.run_async(function, inputs)
    }

    /// As [`Pool::starmap`].
    ///
    /// # Errors
    ///
    /// As for [`Pool::map`].
    pub fn starmap<A, B, R, I>(
        self,
        function: fn(A, B) -> R,
        inputs: I,
    ) -> Result<Vec<R>, MapError<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        B: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = (A, B)>,
    {
        self.run(function, inputs)
    }

    /// As [`Pool::starmap_async`].
    ///
    /// # Errors
    ///
    /// As for [`Pool::map_async`].
    pub fn starmap_async<A, B, R, I>(
        self,
        function: fn(A, B) -> R,
        inputs: I,
    ) -> Result<MapResult<R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        B: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = (A, B)>,
    {
        self.run_async(function, inputs)
    }

    /// As [`Pool::imap`].
    ///
    /// # Errors
    ///
    /// As for [`Pool::imap`].
    pub fn imap<A, R, I>(
        self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<Imap<'p, I::IntoIter, R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        Imap::new(self, function, inputs.into_iter(), true)
    }

    /// As [`Pool::imap_unordered`].
    ///
    /// # Errors
    ///
    /// As for [`Pool::imap`].
    pub fn imap_unordered<A, R, I>(
        self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<Imap<'p, I::IntoIter, R>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        Imap::new(self, function, inputs.into_iter(), false)
    }

    /// How many inputs the next chunk has, when so many were read and about so many are left.
    fn next_size(self, read: usize, left: usize) -> usize {
        let parts = 4 * self.pool.len();
        // Of a length that nobody knows, a part of what has come is taken.
        self.size.unwrap_or_else(|| if left > 0 { left / parts } else { read / (2 * parts) }.max(1))
    }

    fn run<T, I>(self, function: T, inputs: I) -> Result<Vec<T::Value>, MapError<T::Value>>
    where
        T: Target<Argument: Serialize, Value: DeserializeOwned + Send>,
        I: IntoIterator<Item = T::Argument>,
    {
        self.run_watched(function, inputs, None)
    }

    /// The same; `tick` is called now and then, with how many calls have ended.
    pub(super) fn run_watched<T, I>(
        self,
        function: T,
        inputs: I,
        tick: Option<&dyn Fn(usize)>,
    ) -> Result<Vec<T::Value>, MapError<T::Value>>
    where
        T: Target<Argument: Serialize, Value: DeserializeOwned + Send>,
        I: IntoIterator<Item = T::Argument>,
    {
        let dispatch = self.pool.dispatch();
        let look = |job: &Arc<Many<T::Value>>| {
            if let Some(tick) = tick {
                let settled = job.settled();
                tick(settled + self.pool.at_work(&(Arc::clone(job) as Arc<dyn Job>)));
            }
        };
        let pause = || tick.map_or(Deadline::NEVER, |_| Deadline::after(TICK));
        let room = |feeder: &Feeder, job: &Arc<Many<T::Value>>| {
            let is_full = |part: usize| {
                let waiting = feeder.total() - job.settled();
                waiting > dispatch.size
                    && (waiting.saturating_mul(feeder.average()) > WAITING / part
                        || waiting / feeder.chunk() > AHEAD * dispatch.size / part)
            };
            look(job);
            if is_full(1) {
                // Then the workers have enough for a while.
                while dispatch.wait(pause(), |_| (!is_full(2)).then_some(())).is_none() {
                    look(job);
                }
            }
        };
        let (result, job) = self.begin();
        self.feed(function, inputs, &job, Feeder::patient, room)?;
        while tick.is_some() && !result.wait_timeout(TICK) {
            look(&job);
        }
        result.get()
    }

    fn run_async<T, I>(self, function: T, inputs: I) -> Result<MapResult<T::Value>, PoolError>
    where
        T: Target<Argument: Serialize, Value: DeserializeOwned + Send>,
        I: IntoIterator<Item = T::Argument>,
    {
        let (result, job) = self.begin();
        self.feed(function, inputs, &job, |feeder| feeder, |_, _| ())?;
        // What a slow worker gives back has to be given out again, whether anybody waits or not.
        result.attend();
        Ok(result)
    }

    /// What waits for all the results of a `map`.
    fn begin<R: DeserializeOwned + Send + 'static>(self) -> (MapResult<R>, Arc<Many<R>>) {
        let promise = Promise::new(self.pool.dispatch());
        let job = Many::new(&promise);
        (AsyncResult::new(promise, &self.pool.office.attendant), job)
    }

    /// Gives out a call for each input, by a feeder `of` this kind; after each chunk `room` may wait.
    fn feed<T, I>(
        self,
        function: T,
        inputs: I,
        job: &Arc<Many<T::Value>>,
        of: fn(Feeder) -> Feeder,
        room: impl Fn(&Feeder, &Arc<Many<T::Value>>),
    ) -> Result<(), PoolError>
    where
        T: Target<Argument: Serialize, Value: DeserializeOwned + Send>,
        I: IntoIterator<Item = T::Argument>,
    {
        let mut feeder = of(self.pool.feeder(function, Arc::clone(job) as Arc<dyn Job>, false)?);
        let mut inputs = inputs.into_iter();
        let mut size = self.next_size(0, inputs.size_hint().0);
        let mut read = 0;
        while let Some(input) = inputs.next() {
            read += 1;
            feeder.add(&input, size)?;
            if feeder.is_empty() {
                room(&feeder, job);
                size = self.next_size(read, inputs.size_hint().0);
            }
        }
        feeder.flush()?;
        job.complete(feeder.total());
        Ok(())
    }
}
