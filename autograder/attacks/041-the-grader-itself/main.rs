//! Opens everything that decides the score. It writes nothing: that it could is bad enough.
use std::fs::File;

fn main() {
    for path in [
        "@grader@",
        "@course@/assignments/shares/assignment.toml",
        "@course@/assignments/shares/tests/public.rs",
        "@course@/assignments/shares/tests/hidden.rs",
        "@course@/result.json",
        "/autograder/run_autograder",
        "/proc/self/exe",
    ] {
        if File::options().append(true).open(path).is_ok() {
            println!("attack: opened {path}");
        }
    }
    if File::create("@course@/assignments/shares/attack-was-here").is_ok() {
        println!("attack: opened a new file");
    }
}
