//! An array of 32 GiB.
static MUCH: [u8; 32 << 30] = [1; 32 << 30];

fn main() {
    println!("{}", MUCH[std::env::args().count()]);
}
