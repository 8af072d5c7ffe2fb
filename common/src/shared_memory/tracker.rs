//! The tracker: a small process that removes what a program leaves behind (in Python:
//! `multiprocessing.resource_tracker`).
//!
//! ```text
//!   any process of the family           register                tracker
//!   no tracker? starts it      ───────────────────────────────▶ ignores signals, is ready
//!   lists the block            ───────▶ psm_0a1b2c3d
//!   gives it its name                                           waits for the end of the family
//!   ...
//!   takes the name away
//!   strikes it off             ───────▶
//!   (or is killed before)               psm_4e5f6071   ───────▶ removes it, and says so
//! ```
//!
//! It is started when a process first creates a block that is tracked, and serves all processes of its
//! family: `process/family.rs` tells who they are. Whoever only opens a block lists nothing, so a
//! visitor's end never removes a block. (`CPython`'s visitors register too; that is its fault.)
//!
//! It is a process group of its own and ignores what ends a program from outside, so Ctrl-C, a
//! closed terminal and the end of a whole job leave it alone. It ends when the family has, with 0
//! where nothing was left behind and 1 where something was.

use super::SharedMemoryError;
use crate::process::family::{self, Tracker};
use crate::process::{self, Process, StartError};
use crate::shared::register::{Entry, Register};
use crate::sys::process::stand_aside;
use std::io::{self, Write as _};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// Its name in `ps`.
const NAME: &str = "tracker";
/// How often a process starts one that is killed before it is ready.
const ATTEMPTS: u32 = 3;
/// How long a tracker may take until it is ready. Where it takes longer, something is stopped.
const UNTIL_READY: Duration = Duration::from_secs(60);
/// How often it is looked at until then: nobody can wait for a lock on a file to be taken.
const TICK: Duration = Duration::from_micros(300);

/// Lists a block that is about to get its name, with a tracker that looks after it.
pub(super) fn list(entry: &Entry) -> Result<(), SharedMemoryError> {
    ensure()?;
    family::with_register(|register| register.list(entry)).map_err(SharedMemoryError::Tracker)
}

/// Strikes off a block that has lost its name.
pub(super) fn strike(entry: &Entry) {
    // What stays in the register, with a name that is gone, is passed over at the end.
    family::with_register_if_any(|register| drop(register.strike(entry)));
}

/// Sees to it that there is a tracker, and that it is ready: a block that is listed before could
/// outlive a signal that ends them all.
fn ensure() -> Result<(), SharedMemoryError> {
    let until = Instant::now() + UNTIL_READY;
    let mut attempts = 0;
    loop {
        match family::tracker().map_err(SharedMemoryError::Tracker)? {
            Tracker::Ready => return Ok(()),
            Tracker::Wanted(register) if attempts < ATTEMPTS => {
                attempts += 1;
                start(register)?;
            }
            Tracker::Starting if Instant::now() < until => thread::sleep(TICK),
            Tracker::Wanted(_) => return Err(failed("it was killed each time")),
            Tracker::Starting => return Err(failed("it does not get ready")),
        }
    }
}

fn failed(reason: &'static str) -> SharedMemoryError {
    SharedMemoryError::Tracker(io::Error::other(reason))
}

/// Starts a tracker; it may be killed at once.
fn start(register: Register) -> Result<(), SharedMemoryError> {
    let helper = Process::helper_alone(NAME, main, register);
    match process::launch(helper).and_then(process::Starting::begun) {
        Ok(tracker) => family::keep_tracker(tracker),
        Err(StartError::EndedEarly { .. }) => {}
        Err(StartError::NotInitialised) => return Err(SharedMemoryError::NotInitialised),
        Err(error) => return Err(SharedMemoryError::Tracker(io::Error::other(error))),
    }
    Ok(())
}

/// The life of a tracker; its exit code.
fn main(register: Register) -> io::Result<i32> {
    stand_aside()?;
    let speaker = format!("{NAME} (PID {})", std::process::id());
    let before = register.trackers().map_or(0, |count| count.fetch_add(1, Ordering::Relaxed));
    if before > 0 {
        let _ = writeln!(
            io::stderr(),
            "{speaker}: the tracker of shared memory was killed; this one has taken its place, and \
             knows what that one knew"
        );
    }
    family::is_ready(&register)?;
    family::wait_for_its_end(&register)?;
    Ok(i32::from(family::clean_up(register, &speaker)))
}
