//! # 5.1 Daemon Processes (multiprocessing Module)
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
//! Observe: nobody terminates the daemon, and still it is gone at the end of `main`. It does not wait for
//! other children of the program, as the document has it: daemons are ended first, then the others are
//! waited for. The sixth line is due at the end, so it comes in some runs.
//! Try: leave out `.daemon()`: when does the program end? Put it back, run the program, and end it from
//! another terminal by `kill -9`. Does the daemon live on?

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
