//! # 5.6 `Condition`: a bounded buffer (Python Processes, outline)
//!
//! The producer waits while the buffer is full, the consumer while it is empty; one condition tells both.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin condition_bounded_buffer
//! 100 items through a buffer of 3, in their order: true
//! the most that were in it at a time: 3
//! ```
//!
//! Observe: each side waits for something that it can check (`wait_while`), and not for a call: a call that comes
//! before anybody waits is lost, a full buffer is full also when one looks later. The one who was slower makes the
//! other wait.
//! Try: replace the `wait_while` of the producer by `wait`. The program prints nothing and does not end: who waits
//! for whom?

use common::sync::Condition;
use common::{Array, Process, Value};
use std::thread::sleep;
use std::time::Duration;

const ITEMS: u32 = 100;
const ROOM: u32 = 3;

/// What tells of a change; the slots; how many items were put, and how many were taken.
type Buffer = (Condition, Array<u32>, Value<u32>, Value<u32>);

fn produce((changed, slots, put, got): Buffer) -> common::Result<()> {
    for item in 0..ITEMS {
        let mut held = changed.acquire();
        changed.wait_while(&mut held, || put.get() - got.get() == ROOM);
        slots.set((item % ROOM) as usize, item)?;
        put.set(item + 1);
        changed.notify_all(&held);
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (changed, slots) = (Condition::new()?, Array::new(ROOM as usize)?);
    let (put, got) = (Value::new(0)?, Value::new(0)?);
    let buffer = (changed.clone(), slots.clone(), put.clone(), got.clone());
    let producer = Process::new(produce, buffer).start()?;

    let (mut items, mut most) = (Vec::new(), 0);
    for number in 0..ITEMS {
        // Slow at first: then the buffer fills.
        sleep(Duration::from_millis(if number < 10 { 30 } else { 0 }));
        let mut held = changed.acquire();
        changed.wait_while(&mut held, || put.get() == got.get());
        most = most.max(put.get() - got.get());
        items.push(slots.get((number % ROOM) as usize)?);
        got.set(number + 1);
        changed.notify_all(&held);
    }
    producer.join()?;
    let in_order = items.iter().copied().eq(0..ITEMS);
    println!("{ITEMS} items through a buffer of {ROOM}, in their order: {in_order}");
    println!("the most that were in it at a time: {most}");
    Ok(())
}
