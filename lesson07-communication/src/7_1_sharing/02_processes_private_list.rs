//! # 7.1 Processes do not share a list (Process Communication and Barriers)
//!
//! The same program with processes: each has a list of its own, and the sum in main is 0.
//!
//! ```console,any-order
//! $ cargo run -p lesson07-communication --bin processes_private_list
//! Process 0: [10, 0, 0]
//! Process 1: [0, 10, 0]
//! Process 2: [0, 0, 10]
//! All work completed: 0  <- after all above
//! ```
//!
//! Observe: each process has got a copy of the list and has changed that. *Process Communication and Barriers* calls
//! the list of main "empty": it is `[0, 0, 0]`, as it was. It also says that "a new GIL" is created for each process:
//! that is so in Python, but the reason is that each has its own memory. Rust has no GIL, and prints the same.
//! Try: leave out `.clone()`. What does the compiler say about sending one list three times?

use common::Process;

fn process_function((process_id, mut data): (usize, Vec<i32>)) {
    // Only change the value in the list based on process_id
    for _ in 0..10 {
        data[process_id] += 1;
    }
    println!("Process {process_id}: {data:?}");
}

fn main() -> common::Result<()> {
    common::init();

    // Create a value with each process
    let data = vec![0; 3];

    let mut processes = Vec::new();
    for i in 0..3 {
        processes.push(Process::new(process_function, (i, data.clone())).start()?);
    }

    for p in processes {
        p.join()?;
    }

    println!("All work completed: {}", data.iter().sum::<i32>());
    Ok(())
}
