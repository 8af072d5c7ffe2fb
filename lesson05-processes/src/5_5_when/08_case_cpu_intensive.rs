//! # 5.5 Case study: a CPU-intensive task (Python Processes, outline)
//!
//! How many primes are there below a million? One process counts them, and then a pool, in twenty parts.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin case_cpu_intensive
//! one process: 78498 primes below 1000000, [SECONDS]
//! pool:        78498 primes below 1000000, [SECONDS]
//! the first and the last of 20 parts: 5133, 3591
//! ```
//!
//! Observe: no worker needs anything from another, a part is two numbers on the way to a worker, and one number
//! on the way back: this is the best case for processes. The last part has fewer primes than the first and still
//! takes longer, because large numbers need more divisions. So there are more parts than workers: whoever has
//! had an easy part takes the next one.
//! Try: as many parts as workers. For which worker do the others wait? What is the speedup with 1, 2, 4 and
//! 8 workers, and where does it stop growing on your machine?

use common::Pool;
use std::ops::Range;
use std::time::Instant;

const BELOW: u32 = 1_000_000;
const PARTS: u32 = 20;

fn is_prime(number: u32) -> bool {
    let mut divisors = (2..).take_while(|divisor| divisor * divisor <= number);
    number >= 2 && divisors.all(|divisor| !number.is_multiple_of(divisor))
}

fn count_primes(part: Range<u32>) -> usize {
    part.filter(|&number| is_prime(number)).count()
}

fn main() -> common::Result<()> {
    common::init();
    let start = Instant::now();
    let primes = count_primes(0..BELOW);
    let seconds = start.elapsed().as_secs_f64();
    println!("one process: {primes} primes below {BELOW}, {seconds:.8}");

    let pool = Pool::new(common::cpu::usable())?;
    let size = BELOW / PARTS;
    let parts = (0..PARTS).map(|part| part * size..(part + 1) * size);
    let start = Instant::now();
    let counts = pool.chunk_size(1)?.map(count_primes, parts)?;
    let primes: usize = counts.iter().sum();
    let seconds = start.elapsed().as_secs_f64();
    println!("pool:        {primes} primes below {BELOW}, {seconds:.8}");
    println!(
        "the first and the last of {PARTS} parts: {}, {}",
        counts[0],
        counts[counts.len() - 1]
    );
    Ok(())
}
