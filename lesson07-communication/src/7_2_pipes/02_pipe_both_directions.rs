//! # 7.2 A pipe: both directions (Process Communication and Barriers)
//!
//! Each end of a pipe sends and receives: the parent asks through its end, and the answer comes back there.
//!
//! ```console,elapsed:0.1..30
//! $ cargo run -p lesson07-communication --bin pipe_both_directions
//! poll(0.1) while nobody sends: false
//! Parent received: HELLO
//! ```
//!
//! Observe: for a tenth of a second both sides wait for the other. `recv` would have waited for ever, a
//! deadlock; `poll_timeout` gives up, and the parent makes the beginning.
//! Try: let the parent call `recv` first, and end the program by Ctrl-C. Why did neither side get an error,
//! as it does when the other end is closed?

use common::{Connection, Process};
use std::time::Duration;

fn child_process(child_connection: Connection<String>) -> common::Result<()> {
    let message = child_connection.recv()?;
    child_connection.send(&message.to_uppercase())?;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (parent_connection, child_connection) = common::pipe()?;
    let child = Process::new(child_process, child_connection).start()?;

    let something_came = parent_connection.poll_timeout(Duration::from_millis(100))?;
    println!("poll(0.1) while nobody sends: {something_came}");

    parent_connection.send(&"hello".to_string())?;
    println!("Parent received: {}", parent_connection.recv()?);
    child.join()?;
    Ok(())
}
