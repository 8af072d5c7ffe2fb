//! Fills both pipes before it begins to read.
fn main() {
    print!("{}", "x".repeat(90_000));
    eprint!("{}", "x".repeat(90_000));
    let _ = std::io::read_to_string(std::io::stdin());
}
