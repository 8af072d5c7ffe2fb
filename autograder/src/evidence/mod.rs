//! Evidence about processes: how many there were, and how many of them could run at the same time.
//!
//! A test of parallelism must not look at the clock: on a machine with two processors, shared with
//! others, the right program is hardly faster than the wrong one. So an observer stands beside the
//! run and notes which threads were *runnable*, which means on a processor or waiting for their turn.
//! Four children with work to do are runnable together even when one processor serves them all.
//!
//! ```text
//!   4 children at the same time    one after the other      4 sleep, the parent works
//!   child 1 =========              ===                      .........
//!   child 2 =========                 ===                   .........
//!   child 3 =========                    ===                .........
//!   child 4 =========                       ===             .........
//!   parent  .........              ............             =========
//!   runnable together: 4           1                        1             (= can run, . waits)
//! ```
//!
//! A process is runnable while one of its threads is, so four threads are one runnable process.
//!
//! # From where
//!
//! | [`Source`] | where it works | what it sees |
//! | --- | --- | --- |
//! | `Switches` | `perf_event_paranoid` is at most 2, or root; not in most containers | everything |
//! | `Sampling` | everywhere | what lasts for a few milliseconds |
//!
//! [`Observer::attach`] finds out which one there is, and the evidence says which one it was. What the
//! kernel could not write down because too much happened is said as well ([`Lost`]).
//!
//! # How to attach
//!
//! The observer has to be there before the program's first instruction. So the program is started by
//! a launcher that waits for a word, on a pipe say, before it calls `execve` itself or starts someone
//! who does:
//!
//! ```text
//!   grader                                launcher
//!     | starts it                            | waits for its order on a pipe
//!     | Observer::attach(its process id)     |
//!     | order --------------------------->   | forks, enters namespaces, ...
//!     |                                      | execve(program)        <- from here on it is seen
//!     | ... the run ends, all is killed ...
//!     | observer.finish()  -> Evidence
//! ```
//!
//! Whatever the launcher and its children do before one of them calls `execve` is not seen, so a pid 1
//! that only waits for the program does not count. The first who calls it is the first process of the
//! program. The launcher has a single thread, and may enter other namespaces or drop rights. The
//! program's file must be readable to whoever runs it: from one that may only be executed, the kernel
//! takes all observers away.
//!
//! # In a test
//!
//! ```
//! use autograder::evidence::{Evidence, at_least, share_of_work};
//!
//! fn four_children_share_the_work(evidence: &Evidence) {
//!     evidence
//!         .processes()
//!         .created(at_least(4))
//!         .ran_together(4).for_at_least(share_of_work(0.25))
//!         .worked_by_children(at_least(0.8));
//! }
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | `timeline` | sums, kept up to date as things happen |
//! | `switches` | the exact source |
//! | `sampling` | the portable source |
//! | `look` | one look at all processes of a program |
//! | `exits` | how processes ended that are not our children |
//! | [`predicates`] | what a test can ask |
//! | `advice` | what a student reads when the answer is no |
//! | [`left`] | what a program leaves behind that is no process |

mod advice;
mod exits;
pub mod left;
mod look;
pub mod predicates;
mod sampling;
mod switches;
mod timeline;

use std::fmt;
use std::io::{self, PipeWriter};
use std::os::unix::process::ExitStatusExt;
use std::panic;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

pub use left::{Leftover, Snapshot, left_behind};
pub use predicates::{
    Processes, alive_together, at_least, at_most, between, children_succeeded, created, each_of,
    exactly, ran_together, share_of_work, threads_ran_together, worked_by_children,
};

use crate::sandbox::turns;
use sampling::Sampling;
use switches::Switches;

/// How the evidence was gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The kernel wrote down every change.
    Switches,
    /// The processes were looked at again and again.
    Sampling,
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Source::Switches => "switches",
            Source::Sampling => "sampling",
        })
    }
}

/// What the processes of one run did. All times are in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// How it was gathered.
    pub source: Source,
    /// Why not in the exact way, if it was not.
    pub reason: Option<String>,
    /// How many were created.
    pub created: Created,
    /// How many lived at the same time, at most.
    pub alive_at_most: Alive,
    /// How many processes were runnable at the same time.
    pub processes: Overlap,
    /// How many threads were runnable at the same time, of one process or of several.
    pub threads: Overlap,
    /// The processes in the order in which they began, the first one included; the thousand that
    /// ended first, if there were more.
    pub list: Vec<ProcessRecord>,
    /// The rest.
    pub others: Others,
    /// What could not be written down.
    pub lost: Lost,
}

/// How many were created besides the first process and its first thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Processes, at any depth.
    pub processes: usize,
    /// Threads besides the first one of each process.
    pub threads: usize,
}

/// How many lived at the same time, the first process included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// Processes.
    pub processes: usize,
    /// Threads of all processes, the first ones included.
    pub threads: usize,
}

/// How long so many were runnable together: entry `k` is about exactly `k`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Time on the clock.
    pub seconds: Vec<f64>,
    /// Time on processors, which depends little on how busy the machine is.
    pub work: Vec<f64>,
}

impl Overlap {
    /// The most that were runnable together.
    pub fn most(&self) -> usize {
        self.seconds.iter().rposition(|&seconds| seconds > 0.0).unwrap_or(0)
    }

    /// The most that were runnable together for more than moments: for a tenth of the time.
    ///
    /// For moments there is nearly always one more: who starts a child still runs while the child
    /// already could, and on a busy machine both wait for their turn.
    pub fn steadily(&self) -> usize {
        let moments = self.seconds_with(1) / 10.0;
        (1..=self.most()).rev().find(|&count| self.seconds_with(count) > moments).unwrap_or(0)
    }

    /// How long at least so many were runnable together.
    pub fn seconds_with(&self, count: usize) -> f64 {
        sum(self.seconds.iter().skip(count))
    }

    /// How much work was done while at least so many were runnable together.
    pub fn work_with(&self, count: usize) -> f64 {
        sum(self.work.iter().skip(count))
    }
}

/// One process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Its process id, as the grader sees it.
    pub pid: i32,
    /// The process that created it; none for the first one, and where it is not known.
    pub parent: Option<i32>,
    /// Whether the program began with it.
    pub is_first: bool,
    /// Its name, as `ps` shows it; chosen by the program, and made safe to print.
    pub name: String,
    /// When it began, counted from the beginning of the program.
    pub began: f64,
    /// When it ended, unless it was still there at the end.
    pub ended: Option<f64>,
    /// How long its threads had a processor.
    pub work: f64,
    /// How many threads it ever had.
    pub threads: usize,
    /// How it ended, where the kernel tells anyone but its parent.
    pub exit: Option<Exit>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    fn from_wait_status(status: i32) -> Exit {
        let status = ExitStatus::from_raw(status);
        match status.signal() {
            Some(signal) => Exit::Signal(signal),
            None => Exit::Code(status.code().unwrap_or_default()),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(101) => write!(out, "exit code 101, a panic"),
            Exit::Code(code) => write!(out, "exit code {code}"),
            Exit::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(out, "{signal}"),
                Err(_) => write!(out, "signal {number}"),
            },
        }
    }
}

/// Processes that are only counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Others {
    /// How many.
    pub processes: usize,
    /// How long they had a processor, together.
    pub work: f64,
}

/// What the kernel could not write down, because it was not read quickly enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// How many records.
    pub records: u64,
    /// For how long nothing is known.
    pub seconds: f64,
}

impl Evidence {
    /// The processes, ready for assertions.
    pub fn processes(&self) -> Processes<'_> {
        Processes::new(self)
    }

    /// Whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.lost == Lost::default()
    }

    /// The first process of the program; none if it never began.
    pub fn first(&self) -> Option<&ProcessRecord> {
        self.list.iter().find(|process| process.is_first)
    }

    /// All described processes but the first.
    pub fn children(&self) -> impl Iterator<Item = &ProcessRecord> {
        self.list.iter().filter(|process| !process.is_first)
    }

    /// How long all processes together had a processor.
    pub fn work(&self) -> f64 {
        sum(self.list.iter().map(|process| &process.work)) + self.others.work
    }

    /// Which part of the work a process did; 0 if there was none.
    pub fn share(&self, process: &ProcessRecord) -> f64 {
        ratio(process.work, self.work())
    }
}

/// 0 if there is nothing; `Iterator::sum` would say -0, and print it.
fn sum<'a>(numbers: impl Iterator<Item = &'a f64>) -> f64 {
    numbers.fold(0.0, |sum, number| sum + number)
}

/// 0 of nothing is 0.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Stands beside a run and notes what its processes do.
#[derive(Debug)]
pub struct Observer {
    source: Source,
    /// Its other end tells the thread to finish when this one closes.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<Evidence>>,
}

impl Observer {
    /// Attaches to a launcher that has not become the program yet, and starts to observe in the best
    /// way that there is.
    ///
    /// # Errors
    ///
    /// If the launcher has ended, or the kernel tells nothing about processes in either way.
    pub fn attach(launcher: u32) -> io::Result<Observer> {
        match Observer::attach_by(Source::Switches, launcher) {
            Ok(observer) => Ok(observer),
            Err(error) => {
                let reason = format!("the kernel does not tell of switches: {error}");
                let sampling = Sampling::new(launcher as i32)?;
                Observer::start(Source::Sampling, |stop| sampling.run(&stop, Some(reason)))
            }
        }
    }

    /// The same in one given way.
    ///
    /// # Errors
    ///
    /// If the launcher has ended, or the kernel does not allow it.
    pub fn attach_by(source: Source, launcher: u32) -> io::Result<Observer> {
        let launcher = launcher as i32;
        match source {
            Source::Switches => {
                let switches = Switches::open(launcher)?;
                Observer::start(source, move |stop| switches.run(&stop))
            }
            Source::Sampling => {
                let sampling = Sampling::new(launcher)?;
                Observer::start(source, |stop| sampling.run(&stop, None))
            }
        }
    }

    /// By switches, with rings of so many pages (a power of two) that the kernel writes into. Small
    /// ones lose records, which is what tests of that need.
    ///
    /// # Errors
    ///
    /// If the launcher has ended, or the kernel does not allow it.
    #[doc(hidden)]
    pub fn attach_with_rings(launcher: u32, pages: usize) -> io::Result<Observer> {
        let switches = Switches::open_small(launcher as i32, pages)?;
        Observer::start(Source::Switches, move |stop| switches.run(&stop))
    }

    fn start(
        source: Source,
        observe: impl FnOnce(io::PipeReader) -> Evidence + Send + 'static,
    ) -> io::Result<Observer> {
        let (closed, stop) = io::pipe()?;
        let (attentive, attention) = mpsc::channel();
        let thread = thread::Builder::new().name("observer".to_string());
        let thread = thread.spawn(move || {
            // On a busy machine the program would be over before it was seen. Where this cannot be
            // had, nothing else is lost.
            let _ = turns::shorten();
            let _ = attentive.send(());
            observe(closed)
        })?;
        // A new thread may wait long for its first turn. If it has ended, `finish` says why.
        let _ = attention.recv();
        Ok(Observer { source, stop: Some(stop), thread: Some(thread) })
    }

    /// How this observer observes.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Ends the observation, when the program has ended or was ended.
    pub fn finish(mut self) -> Evidence {
        match self.end() {
            Some(Ok(evidence)) => evidence,
            Some(Err(panic)) => panic::resume_unwind(panic),
            None => unreachable!("an observer is ended once, here or when it is dropped"),
        }
    }

    fn end(&mut self) -> Option<thread::Result<Evidence>> {
        drop(self.stop.take());
        Some(self.thread.take()?.join())
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // What it saw, nobody asks for any more.
        let _ = self.end();
    }
}
