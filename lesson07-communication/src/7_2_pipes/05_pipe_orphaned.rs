//! # 7.2 An end that nobody closes (Process Communication and Barriers)
//!
//! A reader waits for the end of a pipe, and the end does not come: somebody still has the end that writes.
//!
//! ```console,elapsed:3..60
//! $ cargo run -p lesson07-communication --bin pipe_orphaned
//! The reader has ended within 3 s: false
//! The end has come, and the sum is 55
//! ```
//!
//! Observe: everything has been sent and received, and both processes wait: the reader for a number or the
//! end, the parent for the reader. With `join` that would be for ever. `sender` is not used any more, but it
//! is open as long as the variable lives. It is dropped where `main` ends, and only then does the reader go
//! on.
//! Try: put `join()?` in the place of `join_timeout(...)`, and end the program by Ctrl-C. Which of the two
//! processes has to be changed, and by which line? Then look at `pipe_closed`.

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
    let exit = child.join_timeout(Duration::from_secs(3))?;
    println!("The reader has ended within 3 s: {}", exit.is_some());
    Ok(())
}
