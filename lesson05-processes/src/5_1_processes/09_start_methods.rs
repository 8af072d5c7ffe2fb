//! # 5.1 Contexts and start methods (multiprocessing Module)
//!
//! There are three ways to start a process, and they differ in what the child finds in its memory.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin start_methods
//! spawn: the worker finds counter = 0
//! forkserver: the worker finds counter = 0
//! fork: the worker finds counter = 1
//! ```
//!
//! Observe: before it starts anything, the main process sets its counter to 1. A spawned child is this program
//! started afresh, and a child of the fork server is a copy of a helper that was; neither has seen that line. Only a
//! forked child is a copy of the main process as it is. So it is not true that a child on Windows, which is spawned,
//! has "a duplicate of the parent's memory space" and "the same data" (*Processes, CIS 41B*); nor is there a context
//! that "mimics the behavior of POSIX fork on a Windows system" (*multiprocessing Module*), nor is fork the default
//! of all Unix systems: macOS spawns since Python 3.8, Linux has the fork server since 3.14. The program of
//! *multiprocessing Module* has no guard: its spawned child sets the method once more, and dies of it.
//! Try: set the method twice: what does the error say? Then start a thread that sleeps for a second before the last
//! loop: which of the two methods is refused, and why?

use common::{Process, StartMethod, process};
use std::sync::atomic::{AtomicI32, Ordering};

static COUNTER: AtomicI32 = AtomicI32::new(0);

fn worker((): ()) {
    let counter = COUNTER.load(Ordering::Relaxed);
    println!("{}: the worker finds counter = {counter}", process::start_method());
}

fn main() -> common::Result<()> {
    common::init();
    COUNTER.store(1, Ordering::Relaxed);

    // For all processes: to be set once, before the first of them
    common::set_start_method(StartMethod::Spawn)?;
    let p = Process::new(worker, ()).start()?;
    p.join()?;

    // For one process alone
    for method in [StartMethod::ForkServer, StartMethod::Fork] {
        let p = Process::new(worker, ()).start_method(method).start()?;
        p.join()?;
    }
    Ok(())
}
