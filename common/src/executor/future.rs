//! The value of a call, and how to wait for several (in Python: `Future`, `wait`, `as_completed`).

use crate::pool::{AsyncResult, GetTimeoutError, NotYet, TaskError};
use crate::sync::word::Deadline;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The value of a call that a worker makes (in Python: `Future`).
///
/// Dropping it drops the value; the call is made all the same.
#[must_use = "the value comes by result()"]
pub struct Future<R> {
    result: AsyncResult<R>,
    chunk: u64,
}

impl<R: Send + 'static> Future<R> {
    pub(super) fn new(result: AsyncResult<R>, chunk: u64) -> Self {
        Self { result, chunk }
    }

    /// Waits for the value.
    ///
    /// # Errors
    ///
    /// Where the call has failed or was cancelled.
    pub fn result(self) -> Result<R, TaskError> {
        self.result.get()
    }

    /// Waits for the value, at most for `limit`.
    ///
    /// # Errors
    ///
    /// As for [`result`](Self::result), and where the time is up: the error holds this future again then.
    #[doc(alias = "result")]
    pub fn result_timeout(self, limit: Duration) -> Result<R, ResultTimeoutError<R>> {
        let Self { result, chunk } = self;
        result.get_timeout(limit).map_err(|error| match error {
            GetTimeoutError::TimedOut(result) => {
                ResultTimeoutError::TimedOut(Self { result, chunk })
            }
            GetTimeoutError::Failed(error) => ResultTimeoutError::Failed(error),
        })
    }

    /// Waits until the call has ended; why it has no value, if so.
    #[must_use]
    pub fn exception(&self) -> Option<TaskError> {
        self.result.wait();
        self.result.look(|outcome| outcome.as_ref().err().cloned()).flatten()
    }

    /// Cancels the call if nobody has begun it; whether it is cancelled now.
    ///
    /// In Python one call more than there are workers can no longer be cancelled although nobody has begun
    /// it.
    #[expect(
        clippy::must_use_candidate,
        reason = "who cancels may not care whether it was in time"
    )]
    pub fn cancel(&self) -> bool {
        self.result.dispatch().cancel(self.chunk) || self.is_cancelled()
    }

    /// Whether it was cancelled (in Python: `cancelled`).
    #[doc(alias = "cancelled")]
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let is_cancelled =
            |outcome: &Result<R, TaskError>| matches!(outcome, Err(TaskError::Cancelled));
        self.is_done() && self.result.look(is_cancelled) == Some(true)
    }

    /// Whether a worker is at it (in Python: `running`).
    #[doc(alias = "running")]
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.is_done() && self.result.dispatch().is_running(self.chunk)
    }

    /// Whether the call has ended or was cancelled (in Python: `done`).
    #[doc(alias = "done")]
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.result.is_ready()
    }

    /// Has `callback` called with the outcome, by a thread of the executor in this process, before anybody
    /// gets it (in Python: `add_done_callback`). A panic in it is printed, and nothing else.
    #[doc(alias = "add_done_callback")]
    pub fn done_callback(
        self,
        callback: impl FnOnce(&Result<R, TaskError>) + Send + 'static,
    ) -> Self {
        let Self { result, chunk } = self;
        Self { result: result.when_settled(Box::new(callback)), chunk }
    }

    fn has_failed(&self) -> bool {
        let has_failed = |outcome: &Result<R, TaskError>| matches!(outcome, Err(error) if !matches!(error, TaskError::Cancelled));
        self.result.look(has_failed) == Some(true)
    }
}

/// Why [`Future::result_timeout`] has no value.
#[derive(thiserror::Error)]
pub enum ResultTimeoutError<R> {
    /// The call has not ended in time; here it is, to be waited for again (in Python: `TimeoutError`).
    #[error("the call has not ended in time; wait longer")]
    TimedOut(Future<R>),
    /// The call has failed.
    #[error(transparent)]
    Failed(TaskError),
}

impl<R> fmt::Debug for ResultTimeoutError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `Future(pending)`, `Future(running)`, `Future(cancelled)`, `Future(finished)`, `Future(failed: ...)`.
impl<R: Send + 'static> fmt::Debug for Future<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_running() {
            return f.write_str("Future(running)");
        }
        let state = self.result.look(|outcome| match outcome {
            Ok(_) => "finished".to_string(),
            Err(TaskError::Cancelled) => "cancelled".to_string(),
            Err(error) => format!("failed: {error}"),
        });
        write!(f, "Future({})", state.as_deref().unwrap_or("pending"))
    }
}

/// What [`wait()`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReturnWhen {
    /// One has ended or was cancelled.
    FirstCompleted,
    /// One has failed, or all have ended.
    FirstException,
    /// All have ended or were cancelled.
    AllCompleted,
}

/// [`ReturnWhen::FirstCompleted`], as Python writes it.
pub const FIRST_COMPLETED: ReturnWhen = ReturnWhen::FirstCompleted;
/// [`ReturnWhen::FirstException`], as Python writes it.
pub const FIRST_EXCEPTION: ReturnWhen = ReturnWhen::FirstException;
/// [`ReturnWhen::AllCompleted`], as Python writes it.
pub const ALL_COMPLETED: ReturnWhen = ReturnWhen::AllCompleted;

/// Futures, by whether they have ended.
#[derive(Debug)]
pub struct Waited<R: Send + 'static> {
    /// Those that have ended or were cancelled.
    pub done: Vec<Future<R>>,
    /// The others.
    pub not_done: Vec<Future<R>>,
}

/// Waits for some or all of `futures`, which may be of several executors.
pub fn wait<R: Send + 'static>(futures: Vec<Future<R>>, until: ReturnWhen) -> Waited<R> {
    wait_until(futures, until, Deadline::NEVER)
}

/// As [`wait()`], at most for `limit`.
#[doc(alias = "wait")]
pub fn wait_timeout<R: Send + 'static>(
    futures: Vec<Future<R>>,
    until: ReturnWhen,
    limit: Duration,
) -> Waited<R> {
    wait_until(futures, until, Deadline::after(limit))
}

fn wait_until<R: Send + 'static>(
    futures: Vec<Future<R>>,
    until: ReturnWhen,
    deadline: Deadline,
) -> Waited<R> {
    let is_settled = |future: &Future<R>| future.result.is_settled();
    let is_enough = || {
        let all = || futures.iter().all(is_settled);
        match until {
            ReturnWhen::FirstCompleted => futures.is_empty() || futures.iter().any(is_settled),
            ReturnWhen::FirstException => futures.iter().any(Future::has_failed) || all(),
            ReturnWhen::AllCompleted => all(),
        }
    };
    wait_for(&futures, deadline, is_enough);
    let (done, not_done) = futures.into_iter().partition(is_settled);
    Waited { done, not_done }
}

/// Waits until there `is_enough` of what becomes of the futures; false when the time is up.
fn wait_for<R: Send + 'static>(
    futures: &[Future<R>],
    deadline: Deadline,
    is_enough: impl Fn() -> bool,
) -> bool {
    let Some(first) = futures.first() else { return is_enough() };
    let dispatch = first.result.dispatch();
    if futures.iter().all(|future| Arc::ptr_eq(future.result.dispatch(), dispatch)) {
        return dispatch.wait(deadline, |_| is_enough().then_some(())).is_some();
    }
    // Each executor tells when one of its calls has ended.
    let bell = Arc::new((Mutex::new(()), Condvar::new()));
    for future in futures {
        let bell = Arc::clone(&bell);
        future.result.watch(move || {
            drop(bell.0.lock().unwrap_or_else(PoisonError::into_inner));
            bell.1.notify_all();
        });
    }
    let mut quiet = bell.0.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if is_enough() {
            return true;
        }
        quiet = match deadline.left() {
            Some(left) if left.is_zero() => return false,
            left => {
                let left = left.unwrap_or(Duration::MAX);
                bell.1.wait_timeout(quiet, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

/// Gives each future when its call has ended or was cancelled (in Python: `as_completed`): those that have
/// ended already at once, in the order in which they ended.
pub fn as_completed<R: Send + 'static>(
    futures: impl IntoIterator<Item = Future<R>>,
) -> AsCompleted<R> {
    AsCompleted { futures: futures.into_iter().collect() }
}

/// The futures of [`as_completed`] that it has not given yet.
#[derive(Debug)]
#[must_use = "futures are waited for as they are taken"]
pub struct AsCompleted<R: Send + 'static> {
    futures: Vec<Future<R>>,
}

impl<R: Send + 'static> AsCompleted<R> {
    /// Waits for the next one, at most for `limit`; `Ok(None)` where there is none any more.
    ///
    /// # Errors
    ///
    /// [`NotYet`]; it may be asked for again.
    #[doc(alias = "timeout")]
    pub fn next_timeout(&mut self, limit: Duration) -> Result<Option<Future<R>>, NotYet> {
        self.next_until(Deadline::after(limit))
    }

    /// How many it has not given yet.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.futures.len()
    }

    fn next_until(&mut self, deadline: Deadline) -> Result<Option<Future<R>>, NotYet> {
        let first = || {
            let ended = self.futures.iter().enumerate().filter_map(|(place, future)| {
                future.result.settled_at().map(|at: Instant| (at, place))
            });
            ended.min().map(|(_, place)| place)
        };
        if self.futures.is_empty() {
            return Ok(None);
        }
        wait_for(&self.futures, deadline, || first().is_some());
        let place = first().ok_or(NotYet)?;
        Ok(Some(self.futures.remove(place)))
    }
}

impl<R: Send + 'static> Iterator for AsCompleted<R> {
    type Item = Future<R>;

    fn next(&mut self) -> Option<Future<R>> {
        self.next_until(Deadline::NEVER).ok().flatten()
    }
}
