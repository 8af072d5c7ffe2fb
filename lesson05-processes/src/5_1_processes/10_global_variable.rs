//! # 5.1 Unique memory space: a global variable (multiprocessing Module)
//!
//! A global variable is there once for each process: what a child does to its own, nobody else sees.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin global_variable
//! Counter in child process: 1
//! Counter in main process: 0
//! ```
//!
//! Observe: one line of code adds 1, and the main process still has 0. *multiprocessing Module* shows "Counter in
//! child process: 0" as the second line: its program prints the word "main" there. *Python Processes* says that
//! globals cannot be used "because they each have their own version of the GIL": the reason is that there are two
//! memories. Rust has no such lock, and the result is the same.
//! Try: call `increment(())` in the main process as well, before the child starts. Which numbers come, and
//! which with `.start_method(common::StartMethod::Fork)`?

use common::Process;
use std::sync::atomic::{AtomicI32, Ordering};

// Threads of one process would share it, so Rust wants a global that changes to be an atomic or locked.
static COUNTER: AtomicI32 = AtomicI32::new(0);

fn increment((): ()) {
    COUNTER.fetch_add(1, Ordering::Relaxed);
    println!("Counter in child process: {}", COUNTER.load(Ordering::Relaxed));
}

fn main() -> common::Result<()> {
    common::init();
    let p = Process::new(increment, ()).start()?;
    p.join()?;

    println!("Counter in main process: {}", COUNTER.load(Ordering::Relaxed));
    Ok(())
}
