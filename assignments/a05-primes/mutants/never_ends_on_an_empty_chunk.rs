//! One chunk per worker, and a loop that stops only when it meets the end of the chunk: with more
//! workers than numbers that end lies behind where the last chunks begin.

use common::Pool;

fn main() -> common::Result<()> {
    common::init();
    let arguments: Vec<u64> =
        std::env::args().skip(1).map_while(|text| text.parse().ok()).collect();
    let &[low, high, workers @ 1..=64] = arguments.as_slice() else {
        eprintln!("usage: a05-primes LOW HIGH WORKERS");
        std::process::exit(2);
    };
    let mut chunks = Vec::new();
    if low <= high {
        let length = (high - low + 1).div_ceil(workers);
        for worker in 0..workers {
            let first = low + worker * length;
            chunks.push((first, high.min(first + length - 1)));
        }
    }
    let counts: Vec<u64> = Pool::new(workers as usize)?.map(count_primes, chunks)?;
    println!("primes: {}", counts.iter().sum::<u64>());
    Ok(())
}

fn count_primes((first, last): (u64, u64)) -> u64 {
    let mut count = 0;
    let mut number = first;
    while number != last + 1 {
        count += u64::from(is_prime(number));
        number += 1;
    }
    count
}

fn is_prime(number: u64) -> bool {
    number >= 2
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| number % divisor != 0)
}
