//! The life of a worker: wait for a job, claim its tasks, write the results.
//!
//! A worker ends when it is told to. It is a daemon, so when its parent dies the kernel ends it,
//! whatever it is doing.

use super::TaskError;
use super::board::{ALIGN, Board};
use crate::codec;
use crate::connection::Connection;
use crate::point::quietly;
use crate::shared::Region;
use crate::sys::entry::{self, Distance};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How much memory a worker's results have at first; it grows.
pub(super) const RESULTS: usize = 64 << 10;
/// A run of tasks shall take about this long: claims cost little beside it, and nobody waits long.
const RUN_TIME: Duration = Duration::from_micros(100);
const LONGEST_RUN: usize = 256;
const NO_HANDLES: &str = "a handle cannot be the result of a task; give it to a Process instead";

/// What a pool asks of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Take part in a job.
    Do(Job),
    /// Leave.
    Leave,
}

/// A `map` to take part in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// Which `map` it is. A worker may be asked more than once to take part in one.
    pub(super) number: u64,
    /// The board, unless it is the one of the last job.
    pub(super) board: Option<Region>,
    pub(super) tasks: usize,
    /// How many workers there are.
    pub(super) crew: usize,
    pub(super) trampoline: Distance,
    pub(super) target: Distance,
}

/// A worker has found nothing more to claim.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer;

/// Why a task has no value.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    Panicked { message: String, place: String },
    Unencodable(String),
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Panicked { message, place } => Self::Panicked { message, place },
            Failure::Unencodable(reason) => Self::Result(reason),
        }
    }
}

/// What a worker has before it while it does a job.
pub(super) struct Desk {
    number: u32,
    board: Board,
    crew: usize,
    results: Region,
    written: usize,
}

/// What a worker begins with: its number, its connection, the memory for its results.
pub(super) type Start = (u32, Connection<Answer, Request>, Region);

thread_local! {
    /// The panic of the task that this thread runs; `None` while it runs none.
    static PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

pub(super) fn main((number, connection, mut results): Start) {
    keep_panics();
    let mut board: Option<Region> = None;
    // Where the results of the job under way end: those of one job stay until the next begins.
    let (mut under_way, mut written) = (0, 0);
    while let Ok(Request::Do(job)) = quietly(|| connection.recv()) {
        if job.board.is_some() {
            board = job.board;
        }
        let trampoline = entry::trampoline::<Desk, ()>(job.trampoline);
        let open = board.clone().and_then(|region| Board::open(region, job.tasks));
        let (Some(trampoline), Some(board)) = (trampoline, open) else { return };
        if under_way != job.number {
            (under_way, written) = (job.number, 0);
        }
        let mut desk = Desk { number, board, crew: job.crew.max(1), results, written };
        trampoline(job.target, &mut desk);
        (results, written) = (desk.results, desk.written);
        if quietly(|| connection.send(&Answer)).is_err() {
            return;
        }
    }
}

/// Keeps what a task's panic says for the parent; a panic outside a task prints as ever.
fn keep_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // At the end of the process it is gone, and no task runs.
        let kept = PANIC.try_with(|panic| match &mut *panic.borrow_mut() {
            Some(panic) => {
                let payload = info.payload();
                let message = payload
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                    .unwrap_or("a value that is no text");
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                *panic = (message.to_string(), place);
                true
            }
            None => false,
        });
        if !kept.unwrap_or(false) {
            before(info);
        }
    }));
}

/// Claims and does tasks until none is left: the trampoline, which knows the types.
pub(super) fn work<A, R>(target: Distance, desk: &mut Desk)
where
    A: DeserializeOwned,
    R: Serialize,
{
    let Some(function) = entry::target::<A, R>(target) else { return };
    let mut run = 1;
    loop {
        let fair = desk.board.left() / (2 * desk.crew);
        let places = desk.board.take_run(run.min(fair).max(1));
        if places.is_empty() {
            return;
        }
        let (start, count) = (Instant::now(), places.len());
        for task in places {
            if desk.board.claim(task, desk.number) {
                let record = call(function, desk.board.input(task));
                let offset = desk.write(&record);
                desk.board.done(task, desk.number, offset);
            }
        }
        // The batch is adapted to the time that it takes.
        let spent = start.elapsed();
        if count >= run && spent < RUN_TIME / 2 {
            run = (run * 2).min(LONGEST_RUN);
        } else if spent > RUN_TIME {
            run = (run / 2).max(1);
        }
    }
}

/// One call; its value or failure, encoded.
fn call<A: DeserializeOwned, R: Serialize>(
    function: fn(A) -> R,
    input: Option<Vec<u8>>,
) -> Vec<u8> {
    let input = input
        .ok_or_else(|| "the input lies outside the board".to_string())
        .and_then(|input| codec::decode(&input, Vec::new()).map_err(|error| error.to_string()));
    let answer = match input {
        Err(reason) => Err(Failure::Unencodable(reason)),
        Ok(input) => {
            PANIC.set(Some(Default::default()));
            let result = panic::catch_unwind(AssertUnwindSafe(|| function(input)));
            let panicked = PANIC.take();
            result.map_err(|_| {
                let (message, place) = panicked.unwrap_or_default();
                Failure::Panicked { message, place }
            })
        }
    };
    codec::encode_data(&answer, NO_HANDLES).unwrap_or_else(|error| {
        let failure = Err::<(), _>(Failure::Unencodable(error.to_string()));
        codec::encode_data(&failure, NO_HANDLES).expect("a text has an encoding")
    })
}

impl Desk {
    /// Writes a record behind the others; where it is, or `None` where there is no memory for it.
    fn write(&mut self, record: &[u8]) -> Option<usize> {
        let offset = self.written;
        let end = offset.checked_add(8)?.checked_add(record.len())?;
        if end > self.results.len() {
            self.results.grow(end.checked_next_power_of_two()?).ok()?;
        }
        let len = self.results.words64(offset, 1)?.first()?;
        len.store(record.len() as u64, Ordering::Relaxed);
        self.written = end.next_multiple_of(ALIGN);
        self.results.copy_in(offset + 8, record).then_some(offset)
    }
}

/// The record that a worker has written at `offset`.
pub(super) fn read(results: &Region, offset: usize) -> Option<Vec<u8>> {
    let len = results.words64(offset, 1)?.first()?.load(Ordering::Relaxed);
    results.copy_out(offset.checked_add(8)?, usize::try_from(len).ok()?)
}
