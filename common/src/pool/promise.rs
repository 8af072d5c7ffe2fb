//! The value of a call that others make, and those who wait for it (in Python: `AsyncResult`).

use super::attendant::Attendant;
use super::dispatch::{Callback, Dispatch};
use super::error::TaskError;
use crate::sync::word::Deadline;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What was asked to be done with the outcome.
type Reaction<T, E> = Box<dyn FnOnce(&Result<T, E>) + Send>;

/// Where the outcome of a call will be.
pub(super) struct Promise<T, E> {
    content: Mutex<Content<T, E>>,
    dispatch: Arc<Dispatch>,
}

struct Content<T, E> {
    outcome: Option<Result<T, E>>,
    reactions: Vec<Reaction<T, E>>,
    /// What is done afterwards.
    watchers: Vec<Callback>,
    /// The outcome is there, and everybody has reacted; and since when.
    is_settled: bool,
    settled_at: Option<Instant>,
    /// The attendant waits for it.
    is_attended: bool,
}

impl<T: Send + 'static, E: Send + 'static> Promise<T, E> {
    pub(super) fn new(dispatch: &Arc<Dispatch>) -> Arc<Self> {
        let content = Content {
            outcome: None,
            reactions: Vec::new(),
            watchers: Vec::new(),
            is_settled: false,
            settled_at: None,
            is_attended: false,
        };
        Arc::new(Self { content: Mutex::new(content), dispatch: Arc::clone(dispatch) })
    }

    fn lock(&self) -> MutexGuard<'_, Content<T, E>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call has ended; false where that is known already.
    pub(super) fn settle(self: &Arc<Self>, outcome: Result<T, E>) -> bool {
        let mut content = self.lock();
        if content.outcome.is_some() || content.is_settled {
            return false;
        }
        content.outcome = Some(outcome);
        if content.reactions.is_empty() {
            self.finish(content);
        } else {
            drop(content);
            let promise = Arc::clone(self);
            self.dispatch.call(Box::new(move || promise.react()));
        }
        true
    }

    /// Has those react who asked for it, and then lets the others know.
    fn react(self: &Arc<Self>) {
        loop {
            let mut content = self.lock();
            if content.reactions.is_empty() {
                return self.finish(content);
            }
            let reaction = content.reactions.remove(0);
            let Some(outcome) = content.outcome.take() else { return };
            drop(content);
            /// Also where the reaction panics the outcome is there.
            struct Back<'a, T: Send + 'static, E: Send + 'static>(
                &'a Promise<T, E>,
                Option<Result<T, E>>,
            );
            impl<T: Send + 'static, E: Send + 'static> Drop for Back<'_, T, E> {
                fn drop(&mut self) {
                    self.0.lock().outcome = self.1.take();
                }
            }
            let back = Back(self, Some(outcome));
            let called = std::panic::AssertUnwindSafe(|| back.1.as_ref().map(reaction));
            if let Err(panic) = std::panic::catch_unwind(called) {
                std::mem::forget(panic);
            }
        }
    }

    fn finish(&self, mut content: MutexGuard<'_, Content<T, E>>) {
        content.is_settled = true;
        content.settled_at.get_or_insert_with(Instant::now);
        let was_attended = std::mem::take(&mut content.is_attended);
        let watchers = std::mem::take(&mut content.watchers);
        drop(content);
        watchers.into_iter().for_each(|watcher| watcher());
        if was_attended {
            self.dispatch.leave_alone();
        }
    }

    /// Has the attendant wait for the outcome.
    pub(super) fn attend(&self, attendant: &Attendant) {
        // First, because it must be known there when the outcome comes.
        attendant.attend(&self.dispatch);
        let mut content = self.lock();
        let needs_it = !content.is_settled && !content.is_attended;
        content.is_attended |= needs_it;
        drop(content);
        if !needs_it {
            self.dispatch.leave_alone();
        }
    }

    /// Has `reaction` called with the outcome by the attendant, before anybody takes it.
    pub(super) fn when_settled(self: &Arc<Self>, attendant: &Attendant, reaction: Reaction<T, E>) {
        let mut content = self.lock();
        content.reactions.push(reaction);
        let is_first = content.outcome.is_some() && content.is_settled;
        content.is_settled = false;
        drop(content);
        self.attend(attendant);
        if is_first {
            let promise = Arc::clone(self);
            self.dispatch.call(Box::new(move || promise.react()));
        }
    }

    fn watch(&self, watcher: Callback) {
        let mut content = self.lock();
        if content.is_settled {
            drop(content);
            watcher();
        } else {
            content.watchers.push(watcher);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.lock().is_settled
    }

    /// The same, by what is reported up to now.
    pub(super) fn is_settled_now(&self) -> bool {
        if !self.is_settled() {
            self.dispatch.look();
        }
        self.is_settled()
    }

    /// Waits for the outcome; false when the time is up.
    pub(super) fn wait(&self, deadline: Deadline) -> bool {
        let settled = self.dispatch.wait(deadline, |_| self.is_settled().then_some(()));
        settled.is_some()
    }

    /// The outcome, once; `None` where it is not there, or was taken.
    pub(super) fn take(&self) -> Option<Result<T, E>> {
        let mut content = self.lock();
        if content.is_settled { content.outcome.take() } else { None }
    }

    /// What `look` sees in the outcome, if it is there.
    pub(super) fn with<R>(&self, look: impl FnOnce(&Result<T, E>) -> R) -> Option<R> {
        let content = self.lock();
        content.outcome.as_ref().filter(|_| content.is_settled).map(look)
    }
}

/// The value of a call that is made in another process, some time (in Python: `AsyncResult`).
///
/// Dropping it drops the value; the call is made all the same.
#[must_use = "the value comes by get()"]
pub struct AsyncResult<T, E = TaskError> {
    promise: Arc<Promise<T, E>>,
    attendant: Arc<Attendant>,
}

/// Why [`get_timeout`](AsyncResult::get_timeout) has no value.
#[derive(thiserror::Error)]
pub enum GetTimeoutError<T, E> {
    /// The call has not ended in time; here it is, to be waited for again (in Python:
    /// `multiprocessing.TimeoutError`).
    #[error("the call has not ended in time; wait longer")]
    TimedOut(AsyncResult<T, E>),
    /// The call has failed.
    #[error("{0}")]
    Failed(E),
}

impl<T, E: fmt::Display> fmt::Debug for GetTimeoutError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T: Send + 'static, E: Send + 'static> AsyncResult<T, E> {
    pub(super) fn new(promise: Arc<Promise<T, E>>, attendant: &Arc<Attendant>) -> Self {
        Self { promise, attendant: Arc::clone(attendant) }
    }

    /// Has the attendant wait for it as well.
    pub(super) fn attend(&self) {
        self.promise.attend(&self.attendant);
    }

    /// Waits for the value.
    ///
    /// # Errors
    ///
    /// Where the call has failed.
    pub fn get(self) -> Result<T, E> {
        self.promise.wait(Deadline::NEVER);
        self.promise.take().expect("who waits without a limit waits until it is settled")
    }

    /// Waits for the value, at most for `limit`.
    ///
    /// # Errors
    ///
    /// See [`GetTimeoutError`]; where the time is up, it holds this result again.
    #[doc(alias = "get")]
    pub fn get_timeout(self, limit: Duration) -> Result<T, GetTimeoutError<T, E>> {
        if !self.promise.wait(Deadline::after(limit)) {
            return Err(GetTimeoutError::TimedOut(self));
        }
        let outcome = self.promise.take().expect("it is settled, and only this takes it");
        outcome.map_err(GetTimeoutError::Failed)
    }

    /// Waits until the call has ended.
    pub fn wait(&self) {
        self.promise.wait(Deadline::NEVER);
    }

    /// Waits until the call has ended, at most for `limit`; whether it has.
    #[doc(alias = "wait")]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        self.promise.wait(Deadline::after(limit))
    }

    /// Whether the call has ended (in Python: `ready`).
    #[doc(alias = "ready")]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.promise.is_settled_now()
    }

    /// Whether the call has given a value; `None` while it has not ended (in Python: `successful`, which
    /// raises `ValueError` then).
    #[doc(alias = "successful")]
    #[must_use]
    pub fn is_successful(&self) -> Option<bool> {
        self.promise.is_settled_now();
        self.promise.with(Result::is_ok)
    }

    /// Has `callback` called with the value, by a thread of the pool in this process, before
    /// [`get`](Self::get) gives it (in Python: `callback=`). It shall return soon: others wait for their
    /// turn. A panic in it is printed, and nothing else.
    pub fn callback(self, callback: impl FnOnce(&T) + Send + 'static) -> Self {
        self.when_settled(Box::new(|outcome| {
            if let Ok(value) = outcome {
                callback(value);
            }
        }))
    }

    /// The same with the error, where the call fails (in Python: `error_callback=`).
    pub fn error_callback(self, callback: impl FnOnce(&E) + Send + 'static) -> Self {
        self.when_settled(Box::new(|outcome| {
            if let Err(error) = outcome {
                callback(error);
            }
        }))
    }

    pub(crate) fn when_settled(self, reaction: Reaction<T, E>) -> Self {
        self.promise.when_settled(&self.attendant, reaction);
        self
    }

    /// Has `work` done when it has ended, whether anybody waits or not; at once where it has.
    pub(crate) fn watch(&self, work: impl FnOnce() + Send + 'static) {
        self.promise.attend(&self.attendant);
        self.promise.watch(Box::new(work));
    }

    /// Whether it has ended, by what was read.
    pub(crate) fn is_settled(&self) -> bool {
        self.promise.is_settled()
    }

    /// When it ended, if that was read.
    pub(crate) fn settled_at(&self) -> Option<Instant> {
        let content = self.promise.lock();
        content.settled_at.filter(|_| content.is_settled)
    }

    /// What `look` sees in the outcome, if it was read.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Result<T, E>) -> R) -> Option<R> {
        self.promise.with(look)
    }

    pub(crate) fn dispatch(&self) -> &Arc<Dispatch> {
        &self.promise.dispatch
    }
}

impl<T, E> fmt::Debug for AsyncResult<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").finish_non_exhaustive()
    }
}
