//! Waits for a child that shares its memory and sleeps.
unsafe extern "C" {
    fn vfork() -> i32;
    fn pause() -> i32;
}

fn main() {
    if is_the_one() && unsafe { vfork() } == 0 {
        loop {
            unsafe { pause() };
        }
    }
}

/// Only the second test is held up: the others would take as long.
fn is_the_one() -> bool {
    std::env::args().nth(1).is_some_and(|rounds| rounds == "60000000")
}
