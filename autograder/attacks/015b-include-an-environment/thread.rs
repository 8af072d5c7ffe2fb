//! The same, by another way.
fn main() {
    println!("{:?}", include_bytes!("/proc/thread-self/environ"));
}
