//! Hears nothing and works.
unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

fn main() {
    (1..65).for_each(|number| drop(unsafe { signal(number, 1) }));
    while is_the_one() {
        std::hint::spin_loop();
    }
}

/// Only the second test is held up: the others would take as long.
fn is_the_one() -> bool {
    std::env::args().nth(1).is_some_and(|rounds| rounds == "60000000")
}
