//! Four threads in one process.
use std::io::Read;
use std::thread;

fn digest(number: u64, rounds: u64) -> u64 {
    let step = |value: u64| value.wrapping_mul(6364136223846793005).wrapping_add(number | 1);
    (0..rounds).fold(number, |value, _| step(std::hint::black_box(value)))
}

/// The numbers, and how many rounds.
fn task() -> (Vec<u64>, u64) {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let rounds = std::env::args().nth(1).unwrap().parse().unwrap();
    (text.lines().filter_map(|line| line.parse().ok()).collect(), rounds)
}

fn main() {
    let (numbers, rounds) = task();
    let start = |number| thread::spawn(move || digest(number, rounds));
    let threads: Vec<_> = numbers.iter().map(|&number| start(number)).collect();
    for (number, thread) in numbers.iter().zip(threads) {
        println!("{number}: {}", thread.join().unwrap());
    }
}
