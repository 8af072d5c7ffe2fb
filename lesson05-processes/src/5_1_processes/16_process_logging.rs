//! # 5.1 One log of several processes (document 002)
//!
//! Three processes log, and one, the main process, writes all of it: each record tells whose it is.
//!
//! ```console,any-order
//! $ cargo run -p lesson05-processes --bin process_logging
//! [INFO/Process-1] started
//! [INFO/Process-1] finished
//! [INFO/Process-2] started
//! [INFO/Process-2] finished
//! [INFO/Process-3] started
//! [INFO/Process-3] finished
//! ```
//!
//! Observe: the processes come in any order, but each has started before it has finished: the records of one
//! process arrive in their order. No child has made a logger, and none writes to the terminal.
//! Try: change `Info` to `Debug`. Who says the additional lines? Then have a child call
//! `std::process::abort()` between its two lines: what it had logged is there all the same.

use common::Process;
use common::logging::{self, Origin};
use log::{LevelFilter, Log, Metadata, Record};
use std::thread::sleep;
use std::time::Duration;

/// Writes records as Python's `multiprocessing` does.
struct Printer;

impl Log for Printer {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        println!("[{}/{}] {}", record.level(), Origin::of(record).process, record.args());
    }

    fn flush(&self) {}
}

fn work(millis: u64) {
    log::info!("started");
    sleep(Duration::from_millis(millis));
    log::info!("finished");
}

fn main() -> common::Result<()> {
    common::init();
    logging::gather_to(Printer, LevelFilter::Info)?;
    let mut processes = Vec::new();
    for millis in [20, 10, 30] {
        processes.push(Process::new(work, millis).start()?);
    }
    for process in processes {
        process.join()?;
    }
    Ok(())
}
