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
//! Observe: before it starts anything, the main process sets its counter to 1. A spawned child is this
//! program started afresh, and a child of the fork server is a copy of a helper that was; neither has seen
//! that line. A forked child is a copy of the main process as it is. None of them shares the counter with
//! it. (The document's program lacks the guard: its child sets the method once more, and dies of it.)
//! Try: set the method twice. Then start a thread that sleeps, and fork beside it: why is that refused?

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
