//! # 5.3 `Value` and `Array`: four workers (multiprocessing Module)
//!
//! Four processes change one value and one array; each change is one step, so none of them is lost.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin shared_value_array_workers
//! Shared Value: 4
//! Shared Array: [4, 5, 6, 7, 8]
//! ```
//!
//! Observe: the value and the array have a lock each, and `update` holds it for one addition.
//! *multiprocessing Module* says that both "are synchronized and can be used safely", and adds with `+= 1`: in Python
//! that is a reading and a writing, each with the lock and nothing in between, so that its own program now and then
//! prints 3. What Python needs there, `with shared_value.get_lock():`, no document of the course names.
//! Try: in the place of the loop, take `shared_array.lock()` once, and add to all elements of the slice that it
//! gives. The output is the same: what can the others no longer see?

use common::{Array, Process, Value};

fn update_shared_value(
    (shared_value, shared_array): (Value<i32>, Array<i32>),
) -> common::Result<()> {
    shared_value.update(|value| *value += 1);
    for i in 0..shared_array.len() {
        shared_array.update(i, |element| *element += 1)?;
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let shared_value = Value::new(0)?;
    let shared_array = Array::from_slice(&[0, 1, 2, 3, 4])?;

    let mut processes = Vec::new();
    for _ in 0..4 {
        let argument = (shared_value.clone(), shared_array.clone());
        processes.push(Process::new(update_shared_value, argument).start()?);
    }
    for p in processes {
        p.join()?;
    }

    println!("Shared Value: {}", shared_value.get());
    println!("Shared Array: {:?}", shared_array.to_vec());
    Ok(())
}
