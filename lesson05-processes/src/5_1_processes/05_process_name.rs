//! # 5.1 Names of processes (Processes, CIS 41B)
//!
//! A process may be given a name; otherwise it gets one with a number.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_name
//! MainProcess: pid=[PID main]
//! aName: pid=[PID 1], argument=10
//! Process-2: pid=[PID 2], argument=20
//! ```
//!
//! Observe: the second process is Process-2, although the first is not called Process-1: a number is used
//! up by each process, named or not.
//! Try: start a process inside `a_function`, without a name. What is it called, and why?

use common::{Process, process};

fn a_function(argument: i32) {
    let current = process::current();
    println!("{}: pid={}, argument={argument}", current.name(), current.pid());
}

fn main() -> common::Result<()> {
    common::init();
    let current = process::current();
    println!("{}: pid={}", current.name(), current.pid());

    let p = Process::new(a_function, 10).name("aName").start()?;
    p.join()?;

    let p = Process::new(a_function, 20).start()?;
    p.join()?;
    Ok(())
}
