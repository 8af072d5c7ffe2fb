#![doc = include_str!("README.md")]

mod board;
mod worker;

use crate::codec::{self, EncodeError};
use crate::connection::{Connection, pipe};
use crate::point::quietly;
use crate::process::{self, Child, Exit, JoinError, Process, StartError, Starting};
use crate::shared::Region;
use crate::sys::entry;
use crate::sys::socket::{self, Interest};
use board::{Board, Found};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use worker::{Answer, Job, Request};

/// How long a worker that is terminated may take before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// A handle in an input has no way to a worker; the text says what has.
/// How many workers are being started at once, at most.
const AT_ONCE: usize = 64;
const NO_HANDLES: &str = "a handle cannot go to a pool's worker inside a task; start a Process with \
                          it in the argument instead";

/// Why a pool could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// A pool of no workers was asked for.
    #[error("a pool needs at least one worker")]
    NoWorkers,
    /// A worker could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A worker could not be waited for.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// An input has no encoding.
    #[error("input {index}: {source}")]
    Input {
        /// Which one, from 0.
        index: usize,
        /// Why not.
        source: EncodeError,
    },
    /// The function is not code of this executable.
    #[error("the function lies in a dynamic library; name a function of this program")]
    ForeignTarget,
    /// Worker after worker ended before it could take a task.
    #[error(
        "{count} workers in a row ended before they took a task, the last {exit}; does the \
             program's main begin with common::init()?"
    )]
    WorkersEnd {
        /// How many.
        count: usize,
        /// How the last one ended.
        exit: Exit,
    },
    /// The system refused.
    #[error("the pool could not go on: {0}")]
    Io(#[from] io::Error),
}

/// Why one task of a pool has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked. The worker goes on.
    #[error("the task panicked at {place}: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
        /// `file:line:column`.
        place: String,
    },
    /// The worker died while it had the task.
    #[error(
        "worker {worker:?} (pid {pid}) {exit}; its task is lost, and the pool has started \
             another worker"
    )]
    Lost {
        /// The worker's name.
        worker: String,
        /// The worker's process id.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// The result has no encoding, or there was no memory for it.
    #[error("the result could not be handed over: {0}")]
    Result(String),
}

/// Why a `map` has not given all its results.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum MapError<R> {
    /// Some tasks failed; the results that there are stand in their places.
    #[error("{} of {} tasks failed; the first: {}", failed(.0).count(), .0.len(), first(.0))]
    Tasks(Vec<Result<R, TaskError>>),
    /// The pool could not do its work.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

fn failed<R>(results: &[Result<R, TaskError>]) -> impl Iterator<Item = &TaskError> {
    results.iter().filter_map(|result| result.as_ref().err())
}

fn first<R>(results: &[Result<R, TaskError>]) -> String {
    failed(results).next().map(ToString::to_string).unwrap_or_default()
}

impl<R> fmt::Debug for MapError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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
/// # common::Result::Ok(())
/// ```
///
/// Dropping a pool ends its workers. They also end when this process does, however it ends.
#[derive(Debug)]
pub struct Pool {
    crew: Mutex<Crew>,
}

/// The workers, and the memory in which they find their tasks.
#[derive(Debug)]
struct Crew {
    /// How many workers there shall be.
    size: usize,
    workers: Vec<Worker>,
    /// How many have ever been started: the number of a worker is never used again.
    started: u32,
    /// The memory of the last job, for the next one that fits.
    board: Option<Region>,
    boards: u64,
    /// How many jobs there have been: each has a number of its own.
    jobs: u64,
}

#[derive(Debug)]
struct Worker {
    number: u32,
    child: Child,
    connection: Connection<Request, Answer>,
    results: Region,
    /// The board that it has mapped.
    board: u64,
    busy: bool,
}

/// A worker that has not said yet that it has begun.
type Newcomer = (u32, Starting, Connection<Request, Answer>, Region);

impl Pool {
    /// Starts `workers` processes.
    ///
    /// # Errors
    ///
    /// Where `workers` is 0 or one could not be started; those that were are ended again.
    pub fn new(workers: usize) -> Result<Self, PoolError> {
        if workers == 0 {
            return Err(PoolError::NoWorkers);
        }
        let mut crew = Crew {
            size: workers,
            workers: Vec::new(),
            started: 0,
            board: None,
            boards: 0,
            jobs: 0,
        };
        crew.fill()?;
        Ok(Self { crew: Mutex::new(crew) })
    }

    /// Calls `function` for each input, in the workers, and gives the results in the order of the
    /// inputs. All inputs are read before the first call. One `map` runs at a time.
    ///
    /// # Errors
    ///
    /// [`MapError::Tasks`] where a call panicked or its worker died; every other call is made, and
    /// its result stands in the error. [`MapError::Pool`] where the pool could not go on.
    pub fn map<A, R, I>(&self, function: fn(A) -> R, inputs: I) -> Result<Vec<R>, MapError<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        let mut encoded = Vec::new();
        for (index, input) in inputs.into_iter().enumerate() {
            encoded.push(
                codec::encode_data(&input, NO_HANDLES)
                    .map_err(|source| PoolError::Input { index, source })?,
            );
        }
        if encoded.is_empty() {
            return Ok(Vec::new());
        }
        let trampoline: fn(entry::Distance, &mut worker::Desk) = worker::work::<A, R>;
        let trampoline = entry::of_trampoline(trampoline).ok_or(PoolError::ForeignTarget)?;
        let target = entry::of_target(function).ok_or(PoolError::ForeignTarget)?;
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        let results = crew.run::<R>(&encoded, trampoline, target)?;
        if results.iter().any(Result::is_err) {
            return Err(MapError::Tasks(results));
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// The process ids of the workers (in Python: `_pool`).
    ///
    /// Waits while a `map` is running.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        crew.workers.iter().map(|worker| worker.child.pid()).collect()
    }
}

impl Crew {
    /// Starts the workers that are missing: all at first, and after a job that could not go on.
    fn fill(&mut self) -> Result<(), PoolError> {
        while self.workers.len() < self.size {
            self.hire((self.size - self.workers.len()).min(AT_ONCE))?;
        }
        Ok(())
    }

    /// Starts `count` workers more, side by side.
    fn hire(&mut self, count: usize) -> Result<(), PoolError> {
        let mut starting = Vec::new();
        let mut result = Ok(());
        for _ in 0..count {
            match self.launch() {
                Ok(one) => starting.push(one),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        // Also where one could not be started: the others are, and are known from here on.
        for (number, child, connection, results) in starting {
            match child.begun() {
                Ok(child) => {
                    let (board, busy) = (0, false);
                    self.workers.push(Worker { number, child, connection, results, board, busy });
                }
                Err(error) => result = result.and(Err(error.into())),
            }
        }
        result
    }

    /// Has a worker begin, without waiting for it.
    fn launch(&mut self) -> Result<Newcomer, PoolError> {
        self.started += 1;
        let number = self.started;
        let (ours, theirs) = quietly(pipe)?;
        let results = Region::new("results", worker::RESULTS)?;
        let desk = (number, theirs, results.clone());
        let process = Process::worker(worker::main, desk).name(format!("PoolWorker-{number}"));
        Ok((number, process::launch(process)?, ours, results))
    }

    /// Lets the workers do all of `inputs`; one result or error for each.
    fn run<R: DeserializeOwned>(
        &mut self,
        inputs: &[Vec<u8>],
        trampoline: entry::Distance,
        target: entry::Distance,
    ) -> Result<Vec<Result<R, TaskError>>, PoolError> {
        self.fill()?;
        let need = Board::bytes(inputs);
        let region = match self.board.take().filter(|board| board.len() >= need) {
            Some(region) => region,
            None => {
                self.boards += 1;
                Region::new("tasks", need)?
            }
        };
        self.jobs += 1;
        let board = Board::fill(region.clone(), inputs);
        self.board = Some(region);
        let mut job = JobUnderWay {
            board,
            trampoline,
            target,
            lost: HashMap::new(),
            logs: HashMap::new(),
            fruitless: 0,
        };
        if let Err(error) = self.finish(&mut job) {
            // The workers may still be at it: neither they nor their board may be used again.
            self.board = None;
            self.boards += 1;
            quietly(|| self.dismiss());
            return Err(error);
        }
        self.collect(job)
    }

    /// Hands the job out until every task is done or lost.
    fn finish(&mut self, job: &mut JobUnderWay) -> Result<(), PoolError> {
        loop {
            // A worker that was killed between two words may have skipped a task: look again.
            if self.workers.iter().all(|worker| !worker.busy) {
                if !job.board.any_free() {
                    return Ok(());
                }
                job.board.rewind();
            }
            if job.board.any_free() {
                self.hand_out(job)?;
            }
            self.await_news(job)?;
        }
    }

    /// Tells every worker that is not busy of the job; replaces those that are found dead.
    fn hand_out(&mut self, job: &mut JobUnderWay) -> Result<(), PoolError> {
        let mut at = 0;
        while at < self.workers.len() {
            let (boards, board) = (self.boards, job.board.region().clone());
            let worker = &mut self.workers[at];
            if !worker.busy {
                let board = (worker.board != boards).then_some(board);
                let request = Request::Do(Job {
                    number: self.jobs,
                    board,
                    tasks: job.board.tasks(),
                    crew: self.workers.len(),
                    trampoline: job.trampoline,
                    target: job.target,
                });
                let worker = &mut self.workers[at];
                match quietly(|| worker.connection.send(&request)) {
                    Ok(()) => {
                        worker.busy = true;
                        worker.board = boards;
                    }
                    Err(_) => {
                        self.replace(at, job)?;
                        continue;
                    }
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Waits until a worker has finished or died, and notes it.
    fn await_news(&mut self, job: &mut JobUnderWay) -> Result<(), PoolError> {
        let watched: Vec<_> = self
            .workers
            .iter()
            .flat_map(|worker| {
                [
                    (worker.connection.as_fd(), Interest::Read),
                    (worker.child.as_fd(), Interest::Read),
                ]
            })
            .collect();
        let news = socket::poll(&watched, None)?;
        // From the back, because a replacement takes the last place.
        for at in (0..self.workers.len()).rev() {
            let (answer, ended) = (news[2 * at].readable, news[2 * at + 1].readable);
            let worker = &mut self.workers[at];
            // An answer counts also when its sender has died since.
            if answer && worker.busy && quietly(|| worker.connection.recv()).is_ok() {
                worker.busy = false;
                job.fruitless = 0;
            } else if answer || ended {
                self.replace(at, job)?;
            }
        }
        Ok(())
    }

    /// Puts a new worker in the place of a dead one, and notes what died with it.
    fn replace(&mut self, at: usize, job: &mut JobUnderWay) -> Result<(), PoolError> {
        let worker = self.workers.swap_remove(at);
        // Its connection is closed or damaged: whatever it still does, it is of no use.
        quietly(|| worker.child.kill())?;
        let exit = quietly(|| worker.child.join())?;
        let before = job.lost.len();
        for task in job.board.claimed_by(worker.number) {
            let (worker, pid) = (worker.child.name().to_string(), worker.child.pid());
            job.lost.insert(task, TaskError::Lost { worker, pid, exit });
        }
        job.logs.insert(worker.number, worker.results.clone());
        if worker.busy && job.lost.len() == before && !job.board.done_by(worker.number) {
            job.fruitless += 1;
            if job.fruitless > self.workers.len() + 3 {
                return Err(PoolError::WorkersEnd { count: job.fruitless, exit });
            }
        } else {
            job.fruitless = 0;
        }
        self.hire(1)
    }

    /// Reads what the workers have written.
    fn collect<R: DeserializeOwned>(
        &mut self,
        mut job: JobUnderWay,
    ) -> Result<Vec<Result<R, TaskError>>, PoolError> {
        for worker in &self.workers {
            job.logs.insert(worker.number, worker.results.clone());
        }
        for log in job.logs.values_mut() {
            log.renew()?;
        }
        for worker in &mut self.workers {
            if let Some(log) = job.logs.get(&worker.number) {
                worker.results = log.clone();
            }
        }
        let damaged = || TaskError::Result("the worker's memory is damaged".to_string());
        Ok((0..job.board.tasks())
            .map(|task| match job.board.found(task) {
                Found::Done { worker, offset } => {
                    let log = job.logs.get(&worker).ok_or_else(damaged)?;
                    let record = worker::read(log, offset).ok_or_else(damaged)?;
                    let answer: Result<R, worker::Failure> = codec::decode(&record, Vec::new())
                        .map_err(|error| TaskError::Result(error.to_string()))?;
                    answer.map_err(TaskError::from)
                }
                Found::NoRoom => {
                    Err(TaskError::Result("there is no memory left for it".to_string()))
                }
                Found::Free | Found::Claimed => Err(job.lost.remove(&task).unwrap_or_else(damaged)),
            })
            .collect())
    }

    /// Ends all workers: idle ones leave by themselves, busy ones are terminated, then killed.
    fn dismiss(&mut self) {
        let workers: Vec<_> = self.workers.drain(..).collect();
        for worker in &workers {
            // A worker that cannot be told has ended, or is ended below.
            if worker.busy || worker.connection.send(&Request::Leave).is_err() {
                let _ = worker.child.terminate();
            }
        }
        for worker in workers {
            let watched = [(worker.child.as_fd(), Interest::Read)];
            let ended = socket::poll(&watched, Some(GRACE)).is_ok_and(|news| news[0].readable);
            if !ended {
                let _ = worker.child.kill();
            }
            // An exit that somebody else has collected is no exit to wait for.
            let _ = worker.child.join();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        quietly(|| self.dismiss());
    }
}

/// A `map` while it runs.
struct JobUnderWay {
    board: Board,
    trampoline: entry::Distance,
    target: entry::Distance,
    lost: HashMap<usize, TaskError>,
    /// The results of workers that have died.
    logs: HashMap<u32, Region>,
    /// How many workers in a row have died without having taken a task.
    fruitless: usize,
}
