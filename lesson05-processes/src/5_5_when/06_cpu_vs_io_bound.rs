//! # 5.5 When to use processes: CPU-bound tasks (Python Processes)
//!
//! Waiting needs no processor, so any number of waits overlap; computing does, so processors are the limit.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin cpu_vs_io_bound
//! 4 workers on one processor, 4 tasks of 0.25 seconds
//! waiting:   [SECONDS], less than one after the other: true
//! computing: [SECONDS], as long as one after the other: true
//! ```
//!
//! Observe: with one processor, four workers wait for four things in the time of one, but compute no faster than one
//! worker. *Python Processes* says that a pool "should not be greater than the number of CPUs": that holds for
//! computing, which gains nothing by more; a pool for waiting may be larger. (A task computes until the kernel has
//! counted 0.25 seconds on a processor for it; "as long" leaves a tenth for how coarsely that is counted.)
//! Try: leave `set_affinity` out: which of the two times changes, and by how much? Then make it a pool of 2: which
//! one changes now?

use common::{Pool, cpu};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How many seconds this process has been on a processor; the kernel tells it in hundredths, for the program's
/// own code and for the kernel's.
fn used() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux tells about a process");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let fields = fields.split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

fn wait(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds));
}

fn compute(seconds: f64) {
    let before = used();
    while used() - before < seconds {}
}

fn seconds_for(pool: &Pool, task: fn(f64)) -> common::Result<f64> {
    let start = Instant::now();
    pool.chunk_size(1)?.map(task, [0.25; 4])?;
    Ok(start.elapsed().as_secs_f64())
}

fn main() -> common::Result<()> {
    common::init();
    println!("4 workers on one processor, 4 tasks of 0.25 seconds");
    cpu::set_affinity(&cpu::affinity()?[..1])?;
    let pool = Pool::new(4)?;

    let waiting = seconds_for(&pool, wait)?;
    println!("waiting:   {waiting:.8}, less than one after the other: {}", waiting < 1.0);
    let computing = seconds_for(&pool, compute)?;
    println!("computing: {computing:.8}, as long as one after the other: {}", computing > 0.9);
    Ok(())
}
