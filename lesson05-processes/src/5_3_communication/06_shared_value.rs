//! # 5.3 `Value`: an integer and a double (Python Processes)
//!
//! Two values in shared memory: what a child makes of them, its parent sees.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin shared_value
//! Shared integer: 11
//! Shared float: 6.28
//! ```
//!
//! Observe: the child has got handles, not copies. `update` reads and writes under the value's lock; Python's
//! `shared_int.value += 1` takes the lock twice, once to read and once to write.
//! Try: let the worker take plain numbers, `(i32, f64)`, print them changed, and be given `(10, 3.14)`. What does the
//! parent print then?

use common::{Process, Value};

fn worker_value((shared_int, shared_float): (Value<i32>, Value<f64>)) {
    shared_int.update(|number| *number += 1);
    shared_float.update(|number| *number *= 2.0);
}

#[expect(clippy::approx_constant, reason = "the number of Python Processes")]
fn main() -> common::Result<()> {
    common::init();
    let shared_int = Value::new(10)?;
    let shared_float = Value::new(3.14)?;

    let p = Process::new(worker_value, (shared_int.clone(), shared_float.clone())).start()?;
    p.join()?;

    println!("Shared integer: {}", shared_int.get());
    println!("Shared float: {}", shared_float.get());
    Ok(())
}
