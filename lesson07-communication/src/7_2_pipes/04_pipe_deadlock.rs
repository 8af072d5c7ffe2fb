//! # 7.2 A pipe: both wait (Process Communication and Barriers)
//!
//! Two processes that receive before they send wait for each other; a limit finds it out.
//!
//! ```console,elapsed:0.2..30
//! $ cargo run -p lesson07-communication --bin pipe_deadlock
//! both wait after 0.2 s: true
//! the child ended by itself: false
//! with one who begins: pong
//! an end that is gone is no deadlock: the other end of the connection is closed and [..]
//! ```
//!
//! Observe: `recv` where nothing was sent waits for ever, and nobody can tell that apart from a slow answer; so who
//! waits with a limit decides when it has been long enough. An end that is closed is told at once.
//! Try: leave out `child.terminate()?`. Which line is never printed, and why? Then put `drop(end);` there: what does
//! the child say, and what has ended its wait?

use common::{Connection, Process};
use std::time::Duration;

fn answer(end: Connection<String>) -> common::Result<()> {
    if end.recv()? == "ping" {
        end.send(&"pong".to_string())?;
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (end, theirs) = common::pipe()?;
    let child = Process::new(answer, theirs).start()?;
    // The child waits for us; we wait for the child.
    let limit = Duration::from_millis(200);
    println!("both wait after 0.2 s: {}", !end.poll_timeout(limit)? && child.is_alive());
    child.terminate()?;
    println!("the child ended by itself: {}", child.join()?.is_success());

    let (end, theirs) = common::pipe()?;
    let child = Process::new(answer, theirs).start()?;
    end.send(&"ping".to_string())?;
    println!("with one who begins: {}", end.recv()?);
    child.join()?;
    if let Err(error) = end.recv() {
        println!("an end that is gone is no deadlock: {error}");
    }
    Ok(())
}
