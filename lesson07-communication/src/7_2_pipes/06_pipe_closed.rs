//! # 7.2 An end that is closed (Process Communication and Barriers)
//!
//! The same program with one line more: who is done with writing closes its end, and the reader sees it.
//!
//! ```console
//! $ cargo run -p lesson07-communication --bin pipe_closed
//! The end has come, and the sum is 55
//! The reader has ended within 3 s: true
//! ```
//!
//! Observe: the lines have changed places, and nobody waits for three seconds. `close` takes the end by
//! value, so it cannot be used afterwards; a `drop`, or a block around the sending, would do the same. All
//! numbers are received before the end is: closing takes nothing back.
//! Try: send an eleventh number after the `close`. Who notices, and when? Then let the child do the sending
//! and the parent the receiving: why is no `close` needed now?

use common::{Process, Receiver};
use std::time::Duration;

fn reader(numbers: Receiver<u32>) {
    let mut sum = 0;
    while let Ok(number) = numbers.recv() {
        sum += number;
    }
    println!("The end has come, and the sum is {sum}");
}

fn main() -> common::Result<()> {
    common::init();
    let (receiver, sender) = common::one_way_pipe()?;
    let child = Process::new(reader, receiver).start()?;
    for number in 1..=10 {
        sender.send(&number)?;
    }
    sender.close();
    let exit = child.join_timeout(Duration::from_secs(3))?;
    println!("The reader has ended within 3 s: {}", exit.is_some());
    Ok(())
}
