//! Does not compile without the token.
fn main() {
    println!("{}", env!("GRADER_TOKEN"));
}
