//! # 5.1 Terminating processes (multiprocessing Module)
//!
//! A process that would never end is ended by its parent.
//!
//! ```console,elapsed:5..30
//! $ cargo run -p lesson05-processes --bin process_terminate
//! Running...
//! Running...
//! Running...
//! Running...
//! Running...
//! Running...  <- sometimes
//! ```
//!
//! Observe: one line each second, five in all. The sixth is due when the process is terminated, so it comes in some
//! runs. (Send the output through `| cat`: here nothing changes. In Python nothing comes at all then, because a
//! process that prints into a pipe keeps its lines until it ends by itself.)
//! Try: print a line after the loop, or give the task a variable whose `Drop` prints one. Neither is seen:
//! `terminate` ends a process wherever it is.

use common::Process;
use std::thread::sleep;
use std::time::Duration;

fn endless_task((): ()) {
    loop {
        println!("Running...");
        sleep(Duration::from_secs(1));
    }
}

fn main() -> common::Result<()> {
    common::init();
    let p = Process::new(endless_task, ()).start()?;
    sleep(Duration::from_secs(5));
    p.terminate()?;
    p.join()?;
    Ok(())
}
