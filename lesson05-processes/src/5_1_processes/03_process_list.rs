//! # 5.1 Process Example 2: a list of processes (Python Processes)
//!
//! Five processes are kept in a list: all are started first, and only then waited for.
//!
//! ```console,any-order,elapsed:2..10
//! $ cargo run -p lesson05-processes --bin process_list
//! Main process (PID: [PID main]) starting
//! Worker process (PID: [PID 1]) starting, name: Process 1  <- after 1
//! Worker process (PID: [PID 2]) starting, name: Process 2  <- after 1
//! Worker process (PID: [PID 3]) starting, name: Process 3  <- after 1
//! Worker process (PID: [PID 4]) starting, name: Process 4  <- after 1
//! Worker process (PID: [PID 5]) starting, name: Process 5  <- after 1
//! Worker process (PID: [PID 1]) finishing, name: Process 1  <- after 2, 3, 4, 5, 6
//! Worker process (PID: [PID 2]) finishing, name: Process 2  <- after 2, 3, 4, 5, 6
//! Worker process (PID: [PID 3]) finishing, name: Process 3  <- after 2, 3, 4, 5, 6
//! Worker process (PID: [PID 4]) finishing, name: Process 4  <- after 2, 3, 4, 5, 6
//! Worker process (PID: [PID 5]) finishing, name: Process 5  <- after 2, 3, 4, 5, 6
//! Main process finishing  <- after all above
//! ```
//!
//! Observe: five processes sleep for two seconds each, and the program takes two seconds, not ten. They
//! need not finish in the order in which they were started.
//! Try: let `PROCESSES` be 100. How much longer does it take, although there are far fewer processors?

use common::Process;
use std::process;
use std::thread::sleep;
use std::time::Duration;

const PROCESSES: usize = 5;

fn worker_function(name: String) {
    println!("Worker process (PID: {}) starting, name: {name}", process::id());
    sleep(Duration::from_secs(2));
    println!("Worker process (PID: {}) finishing, name: {name}", process::id());
}

fn main() -> common::Result<()> {
    common::init();
    println!("Main process (PID: {}) starting", process::id());

    let mut processes = Vec::new();
    for i in 0..PROCESSES {
        let process = Process::new(worker_function, format!("Process {}", i + 1));
        processes.push(process);
    }

    // Starting a process turns it into a child.
    let mut children = Vec::new();
    for p in processes {
        children.push(p.start()?);
    }

    for p in children {
        p.join()?;
    }

    println!("Main process finishing");
    Ok(())
}
