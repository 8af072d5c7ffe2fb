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
        // TODO: say on stderr what the arguments are, and end with exit code 2.
        return Ok(());
    };
    // TODO: let all workers count, each its chunks of the range, and add up what they found.
    let pool = Pool::new(workers)?;
    let counts: Vec<u64> = pool.map(count_primes, vec![(low, high)])?;
    println!("primes: {}", counts.iter().sum::<u64>());
    Ok(())
}

/// LOW, HIGH and WORKERS, if they are there and make sense.
fn arguments() -> Option<(u64, u64, usize)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [low, high, workers] = arguments.as_slice() else { return None };
    let workers = workers.parse().ok().filter(|&workers| workers > 0)?;
    Some((low.parse().ok()?, high.parse().ok()?, workers))
}

/// How many primes lie in a chunk, both ends included. Runs in a worker.
fn count_primes((first, last): (u64, u64)) -> u64 {
    // TODO: count them.
    let _ = (first, last);
    0
}
