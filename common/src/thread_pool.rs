//! The calls of a [`Pool`](crate::Pool), made by threads (in Python: `multiprocessing.pool.ThreadPool`).
//!
//! ```
//! use common::ThreadPool;
//!
//! let pool = ThreadPool::new(2)?;
//! assert_eq!(pool.map(|x: u64| x * x, 1..=4)?, [1, 4, 9, 16]);
//! # common::Result::Ok(())
//! ```
//!
//! Python's threads take turns, because of its global lock, so there only processes make a computation
//! faster. Rust's threads run side by side, they start sooner than processes, and nothing has to be encoded to
//! go from one to another. What processes have that they have not:
//!
//! | | [`ThreadPool`] | [`Pool`](crate::Pool) |
//! | --- | --- | --- |
//! | a task aborts, or overflows its stack | the program ends | one task is lost |
//! | a task leaks | the program grows | it goes with the worker: [`max_tasks_per_child`] |
//! | a task does not end | nobody can end it | [`terminate`](crate::Pool::terminate) |
//! | a library that keeps state of its own | all share it | each has its own |
//! | a value of a task | anything that is `Send` | anything that `serde` knows |
//!
//! Chunks are of no use here, because nothing is sent.
//!
//! [`max_tasks_per_child`]: crate::pool::PoolBuilder::max_tasks_per_child

use crate::pool::panic::caught;
use crate::pool::{CallError, MapError, NotYet, PoolError, PoolState, TaskError};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many inputs for each thread may be read before their results are taken.
const AHEAD: usize = 8;

/// A fixed number of threads that share out the calls of a function (in Python: `ThreadPool`).
///
/// Dropping it waits for the calls that are being made; those that nobody has begun fail.
pub struct ThreadPool {
    threads: rayon::ThreadPool,
    office: Arc<Office>,
}

/// How many calls there are.
struct Office {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    phase: PoolState,
    calls: usize,
}

impl Office {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call that is taken on.
    fn begin(&self) -> Result<(), PoolError> {
        let mut state = self.lock();
        match state.phase {
            PoolState::Running => state.calls += 1,
            PoolState::Closed => return Err(PoolError::NotRunning("closed")),
            _ => return Err(PoolError::NotRunning("terminated")),
        }
        Ok(())
    }

    fn end(&self) {
        self.lock().calls -= 1;
        self.changed.notify_all();
    }

    /// Makes a call, unless the pool has been terminated.
    fn call<A, R>(&self, function: impl FnOnce(A) -> R, argument: A) -> Result<R, TaskError> {
        if self.lock().phase == PoolState::Terminated {
            return Err(TaskError::Terminated);
        }
        caught(|| function(argument)).map_err(|panicked| TaskError::Panicked {
            message: panicked.message,
            place: panicked.place,
        })
    }
}

impl ThreadPool {
    /// Starts `threads` threads.
    ///
    /// # Errors
    ///
    /// Where `threads` is 0, or the system has no more of them.
    pub fn new(threads: usize) -> Result<Self, PoolError> {
        if threads == 0 {
            return Err(PoolError::NoWorkers);
        }
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("ThreadPool-{}", number + 1))
            .build();
        let state = Mutex::new(State { phase: PoolState::Running, calls: 0 });
        let office = Arc::new(Office { state, changed: Condvar::new() });
        Ok(Self { threads: built.map_err(io::Error::other)?, office })
    }

    /// As [`Pool::apply`](crate::Pool::apply).
    ///
    /// # Errors
    ///
    /// As for [`Pool::apply`](crate::Pool::apply).
    pub fn apply<A, R>(
        &self,
        function: impl FnOnce(A) -> R + Send,
        argument: A,
    ) -> Result<R, CallError>
    where
        A: Send,
        R: Send,
    {
        self.office.begin()?;
        let result = self.threads.install(|| self.office.call(function, argument));
        self.office.end();
        Ok(result?)
    }

    /// As [`Pool::apply_async`](crate::Pool::apply_async).
    ///
    /// # Errors
    ///
    /// Where the pool takes no calls any more.
    pub fn apply_async<A, R>(
        &self,
        function: impl FnOnce(A) -> R + Send + 'static,
        argument: A,
    ) -> Result<ThreadResult<R>, PoolError>
    where
        A: Send + 'static,
        R: Send + 'static,
    {
        self.later(move |office| office.call(function, argument))
    }

    /// Has a thread find out the outcome.
    fn later<T, E>(
        &self,
        work: impl FnOnce(&Office) -> Result<T, E> + Send + 'static,
    ) -> Result<ThreadResult<T, E>, PoolError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.office.begin()?;
        let result = ThreadResult { shared: Arc::default() };
        let (shared, office) = (Arc::clone(&result.shared), Arc::clone(&self.office));
        self.threads.spawn(move || {
            shared.settle(work(&office));
            office.end();
        });
        Ok(result)
    }

    /// As [`Pool::map`](crate::Pool::map); the function may be a closure that borrows.
    ///
    /// # Errors
    ///
    /// As for [`Pool::map`](crate::Pool::map).
    pub fn map<A, R, I>(
        &self,
        function: impl Fn(A) -> R + Sync,
        inputs: I,
    ) -> Result<Vec<R>, MapError<R>>
    where
        A: Send,
        R: Send,
        I: IntoIterator<Item = A>,
    {
        let inputs: Vec<A> = inputs.into_iter().collect();
        self.office.begin()?;
        let result = self.threads.install(|| map(&self.office, &function, inputs));
        self.office.end();
        result
    }

    /// As [`Pool::map_async`](crate::Pool::map_async).
    ///
    /// # Errors
    ///
    /// Where the pool takes no calls any more.
    pub fn map_async<A, R, I>(
        &self,
        function: impl Fn(A) -> R + Send + Sync + 'static,
        inputs: I,
    ) -> Result<ThreadResult<Vec<R>, MapError<R>>, PoolError>
    where
        A: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = A>,
    {
        let inputs: Vec<A> = inputs.into_iter().collect();
        self.later(move |office| map(office, function, inputs))
    }

    /// As [`Pool::starmap`](crate::Pool::starmap).
    ///
    /// # Errors
    ///
    /// As for [`Pool::map`](crate::Pool::map).
    pub fn starmap<A, B, R, I>(
        &self,
        function: impl Fn(A, B) -> R + Sync,
        inputs: I,
    ) -> Result<Vec<R>, MapError<R>>
    where
        A: Send,
        B: Send,
        R: Send,
        I: IntoIterator<Item = (A, B)>,
    {
        self.map(|(first, second)| function(first, second), inputs)
    }

    /// As [`Pool::starmap_async`](crate::Pool::starmap_async).
    ///
    /// # Errors
    ///
    /// Where the pool takes no calls any more.
    pub fn starmap_async<A, B, R, I>(
        &self,
        function: impl Fn(A, B) -> R + Send + Sync + 'static,
        inputs: I,
    ) -> Result<ThreadResult<Vec<R>, MapError<R>>, PoolError>
    where
        A: Send + 'static,
        B: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = (A, B)>,
    {
        self.map_async(move |(first, second)| function(first, second), inputs)
    }

    /// As [`Pool::imap`](crate::Pool::imap).
    ///
    /// # Errors
    ///
    /// Where the pool takes no calls any more.
    pub fn imap<A, R, I>(
        &self,
        function: impl Fn(A) -> R + Send + Sync + 'static,
        inputs: I,
    ) -> Result<ThreadImap<'_, I::IntoIter, A, R>, PoolError>
    where
        A: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.stream(function, inputs.into_iter(), true)
    }

    /// As [`Pool::imap_unordered`](crate::Pool::imap_unordered).
    ///
    /// # Errors
    ///
    /// Where the pool takes no calls any more.
    pub fn imap_unordered<A, R, I>(
        &self,
        function: impl Fn(A) -> R + Send + Sync + 'static,
        inputs: I,
    ) -> Result<ThreadImap<'_, I::IntoIter, A, R>, PoolError>
    where
        A: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.stream(function, inputs.into_iter(), false)
    }

    fn stream<A, R, I>(
        &self,
        function: impl Fn(A) -> R + Send + Sync + 'static,
        inputs: I,
        in_order: bool,
    ) -> Result<ThreadImap<'_, I, A, R>, PoolError> {
        self.office.begin()?;
        self.office.end();
        let (sender, results) = mpsc::channel();
        Ok(ThreadImap {
            pool: self,
            function: Arc::new(function),
            inputs: Some(inputs),
            in_order,
            read: 0,
            given: 0,
            sender,
            results,
            early: BTreeMap::new(),
        })
    }

    /// Takes no more calls; those that there are will be made (in Python: `close`).
    pub fn close(&self) {
        let mut state = self.office.lock();
        if state.phase == PoolState::Running {
            state.phase = PoolState::Closed;
        }
    }

    /// Fails every call that was not begun (in Python: `terminate`). A thread cannot be ended: one that is at
    /// a call makes it to its end.
    pub fn terminate(&self) {
        self.office.lock().phase = PoolState::Terminated;
    }

    /// Waits until all calls have ended (in Python: `join`).
    ///
    /// # Errors
    ///
    /// [`PoolError::StillRunning`] where the pool was neither closed nor terminated before.
    pub fn join(&self) -> Result<(), PoolError> {
        let state = self.office.lock();
        if state.phase == PoolState::Running {
            return Err(PoolError::StillRunning);
        }
        let has_calls = |state: &mut State| state.calls > 0;
        let idle = self.office.changed.wait_while(state, has_calls);
        drop(idle.unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// How many threads there are (in Python: `_processes`).
    #[expect(clippy::len_without_is_empty, reason = "a pool is never without threads")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Whether it takes calls, and if not, why (in Python: `_state`).
    #[must_use]
    pub fn state(&self) -> PoolState {
        self.office.lock().phase
    }
}

/// All calls of a `map`, side by side.
fn map<A, R>(
    office: &Office,
    function: impl Fn(A) -> R + Sync,
    inputs: Vec<A>,
) -> Result<Vec<R>, MapError<R>>
where
    A: Send,
    R: Send,
{
    let calls = inputs.into_par_iter().map(|input| office.call(&function, input));
    let results: Vec<Result<R, TaskError>> = calls.collect();
    if results.iter().any(Result::is_err) {
        return Err(MapError::Tasks(results));
    }
    Ok(results.into_iter().flatten().collect())
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.terminate();
        // By a call of its own it may be dropped as well.
        if self.threads.current_thread_index().is_none() {
            let _ = self.join();
        }
    }
}

/// `ThreadPool(RUN, 4 threads)`.
impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadPool({}, {} threads)", self.state(), self.len())
    }
}

/// What was asked to be done with the outcome.
type Reaction<T, E> = Box<dyn FnOnce(&Result<T, E>) + Send>;

/// The value of a call that a thread makes, some time (in Python: `AsyncResult`).
#[must_use = "the value comes by get()"]
pub struct ThreadResult<T, E = TaskError> {
    shared: Arc<Shared<T, E>>,
}

struct Shared<T, E> {
    content: Mutex<Content<T, E>>,
    changed: Condvar,
}

struct Content<T, E> {
    outcome: Option<Result<T, E>>,
    reactions: Vec<Reaction<T, E>>,
}

impl<T, E> Default for Shared<T, E> {
    fn default() -> Self {
        let content = Content { outcome: None, reactions: Vec::new() };
        Self { content: Mutex::new(content), changed: Condvar::new() }
    }
}

impl<T, E> Shared<T, E> {
    fn lock(&self) -> MutexGuard<'_, Content<T, E>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls back, and then lets the others know.
    fn settle(&self, outcome: Result<T, E>) {
        loop {
            let mut content = self.lock();
            let reactions = std::mem::take(&mut content.reactions);
            if reactions.is_empty() {
                content.outcome = Some(outcome);
                break;
            }
            drop(content);
            for reaction in reactions {
                react(reaction, &outcome);
            }
        }
        self.changed.notify_all();
    }
}

/// The panic of a callback has been printed by the hook; it concerns nobody else.
fn react<T, E>(reaction: Reaction<T, E>, outcome: &Result<T, E>) {
    let called = std::panic::AssertUnwindSafe(|| reaction(outcome));
    if let Err(panic) = std::panic::catch_unwind(called) {
        std::mem::forget(panic);
    }
}

impl<T, E> ThreadResult<T, E> {
    /// Waits for the value.
    ///
    /// # Errors
    ///
    /// Where the call has failed.
    pub fn get(self) -> Result<T, E> {
        loop {
            self.wait();
            if let Some(outcome) = self.shared.lock().outcome.take() {
                return outcome;
            }
        }
    }

    /// Waits for the value, at most for `limit`; `Err` gives this result back where the time is up.
    ///
    /// # Errors
    ///
    /// The result itself; it may be waited for again.
    #[doc(alias = "get")]
    pub fn get_timeout(self, limit: Duration) -> Result<Result<T, E>, Self> {
        if self.wait_timeout(limit) { Ok(self.get()) } else { Err(self) }
    }

    /// Waits until the call has ended.
    pub fn wait(&self) {
        let is_open = |content: &mut Content<T, E>| content.outcome.is_none();
        let ended = self.shared.changed.wait_while(self.shared.lock(), is_open);
        drop(ended.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until the call has ended, at most for `limit`; whether it has.
    #[doc(alias = "wait")]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        let is_open = |content: &mut Content<T, E>| content.outcome.is_none();
        let ended = self.shared.changed.wait_timeout_while(self.shared.lock(), limit, is_open);
        ended.unwrap_or_else(PoisonError::into_inner).0.outcome.is_some()
    }

    /// Whether the call has ended (in Python: `ready`).
    #[doc(alias = "ready")]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.lock().outcome.is_some()
    }

    /// Whether the call has given a value; `None` while it has not ended (in Python: `successful`).
    #[doc(alias = "successful")]
    #[must_use]
    pub fn is_successful(&self) -> Option<bool> {
        self.shared.lock().outcome.as_ref().map(Result::is_ok)
    }

    /// Has `callback` called with the value, by the thread that has it, before [`get`](Self::get) gives it;
    /// by this thread, where it is there already.
    pub fn callback(self, callback: impl FnOnce(&T) + Send + 'static) -> Self {
        self.when_settled(Box::new(|outcome| {
            if let Ok(value) = outcome {
                callback(value);
            }
        }))
    }

    /// The same with the error, where the call fails.
    pub fn error_callback(self, callback: impl FnOnce(&E) + Send + 'static) -> Self {
        self.when_settled(Box::new(|outcome| {
            if let Err(error) = outcome {
                callback(error);
            }
        }))
    }

    fn when_settled(self, reaction: Reaction<T, E>) -> Self {
        let mut content = self.shared.lock();
        match content.outcome.take() {
            None => content.reactions.push(reaction),
            Some(outcome) => {
                drop(content);
                react(reaction, &outcome);
                content = self.shared.lock();
                content.outcome = Some(outcome);
            }
        }
        drop(content);
        self
    }
}

impl<T, E> fmt::Debug for ThreadResult<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadResult").field("ready", &self.is_ready()).finish()
    }
}

/// The results of [`ThreadPool::imap`] and [`imap_unordered`](ThreadPool::imap_unordered), one by one.
#[must_use = "inputs are read as results are taken"]
pub struct ThreadImap<'p, I, A, R> {
    pool: &'p ThreadPool,
    function: Arc<dyn Fn(A) -> R + Send + Sync>,
    inputs: Option<I>,
    in_order: bool,
    /// How many inputs were read, and how many results taken.
    read: usize,
    given: usize,
    sender: Sender<(usize, Result<R, TaskError>)>,
    results: Receiver<(usize, Result<R, TaskError>)>,
    /// Those that have come before their turn.
    early: BTreeMap<usize, Result<R, TaskError>>,
}

impl<I, A, R> ThreadImap<'_, I, A, R>
where
    I: Iterator<Item = A>,
    A: Send + 'static,
    R: Send + 'static,
{
    /// Waits for the next result, at most for `limit`; `Ok(None)` where there is none any more.
    ///
    /// # Errors
    ///
    /// [`NotYet`]; it may be asked for again.
    #[doc(alias = "next")]
    pub fn next_timeout(
        &mut self,
        limit: Duration,
    ) -> Result<Option<Result<R, TaskError>>, NotYet> {
        self.next_until(Instant::now().checked_add(limit))
    }

    fn next_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Result<R, TaskError>>, NotYet> {
        self.read_ahead();
        if self.given == self.read {
            return Ok(None);
        }
        let next = loop {
            if let Some(result) = self.early.remove(&self.given) {
                break result;
            }
            let left =
                deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            match self.results.recv_timeout(left) {
                Ok((_, result)) if !self.in_order => break result,
                Ok((index, result)) => drop(self.early.insert(index, result)),
                Err(RecvTimeoutError::Timeout) => return Err(NotYet),
                // This end holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        };
        self.given += 1;
        Ok(Some(next))
    }

    fn read_ahead(&mut self) {
        while let Some(inputs) = &mut self.inputs
            && self.read - self.given < AHEAD * self.pool.len()
        {
            let Some(input) = inputs.next() else {
                self.inputs = None;
                return;
            };
            let (index, sender) = (self.read, self.sender.clone());
            self.read += 1;
            if self.pool.office.begin().is_err() {
                // It is this end that receives.
                let _ = sender.send((index, Err(TaskError::Terminated)));
                continue;
            }
            let (function, office) = (Arc::clone(&self.function), Arc::clone(&self.pool.office));
            self.pool.threads.spawn(move || {
                // Where nobody receives any more, nobody wants it.
                let _ = sender.send((index, office.call(|input| function(input), input)));
                office.end();
            });
        }
    }
}

impl<I, A, R> Iterator for ThreadImap<'_, I, A, R>
where
    I: Iterator<Item = A>,
    A: Send + 'static,
    R: Send + 'static,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None).ok().flatten()
    }
}

impl<I, A, R> fmt::Debug for ThreadImap<'_, I, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadImap({} of {} results taken)", self.given, self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn calls_give_what_a_pool_of_processes_gives() {
        let pool = ThreadPool::new(3).unwrap();
        assert_eq!(pool.map(|x: u64| x * x, 0..1000).unwrap().last(), Some(&(999 * 999)));
        assert_eq!(pool.starmap(|x: u64, y: u64| x + y, [(1, 2), (3, 4)]).unwrap(), [3, 7]);
        assert_eq!(pool.apply(|x: u64| x + 1, 1).unwrap(), 2);
        let squares = pool.imap(|x: u64| x * x, 1..).unwrap();
        assert_eq!(squares.take(3).collect::<Result<Vec<_>, _>>().unwrap(), [1, 4, 9]);
        let unordered = pool.imap_unordered(|x: u64| x, 0..100).unwrap();
        assert_eq!(unordered.flatten().sum::<u64>(), 4950);
        assert_eq!(pool.map_async(|x: u64| x, 0..3).unwrap().get().unwrap(), [0, 1, 2]);
    }

    #[test]
    fn a_panic_is_the_error_of_its_task_alone() {
        let pool = ThreadPool::new(2).unwrap();
        let Err(MapError::Tasks(results)) =
            pool.map(|x: u64| if x == 1 { panic!("one is bad") } else { x }, 0..3)
        else {
            panic!("no error")
        };
        assert!(
            matches!(&results[1], Err(TaskError::Panicked { message, .. }) if message == "one is bad")
        );
        assert!(results[0].is_ok() && results[2].is_ok());
        let failed = pool.apply_async(|(): ()| panic!("again"), ()).unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seen);
        let failed = failed.error_callback(move |_| counted.store(1, Ordering::SeqCst));
        assert!(failed.get().is_err());
        assert_eq!(seen.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_is_closed_takes_nothing_and_what_is_ended_drops_the_rest() {
        let pool = ThreadPool::new(1).unwrap();
        assert!(matches!(pool.join(), Err(PoolError::StillRunning)));
        let (go, wait) = mpsc::channel::<()>();
        let first = pool.apply_async(move |()| wait.recv().is_ok(), ()).unwrap();
        let second = pool.apply_async(|()| true, ()).unwrap();
        assert!(!first.wait_timeout(Duration::from_millis(5)) && first.is_successful().is_none());
        pool.close();
        assert!(matches!(pool.apply(|()| (), ()), Err(CallError::Pool(PoolError::NotRunning(_)))));
        pool.terminate();
        go.send(()).unwrap();
        pool.join().unwrap();
        assert!(matches!(second.get(), Err(TaskError::Terminated)));
        let _ = first.get();
        assert_eq!(format!("{pool:?}"), "ThreadPool(TERMINATE, 1 threads)");
        assert!(ThreadPool::new(0).is_err());
    }
}
