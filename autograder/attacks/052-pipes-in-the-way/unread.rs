//! Reads nothing, prints a little.
fn main() {
    println!("5: 5");
}
