//! Takes 1 for a prime: no number from 2 up to its root divides it.

use common::Pool;

fn main() -> common::Result<()> {
    common::init();
    let arguments: Vec<u64> =
        std::env::args().skip(1).map_while(|text| text.parse().ok()).collect();
    let &[low, high, workers @ 1..=64] = arguments.as_slice() else {
        eprintln!("usage: a05-primes LOW HIGH WORKERS");
        std::process::exit(2);
    };
    let chunks: Vec<(u64, u64)> =
        (low..=high).step_by(1000).map(|first| (first, high.min(first + 999))).collect();
    let counts: Vec<u64> = Pool::new(workers as usize)?.map(count_primes, chunks)?;
    println!("primes: {}", counts.iter().sum::<u64>());
    Ok(())
}

fn count_primes((first, last): (u64, u64)) -> u64 {
    (first..=last).filter(|&number| is_prime(number)).count() as u64
}

fn is_prime(number: u64) -> bool {
    number >= 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| number % divisor != 0)
}
