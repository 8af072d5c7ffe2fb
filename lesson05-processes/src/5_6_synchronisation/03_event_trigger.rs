//! # 5.6 `Event`: one waits, one sets (multiprocessing Module)
//!
//! One process waits for an event, and another sets it.
//!
//! ```console,elapsed:3..30
//! $ cargo run -p lesson05-processes --bin event_trigger
//! Waiting for event to be set...
//! Triggering event
//! Event has been set, continuing with the process.
//! ```
//!
//! Observe: the second and the third line cannot change places, however slow the machine is: `wait` returns
//! after `set`, and not before. That the first line is the first rests on the three seconds alone.
//! Try: start a third process that waits for the same event. How many go on after one `set`? And what if it is
//! started after the other two were joined?

use common::Process;
use common::sync::Event;
use std::thread::sleep;
use std::time::Duration;

fn wait_for_event(e: Event) {
    println!("Waiting for event to be set...");
    e.wait();
    println!("Event has been set, continuing with the process.");
}

fn trigger_event(e: Event) {
    sleep(Duration::from_secs(3));
    println!("Triggering event");
    e.set();
}

fn main() -> common::Result<()> {
    common::init();
    let e = Event::new()?;

    let p1 = Process::new(wait_for_event, e.clone()).start()?;
    let p2 = Process::new(trigger_event, e).start()?;

    p1.join()?;
    p2.join()?;
    Ok(())
}
