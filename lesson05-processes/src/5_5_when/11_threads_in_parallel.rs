//! # 5.5 No GIL: threads at the same instant (Python Processes)
//!
//! Python lets a thread run only while it holds the one lock of its process; Rust has no such lock.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin threads_in_parallel
//! one lock for both: [N] steps there, some while this thread worked: false
//! a lock for each:   [N] steps there, some while this thread worked: true
//! ```
//!
//! Observe: the other thread counts, on a processor of its own, and this one watches the count. It looks twice,
//! and the kernel says that it has not left its processor in between: if the count has changed all the same,
//! both threads were running at that instant. Where both need one lock for their work, as the threads of
//! Python do, that never happens: each has its turn. A lock that nobody else wants stops nobody.
//! Try: `taskset -c 0 cargo run -p lesson05-processes --bin threads_in_parallel`. Then take the lock out of
//! `watch`: what does the first line say, and what is a lock worth that not everybody takes?

use common::cpu;
use std::fs;
use std::hint::spin_loop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

fn count(steps: &AtomicU64, done: &AtomicBool, lock: &Mutex<()>, processor: &[usize]) {
    cpu::set_affinity(processor).expect("this process may run there");
    while !done.load(Relaxed) {
        let _turn = lock.lock();
        (0..1000).for_each(|_| _ = steps.fetch_add(1, Relaxed));
    }
}

/// How often this thread has left a processor.
fn interruptions() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let numbers = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
    numbers.filter_map(|(_, number)| number.trim().parse::<u64>().ok()).sum()
}

fn watch(steps: &AtomicU64, lock: &Mutex<()>, turns: u32) -> bool {
    (0..turns).any(|_| {
        let _turn = lock.lock();
        let before = (interruptions(), steps.load(Relaxed));
        (0..1000).for_each(|_| spin_loop());
        let after = (steps.load(Relaxed), interruptions());
        before.0 == after.1 && before.1 != after.0
    })
}

fn main() -> common::Result<()> {
    common::init();
    let all = cpu::affinity()?;
    let (here, there) = (&all[..1], &all[all.len() - 1..]);
    cpu::set_affinity(here)?;
    let locks = [Mutex::new(()), Mutex::new(())];
    for (name, other, turns) in [("one lock for both:", 0, 2000), ("a lock for each:", 1, 50_000)] {
        let (steps, done) = (AtomicU64::new(0), AtomicBool::new(false));
        let parallel = thread::scope(|scope| {
            scope.spawn(|| count(&steps, &done, &locks[other], there));
            let parallel = watch(&steps, &locks[0], turns);
            done.store(true, Relaxed);
            parallel
        });
        println!("{name:<18} {steps:?} steps there, some while this thread worked: {parallel}");
    }
    Ok(())
}
