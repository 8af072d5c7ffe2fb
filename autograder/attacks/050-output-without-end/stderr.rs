//! One line on stderr.
fn main() {
    loop {
        eprint!("0123456789");
    }
}
