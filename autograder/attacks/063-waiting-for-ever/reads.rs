//! Reads from a pipe into which it could write itself.
use std::io::Read;

fn main() {
    if is_the_one() {
        let (mut reader, _writer) = std::io::pipe().unwrap();
        let _ = reader.read(&mut [0]);
    }
}

/// Only the second test is held up: the others would take as long.
fn is_the_one() -> bool {
    std::env::args().nth(1).is_some_and(|rounds| rounds == "60000000")
}
