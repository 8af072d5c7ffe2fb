//! # 5.5 Amdahl's Law (Python Processes, outline)
//!
//! If the part p of a program can be shared out to n processes, it becomes 1 / ((1 - p) + p / n) times faster.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin amdahl
//! p    |    n = 1        2        4        8       16     1024 |    limit
//! 0.50 |     1.00     1.33     1.60     1.78     1.88     2.00 |     2.00
//! 0.90 |     1.00     1.82     3.08     4.71     6.40     9.91 |    10.00
//! 0.95 |     1.00     1.90     3.48     5.93     9.14    19.64 |    20.00
//! 0.99 |     1.00     1.98     3.88     7.48    13.91    91.18 |   100.00
//! ```
//!
//! Observe: however many processes there are, what cannot be shared out takes its time: the limit is
//! 1 / (1 - p). At p = 0.50 the step from 16 processes to 1024 gains next to nothing. The law counts no cost for
//! starting processes and for sending data, so a real program stays below it.
//! Try: a program takes 60 seconds, 6 of which cannot be shared out. Which row is it, and how long does it take
//! with 8 processes? How many processes does it need for a speedup of 9?

/// How many times faster.
fn speedup(p: f64, n: f64) -> f64 {
    1.0 / ((1.0 - p) + p / n)
}

fn main() -> common::Result<()> {
    common::init();
    println!("p    |    n = 1        2        4        8       16     1024 |    limit");
    for p in [0.50, 0.90, 0.95, 0.99] {
        print!("{p:.2} |");
        for n in [1.0, 2.0, 4.0, 8.0, 16.0, 1024.0] {
            print!("{:9.2}", speedup(p, n));
        }
        println!(" |{:9.2}", 1.0 / (1.0 - p));
    }
    Ok(())
}
