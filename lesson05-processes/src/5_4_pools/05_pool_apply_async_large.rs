//! # 5.4 `apply_async`, Example 3: a large range (Python Processes)
//!
//! One hundred calls that take long: all of them are asked for before the first is done.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pool_apply_async_large
//! [TIME]| Finished:  = [SECONDS]
//! [50000005000000, 50000015000001, 50000025000003, 50000035000006, [..]]
//! ```
//!
//! Observe: the same program as `pool_map` in other words, and the same time. (The line with the time has a clock
//! here too, which *Python Processes* leaves out in this one example.)
//! Try: the size of *Python Processes*, `-- 100000000`, and `top` in another terminal: how many processes compute,
//! and which one does not?

use common::{Log, Pool};
use std::hint::black_box;

fn sum_all_values(x: u64) -> u64 {
    let mut total = 0;
    for i in 1..=x {
        total = black_box(total + i);
    }
    total
}

fn main() -> common::Result<()> {
    common::init();
    let first = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(10_000_000);
    let mut log = Log::named("apply_async.log").show_terminal().open()?;
    log.start_timer();
    let pool = Pool::new(4)?;
    let mut results = Vec::new();
    for x in first..first + 100 {
        results.push(pool.apply_async(sum_all_values, x)?);
    }
    let output: Result<Vec<u64>, _> = results.into_iter().map(|result| result.get()).collect();
    log.stop_timer("Finished: ");
    println!("{:?}", output?);
    Ok(())
}
