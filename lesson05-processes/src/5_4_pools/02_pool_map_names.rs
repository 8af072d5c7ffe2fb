//! # 5.4 `Pool::map`: two workers, five names (Python Processes)
//!
//! Two workers share five names; which worker takes which name is nobody's decision.
//!
//! ```console,any-order,pids:2,elapsed:1.5..30
//! $ cargo run -p lesson05-processes --bin pool_map_names
//! John, [PID]
//! Mary, [PID]
//! April, [PID]
//! Murry, [PID]
//! George, [PID]
//! ```
//!
//! Observe: two process ids, and 1.5 seconds: one of the two has three names to do. The lines mix as they are
//! printed. In *Python Processes* they stand in groups, one for each worker: there, a process that prints into a pipe
//! or a file keeps its lines until it has many or ends.
//! Try: take the pause out, and run it some times. Why may one worker do nearly all of the work then?

use common::Pool;
use std::process;
use std::thread::sleep;
use std::time::Duration;

fn func(name: String) {
    sleep(Duration::from_millis(500));
    println!("{name}, {}", process::id());
}

fn main() -> common::Result<()> {
    common::init();
    let names = ["John", "Mary", "April", "Murry", "George"];
    let pool = Pool::new(2)?;
    pool.map(func, names.map(String::from))?;
    Ok(())
}
