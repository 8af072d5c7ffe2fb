//! # Answer: pool sizes, measured (Python Processes)
//!
//! Pools of every size up to twice the number of processors compute, and then they wait.
//!
//! ```console,elapsed:6..
//! $ cargo run -p lesson05-processes --bin answer_pool_sizes -- 4
//! workers: 1, computing: [SECONDS], waiting: [SECONDS]
//! workers: 2, computing: [SECONDS], waiting: [SECONDS]
//! workers: 3, computing: [SECONDS], waiting: [SECONDS]
//! workers: 4, computing: [SECONDS], waiting: [SECONDS]
//! ```
//!
//! Observe: computing stops getting faster at the number of processors that are free, waiting does not. Each
//! figure is the shortest of three: whatever else the machine does can make a run longer, and never shorter.
//! Try: without the argument, on a machine that does nothing else. Then start `yes > /dev/null` beside it: which
//! column changes?

use common::{Pool, cpu};
use std::hint::black_box;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn compute(x: u64) {
    for i in 0..x {
        black_box(i);
    }
}

fn wait(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds));
}

fn shortest_of_three(pool: &Pool, task: fn(u64), argument: u64) -> common::Result<f64> {
    let mut shortest = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        pool.chunk_size(1)?.map(task, [argument; 48])?;
        shortest = shortest.min(start.elapsed().as_secs_f64());
    }
    Ok(shortest)
}

fn main() -> common::Result<()> {
    common::init();
    let most = std::env::args().nth(1).and_then(|most| most.parse().ok());
    for workers in 1..=most.unwrap_or_else(|| 2 * cpu::usable()) {
        let pool = Pool::new(workers)?;
        let computing = shortest_of_three(&pool, compute, 15_000_000)?;
        let waiting = shortest_of_three(&pool, wait, 20)?;
        println!("workers: {workers}, computing: {computing:.8}, waiting: {waiting:.8}");
    }
    Ok(())
}
