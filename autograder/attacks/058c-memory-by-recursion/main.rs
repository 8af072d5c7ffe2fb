//! Calls itself.
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 100]);
    deeper(depth + 1) + room[0]
}

fn main() {
    println!("{}", deeper(0));
}
