//! # 5.4 `apply_async`, Example 2: ask now, get later (Python Processes)
//!
//! `apply_async` returns at once; `get` waits for the value.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pool_apply_async
//! [TIME]| Finished:  = [SECONDS]
//! [50005000, 50015001, 50025003, 50035006, 50045010, 50055015, 50065021, 50075028, 50085036, 50095045]
//! ```
//!
//! Observe: the values stand in the order in which they were asked for, whoever was first.
//! Try: print how many of the results are ready (`is_ready`) right before they are collected, and once more after a
//! pause of 50 ms. When does `get` not wait at all?

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
    let mut log = Log::named("apply_async.log").show_terminal().open()?;
    log.start_timer();
    let pool = Pool::new(4)?;
    let mut results = Vec::new();
    for x in 10_000..10_000 + 10 {
        results.push(pool.apply_async(sum_all_values, x)?);
    }
    // Here the program can do something else.
    let output: Result<Vec<u64>, _> = results.into_iter().map(|result| result.get()).collect();
    log.stop_timer("Finished: ");
    println!("{:?}", output?);
    Ok(())
}
