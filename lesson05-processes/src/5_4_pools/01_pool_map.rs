//! # 5.4 `Pool::map`, Example 1: one hundred sums (Python Processes)
//!
//! `map` gives one hundred long sums to four workers and waits for all of them.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pool_map
//! [TIME]| Finished:  = [SECONDS]
//! [50000005000000, 50000015000001, 50000025000003, 50000035000006, [..]]
//! ```
//!
//! Observe: the sums stand in the order of their arguments, whoever finished first. (*Python Processes* shows the
//! first line only; its program prints the list as well.)
//! Try: a pool of 1: how much longer does it take? Then the size of *Python Processes*, `-- 100000000`, with 4
//! workers again.

use common::{Log, Pool};
use std::hint::black_box;

fn sum_all_values(x: u64) -> u64 {
    let mut total = 0;
    for i in 1..=x {
        // Without the black box the compiler would replace the loop by x * (x + 1) / 2.
        total = black_box(total + i);
    }
    total
}

fn main() -> common::Result<()> {
    common::init();
    let first = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(10_000_000);
    let mut log = Log::named("map.log").show_terminal().open()?;
    log.start_timer();
    let pool = Pool::new(4)?;
    let results = pool.map(sum_all_values, first..first + 100)?;
    log.stop_timer("Finished: ");
    println!("{results:?}");
    Ok(())
}
