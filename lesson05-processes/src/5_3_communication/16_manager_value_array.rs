//! # 5.3 `Manager`, Example 2: a value and an array (Python Processes)
//!
//! Three processes count in one value of a manager: reading and writing are two calls, and what another one wrote
//! between them is lost.
//!
//! ```console,any-order
//! $ cargo run -p lesson05-processes --bin manager_value_array
//! Initial shared_int: 0
//! Initial shared_float_array: [1.0, 2.5, 3.0]  <- after above
//! ...
//! Process 0: Array[0] updated to [..]  <- after 2
//! Process 0: Array[1] updated to [..]  <- after above
//! Process 0: Array[2] updated to [..]  <- after above
//! Process 1: Array[0] updated to [..]  <- after 2
//! Process 1: Array[1] updated to [..]  <- after above
//! Process 1: Array[2] updated to [..]  <- after above
//!   <- after all above
//! Final shared_int: [N]  <- after above
//! Final shared_float_array: [[..], [..], [..]]  <- after above
//! ```
//!
//! With `update`, the reading and the writing are one step, and nothing is lost:
//!
//! ```console,any-order
//! $ cargo run -p lesson05-processes --bin manager_value_array -- update
//! ...
//! Final shared_int: 15  <- after all above
//! Final shared_float_array: [4.0, 5.5, 6.0]  <- after above
//! ```
//!
//! Observe: *Python Processes* says that a manager's objects are "safely modified by multiple processes without
//! explicit locking", and its own output ends at 12 in the place of 15: each call is safe, two of them are not.
//! Try: fifty thousand rounds in the place of five, with and without `update` (`| tail -2` shows the end). How many
//! are lost?

use common::manager::{ArrayProxy, ValueProxy};
use common::{Manager, Process};

fn worker_value((value, id, is_one_step): (ValueProxy<i32>, u32, bool)) -> common::Result<()> {
    for _ in 0..5 {
        if is_one_step {
            value.update(|number| number + 1)?;
        } else {
            value.set(value.get()? + 1)?;
        }
        println!("Process {id}: Value incremented to {}", value.get()?);
    }
    Ok(())
}

fn worker_array((array, id, is_one_step): (ArrayProxy<f64>, u32, bool)) -> common::Result<()> {
    for i in 0..array.len()? {
        if is_one_step {
            array.update(i, |number| number + f64::from(id + 1))?;
        } else {
            array.set(i, array.get(i)? + f64::from(id + 1))?;
        }
        println!("Process {id}: Array[{i}] updated to {:?}", array.get(i)?);
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let is_one_step = std::env::args().nth(1).is_some_and(|word| word == "update");
    let manager = Manager::new()?;
    let (int, array) = (manager.value(0)?, manager.array([1.0, 2.5, 3.0])?);
    println!("Initial shared_int: {}", int.get()?);
    println!("Initial shared_float_array: {:?}", array.to_vec()?);

    let mut processes = Vec::new();
    for id in 0..3 {
        processes.push(Process::new(worker_value, (int.clone(), id, is_one_step)).start()?);
        if id < 2 {
            processes.push(Process::new(worker_array, (array.clone(), id, is_one_step)).start()?);
        }
    }
    for p in processes {
        p.join()?;
    }

    println!("\nFinal shared_int: {}", int.get()?);
    println!("Final shared_float_array: {:?}", array.to_vec()?);
    Ok(())
}
