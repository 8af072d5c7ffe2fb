//! # 5.1 Process Example 1: two processes (Python Processes)
//!
//! Two children run beside their parent; `join` waits until each has ended.
//!
//! ```console,any-order,elapsed:2..30
//! $ cargo run -p lesson05-processes --bin process_basic
//! Main process (PID: [PID main]) starting
//! Worker process (PID: [PID 1]) starting, name: Process 1  <- after 1
//! Worker process (PID: [PID 2]) starting, name: Process 2  <- after 1
//! Worker process (PID: [PID 1]) finishing, name: Process 1  <- after 2, 3
//! Worker process (PID: [PID 2]) finishing, name: Process 2  <- after 2, 3
//! Main process finishing  <- after all above
//! ```
//!
//! Observe: three PIDs; and from run to run the two workers change places.
//! Try: join each child right after starting it. How long does the program take now, and why?

use common::Process;
use std::process;
use std::thread::sleep;
use std::time::Duration;

fn worker_function(name: String) {
    println!("Worker process (PID: {}) starting, name: {name}", process::id());
    sleep(Duration::from_secs(2));
    println!("Worker process (PID: {}) finishing, name: {name}", process::id());
}

fn main() -> common::Result<()> {
    common::init();
    println!("Main process (PID: {}) starting", process::id());

    let process1 = Process::new(worker_function, "Process 1".to_string()).start()?;
    let process2 = Process::new(worker_function, "Process 2".to_string()).start()?;

    process1.join()?;
    process2.join()?;

    println!("Main process finishing");
    Ok(())
}
