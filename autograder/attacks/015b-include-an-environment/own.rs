//! Prints the environment of the compiler.
fn main() {
    println!("{}", include_str!("/proc/self/environ"));
}
