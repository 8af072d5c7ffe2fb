//! What the programs print, what tests can start, and that the README shows what is built here.

use common::{Process, StartMethod};
use std::process::Command;

common::init_in_tests!();

fn printed(program: &str) -> String {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_readme_shows_these_files() {
    let readme = include_str!("../../README.md");
    for (name, code) in [
        ("src/bin/plain.rs", include_str!("../src/bin/plain.rs")),
        ("src/bin/with_tokio.rs", include_str!("../src/bin/with_tokio.rs")),
        ("tests/in_tests.rs", include_str!("in_tests.rs")),
    ] {
        assert!(readme.contains(&format!("```rust\n{code}```\n")), "{name} differs");
    }
    assert_eq!(readme.matches("```rust\n").count(), 3, "a program of the README is not built");
}

#[test]
fn a_plain_main() {
    let squares = "1 squared is 1\n2 squared is 4\n3 squared is 9\n";
    let text = format!("{squares}the child exited with code 0\n");
    assert_eq!(printed(env!("CARGO_BIN_EXE_plain")), text);
}

#[test]
fn a_main_with_tokio() {
    assert_eq!(printed(env!("CARGO_BIN_EXE_with_tokio")), "the child exited with code 25\n");
}

/// With panic = "abort" a panic is a SIGABRT, in children as anywhere.
#[test]
fn three_ways_with_panic_abort() {
    let text: String = ["spawn", "forkserver", "fork"]
        .map(|method| format!("{method}: Code(25)\n{method}: Signal(SIGABRT)\n"))
        .concat();
    assert_eq!(printed(env!("CARGO_BIN_EXE_three_ways")), text);
}

fn fail(text: String) {
    panic!("{text}");
}

/// Tests unwind, so a panic is caught in the child and gives 101.
#[test]
fn a_test_starts_processes_in_two_ways() {
    for method in [StartMethod::Spawn, StartMethod::ForkServer] {
        let child = Process::new(fail, "on purpose".to_string()).start_method(method).start();
        assert_eq!(child.unwrap().join().unwrap().code(), Some(101));
    }
}

#[test]
fn a_test_is_not_forked_because_it_runs_in_a_thread() {
    let child = Process::new(|()| (), ()).start_method(StartMethod::Fork);
    let error = child.start().unwrap_err();
    assert!(error.to_string().contains("threads"), "{error}");
}
