//! # 5.3 A pipe that is full (multiprocessing Module)
//!
//! A pipe holds so much and no more; who sends into a full one waits until somebody receives.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pipe_backpressure
//! before anybody receives, the sender has sent some, but not all: true
//! received: 500 messages of 4096 bytes
//! the sender has sent 500
//! ```
//!
//! Observe: nothing is lost and nothing is an error: the sender rests, and its memory does not grow. That is called
//! back-pressure. A queue grows instead, unless it is bounded.
//! Try: have the parent join the child before it receives. Why does the program hang? Then make it a `Queue`, which
//! has `put` and `get`: why does it not hang any more?

use common::{AtomicValue, Process, Sender, one_way_pipe};
use std::thread::sleep;
use std::time::Duration;

const MESSAGES: u32 = 500;

fn send((sender, sent): (Sender<Vec<u8>>, AtomicValue<u32>)) -> common::Result<()> {
    for _ in 0..MESSAGES {
        sender.send(&vec![0; 4096])?;
        sent.fetch_add(1);
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (receiver, sender) = one_way_pipe()?;
    let sent = AtomicValue::new(0)?;
    let child = Process::new(send, (sender, sent.clone())).start()?;

    // Until it sends no more.
    let mut before = 0;
    while sent.get() == 0 || sent.get() != before {
        before = sent.get();
        sleep(Duration::from_millis(200));
    }
    println!(
        "before anybody receives, the sender has sent some, but not all: {}",
        before < MESSAGES
    );

    let mut received = 0;
    while receiver.recv().is_ok() {
        received += 1;
    }
    println!("received: {received} messages of 4096 bytes");
    child.join()?;
    println!("the sender has sent {}", sent.get());
    Ok(())
}
