//! # Answer: always 15 (Python Processes)
//!
//! Reading and writing become one step in two ways: a lock around both, or an `update` that is one call.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin answer_manager_counter
//! get and set under a lock: 15
//! update of the value: 15
//! update of a list's element: 15
//! ```
//!
//! Observe: the lock helps only because each process takes the same one; the value knows nothing of it. `update` needs
//! no agreement: of a value it holds the lock that the value has itself, of a list it sends the function to the server.
//! Try: let process 0 leave the lock out. Which of the numbers may fall below 15 now, and which may not?

use common::manager::{ListProxy, LockProxy, ValueProxy};
use common::{Manager, Process};

type Shared = (LockProxy, ValueProxy<i32>, ValueProxy<i32>, ListProxy<i32>);

fn worker((lock, locked, updated, list): Shared) -> common::Result<()> {
    for _ in 0..5 {
        let guard = lock.acquire()?;
        locked.set(locked.get()? + 1)?;
        drop(guard);

        updated.update(|number| number + 1)?;
        list.update(0, |number| number + 1)?;
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let manager = Manager::new()?;
    let (locked, updated) = (manager.value(0)?, manager.value(0)?);
    let shared: Shared = (manager.lock()?, locked, updated, manager.list([0])?);

    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Process::new(worker, shared.clone()).start()?);
    }
    for process in processes {
        process.join()?;
    }

    let (_lock, locked, updated, list) = shared;
    println!("get and set under a lock: {}", locked.get()?);
    println!("update of the value: {}", updated.get()?);
    println!("update of a list's element: {}", list.get(0)?.unwrap_or_default());
    Ok(())
}
