//! Which tasks there are, who waits for them, and who reads the reports.
//!
//! Whoever waits for a result reads the reports: the first who comes *leads*, the others follow. The leader
//! takes one report after the other, settles the tasks that it is about, and wakes the others when there is
//! news for them; when it has what it waits for, another one leads. So a call costs two messages and no
//! thread between them. Only for work about which somebody wants to be called back, or that has to be
//! shared out again while nobody waits, does a thread of the pool wait (`attendant.rs`).
//!
//! A report is believed once: a task is settled by the first, and a part of a chunk is given out again once.
//! So whatever a worker has reported twice, or the pool once more after its death, does no harm.

use super::PoolState;
use super::error::{PoolError, TaskError};
use super::ledger::{Ledger, Outstanding};
use super::line::{Line, Nothing};
use super::message::{ChunkHeader, Entries, Function, Report, What};
use super::ticket::TicketOffice;
use crate::sync::word::Deadline;
use crate::sys::thread;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many reports more are read before anybody looks whether it was the one.
const AT_ONCE: usize = 64;

/// What waits for the results of tasks.
pub(super) trait Job: Send + Sync {
    /// Settles tasks by these answers, each task once, `first` being that of place 0; how many were not
    /// settled before.
    fn settle(&self, first: usize, answers: Answers<'_>) -> u32;
}

/// What became of some tasks of a chunk: their results, or why those at these places have none.
pub(super) enum Answers<'a> {
    Entries(Entries<'a>),
    Failed(std::ops::Range<u32>, TaskError),
}

/// Work that somebody asked to be done when something is settled.
pub(super) type Callback = Box<dyn FnOnce() + Send>;

/// How far the life of the pool has come.
#[derive(Clone, Debug, Default)]
pub(super) enum Phase {
    #[default]
    Running,
    Closed,
    Terminated,
    Broken(TaskError),
}

#[derive(Default)]
pub(crate) struct State {
    phase: Phase,
    chunks: Ledger,
    /// How workers died whose tasks are reported as lost, by their numbers.
    deaths: HashMap<u32, TaskError>,
    /// Which thread reads the reports, or 0; and how many wait beside.
    leader: u32,
    followers: usize,
    /// What is to be called, and whether something is being called.
    pub(super) callbacks: VecDeque<Callback>,
    pub(super) is_calling: bool,
    /// There can be no thread that calls: whoever waits does.
    pub(super) is_unattended: bool,
    /// How much work there is for which a thread of the pool has to wait.
    pub(super) attended: usize,
    /// It was closed, and the workers do not know yet that nothing more comes.
    pub(super) is_closing: bool,
    /// The pool is at its end.
    pub(super) has_ended: bool,
}

impl State {
    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether the workers may learn that nothing more comes.
    pub(super) fn can_close(&self) -> bool {
        self.is_closing && self.chunks.is_empty()
    }

    /// Whether all that was given out is settled, and everybody called back.
    pub(super) fn is_idle(&self) -> bool {
        self.chunks.is_empty() && self.callbacks.is_empty() && !self.is_calling
    }
}

pub(crate) struct Dispatch {
    state: Mutex<State>,
    /// For those who follow, and for the thread that calls back.
    changed: Condvar,
    called: Condvar,
    pub(super) tasks: Line,
    pub(super) reports: Line,
    pub(super) tickets: TicketOffice,
    /// How many workers there shall be.
    pub(super) size: usize,
    /// In which process: a fork has a copy of all this, and no workers.
    epoch: u32,
}

impl Dispatch {
    pub(super) fn new(size: usize) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            called: Condvar::new(),
            tasks: Line::new("tasks")?,
            reports: Line::new("reports")?,
            tickets: TicketOffice::new()?,
            size,
            epoch: thread::epoch(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all who wait that something has changed.
    pub(super) fn notify(&self) {
        let leader = self.lock().leader;
        self.changed.notify_all();
        self.called.notify_all();
        if leader != 0 && leader != thread::id() && self.is_own() {
            self.tell(Report::NUDGE, &[]);
        }
    }

    /// Waits until there is something for the attendant to do.
    pub(super) fn wait_for_calls(&self) -> MutexGuard<'_, State> {
        let is_unneeded = |state: &mut State| {
            state.callbacks.is_empty() && state.attended == 0 && !state.has_ended
        };
        let state = self.called.wait_while(self.lock(), is_unneeded);
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process is the one whose pool it is.
    pub(super) fn is_own(&self) -> bool {
        self.epoch == thread::epoch()
    }

    /// Whether it takes on a job.
    pub(super) fn check(&self) -> Result<(), PoolError> {
        if !self.is_own() {
            return Err(PoolError::Inherited);
        }
        match self.lock().phase() {
            Phase::Closed => Err(PoolError::NotRunning("closed")),
            other => other.check(),
        }
    }

    /// Gives out tasks of a job that it has taken on, from the `first` on; the number of the chunk.
    pub(super) fn give_out(
        &self,
        job: &Arc<dyn Job>,
        function: Function,
        (first, count): (usize, u32),
        can_be_cancelled: bool,
        entries: &[u8],
    ) -> Result<u64, PoolError> {
        let ticket = match can_be_cancelled {
            true => self.tickets.issue()? + 1,
            false => 0,
        };
        let (job, left, is_cancelled) = (Arc::clone(job), count, false);
        let outstanding = Outstanding { job, function, first, count, left, ticket, is_cancelled };
        let mut state = self.lock();
        let checked = state.phase.check();
        let chunk = state.chunks.insert(outstanding);
        drop(state);
        let header = ChunkHeader { chunk, count, ticket, function };
        let given = checked.and_then(|()| Ok(self.tasks.put(&[&header.bytes(), entries])?));
        given.map(|()| chunk).inspect_err(|_| self.forget(&mut self.lock(), chunk))
    }

    /// How many chunks nobody has taken.
    pub(super) fn waiting_chunks(&self) -> usize {
        self.tasks.len()
    }

    /// Strikes a chunk out.
    fn forget(&self, state: &mut State, chunk: u64) {
        let ticket = state.chunks.remove(chunk).map_or(0, |outstanding| outstanding.ticket);
        if ticket != 0 {
            self.tickets.return_back(ticket - 1);
        }
    }

    /// Cancels a chunk that can be cancelled; false where it was begun, or is settled.
    pub(crate) fn cancel(&self, chunk: u64) -> bool {
        let mut state = self.lock();
        let Some(outstanding) = state.chunks.get_mut(chunk) else { return false };
        if outstanding.ticket == 0 || !self.tickets.cancel(outstanding.ticket - 1) {
            return false;
        }
        outstanding.is_cancelled = true;
        let (job, first) = (Arc::clone(&outstanding.job), outstanding.first);
        let all = 0..outstanding.count;
        drop(state);
        job.settle(first, Answers::Failed(all, TaskError::Cancelled));
        self.notify();
        true
    }

    /// Cancels all that can be cancelled and was not begun.
    pub(super) fn cancel_all(&self) {
        let chunks = self.lock().chunks.numbers();
        for chunk in chunks {
            self.cancel(chunk);
        }
    }

    /// Whether a chunk that can be cancelled was begun, and is not settled.
    pub(crate) fn is_running(&self, chunk: u64) -> bool {
        let state = self.lock();
        let ticket = state.chunks.get(chunk).map_or(0, |outstanding| outstanding.ticket);
        ticket != 0 && self.tickets.was_begun(ticket - 1)
    }

    /// Waits until there is `something`; `None` when the time is up.
    pub(crate) fn wait<R>(
        &self,
        deadline: Deadline,
        mut something: impl FnMut(&mut State) -> Option<R>,
    ) -> Option<R> {
        if !self.is_own() {
            // The workers are another process's, and so are the reports.
            self.fail_all();
            return something(&mut self.lock());
        }
        let mut state = self.lock();
        loop {
            if state.is_unattended
                && let Some(callback) = state.callbacks.pop_front()
            {
                state = self.call_back(state, callback);
                continue;
            }
            if let Some(found) = something(&mut state) {
                return Some(found);
            }
            let is_over = deadline.has_passed();
            if state.leader == 0 {
                state = self.lead(state, deadline);
                // What came at the last moment counts.
                if is_over {
                    return something(&mut state);
                }
            } else if is_over {
                return None;
            } else {
                state.followers += 1;
                state = self.follow(state, deadline);
                state.followers -= 1;
            }
        }
    }

    fn follow<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Deadline,
    ) -> MutexGuard<'a, State> {
        match deadline.left() {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Reads one report, at most until the deadline.
    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Deadline,
    ) -> MutexGuard<'a, State> {
        /// Whatever happens, somebody else may lead then.
        struct Lead<'a>(&'a Dispatch);
        impl Drop for Lead<'_> {
            fn drop(&mut self) {
                let mut state = self.0.lock();
                state.leader = 0;
                if state.followers > 0 {
                    self.0.changed.notify_all();
                }
            }
        }
        state.leader = thread::id();
        drop(state);
        let lead = Lead(self);
        let mut got = self.read(deadline);
        // What else there is costs less now than later.
        for _ in 0..self.reports.len().min(AT_ONCE) {
            if got.is_ok() {
                got = self.read(Deadline::NEVER);
            }
        }
        drop(lead);
        match got {
            Ok(()) | Err(Nothing::Yet) => {}
            // Everything was settled when the line was ended; who waits for more than that waits for time.
            Err(Nothing::Ever) => std::thread::sleep(Duration::from_millis(1)),
            Err(Nothing::Error(error)) => {
                self.break_down(TaskError::Result(error.to_string()));
            }
        }
        self.lock()
    }

    /// Reads one report.
    fn read(&self, deadline: Deadline) -> Result<(), Nothing> {
        self.reports.get(deadline, |bytes| {
            if let Some((report, entries)) = Report::read(bytes) {
                self.believe(report, entries);
            }
        })
    }

    /// Settles what a report is about.
    fn believe(&self, report: Report, entries: &[u8]) {
        match report.what {
            What::Results => self.settle(report.chunk, Answers::Entries(Entries::new(entries))),
            What::Returned { from } => self.give_out_again(report.chunk, from, entries),
            What::Lost { place, worker } => {
                let Some(error) = self.lock().deaths.remove(&worker) else { return };
                self.settle(report.chunk, Answers::Failed(place..place + 1, error));
            }
            What::Broken => self.fail_all(),
            What::Nudge => {}
        }
    }

    /// Settles tasks of a chunk.
    fn settle(&self, chunk: u64, answers: Answers<'_>) {
        let (job, first) = match self.lock().chunks.get(chunk) {
            Some(outstanding) => (Arc::clone(&outstanding.job), outstanding.first),
            None => return,
        };
        let settle = AssertUnwindSafe(|| job.settle(first, answers));
        let settled = panic::catch_unwind(settle).unwrap_or_else(|panic| {
            // The type of a result has panicked while it was read; dropping what it threw might as well.
            std::mem::forget(panic);
            let text = "reading the results panicked".to_string();
            let count = self.lock().chunks.get(chunk).map_or(0, |outstanding| outstanding.count);
            job.settle(first, Answers::Failed(0..count, TaskError::Result(text)));
            count
        });
        let mut state = self.lock();
        let Some(outstanding) = state.chunks.get_mut(chunk) else { return };
        outstanding.left = outstanding.left.saturating_sub(settled);
        if outstanding.left == 0 || outstanding.is_cancelled {
            self.forget(&mut state, chunk);
        }
    }

    /// Gives out again what a worker has not begun of a chunk, in one part for each worker.
    fn give_out_again(&self, chunk: u64, from: u32, entries: &[u8]) {
        let mut state = self.lock();
        let Some(outstanding) = state.chunks.get_mut(chunk) else { return };
        let Some(returned) = outstanding.count.checked_sub(from).filter(|&count| count > 0) else {
            return;
        };
        outstanding.count = from;
        outstanding.left = outstanding.left.saturating_sub(returned);
        let (job, function) = (Arc::clone(&outstanding.job), outstanding.function);
        let first = outstanding.first + from as usize;
        if outstanding.left == 0 {
            self.forget(&mut state, chunk);
        }
        drop(state);
        let part = returned.div_ceil(self.size.try_into().unwrap_or(u32::MAX));
        let (mut rest, mut done) = (Entries::new(entries), 0);
        while done < returned {
            let wanted = part.min(returned - done);
            let given = match rest.part(wanted) {
                Some(list) => {
                    self.give_out(&job, function, (first + done as usize, wanted), false, &list)
                }
                None => Err(io::Error::other("what a worker has given back is damaged").into()),
            };
            if let Err(error) = given {
                let failed = Answers::Failed(done..done + wanted, TaskError::from(error));
                job.settle(first, failed);
            }
            done += wanted;
        }
    }

    /// Reports the task that died with a worker.
    pub(super) fn report_lost(&self, chunk: u64, place: u32, worker: u32, death: TaskError) {
        self.lock().deaths.insert(worker, death);
        self.tell(Report { chunk, what: What::Lost { place, worker } }, &[]);
    }

    /// Puts a report into the line; where there is no memory for it, the pool is broken.
    pub(super) fn tell(&self, report: Report, entries: &[u8]) {
        if let Err(error) = self.reports.put(&[&report.bytes(), entries]) {
            self.break_down(TaskError::Result(error.to_string()));
        }
    }

    /// Takes no more tasks; whether it did before.
    pub(super) fn close(&self) -> bool {
        let mut state = self.lock();
        let was_running = matches!(state.phase, Phase::Running);
        if was_running {
            state.phase = Phase::Closed;
            state.is_closing = true;
        }
        was_running
    }

    /// Whether workers that leave need no replacement: there is nothing to do, and there will be nothing.
    pub(super) fn is_done(&self) -> bool {
        let state = self.lock();
        !matches!(state.phase, Phase::Running) && state.chunks.is_empty()
    }

    /// Takes no more tasks, and settles those that there are as ended.
    pub(super) fn terminate(&self) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Broken(_)) {
            state.phase = Phase::Terminated;
        }
        drop(state);
        self.fail_all();
        self.reports.end();
    }

    /// Takes no more tasks; those that there are fail when everything that was reported is read.
    pub(super) fn break_when_read(&self, error: TaskError) {
        self.set_broken(error);
        self.tell(Report::BROKEN, &[]);
    }

    /// The same at once.
    fn break_down(&self, error: TaskError) {
        self.set_broken(error);
        self.fail_all();
    }

    fn set_broken(&self, error: TaskError) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Running | Phase::Closed) {
            state.phase = Phase::Broken(error);
        }
    }

    /// Settles all that is given out, by the reason for which nobody does it any more.
    fn fail_all(&self) {
        let mut state = self.lock();
        let error = match &state.phase {
            Phase::Broken(error) => error.clone(),
            _ => TaskError::Terminated,
        };
        let chunks = std::mem::take(&mut state.chunks);
        drop(state);
        // Their tickets stay where they are: nothing is begun any more.
        for outstanding in chunks.into_all() {
            let all = Answers::Failed(0..outstanding.count, error.clone());
            outstanding.job.settle(outstanding.first, all);
        }
        // With the lock, so that nobody is between a look and the wait.
        drop(self.lock());
        self.notify();
    }

    /// Whether a chunk was given out for a job, and is not done.
    pub(super) fn is_of(&self, chunk: u64, job: &Arc<dyn Job>) -> bool {
        let state = self.lock();
        let of = state.chunks.get(chunk).map(|outstanding| &outstanding.job);
        of.is_some_and(|of| std::ptr::addr_eq(Arc::as_ptr(of), Arc::as_ptr(job)))
    }

    /// Reads what is reported, without waiting.
    pub(super) fn look(&self) {
        for _ in 0..self.reports.len() {
            self.wait(Deadline::after(Duration::ZERO), |_| None::<()>);
        }
    }
}

impl Phase {
    pub(super) fn state(&self) -> PoolState {
        match self {
            Self::Running => PoolState::Running,
            Self::Closed => PoolState::Closed,
            Self::Terminated => PoolState::Terminated,
            Self::Broken(_) => PoolState::Broken,
        }
    }

    /// Whether jobs that were taken on go on.
    fn check(&self) -> Result<(), PoolError> {
        match self {
            Self::Running | Self::Closed => Ok(()),
            Self::Terminated => Err(PoolError::NotRunning("terminated")),
            Self::Broken(error) => Err(PoolError::Broken(error.clone())),
        }
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Dispatch")
            .field("phase", &state.phase)
            .field("chunks", &state.chunks.len())
            .finish_non_exhaustive()
    }
}
