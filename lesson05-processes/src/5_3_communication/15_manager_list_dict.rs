//! # 5.3 `Manager`, Example 1: a list and a dictionary (Python Processes)
//!
//! Three processes put their names into one list and one dictionary, which live in a fourth: the manager's server.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin manager_list_dict
//! Shared list: ["Process-[N a]", "Process-[N b]", "Process-[N c]"]
//! Shared dict: {"Process-2": [N], "Process-3": [N], "Process-4": [N]}
//! ```
//!
//! Observe: the names begin at 2, because the manager's server was the first process; and two names can have the
//! same number, because other processes append between the two calls of one.
//! Try: ask for the length before the `push`, and insert that. Which numbers can come now, and can two names have the
//! same one?

use common::manager::{DictProxy, ListProxy};
use common::{Manager, Process, process};
use std::collections::BTreeMap;

type Shared = (ListProxy<String>, DictProxy<String, usize>);

fn worker_manager((shared_list, shared_dict): Shared) -> common::Result<()> {
    let name = process::current().name().to_string();
    shared_list.push(&name)?;
    shared_dict.insert(&name, &shared_list.len()?)?;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let manager = Manager::new()?;
    let shared_list = manager.list([])?;
    let shared_dict = manager.dict([])?;

    let mut processes = Vec::new();
    for _ in 0..3 {
        let shared = (shared_list.clone(), shared_dict.clone());
        processes.push(Process::new(worker_manager, shared).start()?);
    }
    for p in processes {
        p.join()?;
    }

    println!("Shared list: {:?}", shared_list.to_vec()?);
    println!("Shared dict: {:?}", shared_dict.iter()?.collect::<BTreeMap<_, _>>());
    Ok(())
}
