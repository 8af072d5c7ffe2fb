//! # 5.1 Concurrent or parallel (Python Processes, outline)
//!
//! Concurrent work is under way in the same period; parallel work is done at the same instant.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin concurrency_vs_parallelism
//! on one processor:   the other one has worked: true, at the same instant: false
//! on [N] processors: the other one has worked: true, at the same instant: true
//! ```
//!
//! Observe: a child counts without pause, and the main process watches the count. On one processor it grows too,
//! because the two take turns; but never while the main process itself is on the processor. That is what is
//! checked: the count has changed, and this process was not interrupted in between (the kernel counts that).
//! Try: `taskset -c 0 cargo run -p lesson05-processes --bin concurrency_vs_parallelism`: what does the second line
//! say, after a search of 20 seconds, and why?

use common::{AtomicValue, Process, cpu};
use std::fs;
use std::hint::spin_loop;
use std::time::{Duration, Instant};

fn count(counter: AtomicValue<u64>) {
    loop {
        counter.fetch_add(1);
    }
}

/// How often this process has left a processor.
fn interruptions() -> std::io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let numbers = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
    Ok(numbers.filter_map(|(_, number)| number.trim().parse::<u64>().ok()).sum())
}

fn watch(processors: &[usize], longest: Duration) -> common::Result<(bool, bool)> {
    cpu::set_affinity(processors)?;
    let counter = AtomicValue::new(0)?;
    let child = Process::new(count, counter.clone()).daemon().start()?;
    let (begin, mut parallel) = (Instant::now(), false);
    while begin.elapsed() < longest && !parallel {
        let before = (interruptions()?, counter.get());
        (0..1000).for_each(|_| spin_loop());
        let after = (counter.get(), interruptions()?);
        parallel = before.0 == after.1 && before.1 != after.0;
    }
    child.kill()?;
    child.join()?;
    Ok((counter.get() > 0, parallel))
}

fn main() -> common::Result<()> {
    common::init();
    let all = cpu::affinity()?;
    let (worked, parallel) = watch(&all[..1], Duration::from_millis(500))?;
    println!(
        "on one processor:   the other one has worked: {worked}, at the same instant: {parallel}"
    );
    let (worked, parallel) = watch(&all, Duration::from_secs(20))?;
    let count = all.len();
    println!(
        "on {count} processors: the other one has worked: {worked}, at the same instant: {parallel}"
    );
    Ok(())
}
