//! # 5.2 Challenges of IPC: a race (Python Processes)
//!
//! To add one is to read, to add and to write; two who do that at the same time lose what one has written.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin race_condition
//! without a lock: some were lost: true
//! with the lock:  400000 of 400000
//! ```
//!
//! Observe: nobody writes anything wrong. Each process reads a number, adds one, and writes it, and meanwhile the other
//! has written another one. `update` holds the lock of the value from the reading to the writing.
//! Try: print how many were lost in each of the counts. Then let both add ten times only (`TIMES`): is nothing lost
//! then? Would you rely on that?

use common::sync::Barrier;
use common::{Process, Value};

const TIMES: u64 = 200_000;

fn add((count, start, is_safe): (Value<u64>, Barrier, bool)) -> common::Result<()> {
    start.wait()?;
    for _ in 0..TIMES {
        match is_safe {
            true => count.update(|count| *count += 1),
            false => count.set(count.get() + 1),
        }
    }
    Ok(())
}

/// What is counted by two processes that begin together.
fn count(is_safe: bool) -> common::Result<u64> {
    let (count, start) = (Value::new(0)?, Barrier::new(2)?);
    let child = || Process::new(add, (count.clone(), start.clone(), is_safe)).start();
    for child in [child()?, child()?] {
        child.join()?;
    }
    Ok(count.get())
}

fn main() -> common::Result<()> {
    common::init();
    // On one processor they may take turns so rarely that nothing is lost; then once more.
    let lost = (0..50)
        .map(|_| count(false))
        .find(|count| !matches!(count, Ok(count) if *count == 2 * TIMES));
    println!("without a lock: some were lost: {}", lost.transpose()?.is_some());
    println!("with the lock:  {} of {}", count(true)?, 2 * TIMES);
    Ok(())
}
