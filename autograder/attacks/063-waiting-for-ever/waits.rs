//! Takes a lock twice.
use std::sync::Mutex;

fn main() {
    let lock = Mutex::new(());
    if is_the_one() {
        let _first = lock.lock();
        let _second = lock.lock();
    }
}

/// Only the second test is held up: the others would take as long.
fn is_the_one() -> bool {
    std::env::args().nth(1).is_some_and(|rounds| rounds == "60000000")
}
