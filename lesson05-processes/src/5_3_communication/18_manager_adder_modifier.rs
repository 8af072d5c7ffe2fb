//! # 5.3 `Manager`: adder and modifier (multiprocessing Module)
//!
//! One process fills a list of a manager, then another one changes every element of it.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin manager_adder_modifier
//! Adder: Added numbers 0-4 to the list.
//! Modifier: Doubled the numbers in the list.
//! Final list: [0, 2, 4, 6, 8]
//! ```
//!
//! Observe: an element is got as a copy; to change it in the list, it is set again. (As *multiprocessing Module*
//! prints it, the program ends with a `NameError`: it imports `Manager` by its name, and then calls
//! `multiprocessing.Manager()`.)
//! Try: start both children before you join one, and let the adder sleep for 10 ms before each `push`. Which numbers
//! are doubled now, and what would have to wait for what?

use common::manager::ListProxy;
use common::{Manager, Process};

fn adder(shared_list: ListProxy<u32>) -> common::Result<()> {
    for i in 0..5 {
        shared_list.push(&i)?;
    }
    println!("Adder: Added numbers 0-4 to the list.");
    Ok(())
}

fn modifier(shared_list: ListProxy<u32>) -> common::Result<()> {
    for i in 0..shared_list.len()? {
        let number = shared_list.get(i)?.unwrap_or_default();
        shared_list.set(i, &(number * 2))?;
    }
    println!("Modifier: Doubled the numbers in the list.");
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let manager = Manager::new()?;
    let shared_list = manager.list([])?;
    Process::new(adder, shared_list.clone()).start()?.join()?;
    Process::new(modifier, shared_list.clone()).start()?.join()?;
    println!("Final list: {:?}", shared_list.to_vec()?);
    Ok(())
}
