//! # 5.1 Process IDs (Python Processes)
//!
//! Every process has a number of its own, and a parent that has one.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_ids
//! Main process: pid=[PID main], parent pid=[N]
//! Child process: pid=[PID child], parent pid=[PID main]
//! ```
//!
//! Observe: the parent of the child is the main process. The main process has one as well: the shell, or
//! cargo, that has started it.
//! Try: call `show` in a thread (`std::thread::spawn`) instead of a process. Whose number does it print?

use common::Process;
use std::os::unix::process::parent_id;
use std::process;

fn show(who: String) {
    println!("{who} process: pid={}, parent pid={}", process::id(), parent_id());
}

fn main() -> common::Result<()> {
    common::init();
    show("Main".to_string());

    let child = Process::new(show, "Child".to_string()).start()?;
    child.join()?;
    Ok(())
}
