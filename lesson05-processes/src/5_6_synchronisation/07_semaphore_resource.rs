//! # 5.6 `Semaphore`: two of four at a time (multiprocessing Module)
//!
//! A semaphore with two permits lets two of four processes use the resource at the same time.
//!
//! ```console,any-order,elapsed:4..30
//! $ cargo run -p lesson05-processes --bin semaphore_resource
//! Process [N a] is accessing the resource
//! Process [N b] is accessing the resource
//! Process [N a] released the resource  <- after 1, 2
//! Process [N b] released the resource  <- after 1, 2
//! Process [N c] is accessing the resource  <- after 1, 2
//! Process [N d] is accessing the resource  <- after 1, 2
//! Process [N c] released the resource  <- after 3, 4, 5
//! Process [N d] released the resource  <- after 3, 4, 6
//! ```
//!
//! Observe: four processes take two seconds each, and the program four: two rounds of two. A line "released"
//! is printed after the permit is given back, so a third "accessing" may come before it.
//! Try: give the semaphore one permit, then four. How long does the program take? What is a semaphore with
//! one permit?

use common::Process;
use common::sync::Semaphore;
use std::thread::sleep;
use std::time::Duration;

fn access_resource((semaphore, process_id): (Semaphore, usize)) {
    let permit = semaphore.acquire();
    println!("Process {process_id} is accessing the resource");
    sleep(Duration::from_secs(2)); // Simulate resource access
    drop(permit);
    println!("Process {process_id} released the resource");
}

fn main() -> common::Result<()> {
    common::init();
    let semaphore = Semaphore::new(2)?;

    let mut processes = Vec::new();
    for i in 0..4 {
        processes.push(Process::new(access_resource, (semaphore.clone(), i)).start()?);
    }
    for p in processes {
        p.join()?;
    }
    Ok(())
}
