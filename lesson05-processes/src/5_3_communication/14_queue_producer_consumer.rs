//! # 5.3 `Queue`: producer and consumer (Processes, CIS 41B)
//!
//! A queue with few places holds the producer back until the consumer has made room.
//!
//! ```console,any-order
//! $ cargo run -p lesson05-processes --bin queue_producer_consumer
//! produced 1
//! produced 2  <- after 1
//! produced 3  <- after 2
//! produced 4  <- after 3
//! consumed 1
//! consumed 2  <- after 5
//! consumed 3  <- after 6
//! consumed 4  <- after 7
//! the producer was never more than 3 ahead: true  <- after all above
//! ```
//!
//! Observe: the producer waits for the consumer, and nobody has to tell it.
//! Try: `Queue::new()` in the place of `Queue::bounded(2)`. How far ahead can the producer be now, and what does the
//! last line say?

use common::{AtomicValue, Process, Queue};
use std::thread::sleep;
use std::time::Duration;

fn produce((queue, consumed): (Queue<u64>, AtomicValue<u64>)) -> common::Result<bool> {
    let mut was_near = true;
    for number in 1..=4 {
        queue.put(number)?;
        println!("produced {number}");
        // Two places in the queue, and one number in the consumer's hands.
        was_near &= number - consumed.get() <= 3;
    }
    queue.shutdown();
    Ok(was_near)
}

fn consume((queue, consumed): (Queue<u64>, AtomicValue<u64>)) -> common::Result<()> {
    for number in queue.iter() {
        sleep(Duration::from_millis(50));
        println!("consumed {}", number?);
        consumed.fetch_add(1);
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (queue, consumed) = (Queue::bounded(2)?, AtomicValue::new(0)?);
    let consumer = Process::new(consume, (queue.clone(), consumed.clone())).start()?;
    let was_near = produce((queue, consumed))?;
    consumer.join()?;
    println!("the producer was never more than 3 ahead: {was_near}");
    Ok(())
}
