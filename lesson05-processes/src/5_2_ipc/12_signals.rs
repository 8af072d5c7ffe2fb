//! # 5.2 IPC mechanisms: signals (Python Processes; Python Processes, outline)
//!
//! Who knows the PID of a process can send it a signal; the process waits for the signal, or is ended by it.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin signals
//! parent: sends SIGUSR1 to PID [PID 1]
//! child [PID 1]: got SIGUSR1, number 1
//! parent: sends SIGUSR1 to PID [PID 1]
//! child [PID 1]: got SIGUSR1, number 2
//! parent: sends SIGTERM to PID [PID 1]
//! parent: exitcode=Some(-15)
//! ```
//!
//! Observe: the child has blocked SIGUSR1, which is then kept until it asks for it: `wait` gives it to
//! ordinary code, whereas a handler may do next to nothing. For SIGTERM the child has arranged nothing, so that signal
//! ends it. The parent waits for the first `ready`, because SIGUSR1 would end a child that has not blocked it yet.
//! Try: wait for `ready` once, then send SIGUSR1 three times, and SIGTERM a second later. How many does the child
//! count, and why?

use common::{Process, Sender, one_way_pipe};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::process;

fn wait_for_signals(ready: Sender<()>) -> common::Result<()> {
    let mut expected = SigSet::empty();
    expected.add(Signal::SIGUSR1);
    expected.thread_block().map_err(io::Error::from)?;
    ready.send(&())?;
    for number in 1.. {
        let signal = expected.wait().map_err(io::Error::from)?;
        println!("child {}: got {signal}, number {number}", process::id());
        ready.send(&())?;
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (ready, sender) = one_way_pipe()?;
    let child = Process::new(wait_for_signals, sender).start()?;
    let pid = Pid::from_raw(child.pid().cast_signed());

    for signal in [Signal::SIGUSR1, Signal::SIGUSR1, Signal::SIGTERM] {
        ready.recv()?;
        println!("parent: sends {signal} to PID {pid}");
        kill(pid, signal).map_err(io::Error::from)?;
    }
    child.join()?;
    println!("parent: exitcode={:?}", child.exitcode());
    Ok(())
}
