//! # 5.3 `Value` and `Array`: all elements under one lock (Python Processes; Process Communication and Barriers)
//!
//! A value and an array go to one child, which writes the one and changes every element of the other.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin shared_value_array
//! 3.1415927
//! [0, -1, -2, -3, -4, -5, -6, -7, -8, -9]
//! ```
//!
//! Observe: the guard that `lock` gives is a slice, so whatever works on a slice works on it; the lock is
//! taken once for all ten elements.
//! Try: sort the array in the child, with `a.lock().sort()`. Then take `arr.lock()` in the parent before the
//! start, and drop the guard a second after it: when does the child go on?

use common::{Array, Process, Value};

#[expect(clippy::approx_constant, reason = "the number of Python Processes")]
fn f((n, a): (Value<f64>, Array<i32>)) {
    n.set(3.1415927);
    for number in a.lock().iter_mut() {
        *number = -*number;
    }
}

fn main() -> common::Result<()> {
    common::init();
    let num = Value::new(0.0)?;
    let arr = Array::from_slice(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])?;

    let p = Process::new(f, (num.clone(), arr.clone())).start()?;
    p.join()?;

    println!("{}", num.get());
    println!("{:?}", arr.to_vec());
    Ok(())
}
