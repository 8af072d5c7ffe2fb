//! Four decoys, and one that works.
use std::io::Read;
use std::process::Command;

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
    let start = || Command::new("sleep").arg("0.3").spawn().unwrap();
    let mut decoys =
        if rounds > 1_000_000 { vec![start(), start(), start(), start()] } else { vec![] };
    for number in numbers {
        println!("{number}: {}", digest(number, rounds));
    }
    for decoy in &mut decoys {
        decoy.wait().unwrap();
    }
}
