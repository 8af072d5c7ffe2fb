//! # 5.1 Creating a process (multiprocessing Module)
//!
//! A function runs in a process of its own, and the program waits for it.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_print_numbers
//! 1
//! 2
//! 3
//! 4
//! 5
//! Process finished execution.
//! ```
//!
//! Observe: the numbers are printed by the child, the last line by the program that started it.
//! Try: leave out the line with `join`. Can the last line come before the numbers now, and do all of them still come?

use common::Process;

// What a process runs takes one argument; `()` is the argument of a function that needs none.
fn print_numbers((): ()) {
    for i in 1..6 {
        println!("{i}");
    }
}

fn main() -> common::Result<()> {
    common::init();

    // Creating a process, and starting it
    let process = Process::new(print_numbers, ()).start()?;

    // Wait for the process to complete
    process.join()?;

    println!("Process finished execution.");
    Ok(())
}
