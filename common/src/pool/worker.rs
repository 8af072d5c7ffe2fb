//! The life of a worker: take a chunk, do its tasks, report the results.
//!
//! A worker ends when the line of tasks ends, or when it has done as many as it shall. It is a daemon, so
//! when its parent dies the kernel ends it, whatever it is doing.

use super::desk::{Desk, Desks};
use super::line::{Line, Nothing};
use super::message::{self, ChunkHeader, Entries, Failure, Function, Report, What};
use super::panic::{Panicked, caught};
use super::ticket::Tickets;
use crate::process::Outcome;
use crate::queue::item;
use crate::sync::word::Deadline;
use crate::sys::entry::{self, Distance};
use crate::sys::thread;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

const NO_HANDLES: &str = "a handle cannot be the result of a task; give it to the workers by the pool's \
                          initializer, or to a Process in its argument";
/// A chunk that is done within this time, or within a tick of the kernel, is not shared out again.
const BRIEF: Duration = Duration::from_micros(500);
/// How long a worker waits that cannot report for lack of memory, before it tries again.
const PAUSE: Duration = Duration::from_millis(20);
/// A buffer of more bytes is not kept.
const KEPT: usize = 1 << 20;

/// What a worker begins with.
#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "I: DeserializeOwned"))]
pub(super) struct Start<I: Serialize> {
    pub(super) seat: usize,
    /// How many workers there are.
    pub(super) crew: usize,
    pub(super) tasks: Line,
    pub(super) reports: Line,
    pub(super) desks: Desks,
    pub(super) tickets: Tickets,
    /// How many tasks it does at most.
    pub(super) most: Option<u64>,
    pub(super) initializer: Option<(Distance, Lent<I>)>,
}

/// A value of which the sender keeps its own.
pub(super) struct Lent<T>(pub(super) Arc<T>);

impl<T: Serialize> Serialize for Lent<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self(Arc::new(value)))
    }
}

/// A function that tasks call: of one argument, or of two that come as a pair.
pub(super) trait Target: Copy {
    type Argument: DeserializeOwned + 'static;
    type Value: Serialize + 'static;

    fn distance(self) -> Option<Distance>;
    fn at(distance: Distance) -> Option<Self>;
    fn call(self, argument: Self::Argument) -> Self::Value;

    /// What a chunk says of it; `None` for a function of a dynamic library.
    fn function(self) -> Option<Function> {
        let trampoline: Trampoline = work::<Self>;
        let trampoline = entry::of_trampoline(trampoline)?;
        Some(Function { trampoline, target: self.distance()? })
    }
}

impl<A: DeserializeOwned + 'static, R: Serialize + 'static> Target for fn(A) -> R {
    type Argument = A;
    type Value = R;

    fn distance(self) -> Option<Distance> {
        entry::of_target(self)
    }

    fn at(distance: Distance) -> Option<Self> {
        entry::target(distance)
    }

    #[inline]
    fn call(self, argument: A) -> R {
        self(argument)
    }
}

impl<A, B, R> Target for fn(A, B) -> R
where
    A: DeserializeOwned + 'static,
    B: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    type Argument = (A, B);
    type Value = R;

    fn distance(self) -> Option<Distance> {
        entry::of_pair_target(self)
    }

    fn at(distance: Distance) -> Option<Self> {
        entry::pair_target(distance)
    }

    #[inline]
    fn call(self, (first, second): (A, B)) -> R {
        self(first, second)
    }
}

/// The code that knows the types of a chunk's function.
type Trampoline = fn(Distance, &mut Bench);

/// What a worker process calls; its exit code.
pub(super) fn main<I, R>(start: Start<I>) -> i32
where
    I: Serialize + DeserializeOwned,
    R: Outcome,
{
    let desk = start.desks.desk(start.seat);
    if let Some((target, argument)) = start.initializer {
        let argument = Arc::into_inner(argument.0);
        let (Some(function), Some(argument)) = (entry::target::<I, R>(target), argument) else {
            return 1;
        };
        let code = function(argument).exit_code();
        if code != 0 {
            return code;
        }
    }
    desk.ready();
    let mut bench = Bench {
        desk,
        crew: start.crew.max(1),
        tasks: start.tasks,
        reports: start.reports,
        tickets: start.tickets,
        left: start.most,
        header: ChunkHeader {
            chunk: 0,
            count: 0,
            ticket: 0,
            function: Function { trampoline: 0, target: 0 },
        },
        input: Vec::new(),
        unread: 0,
        place: 0,
        next: 0,
        end: 0,
        output: Vec::new(),
        noted: 0,
        since: Instant::now(),
        tick: thread::tick(),
    };
    while bench.take() {
        bench.do_chunk();
        if bench.left == Some(0) {
            bench.desk.leave();
            break;
        }
    }
    0
}

/// What a worker has before it.
struct Bench {
    desk: Desk,
    crew: usize,
    tasks: Line,
    reports: Line,
    tickets: Tickets,
    /// How many tasks it may still begin.
    left: Option<u64>,
    /// The chunk in hand, as it came.
    header: ChunkHeader,
    input: Vec<u8>,
    /// How many bytes of it are not read.
    unread: usize,
    /// The places of the task at hand and of the next one, and where its own tasks end.
    place: u32,
    next: u32,
    end: u32,
    /// The entries that are not reported, and how many bytes of them are whole.
    output: Vec<u8>,
    noted: usize,
    /// When the chunk was taken.
    since: Instant,
    tick: Duration,
}

impl Bench {
    /// Takes the next chunk; false where there will be none.
    fn take(&mut self) -> bool {
        loop {
            let Self { tasks, desk, input, .. } = self;
            let got = tasks.get(Deadline::NEVER, |bytes| {
                let (header, _) = ChunkHeader::read(bytes)?;
                desk.take(header.chunk, (header.count > 1).then_some(bytes));
                input.clear();
                input.extend_from_slice(bytes);
                Some(header)
            });
            match got {
                Ok(Some(header)) => {
                    self.header = header;
                    self.unread = arguments(&self.input).len();
                    (self.place, self.next, self.end) = (0, 0, header.count);
                    if header.count > 1 {
                        (self.since, self.tick) = (Instant::now(), thread::tick());
                    }
                    return true;
                }
                Ok(None) | Err(Nothing::Yet) => {}
                Err(Nothing::Ever) => return false,
                Err(Nothing::Error(error)) => {
                    let _ = writeln!(io::stderr(), "a pool's worker ends: {error}");
                    return false;
                }
            }
        }
    }

    fn do_chunk(&mut self) {
        let ChunkHeader { ticket, function, .. } = self.header;
        if ticket != 0 && !self.tickets.take(ticket - 1) {
            self.fail(&Failure::Cancelled);
        } else if let Some(trampoline) = entry::trampoline(function.trampoline) {
            let trampoline: Trampoline = trampoline;
            trampoline(function.target, self);
        }
        self.report();
        self.desk.put_away();
    }

    /// Comes to the next task of the chunk; false where there is none.
    #[inline]
    fn next(&mut self) -> bool {
        let rest = self.end - self.next;
        // Within a tick of the kernel the clock is not asked: it costs as much as a small task.
        if rest > 1
            && self.tasks.is_awaited()
            && thread::tick() != self.tick
            && self.since.elapsed() > BRIEF
        {
            self.give_back((rest / self.crew as u32).max(1));
        }
        if self.left == Some(0) {
            self.give_back(0);
        }
        if self.next == self.end {
            return false;
        }
        self.place = self.next;
        self.next += 1;
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        self.desk.begin(self.place);
        true
    }

    /// Keeps so many of the tasks that are left, and has others do the rest.
    #[cold]
    fn give_back(&mut self, kept: u32) {
        let mut rest = arguments(&self.input).of_last(&self.input, self.unread);
        let from = self.next + kept;
        if from >= self.end {
            return;
        }
        rest.pass(kept);
        let rest = rest.list();
        let report = Report { chunk: self.header.chunk, what: What::Returned { from } };
        // Where there is no memory for that, it does them itself; unless it may not.
        while let Err(error) = self.reports.put(&[&report.bytes(), &rest]) {
            if self.left != Some(0) {
                return;
            }
            let _ = writeln!(io::stderr(), "a pool's worker waits: {error}");
            std::thread::sleep(PAUSE);
        }
        self.end = from;
    }

    /// Notes the result of the task at hand.
    #[inline]
    fn answer<R: Serialize + 'static>(&mut self, value: &R) {
        match message::append(&mut self.output, self.place, value, NO_HANDLES) {
            Ok(()) => self.note(),
            Err(error) => self.fail(&Failure::Result(error.to_string())),
        }
    }

    #[cold]
    fn fail(&mut self, failure: &Failure) {
        // A panic may have come in the midst of an entry.
        self.output.truncate(self.noted);
        if message::is_run(&self.output) {
            self.report();
        }
        message::append_failure(&mut self.output, self.place, failure);
        self.note();
    }

    /// Keeps the last entry safe.
    #[inline]
    fn note(&mut self) {
        let before = std::mem::replace(&mut self.noted, self.output.len());
        // The last one is reported at once.
        if self.next < self.end && !self.desk.note(before, &self.output[before..]) {
            self.report();
        }
    }

    /// Reports what is not reported yet.
    fn report(&mut self) {
        if self.output.is_empty() {
            return;
        }
        let report = Report { chunk: self.header.chunk, what: What::Results }.bytes();
        loop {
            let waiting = self.reports.len();
            let Err(error) = self.reports.put(&[&report, &self.output]) else { break };
            // What waits will be taken, and then there is room. Where nothing does, there never is, and that
            // has to be said of the results.
            if waiting == 0 || error.kind() == io::ErrorKind::InvalidInput {
                let failure = Failure::Result(format!("there is no memory left for it ({error})"));
                let places: Vec<u32> =
                    Entries::new(&self.output).map(|entry| entry.place).collect();
                self.output.clear();
                for place in places {
                    message::append_failure(&mut self.output, place, &failure);
                }
            }
            std::thread::sleep(PAUSE);
        }
        self.desk.reported();
        self.output.clear();
        self.output.shrink_to(KEPT);
        self.noted = 0;
    }
}

/// The arguments of a chunk as it came.
#[inline]
fn arguments(input: &[u8]) -> Entries<'_> {
    Entries::new(input.get(ChunkHeader::LEN..).unwrap_or_default())
}

/// Does the tasks of a chunk: the trampoline, which knows the types.
fn work<T: Target>(target: Distance, bench: &mut Bench) {
    let Some(function) = T::at(target) else { return };
    while let Err(Panicked { message, place }) = caught(|| all::<T>(function, bench)) {
        bench.fail(&Failure::Panicked { message, place });
    }
}

/// Does the tasks of a chunk until one panics.
fn all<T: Target>(function: T, bench: &mut Bench) {
    while bench.next() {
        let mut rest = arguments(&bench.input).of_last(&bench.input, bench.unread);
        let Some(entry) = rest.next() else { return };
        bench.unread = rest.len();
        match item::read::<T::Argument>(entry.bytes) {
            Ok(argument) => {
                if bench.input.len() > KEPT {
                    // A task alone; it needs the memory more than the chunk does.
                    bench.input = Vec::new();
                }
                let value = function.call(argument);
                bench.answer(&value);
            }
            Err(error) => bench.fail(&Failure::Argument(error.to_string())),
        }
    }
}
