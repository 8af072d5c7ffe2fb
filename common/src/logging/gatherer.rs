//! The line over which records come, and the thread that hands them on.

use super::record::Record;
use crate::point::quietly;
use crate::process::{self, Finalizer, Origin as Owner};
use crate::queue::{GetError, PutError, PutRefusal, Queue};
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// How many records may wait.
const WAITING: usize = 1 << 16;
/// How long a process waits for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a process puts its records for another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    queue: Queue<Item>,
    owner: Owner,
}

#[derive(Debug, Serialize, Deserialize)]
enum Item {
    Record(Box<Record>),
    /// Who waits for it knows that what was put before is handed on.
    Mark(u64),
}

impl Line {
    /// Puts a record; otherwise why it does not arrive.
    pub(super) fn put(&self, record: Record) -> Result<(), String> {
        let Owner { name, pid, .. } = &self.owner;
        if self.owner.has_ended() {
            return Err(format!("{name} (pid {pid}), which gathers them, has ended"));
        }
        // Who has waited in vain does not wait again for each record.
        static IS_FULL: AtomicBool = AtomicBool::new(false);
        let limit = if IS_FULL.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
        let put = quietly(|| self.queue.put_timeout(Item::Record(Box::new(record)), limit));
        let is_full = matches!(&put, Err(PutError { reason: PutRefusal::Full(_), .. }));
        IS_FULL.store(is_full, Ordering::Relaxed);
        put.map_err(|error| match error.reason {
            PutRefusal::Full(_) => format!("{name} (pid {pid}), which gathers them, is too slow"),
            reason => reason.to_string(),
        })
    }
}

/// What this process gathers, once it does.
struct Gatherer {
    /// Whose it is: a copy that was forked has no thread that reads it.
    pid: u32,
    thread: ThreadId,
    line: Line,
    marks: Arc<Marks>,
}

static GATHERER: OnceLock<Gatherer> = OnceLock::new();

/// How many marks were put, and how far they are read.
#[derive(Default)]
struct Marks {
    counts: Mutex<(u64, u64)>,
    news: Condvar,
}

impl Marks {
    fn lock(&self) -> MutexGuard<'_, (u64, u64)> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts to hand on what comes, unless it has begun; the line for it.
pub(super) fn start() -> io::Result<Line> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _only_one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(gatherer) = own() {
        return Ok(gatherer.line.clone());
    }
    let line = Line { queue: quietly(|| Queue::bounded(WAITING))?, owner: process::origin()? };
    let (queue, marks) = (line.queue.clone(), Arc::new(Marks::default()));
    let read = Arc::clone(&marks);
    let thread = thread::Builder::new().name("log-gatherer".to_string());
    let thread = thread.spawn(move || quietly(|| hand_on(&queue, &read)))?.thread().id();
    let gatherer = Gatherer { pid: std::process::id(), thread, line: line.clone(), marks };
    if GATHERER.set(gatherer).is_err() {
        return Err(io::Error::other("a forked copy of a process that gathers cannot do so too"));
    }
    // After the children have ended.
    std::mem::forget(Finalizer::at_exit(-1, flush));
    Ok(line)
}

fn own() -> Option<&'static Gatherer> {
    GATHERER.get().filter(|gatherer| gatherer.pid == std::process::id())
}

/// The life of the thread.
fn hand_on(queue: &Queue<Item>, marks: &Marks) {
    loop {
        match queue.get() {
            Ok(Item::Record(record)) => {
                let hand = AssertUnwindSafe(|| record.hand_to(log::logger()));
                if let Err(panic) = panic::catch_unwind(hand) {
                    // The logger has printed why; dropping what it threw might panic as well.
                    std::mem::forget(panic);
                }
            }
            Ok(Item::Mark(mark)) => {
                marks.lock().1 = mark;
                marks.news.notify_all();
            }
            Err(GetError::Decode(_)) => {}
            Err(error) => return lose(marks, &error.to_string()),
        }
    }
}

/// Says that nothing arrives any more, and has nobody wait for it.
fn lose(marks: &Marks, reason: &str) {
    static WAS_SAID: AtomicBool = AtomicBool::new(false);
    if !WAS_SAID.swap(true, Ordering::Relaxed) {
        let _ = writeln!(io::stderr(), "common: records of children are lost: {reason}");
    }
    marks.lock().1 = u64::MAX;
    marks.news.notify_all();
}

/// Waits until what is in the line is handed on.
pub(super) fn flush() {
    let Some(Gatherer { line, marks, thread: reader, .. }) = own() else { return };
    // A logger that ends the program, or asks for this, would wait for itself.
    if thread::current().id() == *reader {
        return;
    }
    let mut counts = marks.lock();
    counts.0 += 1;
    let mark = counts.0;
    drop(counts);
    if quietly(|| line.queue.put(Item::Mark(mark))).is_err() {
        return;
    }
    let is_under_way = |counts: &mut (u64, u64)| counts.1 < mark;
    drop(marks.news.wait_while(marks.lock(), is_under_way).unwrap_or_else(PoisonError::into_inner));
}
