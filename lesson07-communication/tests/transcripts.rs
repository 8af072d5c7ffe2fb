//! Runs what the header of each lesson promises.

fn main() {
    transcript::main(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"));
}
