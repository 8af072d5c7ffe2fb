//! # 7.1 `Manager`: a list for all processes (Process Communication and Barriers)
//!
//! The list of `processes_private_list` in a manager: each process changes its element, and all see all of them.
//!
//! ```console,any-order
//! $ cargo run -p lesson07-communication --bin manager_list
//! Process 0: [10, [N], [N]]
//! Process 1: [[N], 10, [N]]
//! Process 2: [[N], [N], 10]
//! All work completed: 30  <- after all above
//! ```
//!
//! Observe: *Process Communication and Barriers* asks why a process can print `[10, 9, 0]` and not `[10, 10, 0]`: it
//! prints what the others have done so far, and process 1 was one step short. The sum is 30 all the same, because
//! each element is written by one process only.
//! Try: let all three change element 0, ten thousand times. Why is the sum below 30000 in most runs, and what
//! does `update` do about it?

use common::manager::ListProxy;
use common::{Manager, Process};

fn process_function((process_id, data): (usize, ListProxy<i32>)) -> common::Result<()> {
    for _ in 0..10 {
        let number = data.get(process_id)?.unwrap_or_default();
        data.set(process_id, &(number + 1))?;
    }
    println!("Process {process_id}: {:?}", data.to_vec()?);
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();

    // Create a list in a manager, for all processes
    let manager = Manager::new()?;
    let data = manager.list([0; 3])?;

    let mut processes = Vec::new();
    for i in 0..3 {
        processes.push(Process::new(process_function, (i, data.clone())).start()?);
    }

    for p in processes {
        p.join()?;
    }

    println!("All work completed: {}", data.to_vec()?.iter().sum::<i32>());
    Ok(())
}
