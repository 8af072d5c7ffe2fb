//! # Answer: threads share the process id (Python Processes)
//!
//! All threads of a process have its process id; the kernel gives each of them a number of its own as well.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin answer_thread_ids
//! main thread: pid=[PID main], in the kernel [PID main]/task/[PID main]
//! thread 1:    pid=[PID main], in the kernel [PID main]/task/[PID 1]
//! thread 2:    pid=[PID main], in the kernel [PID main]/task/[PID 2]
//! a process:   pid=[PID child], in the kernel [PID child]/task/[PID child]
//! ```
//!
//! Observe: three threads and one pid, as the exercise says; only the process has another one. The link
//! `/proc/thread-self` names the process, then the thread: the first thread of a process has the number of the
//! process itself.
//! Try: let thread 2 sleep for a minute before it ends, and look meanwhile with `ls /proc/PID/task` (PID as printed)
//! and with `ls /proc`. In which of them does thread 2 stand?

use common::Process;
use std::fs::read_link;
use std::process;
use std::thread;

fn show(who: String) -> common::Result<()> {
    let task = read_link("/proc/thread-self")?;
    println!("{who:<12} pid={}, in the kernel {}", process::id(), task.display());
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    show("main thread:".to_string())?;

    for number in 1..=2 {
        let thread = thread::spawn(move || show(format!("thread {number}:")));
        thread.join().expect("it does not panic")?;
    }

    Process::new(show, "a process:".to_string()).start()?.join()?;
    Ok(())
}
