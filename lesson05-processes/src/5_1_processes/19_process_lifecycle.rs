//! # 5.1 The life of a process (Python Processes, outline)
//!
//! A process runs, sleeps, is stopped, goes on, ends, and is a zombie until its parent asks how it ended.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_lifecycle
//! it computes:      R
//! it is stopped:    T
//! it goes on:       R
//! it waits:         S
//! it has ended:     Z
//! it was collected: gone
//! ```
//!
//! Observe: R is running or ready, S sleeping, T stopped, Z a zombie: of a process that has ended the kernel keeps
//! how it ended, until somebody asks (`join`, `waitid`). Then its number is free for another one.
//! Try: leave the last two lines out that ask for it (`join`, and what shows "gone"), and let the main process sleep
//! for a minute: `ps -e -o pid,stat,comm` in another terminal shows the zombie.

use common::sync::Event;
use common::{Child, Process, Signal};
use std::fs;
use std::hint::spin_loop;
use std::thread::sleep;
use std::time::Duration;

/// Computes until the first event, then sleeps until the second.
fn live((rest, end): (Event, Event)) {
    while !rest.is_set() {
        spin_loop();
    }
    end.wait();
}

/// Waits until the kernel shows the state, the first letter behind the name.
fn show(text: &str, child: &Child, state: &str) {
    loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.pid()));
        let now = stat.map_or("gone".to_string(), |stat| {
            stat.rsplit(") ").next().unwrap_or("?").chars().take(1).collect()
        });
        if now == state {
            return println!("{text:<17} {now}");
        }
        sleep(Duration::from_millis(1));
    }
}

fn main() -> common::Result<()> {
    common::init();
    let (rest, end) = (Event::new()?, Event::new()?);
    let child = Process::new(live, (rest.clone(), end.clone())).start()?;
    show("it computes:", &child, "R");
    child.signal(Signal::STOP)?;
    show("it is stopped:", &child, "T");
    child.signal(Signal::CONT)?;
    show("it goes on:", &child, "R");
    rest.set();
    show("it waits:", &child, "S");
    end.set();
    show("it has ended:", &child, "Z");
    child.join()?;
    show("it was collected:", &child, "gone");
    Ok(())
}
