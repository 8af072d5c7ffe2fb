//! # 5.1 Daemon processes (multiprocessing Module)
//!
//! A daemon works in the background, and ends when the program that started it ends.
//!
//! ```console,elapsed:5..30
//! $ cargo run -p lesson05-processes --bin process_daemon
//! Daemon process running...
//! Daemon process running...
//! Daemon process running...
//! Daemon process running...
//! Daemon process running...
//! Daemon process running...  <- sometimes
//! ```
//!
//! Observe: nobody terminates the daemon, and still it is gone at the end of `main`. *multiprocessing Module* says
//! that a daemon "is killed once all non-daemon processes have completed": it is killed at the end of the program,
//! and the others are waited for after that. The sixth line is due at the end, so it comes in some runs.
//! Try: start a process beside it, without `.daemon()`, that sleeps for eight seconds and prints a line. Is the
//! daemon still there when that line comes? Then take that out, run the program, and end it from another terminal by
//! `kill -9`: does the daemon live on?

use common::Process;
use std::thread::sleep;
use std::time::Duration;

fn daemon_process((): ()) {
    loop {
        println!("Daemon process running...");
        sleep(Duration::from_secs(1));
    }
}

fn main() -> common::Result<()> {
    common::init();
    Process::new(daemon_process, ()).daemon().start()?;

    // Main process runs for a few seconds
    sleep(Duration::from_secs(5));
    Ok(())
}
