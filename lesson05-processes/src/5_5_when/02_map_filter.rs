//! # 5.5 `map` and `filter` (Python Processes, outline)
//!
//! What an iterator does by `map` and `filter` in one process, `Pool::map` does in several.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin map_filter
//! iterator, map:    [1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144]
//! pool,     map:    [1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144]
//! iterator, filter: [2, 3, 5, 7, 11]
//! pool,     filter: [2, 3, 5, 7, 11]
//! ```
//!
//! Observe: a pool has no `filter`, neither here nor in Python. Its workers answer yes or no for each number,
//! and the parent keeps those with a yes: the question is the costly part. An iterator does nothing until
//! `collect` asks it for values; `Pool::map` begins at once, and returns when all results are there.
//! Try: leave out the `collect` of the first iterator and its type, and print in `square`. How often is it called
//! now? Then let the workers return `Some(number)` or `None`, and find the method of iterators that drops `None`.

use common::Pool;

fn square(number: u32) -> u32 {
    number * number
}

fn is_prime(number: u32) -> bool {
    number >= 2 && (2..number).all(|divisor| !number.is_multiple_of(divisor))
}

fn main() -> common::Result<()> {
    common::init();
    let pool = Pool::new(2)?;

    let squares: Vec<u32> = (1..=12).map(square).collect();
    println!("iterator, map:    {squares:?}");
    println!("pool,     map:    {:?}", pool.map(square, 1..=12)?);

    let primes: Vec<u32> = (1..=12).filter(|&number| is_prime(number)).collect();
    println!("iterator, filter: {primes:?}");
    let answers = pool.map(is_prime, 1..=12)?;
    let kept = (1..=12).zip(answers).filter(|&(_, answer)| answer);
    let primes: Vec<u32> = kept.map(|(number, _)| number).collect();
    println!("pool,     filter: {primes:?}");
    Ok(())
}
