//! Stops itself.
unsafe extern "C" {
    fn raise(signal: i32) -> i32;
}

fn main() {
    while is_the_one() {
        unsafe { raise(19) };
    }
}

/// Only the second test is held up: the others would take as long.
fn is_the_one() -> bool {
    std::env::args().nth(1).is_some_and(|rounds| rounds == "60000000")
}
