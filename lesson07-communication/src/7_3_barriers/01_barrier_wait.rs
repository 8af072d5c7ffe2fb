//! # 7.3 `Barrier`: all wait for all (multiprocessing Module)
//!
//! Three processes meet at a barrier: none goes on before all are there.
//!
//! ```console,any-order,elapsed:2..30
//! $ cargo run -p lesson07-communication --bin barrier_wait
//! Process 0 is performing its task
//! Process 1 is performing its task
//! Process 2 is performing its task
//! Process 0 passed the barrier  <- after 1, 2, 3
//! Process 1 passed the barrier  <- after 1, 2, 3
//! Process 2 passed the barrier  <- after 1, 2, 3
//! ```
//!
//! Observe: in each half the processes change places from run to run, but no line crosses from one half to the other.
//! Equal times of two seconds make that likely; the barrier makes it certain. (*Process Communication and Barriers*
//! promises barriers in its title and its overview, and has no text about them.)
//! Try: let process 2 sleep for five seconds: when do the others pass? Then let it return before the barrier: how
//! long do the others wait, and what does `barrier.wait_timeout` change?

use common::Process;
use common::sync::Barrier;
use std::thread::sleep;
use std::time::Duration;

fn task((barrier, process_id): (Barrier, usize)) -> common::Result<()> {
    println!("Process {process_id} is performing its task");
    sleep(Duration::from_secs(2));
    barrier.wait()?;
    println!("Process {process_id} passed the barrier");
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let barrier = Barrier::new(3)?;

    let mut processes = Vec::new();
    for i in 0..3 {
        processes.push(Process::new(task, (barrier.clone(), i)).start()?);
    }
    for p in processes {
        p.join()?;
    }
    Ok(())
}
