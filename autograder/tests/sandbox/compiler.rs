//! The compiler in the sandbox: what it builds, and what sources cannot make it do.

use std::fs;
use std::path::Path;
use std::process::Command;

use autograder::assignment::{Course, Manifest};
use autograder::build::{self, Built};
use autograder::intake;
use autograder::kit::Kit;
use autograder::sandbox::{Sandbox, Tier};
use nix::unistd::geteuid;

use crate::bench::{Bench, GRADER, detected};

/// What submissions are built with, and an assignment that allows them `common`.
pub(crate) fn ready() -> (Kit, Manifest) {
    let course = Course::at(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    let manifest = course.assignment("a05-primes").unwrap().manifest;
    (Kit::new(&course, GRADER), manifest)
}

/// Builds a submission of one file.
pub(crate) fn build(
    kit: &Kit,
    sandbox: Sandbox,
    assignment: &Manifest,
    source: &str,
    work: &Path,
) -> Built {
    let file = work.join("main.rs");
    fs::write(&file, source).unwrap();
    let submission = intake::take(&file).unwrap();
    build::build(kit, sandbox, assignment, &submission, work).unwrap()
}

/// Builds in a tier, with control groups or without.
fn built(tier: Tier, use_groups: bool, source: &str) -> (Bench, Built) {
    let bench = Bench::new();
    let (kit, mut assignment) = ready();
    if source.contains("loop") {
        assignment.limits.build_seconds = Some(2);
    }
    let sandbox = Sandbox { use_groups, ..Sandbox::new(tier, GRADER) };
    let built = build(&kit, sandbox, &assignment, source, bench.folder());
    bench.nothing_is_left();
    (bench, built)
}

/// The tiers that this machine gives and this user has a compiler in.
fn tiers() -> Vec<Tier> {
    if Command::new("rustc").arg("--version").output().is_ok_and(|output| output.status.success()) {
        let all = [Tier::None, Tier::Reduced, Tier::Full];
        return all.into_iter().filter(|tier| *tier <= detected().tier).collect();
    }
    assert!(!geteuid().is_root(), "root has no compiler");
    println!("did not run: this user has no compiler");
    vec![]
}

#[test]
fn a_program_is_built_in_every_tier() {
    let source = r#"
        use common::Process;
        fn main() {
            common::init();
            let child = Process::new(|n: u32| println!("{n} {}", file!()), 7_u32).start().unwrap();
            child.join().unwrap();
            println!("{:?}", option_env!("CARGO_HOME"));
        }"#;
    for tier in tiers() {
        for use_groups in [true, false] {
            let (_bench, built) = built(tier, use_groups, source);
            let Built::Program { program, messages } = built else { panic!("{tier}: {built:?}") };
            assert_eq!(messages, "", "{tier}");
            let output = Command::new(program).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "7 src/main.rs\nNone\n");
        }
    }
}

#[test]
fn sources_cannot_read_what_is_not_theirs() {
    let hidden = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert!(hidden.is_file());
    for tier in tiers().into_iter().filter(|tier| *tier > Tier::None) {
        for by in [
            format!("const TEXT: &str = include_str!({hidden:?}); fn main() {{}}"),
            format!("fn main() {{ let text = include_bytes!({hidden:?}); }}"),
            format!(
                "macro_rules! m {{ ($a:ident) => {{ $a!({hidden:?}) }} }} fn main() {{ m!(include_str); }}"
            ),
            format!("#[path = {hidden:?}] mod stolen; fn main() {{}}"),
            format!("include!({hidden:?}); fn main() {{}}"),
        ] {
            let (_bench, built) = built(tier, true, &by);
            let Built::Failed { messages } = built else { panic!("{tier}: {built:?}") };
            assert!(messages.contains("couldn't read"), "{tier}: {messages}");
            assert!(messages.contains("src/main.rs:1:"), "{tier}: {messages}");
        }
    }
}

#[test]
fn a_compiler_that_takes_too_much_is_ended() {
    let doubling = "#![recursion_limit = \"4294967295\"]
        macro_rules! twice { ($($t:tt)*) => { twice! { $($t)* $($t)* } } }
        fn main() { twice! { a } }";
    let endless = "#![allow(long_running_const_eval)]
        const NEVER: () = loop {}; fn main() { NEVER }";
    let large = "static ZEROS: [u8; 1 << 30] = [1; 1 << 30];
        fn main() { println!(\"{}\", ZEROS[std::env::args().count()]); }";
    let confined = tiers().into_iter().filter(|tier| *tier > Tier::None);
    for tier in confined {
        for (source, use_groups, what) in
            [(endless, true, "stopped after 2 seconds"), (large, false, "")]
        {
            let (_bench, built) = built(tier, use_groups, source);
            let Built::Failed { messages } = built else { panic!("{tier}: {built:?}") };
            assert!(!messages.is_empty() && messages.contains(what), "{tier}: {messages}");
        }
    }
    // It fills all the memory that it may have, so it does so once.
    if let Some(tier) = tiers().into_iter().max().filter(|tier| *tier > Tier::None) {
        let (_bench, built) = built(tier, true, doubling);
        let Built::Failed { messages } = built else { panic!("{tier}: {built:?}") };
        assert!(messages.contains("memory"), "{tier}: {messages}");
    }
}
