//! The smallest Rust program: what the start of another executable costs.

fn main() {}
