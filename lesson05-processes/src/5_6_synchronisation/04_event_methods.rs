//! # 5.6 `Event`: methods (Processes, CIS 41B; multiprocessing Module)
//!
//! An event is set or not: any process may change that, ask for it, or wait for it with or without a limit.
//!
//! ```console,elapsed:3..30
//! $ cargo run -p lesson05-processes --bin event_methods
//! is_set at start: false
//! after set: true
//! after clear: false
//! wait(2.5) when nobody sets: false
//! wait() until the child sets: true
//! ```
//!
//! Observe: a `set` stays until a `clear`, so it is not missed by one who comes late. What `wait_timeout` returns
//! tells which of the two ended the wait. (*Python Processes, outline* announces events; *Python Processes* leaves
//! them out.)
//! Try: leave out `e.clear()`. Which lines change, and how long does the program take now?

use common::Process;
use common::sync::Event;
use std::thread::sleep;
use std::time::Duration;

fn set_later(e: Event) {
    sleep(Duration::from_millis(500));
    e.set();
}

fn main() -> common::Result<()> {
    common::init();
    let e = Event::new()?;
    println!("is_set at start: {}", e.is_set());
    e.set();
    println!("after set: {}", e.is_set());
    e.clear();
    println!("after clear: {}", e.is_set());

    let was_set = e.wait_timeout(Duration::from_millis(2500));
    println!("wait(2.5) when nobody sets: {was_set}");

    let child = Process::new(set_later, e.clone()).start()?;
    e.wait();
    println!("wait() until the child sets: {}", e.is_set());
    child.join()?;
    Ok(())
}
