//! The workers of a pool, and the thread that watches over them.
//!
//! The thread sleeps until a worker ends. It tells the jobs what became of the tasks that the worker had in
//! hand, and has another worker take its seat. (In Python: the thread that handles the workers.)

use super::desk::{Desk, Desks, InHand};
use super::dispatch::Dispatch;
use super::error::{PoolError, TaskError};
use super::message::{ChunkHeader, Entries, Report, What};
use crate::logging::event;
use crate::point::quietly;
use crate::process::{Child, Exit, Signal, StartError, Starting, Zygote};
use crate::sys::socket::{self, Interest};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How long a worker that is terminated may take before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// How long it is until a worker is tried again that could not be started.
const PAUSE: Duration = Duration::from_millis(100);
/// So many times it is tried while there is no other worker.
const TRIES: u32 = 20;
/// How many workers are being started at once, at most.
const AT_ONCE: usize = 64;

/// Starts a worker for a seat.
pub(super) type Hire = Box<dyn Fn(usize) -> Result<Starting, StartError> + Send + Sync>;

/// The workers, and the thread that watches over them.
pub(super) struct Crew {
    office: Arc<Office>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Closed to end the thread.
    waker: Mutex<Option<OwnedFd>>,
}

struct Office {
    dispatch: Arc<Dispatch>,
    desks: Desks,
    hire: Hire,
    zygote: Option<Arc<Zygote>>,
    workers: Mutex<Vec<Worker>>,
    /// Who dies is replaced; otherwise the first death ends all.
    replaces: bool,
    /// Nobody is hired any more.
    is_leaving: AtomicBool,
}

#[derive(Clone)]
struct Worker {
    seat: usize,
    child: Child,
    /// It was told to end.
    is_told: bool,
}

impl Crew {
    /// Starts the workers.
    pub(super) fn start(
        dispatch: &Arc<Dispatch>,
        desks: Desks,
        hire: Hire,
        zygote: Option<Arc<Zygote>>,
        replaces: bool,
    ) -> Result<Self, PoolError> {
        let office = Arc::new(Office {
            dispatch: Arc::clone(dispatch),
            desks,
            hire,
            zygote,
            workers: Mutex::default(),
            replaces,
            is_leaving: AtomicBool::new(false),
        });
        let crew = Self { office, thread: Mutex::default(), waker: Mutex::default() };
        let started = quietly(|| crew.office.fill()).and_then(|()| {
            let (ours, theirs) = socket::pair()?;
            let office = Arc::clone(&crew.office);
            let thread = Builder::new()
                .name("pool-supervisor".to_string())
                .spawn(move || quietly(|| office.watch(&theirs)))?;
            *crew.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
            *crew.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(ours);
            Ok(())
        });
        match started {
            Ok(()) => Ok(crew),
            Err(error) => {
                crew.end(GRACE);
                Err(error)
            }
        }
    }

    /// The process ids of the workers, by their seats.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut workers = self.office.lock().clone();
        workers.sort_unstable_by_key(|worker| worker.seat);
        workers.iter().map(|worker| worker.child.pid()).collect()
    }

    /// How many of the tasks that the workers have in hand are done, among chunks that are `wanted`.
    pub(super) fn at_work(&self, wanted: impl Fn(u64) -> bool) -> usize {
        let desks = (0..self.office.dispatch.size).map(|seat| self.office.desks.desk(seat));
        let chunks = desks.map(|desk| (desk.chunk(), desk.begun()));
        chunks.filter(|&(chunk, _)| wanted(chunk)).map(|(_, begun)| begun.saturating_sub(1)).sum()
    }

    /// Waits until all workers have left; no task is given out any more, and none is in hand.
    pub(super) fn leave(&self) {
        self.office.is_leaving.store(true, Ordering::Release);
        self.office.dispatch.tasks.end();
        self.join();
    }

    /// Ends the workers, whatever they do: by SIGTERM, and those that live on by SIGKILL; or by that alone
    /// where they have no `grace`.
    pub(super) fn end(&self, grace: Duration) {
        self.office.is_leaving.store(true, Ordering::Release);
        drop(self.waker.lock().unwrap_or_else(PoisonError::into_inner).take());
        // From here on the thread looks at no worker. All of them end beside each other.
        quietly(|| self.office.tell(grace));
        self.office.zygote.iter().for_each(|zygote| zygote.end());
        self.join();
        quietly(|| self.office.dismiss(grace));
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It does not panic; and if it did, the workers are ended all the same.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("pids", &self.pids()).finish_non_exhaustive()
    }
}

impl Office {
    fn lock(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire) || self.dispatch.is_done()
    }

    /// The seats that nobody has.
    fn vacancies(&self) -> Vec<usize> {
        let workers = self.lock();
        let is_vacant = |seat: &usize| !workers.iter().any(|worker| worker.seat == *seat);
        (0..self.dispatch.size).filter(is_vacant).collect()
    }

    /// Has workers take all seats that nobody has, side by side.
    fn fill(&self) -> Result<(), PoolError> {
        let vacancies = self.vacancies();
        for seats in vacancies.chunks(AT_ONCE) {
            let mut result: Result<(), PoolError> = Ok(());
            let mut starting = Vec::new();
            for &seat in seats {
                match (self.hire)(seat) {
                    Ok(one) => starting.push((seat, one)),
                    Err(error) => {
                        result = Err(error.into());
                        break;
                    }
                }
            }
            // Also where one could not be started: the others are, and are known from here on.
            for (seat, one) in starting {
                match one.begun() {
                    Ok(child) => self.lock().push(Worker { seat, child, is_told: false }),
                    Err(error) => result = result.and(Err(error.into())),
                }
            }
            result?;
        }
        Ok(())
    }

    /// The life of the thread.
    fn watch(&self, wake: &OwnedFd) {
        // How many workers in a row have ended before they took a task, and could not be started.
        let (mut fruitless, mut failed) = (0, 0);
        loop {
            let workers = self.lock().clone();
            if workers.is_empty() && self.is_leaving() {
                return;
            }
            let pause = (failed > 0).then_some(PAUSE);
            let mut watched: Vec<_> =
                workers.iter().map(|worker| (worker.child.as_fd(), Interest::Read)).collect();
            watched.push((wake.as_fd(), Interest::Close));
            let mut news = match socket::poll(&watched, pause) {
                Ok(news) => news,
                Err(error) => {
                    let error = TaskError::NoWorkers(error.to_string());
                    return self.dispatch.break_when_read(error);
                }
            };
            if news.pop().is_some_and(|news| news.closed) {
                return;
            }
            for (worker, news) in workers.iter().zip(news) {
                if news.readable && self.bury(worker, &mut fruitless).is_break() {
                    return;
                }
            }
            if self.is_leaving() {
                continue;
            }
            match self.fill() {
                Ok(()) => failed = 0,
                Err(error) => {
                    failed += 1;
                    if failed >= TRIES && self.lock().is_empty() {
                        let error = TaskError::NoWorkers(error.to_string());
                        return self.dispatch.break_when_read(error);
                    }
                }
            }
        }
    }

    /// Lets go of a worker that has ended, and says what became of its tasks.
    fn bury(&self, worker: &Worker, fruitless: &mut usize) -> std::ops::ControlFlow<()> {
        // Where somebody else has collected it, nobody knows how it ended.
        let exit = worker.child.join().unwrap_or(Exit::Code(0));
        let desk = self.desks.desk(worker.seat);
        let (was_ready, has_left) = (desk.was_ready(), desk.has_left());
        let (name, pid) = (worker.child.name().to_string(), worker.child.pid());
        if self.replaces && !self.is_leaving() {
            event!("{name} (pid {pid}) of a pool {exit}, and another worker takes its place");
        }
        let is_breaking = !self.replaces && !has_left && !self.is_leaving();
        let lost = TaskError::Lost { worker: name.clone(), pid, exit };
        self.settle_desk(&desk, worker, lost);
        desk.clear();
        self.lock().retain(|other| other.seat != worker.seat);
        *fruitless = if was_ready { 0 } else { *fruitless + 1 };
        let cause = if *fruitless > self.dispatch.size + 3 {
            TaskError::WorkersEnd { count: *fruitless, exit }
        } else if is_breaking && was_ready {
            TaskError::BrokenExecutor { worker: name, pid, exit }
        } else if is_breaking {
            TaskError::WorkersEnd { count: 1, exit }
        } else {
            return std::ops::ControlFlow::Continue(());
        };
        self.dispatch.break_when_read(cause);
        self.dismiss(GRACE);
        std::ops::ControlFlow::Break(())
    }

    /// Reports what a dead worker has done, what it was doing, and what it has not begun.
    fn settle_desk(&self, desk: &Desk, worker: &Worker, lost: TaskError) {
        let Some(InHand { chunk, begun, input, output }) = desk.in_hand() else { return };
        if begun == 0 && self.has_somebody_else(chunk, worker.seat) {
            return;
        }
        if !output.is_empty() {
            self.dispatch.tell(Report { chunk, what: What::Results }, &output);
        }
        // A task alone is lost even if it was not begun: nobody else has its argument.
        let place = match (begun, input.is_empty()) {
            (0, true) => Some(0),
            (0, false) => None,
            (begun, _) => Some(begun - 1),
        };
        if let (Some(place), true) = (place, self.replaces) {
            self.dispatch.report_lost(chunk, place, worker.child.pid(), lost);
        }
        if let Some((header, entries)) = ChunkHeader::read(&input)
            && begun < header.count
        {
            let mut rest = Entries::new(entries);
            rest.pass(begun);
            self.dispatch
                .tell(Report { chunk, what: What::Returned { from: begun } }, &rest.list());
        }
    }

    /// Whether a chunk that a dead worker was about to take waits in the line still, or was taken by
    /// another one since. If that one has done it already, its report comes before any other.
    fn has_somebody_else(&self, chunk: u64, seat: usize) -> bool {
        let looked = self.dispatch.tasks.peek(|next| {
            let next = next.and_then(ChunkHeader::read).map(|(header, _)| header.chunk);
            let has_it = |other: usize| other != seat && self.desks.desk(other).chunk() == chunk;
            next == Some(chunk) || (0..self.dispatch.size).any(has_it)
        });
        looked.unwrap_or(false)
    }

    /// Tells the workers to end.
    fn tell(&self, grace: Duration) {
        let signal = if grace.is_zero() { Signal::KILL } else { Signal::TERM };
        for worker in self.lock().iter_mut().filter(|worker| !worker.is_told) {
            // One that cannot be told has ended, or is ended when the time is up.
            let _ = worker.child.signal(signal);
            worker.is_told = true;
        }
    }

    /// Ends all workers: they are terminated, then killed.
    fn dismiss(&self, grace: Duration) {
        self.tell(grace);
        let workers = std::mem::take(&mut *self.lock());
        let deadline = Instant::now() + grace;
        for worker in workers {
            let left = deadline.saturating_duration_since(Instant::now());
            if !matches!(worker.child.join_timeout(left), Ok(Some(_))) {
                let _ = worker.child.kill();
                // An exit that somebody else has collected is no exit to wait for.
                let _ = worker.child.join();
            }
        }
    }
}
