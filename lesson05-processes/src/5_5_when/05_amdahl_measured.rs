//! # 5.5 Amdahl's Law with a practical example (Python Processes, outline)
//!
//! From the times with 1 and with 2 workers follows p, and from p the time with any number of them.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin amdahl_measured
//! 1 worker:  [SECONDS]
//! 2 workers: [SECONDS]
//! two workers are faster: true
//! p = [..]
//! 4 workers: [SECONDS] expected, [SECONDS] measured
//! 8 workers: [SECONDS] expected, [SECONDS] measured
//! ```
//!
//! With the feature `plot` it also draws the law for this p, and your own speedups beside it:
//!
//! ```console
//! $ cargo run -p lesson05-processes --features plot --bin amdahl_measured -- amdahl.svg
//! ...
//! plot: [..]
//! ```
//!
//! Observe: T2 = T1 * ((1 - p) + p / 2), so p = 2 * (1 - T2 / T1). The program says what p must be close to:
//! 0.2 seconds are serial, and 8 * 0.1 can be shared out. That part sleeps, as if it waited for a network,
//! because sleeps overlap also on one processor, and on one that is busy. If it computed, the same formula would
//! tell how many processors were free just now.
//! Try: sleep 0.8 seconds before the `map`. What is p now, and how much do 4 workers gain? Then compute in
//! `wait` (`sum_all_values` of `speedup_efficiency`), and run two of these programs at the same time.

use common::Pool;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn wait(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds));
}

fn seconds_with(workers: u32) -> common::Result<f64> {
    let pool = Pool::new(workers as usize)?;
    let start = Instant::now();
    wait(200);
    pool.chunk_size(1)?.map(wait, [100; 8])?;
    Ok(start.elapsed().as_secs_f64())
}

fn main() -> common::Result<()> {
    common::init();
    let t1 = seconds_with(1)?;
    println!("1 worker:  {t1:.8}");
    let t2 = seconds_with(2)?;
    println!("2 workers: {t2:.8}");
    println!("two workers are faster: {}", t2 < t1);

    let p = 2.0 * (1.0 - t2 / t1);
    println!("p = {p:.2}");
    let law = |workers: u32| (1.0 - p) + p / f64::from(workers);
    let mut speedups = vec![(1.0, 1.0), (2.0, t1 / t2)];
    for workers in [4, 8] {
        let seconds = seconds_with(workers)?;
        println!("{workers} workers: {:.8} expected, {seconds:.8} measured", t1 * law(workers));
        speedups.push((f64::from(workers), t1 / seconds));
    }
    let Some(path) = std::env::args().nth(1) else { return Ok(()) };
    #[cfg(feature = "plot")]
    common::plot::Plots::new("Amdahl's law, and this program")
        .x_label("workers")
        .y_label("times as fast as one")
        .line(format!("the law for p = {p:.2}"), (1..=8).map(|n| (n.into(), 1.0 / law(n))))
        .line("measured", speedups)
        .save(&path)?;
    println!("plot: {path}{}", if cfg!(feature = "plot") { "" } else { " needs --features plot" });
    Ok(())
}
