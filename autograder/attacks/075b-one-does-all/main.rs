//! Three children do nothing.
use std::io::Read;

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

unsafe extern "C" {
    fn fork() -> i32;
    fn wait(status: *mut i32) -> i32;
}

fn main() {
    let (numbers, rounds) = task();
    for child in 0..4 {
        if unsafe { fork() } == 0 {
            if child == 0 {
                for number in numbers {
                    println!("{number}: {}", digest(number, rounds));
                }
            }
            return;
        }
    }
    while unsafe { wait(std::ptr::null_mut()) } != -1 {}
}
