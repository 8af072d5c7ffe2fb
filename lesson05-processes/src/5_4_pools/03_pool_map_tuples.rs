//! # 5.4 `Pool::map`: tuples as arguments (Python Processes)
//!
//! The function of a `map` has one argument, and that may be a tuple.
//!
//! ```console,any-order,pids:2,elapsed:2..30
//! $ cargo run -p lesson05-processes --bin pool_map_tuples
//! Numbers list: [(1, 2), (11, 52), (12, 62), (13, 72), (1312, 2272), (1332, 732), (13434, -23272)]
//! PID = [PID]: 1 + 2 = 3  <- after 1
//! PID = [PID]: 11 + 52 = 63  <- after 1
//! PID = [PID]: 12 + 62 = 74  <- after 1
//! PID = [PID]: 13 + 72 = 85  <- after 1
//! PID = [PID]: 1312 + 2272 = 3584  <- after 1
//! PID = [PID]: 1332 + 732 = 2064  <- after 1
//! PID = [PID]: 13434 + -23272 = -9838  <- after 1
//! ```
//!
//! With four workers the same list is done in half the time:
//!
//! ```console,any-order,pids:4,elapsed:1..30
//! $ cargo run -p lesson05-processes --bin pool_map_tuples -- 4
//! Numbers list: [(1, 2), (11, 52), (12, 62), (13, 72), (1312, 2272), (1332, 732), (13434, -23272)]
//! PID = [PID]: 1 + 2 = 3  <- after 1
//! PID = [PID]: 11 + 52 = 63  <- after 1
//! PID = [PID]: 12 + 62 = 74  <- after 1
//! PID = [PID]: 13 + 72 = 85  <- after 1
//! PID = [PID]: 1312 + 2272 = 3584  <- after 1
//! PID = [PID]: 1332 + 732 = 2064  <- after 1
//! PID = [PID]: 13434 + -23272 = -9838  <- after 1
//! ```
//!
//! Observe: nothing says in which order the tuples are done, only that all of them are. *Python Processes* points to
//! its output, where `(1, 2)` "wasn't the first tuple processed": it was, in the output that it shows; both can
//! happen. The line `Numbers list` is printed with four workers too, though *Python Processes* leaves it out there.
//! Try: write `fn add_two_numbers(number1: i64, number2: i64)` and call `starmap` in the place of `map`. Which lines
//! of the output change?

use common::Pool;
use std::process;
use std::thread::sleep;
use std::time::Duration;

fn add_two_numbers((number1, number2): (i64, i64)) {
    sleep(Duration::from_millis(500));
    println!("PID = {}: {number1} + {number2} = {}", process::id(), number1 + number2);
}

fn main() -> common::Result<()> {
    common::init();
    let workers = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(2);
    let numbers =
        [(1, 2), (11, 52), (12, 62), (13, 72), (1312, 2272), (1332, 732), (13434, -23272)];
    println!("Numbers list: {numbers:?}");
    let pool = Pool::new(workers)?;
    pool.map(add_two_numbers, numbers)?;
    Ok(())
}
