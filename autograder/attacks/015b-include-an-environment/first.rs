//! Prints the environment of the first process there is.
fn main() {
    println!("{:?}", include_bytes!("/proc/1/environ"));
}
