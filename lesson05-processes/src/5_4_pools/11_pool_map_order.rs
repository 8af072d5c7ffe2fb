//! # 5.4 `Pool::map`: order and number (Processes, CIS 41B)
//!
//! The results have the order of the arguments, and more workers than arguments stay idle.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pool_map_order
//! 2 workers, 5 runs: [1, 4, 9, 16, 25]
//! workers used at most 2: true
//! 5 workers, 2 runs: [1, 4]
//! workers used at most 2: true
//! ```
//!
//! Observe: the first argument takes longest, and its result still comes first.
//! Try: a pair of 5 workers and 5 runs, with `pids.len()` printed in the place of the comparison. Is it always 5?

use common::Pool;
use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

fn square(number: u64) -> (u64, u32) {
    sleep(Duration::from_millis(50 * (6 - number)));
    (number * number, std::process::id())
}

fn main() -> common::Result<()> {
    common::init();
    for (workers, runs) in [(2, 5), (5, 2)] {
        let pool = Pool::new(workers)?;
        let (squares, pids): (Vec<_>, HashSet<_>) = pool.map(square, 1..=runs)?.into_iter().unzip();
        println!("{workers} workers, {runs} runs: {squares:?}");
        println!("workers used at most 2: {}", pids.len() <= 2);
    }
    Ok(())
}
