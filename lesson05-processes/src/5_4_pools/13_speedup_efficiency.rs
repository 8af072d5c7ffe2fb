//! # 5.4 Speedup and efficiency (Python Processes, outline)
//!
//! Speedup is how many times faster several workers are than one; efficiency is the part of each worker that
//! this makes use of.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin speedup_efficiency -- 2
//! workers: 1, seconds: [SECONDS], speedup: 1.00, efficiency: 1.00
//! workers: 2, seconds: [SECONDS], speedup: [..], efficiency: [..]
//! ```
//!
//! Observe: an efficiency below 1 is what starting, sharing out and waiting for the last one cost, and what
//! other programs take.
//! Try: without the argument, up to as many workers as this machine has processors; then twice as many.

use common::{Pool, cpu};
use std::hint::black_box;
use std::time::Instant;

fn sum_all_values(x: u64) -> u64 {
    let mut total = 0;
    for i in 1..=x {
        total = black_box(total + i);
    }
    total
}

fn main() -> common::Result<()> {
    common::init();
    let most =
        std::env::args().nth(1).and_then(|most| most.parse().ok()).unwrap_or_else(cpu::usable);
    let mut alone = 0.0;
    for workers in 1..=most {
        let pool = Pool::new(workers)?;
        let start = Instant::now();
        pool.map(sum_all_values, [20_000_000; 24])?;
        let seconds = start.elapsed().as_secs_f64();
        if workers == 1 {
            alone = seconds;
        }
        let speedup = alone / seconds;
        let efficiency = speedup / workers as f64;
        println!(
            "workers: {workers}, seconds: {seconds:.8}, speedup: {speedup:.2}, efficiency: {efficiency:.2}"
        );
    }
    Ok(())
}
