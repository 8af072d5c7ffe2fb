//! # 5.4 Thread pools (Python Processes, outline)
//!
//! The same calls by threads and by processes: threads are all in one process, and only processes survive a crash.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin thread_pool
//! threads:   [5000000050000000, 5000000150000001], in one process: true
//! processes: [5000000050000000, 5000000150000001], in one process: false
//! processes, one of which crashes: Ok(0), the other: lost
//! ```
//!
//! Observe: in Python the threads would take turns; here they run side by side (`threads_in_parallel`), and start
//! sooner. (*Python Processes, outline* has a heading "Thread pools:" with nothing below it: this is what belongs
//! there.)
//! Try: let the last two calls go to a `ThreadPool::new(2)?`: `map(crash_at_one, 0..2)`. How much of the program is
//! left?

use common::pool::TaskError;
use common::{Pool, ThreadPool};
use std::hint::black_box;
use std::process;

fn sum_all_values(x: u64) -> (u64, u32) {
    (black_box(x * (x + 1) / 2), process::id())
}

fn crash_at_one(x: u64) -> u64 {
    if x == 1 { process::abort() } else { x }
}

fn report(pool: &str, results: Vec<(u64, u32)>) {
    let sums: Vec<u64> = results.iter().map(|result| result.0).collect();
    let here = results.iter().all(|result| result.1 == process::id());
    println!("{pool:<10} {sums:?}, in one process: {here}");
}

fn main() -> common::Result<()> {
    common::init();
    let numbers = [100_000_000, 100_000_001];
    report("threads:", ThreadPool::new(2)?.map(sum_all_values, numbers)?);
    let pool = Pool::new(2)?;
    report("processes:", pool.map(sum_all_values, numbers)?);
    let (lucky, unlucky) = (pool.apply_async(crash_at_one, 0)?, pool.apply_async(crash_at_one, 1)?);
    let unlucky =
        if matches!(unlucky.get(), Err(TaskError::Lost { .. })) { "lost" } else { "done" };
    println!("processes, one of which crashes: {:?}, the other: {unlucky}", lucky.get());
    Ok(())
}
