//! Sleeps, and so does its child.
use std::process::Command;

fn main() {
    if is_the_one() {
        let _ = Command::new("sleep").arg("1000").status();
    }
}

/// Only the second test is held up: the others would take as long.
fn is_the_one() -> bool {
    std::env::args().nth(1).is_some_and(|rounds| rounds == "60000000")
}
