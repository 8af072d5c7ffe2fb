//! # 5.2 IPC mechanisms: a POSIX message queue (Python Processes, outline)
//!
//! The kernel keeps the messages of a POSIX queue, and gives out the one with the highest priority first.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin posix_message_queue
//! the sender has ended: exitcode=0
//! priority 9: alarm
//! priority 5: first order
//! priority 5: second order
//! priority 1: chat
//! the name is gone: ENOENT
//! ```
//!
//! Observe: the sender has ended before anything is received; the messages were with the kernel. Within one priority
//! the oldest comes first. Each receive gives one whole message, where a pipe has bytes only. The name
//! lasts until it is unlinked, the queue until nobody has it open.
//! Try: receive once more than was sent. Does the queue tell the receiver that nobody will send, as a pipe does?
//! (Ctrl-C ends the program.)

use common::Process;
use nix::mqueue::{MQ_OFlag, MqAttr, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;
use std::{io, process};

fn send(name: String) -> nix::Result<()> {
    let queue = mq_open(name.as_str(), MQ_OFlag::O_WRONLY, Mode::empty(), None)?;
    mq_send(&queue, b"chat", 1)?;
    mq_send(&queue, b"first order", 5)?;
    mq_send(&queue, b"alarm", 9)?;
    mq_send(&queue, b"second order", 5)
}

fn main() -> common::Result<()> {
    common::init();
    let name = format!("/lesson-{}", process::id());
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDONLY;
    let size = MqAttr::new(0, 8, 64, 0);
    let queue = mq_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&size))
        .map_err(io::Error::from)?;

    let exit = Process::new(send, name.clone()).start().map(|sender| sender.join());
    mq_unlink(name.as_str()).map_err(io::Error::from)?;
    println!("the sender has ended: exitcode={}", exit??.exitcode());

    for _ in 0..4 {
        let (mut text, mut priority) = ([0; 64], 0);
        let len = mq_receive(&queue, &mut text, &mut priority).map_err(io::Error::from)?;
        println!("priority {priority}: {}", String::from_utf8_lossy(&text[..len]));
    }
    if let Err(error) = mq_open(name.as_str(), MQ_OFlag::O_RDONLY, Mode::empty(), None) {
        println!("the name is gone: {error:?}");
    }
    Ok(())
}
