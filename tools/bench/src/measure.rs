//! Time an operation, or bytes a second.

use std::hint;
use std::time::Instant;

/// Nanoseconds an operation, where `work` does `count` of them.
pub fn ns_per(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Microseconds an operation, where `work` does `count` of them.
pub fn us_per(count: usize, work: impl FnOnce()) -> f64 {
    ns_per(count, work) / 1e3
}

/// Milliseconds that `work` takes.
pub fn ms(work: impl FnOnce()) -> f64 {
    ns_per(1_000_000, work)
}

/// GiB/s, where `work` moves `bytes`.
pub fn gib_s(bytes: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    bytes as f64 / start.elapsed().as_secs_f64() / (1u64 << 30) as f64
}

/// Reads all of a buffer, as cheaply as can be.
#[must_use]
pub fn read_all(buffer: &[u8]) -> u64 {
    // SAFETY: any eight bytes are a number.
    let (head, words, tail) = unsafe { buffer.align_to::<u64>() };
    let ends: u64 = head.iter().chain(tail).map(|byte| u64::from(*byte)).sum();
    words.iter().fold(ends, |sum, word| sum.wrapping_add(*word))
}

/// Keeps the compiler from dropping work whose result nobody uses.
pub fn sink<T>(value: T) -> T {
    hint::black_box(value)
}
