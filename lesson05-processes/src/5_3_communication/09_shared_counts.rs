//! # 5.3 `Value` and `Array`: a count and counts (Python Processes; Process Communication and Barriers)
//!
//! Five processes add to one count and to one element each; the lock keeps every one of the additions.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin shared_counts
//! count = 5000
//! counts = [1000, 1000, 1000, 1000, 1000]
//! ```
//!
//! Observe: `update` is one step for all others, because it holds the lock from the reading to the writing.
//! Try: add with `count.set(count.get() + 1)`, and 100 000 times. How much is lost? Add to `counts` in the same way:
//! why is nothing lost there?

use common::{Array, Process, Value};

fn add((index, count, counts): (usize, Value<i32>, Array<i32>)) -> common::Result<()> {
    for _ in 0..1000 {
        count.update(|count| *count += 1);
        counts.update(index, |count| *count += 1)?;
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let count = Value::new(0)?;
    let counts = Array::from_slice(&[0, 0, 0, 0, 0])?;

    let mut processes = Vec::new();
    for index in 0..counts.len() {
        processes.push(Process::new(add, (index, count.clone(), counts.clone())).start()?);
    }
    for p in processes {
        p.join()?;
    }

    println!("count = {}", count.get());
    println!("counts = {:?}", counts.to_vec());
    Ok(())
}
