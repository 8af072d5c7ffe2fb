//! # Answer: find the serial part (Python Processes, outline)
//!
//! A step of a program is serial if it lasts as long with four workers as its parts do one after the other.
//!
//! ```console,elapsed:2.2..
//! $ cargo run -p lesson05-processes --bin answer_serial_part
//! 1 worker:  prepare [SECONDS], compute [SECONDS], write [SECONDS]
//! 4 workers: prepare [SECONDS], compute [SECONDS], write [SECONDS]
//! compute is shared out: true
//! write is shared out:   false
//! p = [..], so at most [..] times as fast
//! ```
//!
//! Observe: `prepare` is done by one process, and looks serial. `write` looks like `compute`, a `map` in the
//! pool; but the workers hold one lock while they write, so they take turns. Only measuring finds that out. The
//! serial part is 0.2 + 0.4 of 1.4 seconds, so p is close to 0.57, and the limit close to 2.33.
//! Try: drop the lock before the pause of `write`. What becomes of p, of the limit, and of the 4 workers' time?

use common::Pool;
use common::sync::Lock;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

static LOCK: OnceLock<Lock> = OnceLock::new();

fn keep(lock: Lock) {
    LOCK.get_or_init(|| lock);
}

fn compute(_: u32) {
    sleep(Duration::from_millis(100));
}

fn write(_: u32) {
    let _guard = LOCK.get().expect("the initializer has kept it").acquire();
    sleep(Duration::from_millis(50));
}

fn steps(workers: usize) -> common::Result<[f64; 3]> {
    let pool = Pool::builder().workers(workers).initializer(keep, Lock::new()?).build()?;
    let pool = pool.chunk_size(1)?;
    let begin = Instant::now();
    sleep(Duration::from_millis(200)); // What prepares the tasks.
    let prepared = begin.elapsed().as_secs_f64();
    pool.map(compute, 0..8)?;
    let computed = begin.elapsed().as_secs_f64();
    pool.map(write, 0..8)?;
    Ok([prepared, computed - prepared, begin.elapsed().as_secs_f64() - computed])
}

fn main() -> common::Result<()> {
    common::init();
    let one = steps(1)?;
    let four = steps(4)?;
    for (name, [prepare, compute, write]) in [("1 worker:", one), ("4 workers:", four)] {
        println!("{name:<10} prepare {prepare:.8}, compute {compute:.8}, write {write:.8}");
    }
    println!("compute is shared out: {}", four[1] < 0.8);
    println!("write is shared out:   {}", four[2] < 0.4);
    let p = 4.0 / 3.0 * (1.0 - four.iter().sum::<f64>() / one.iter().sum::<f64>());
    println!("p = {p:.2}, so at most {:.2} times as fast", 1.0 / (1.0 - p));
    Ok(())
}
