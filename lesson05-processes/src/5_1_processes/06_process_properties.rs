//! # 5.1 Methods and properties of a process (multiprocessing Module)
//!
//! A process has a name from the beginning, a number once it runs, and an exit code when it has ended.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_properties
//! before start: name=napper daemon=false
//! running: name=napper daemon=false pid=set is_alive=true exitcode=None
//! start again: does not compile
//! after join: name=napper daemon=false pid=set is_alive=false exitcode=Some(0)
//! daemon=true
//! ```
//!
//! Observe: before the start there is no pid to ask for, and after it there is nothing left to start:
//! `start` takes the `Process` and gives back a `Child`. That is known before the program runs, so the
//! third line reports no event.
//! Try: call `process.start()` a second time, or `process.pid()` before the start. What does the compiler
//! say?

use common::{Child, Process};
use std::thread::sleep;
use std::time::Duration;

fn nap((): ()) {
    sleep(Duration::from_secs(1));
}

fn show(when: &str, child: &Child) {
    let (name, daemon) = (child.name(), child.is_daemon());
    let pid = if child.pid() > 0 { "set" } else { "none" };
    let (is_alive, exitcode) = (child.is_alive(), child.exitcode());
    println!(
        "{when}: name={name} daemon={daemon} pid={pid} is_alive={is_alive} exitcode={exitcode:?}"
    );
}

fn main() -> common::Result<()> {
    common::init();
    let process = Process::new(nap, ()).name("napper");
    println!("before start: name={} daemon={}", process.get_name(), process.is_daemon());

    let child = process.start()?;
    show("running", &child);
    println!("start again: does not compile");

    child.join()?;
    show("after join", &child);

    let daemon = Process::new(nap, ()).daemon();
    println!("daemon={}", daemon.is_daemon());
    Ok(())
}
