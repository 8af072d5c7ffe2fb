//! Leaves a child with its output behind.
fn main() {
    println!("5: 5");
    std::process::Command::new("sleep").arg("1000").spawn().unwrap();
}
