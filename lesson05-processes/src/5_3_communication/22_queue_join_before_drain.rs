//! # 5.3 `Queue`: join before you drain (Python Processes)
//!
//! A child puts far more than a pipe holds; its parent joins it first, and gets everything afterwards.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin queue_join_before_drain
//! child: has put 64 items, each as long as a pipe has room
//! parent: the child has ended, exit code 0
//! parent: 64 items wait in the queue
//! parent: got 64 items, 4194304 bytes; empty: true
//! ```
//!
//! Observe: Python hangs at the join. Its `put` only hands the item to a thread of the child, the feeder, which
//! writes it into a pipe of 64 KiB; the child cannot end before the feeder has written everything, and nobody reads.
//! The mended Python order is: get first, then join. Here `put` itself has copied the item into memory that both see.
//! Try: `Queue::bounded(10)`: who waits for whom now? Then get 64 items before the join, as the mended Python program
//! does: why does that help here too?

use common::{Process, Queue};

/// So many bytes a pipe of Linux holds, unless somebody has changed that.
const PIPE: usize = 64 * 1024;

fn put_all(queue: Queue<Vec<u8>>) -> common::Result<()> {
    for _ in 0..64 {
        queue.put(vec![7; PIPE])?;
    }
    println!("child: has put 64 items, each as long as a pipe has room");
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let queue = Queue::new()?;
    let child = Process::new(put_all, queue.clone()).start()?;

    // In Python for ever.
    let exit = child.join()?;
    println!("parent: the child has ended, exit code {}", exit.code().unwrap_or(-1));
    println!("parent: {} items wait in the queue", queue.len());

    let (mut items, mut bytes) = (0, 0);
    while let Ok(item) = queue.try_get() {
        items += 1;
        bytes += item.len();
    }
    println!("parent: got {items} items, {bytes} bytes; empty: {}", queue.is_empty());
    Ok(())
}
