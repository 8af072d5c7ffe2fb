//! # 5.1 A process from a thread (Processes, CIS 41B)
//!
//! Any thread may start a process. Only a copy of a process with threads is delicate, and is refused.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin spawn_from_thread
//! started by a thread: hello from Process-1
//! its parent is this process: true
//! forked beside a thread: refused
//! ```
//!
//! Observe: *Processes, CIS 41B* says that a process may be created from a thread, but that the outcome is
//! "undetermined". It is well defined: the parent of the child is the process, whichever thread has started it. But
//! `fork` copies one thread and all locks; a lock that another thread holds stays locked in the copy for ever. So
//! spawn is the default here, and a fork beside threads is an error.
//! Try: add `.even_with_threads()` to the forked process: what stands in the place of "refused", and which lines come
//! in addition? Which lock could the sleeping thread have held?

use common::process::{self, StartError};
use common::{Process, StartMethod};
use std::thread;
use std::time::Duration;

fn greet(parent: u32) {
    println!("started by a thread: hello from {}", process::current().name());
    let same = process::parent().is_some_and(|process| process.pid() == parent);
    println!("its parent is this process: {same}");
}

fn main() -> common::Result<()> {
    common::init();
    let here = std::process::id();
    let thread = thread::spawn(move || {
        Process::new(greet, here).start()?.join().map_err(common::Error::from)
    });
    thread.join().expect("it does not panic")?;

    let sleeper = thread::spawn(|| thread::sleep(Duration::from_millis(200)));
    let forked = Process::new(greet, here).start_method(StartMethod::Fork).start();
    let is_refused = matches!(forked, Err(StartError::Threads { .. }));
    println!("forked beside a thread: {}", if is_refused { "refused" } else { "done" });
    sleeper.join().expect("it does not panic");
    Ok(())
}
