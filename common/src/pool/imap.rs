//! The results of calls one by one, while the inputs are still read (in Python: `IMapIterator`).

use super::Chunks;
use super::dispatch::{Dispatch, Job};
use super::error::{PoolError, TaskError};
use super::job::{Feeder, Stream};
use super::worker::Target;
use crate::sync::word::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// So many chunks a worker may be read before their results are taken.
const AHEAD: usize = 8;

/// The results of [`Pool::imap`](super::Pool::imap) and
/// [`imap_unordered`](super::Pool::imap_unordered), one by one.
///
/// Dropping it forgets the results that were not taken; calls that were given out are made all the same.
#[must_use = "inputs are read as results are taken"]
pub struct Imap<'p, I, R> {
    inputs: Option<I>,
    feeder: Feeder,
    stream: Arc<Stream<R>>,
    dispatch: Arc<Dispatch>,
    in_order: bool,
    chunk: usize,
    /// How many inputs may be ahead of the results that were taken, and how many results these are.
    window: usize,
    taken: usize,
    /// When the last result has to be there.
    deadline: Deadline,
    pool: PhantomData<&'p super::Pool>,
}

/// The next result is not there yet (in Python: `multiprocessing.TimeoutError`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the next result has not come in time; wait longer")]
pub struct NotYet;

impl<'p, I, R> Imap<'p, I, R>
where
    I: Iterator<Item: Serialize + 'static>,
    R: DeserializeOwned + Send + 'static,
{
    pub(super) fn new<T>(
        chunks: Chunks<'p>,
        function: T,
        inputs: I,
        in_order: bool,
    ) -> Result<Self, PoolError>
    where
        T: Target<Argument = I::Item, Value = R>,
    {
        let stream = Stream::new();
        let job = Arc::clone(&stream) as Arc<dyn Job>;
        let feeder = chunks.pool.feeder(function, job, chunks.can_cancel)?.patient();
        let chunk = chunks.size.unwrap_or(1);
        let ahead = chunk.saturating_mul(chunks.pool.len()).saturating_mul(AHEAD);
        let window = chunks.window.unwrap_or(ahead);
        let (dispatch, inputs) = (Arc::clone(chunks.pool.dispatch()), Some(inputs));
        let (taken, pool) = (0, PhantomData);
        let deadline = chunks.limit.map_or(Deadline::NEVER, Deadline::after);
        Ok(Self {
            inputs,
            feeder,
            stream,
            dispatch,
            in_order,
            chunk,
            window,
            taken,
            deadline,
            pool,
        })
    }

    /// Waits for the next result, at most for `limit`; `Ok(None)` where there is none any more (in Python:
    /// `next(timeout)`).
    ///
    /// # Errors
    ///
    /// [`NotYet`]; it may be asked for again.
    #[doc(alias = "next")]
    pub fn next_timeout(
        &mut self,
        limit: Duration,
    ) -> Result<Option<Result<R, TaskError>>, NotYet> {
        self.next_until(Deadline::after(limit))
    }

    fn next_until(&mut self, deadline: Deadline) -> Result<Option<Result<R, TaskError>>, NotYet> {
        self.read_ahead();
        if self.taken == self.feeder.total() {
            return Ok(None);
        }
        let next = self.dispatch.wait(deadline, |_| self.stream.take(self.in_order));
        self.taken += usize::from(next.is_some());
        next.map(Some).ok_or(NotYet)
    }

    /// Gives out as many calls as may be under way.
    pub(super) fn read_ahead(&mut self) {
        while let Some(inputs) = &mut self.inputs
            && self.feeder.total() - self.taken < self.window
        {
            let Some(input) = inputs.next() else {
                self.inputs = None;
                let given = self.feeder.flush();
                self.fail_unless(given);
                return;
            };
            match self.feeder.add(&input, self.chunk) {
                Err(PoolError::Input { source, index }) => {
                    let flushed = self.feeder.skip();
                    self.fail_unless(flushed);
                    self.stream.fail(index, TaskError::Argument(source.to_string()));
                }
                given => self.fail_unless(given),
            }
        }
    }

    /// Where calls could not be given out, each of them has failed.
    fn fail_unless(&self, given: Result<(), PoolError>) {
        if let Err(error) = given {
            let error = TaskError::from(error);
            for index in self.feeder.last() {
                self.stream.fail(index, error.clone());
            }
        }
    }
}

impl<I, R> Iterator for Imap<'_, I, R>
where
    I: Iterator<Item: Serialize + 'static>,
    R: DeserializeOwned + Send + 'static,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_until(self.deadline) {
            Ok(next) => next,
            // Nothing comes after that.
            Err(NotYet) => {
                self.inputs = None;
                self.taken = self.feeder.total();
                self.cancel();
                Some(Err(TaskError::TimedOut))
            }
        }
    }
}

impl<I, R> Imap<'_, I, R> {
    /// Cancels what was not begun, where it can be cancelled.
    fn cancel(&self) {
        for &chunk in self.feeder.chunks() {
            self.dispatch.cancel(chunk);
        }
    }
}

impl<I, R> Drop for Imap<'_, I, R> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<I, R> fmt::Debug for Imap<'_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Imap({} of {} results taken)", self.taken, self.feeder.total())
    }
}
