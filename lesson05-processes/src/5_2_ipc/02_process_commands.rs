//! # 5.2 Why IPC: starting and controlling other programs (Python Processes)
//!
//! A program starts other programs, as a shell does: it joins two by a pipe, reads how each has ended, and kills one.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_commands
//! printf | sort: ["apple", "fig", "pear"]
//! true: code=Some(0) signal=None
//! sh -c 'exit 3': code=Some(3) signal=None
//! sleep 600, running: None
//! sleep 600, killed: code=None signal=Some(9)
//! no-such-program: entity not found
//! ```
//!
//! Observe: these programs know nothing of ours; the standard streams and the exit status are all they share with
//! it. A program that a signal has ended has no code. `std::process::Child` is not `common::Child`: one that is
//! dropped is neither ended nor waited for, and so each of these is waited for.
//! Try: let ten seconds pass between `kill` and `wait`, and look at `ps` meanwhile. What is `<defunct>`?

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

fn show(command: &str, status: ExitStatus) {
    println!("{command}: code={:?} signal={:?}", status.code(), status.signal());
}

fn main() -> common::Result<()> {
    common::init();
    let mut printf =
        Command::new("printf").arg("pear\nfig\napple\n").stdout(Stdio::piped()).spawn()?;
    let words = printf.stdout.take().expect("its output was piped");
    let sorted = Command::new("sort").stdin(words).output()?;
    printf.wait()?;
    let lines = String::from_utf8_lossy(&sorted.stdout);
    println!("printf | sort: {:?}", lines.lines().collect::<Vec<_>>());

    show("true", Command::new("true").status()?);
    show("sh -c 'exit 3'", Command::new("sh").args(["-c", "exit 3"]).status()?);

    let mut sleep = Command::new("sleep").arg("600").spawn()?;
    println!("sleep 600, running: {:?}", sleep.try_wait()?);
    sleep.kill()?;
    show("sleep 600, killed", sleep.wait()?);

    if let Err(error) = Command::new("no-such-program").status() {
        println!("no-such-program: {}", error.kind());
    }
    Ok(())
}
