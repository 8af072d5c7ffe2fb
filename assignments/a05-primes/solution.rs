//! Counts the primes in a range with a pool of processes.
//!
//! ```console
//! $ cargo run -p a05-primes -- 2 100 2
//! primes: 25
//! ```

use common::Pool;

fn main() -> common::Result<()> {
    common::init();
    let Some((low, high, workers)) = arguments() else {
        // solution {
        eprintln!("usage: a05-primes LOW HIGH WORKERS (whole numbers, at least one worker)");
        std::process::exit(2);
        // }
        //~ // TODO: say on stderr what the arguments are, and end with exit code 2.
        //~ return Ok(());
    };
    // solution {
    let pool = Pool::new(workers)?;
    let counts: Vec<u64> = pool.map(count_primes, chunks(low, high, workers))?;
    println!("primes: {}", counts.iter().sum::<u64>());
    // }
    //~ // TODO: let all workers count, each its chunks of the range, and add up what they found.
    //~ let pool = Pool::new(workers)?;
    //~ let counts: Vec<u64> = pool.map(count_primes, vec![(low, high)])?;
    //~ println!("primes: {}", counts.iter().sum::<u64>());
    Ok(())
}

/// LOW, HIGH and WORKERS, if they are there and make sense.
fn arguments() -> Option<(u64, u64, usize)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [low, high, workers] = arguments.as_slice() else { return None };
    let workers = workers.parse().ok().filter(|&workers| workers > 0)?;
    Some((low.parse().ok()?, high.parse().ok()?, workers))
}

// solution {
/// The range, both ends included, in several chunks per worker: large numbers take longer than
/// small ones, and with one chunk each the worker with the largest would keep all others waiting.
fn chunks(low: u64, high: u64, workers: usize) -> Vec<(u64, u64)> {
    if high < low {
        return Vec::new();
    }
    let length = ((high - low) / (4 * workers as u64)).max(1);
    let mut chunks = Vec::new();
    let mut first = low;
    loop {
        let last = first.saturating_add(length - 1).min(high);
        chunks.push((first, last));
        if last == high {
            return chunks;
        }
        first = last + 1;
    }
}

// }
/// How many primes lie in a chunk, both ends included. Runs in a worker.
fn count_primes((first, last): (u64, u64)) -> u64 {
    // solution {
    (first..=last).filter(|&number| is_prime(number)).count() as u64
    // }
    //~ // TODO: count them.
    //~ let _ = (first, last);
    //~ 0
}
// solution {

fn is_prime(number: u64) -> bool {
    number >= 2
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| number % divisor != 0)
}
// }
