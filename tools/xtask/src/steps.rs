//! The steps of `cargo xtask ci`, each a chore of its own.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::book;
use crate::conformance::{self, Form};
use crate::grow;
use crate::points;
use crate::tidy;

/// What a reviewer would run, in order. The first is the README's command for the tests.
pub(crate) const CI: &[(&str, Step)] = &[
    ("test", test),
    ("locks", locks),
    ("fmt", fmt),
    ("lint", lint),
    ("docs", docs),
    ("book", book::book),
    ("verify", verify),
    ("conformance", conformance),
    ("model", model),
    ("torture", torture),
    ("attacks", attacks),
    ("points", points::points),
    ("outside", outside),
    ("grow", grow::grow),
    ("deny", |root| deny(root, false)),
    ("tidy", tidy),
];

/// The benchmarks are a workspace of their own.
pub(crate) const BENCH: &str = "--manifest-path=tools/bench/Cargo.toml";

/// The models as well.
pub(crate) const MODEL: &str = "--manifest-path=tools/model/Cargo.toml";

/// A program of somebody else that uses `common`; a workspace of its own as well.
const OUTSIDE: &str = "--manifest-path=common/outside/Cargo.toml";

/// What is heavy in `common` is a feature, and is checked all the same.
pub(crate) const ALL_FEATURES: &str = "--all-features";

/// A check of the workspace at a path. An error is a text for the reader.
pub(crate) type Step = fn(&Path) -> Result<(), String>;

/// Runs all steps up to the first that fails, each with its time.
pub(crate) fn ci(root: &Path) -> Result<(), String> {
    run_steps(root, CI)
}

fn run_steps(root: &Path, steps: &[(&str, Step)]) -> Result<(), String> {
    let start = Instant::now();
    for (number, (name, step)) in steps.iter().enumerate() {
        let position = format!("[{}/{}]", number + 1, steps.len());
        println!("{position} {name} ...");
        let began = Instant::now();
        let result = step(root);
        let took = seconds(began.elapsed());
        match result {
            Ok(()) => println!("{position} {name}: ok ({took})"),
            Err(problem) => {
                println!("{position} {name}: FAILED ({took})");
                return Err(format!(
                    "{problem}\nci: {name} failed after {} of {} steps ({}); run it alone: `cargo xtask {name}`",
                    number,
                    steps.len(),
                    seconds(start.elapsed())
                ));
            }
        }
    }
    println!("ci: all {} steps passed ({})", steps.len(), seconds(start.elapsed()));
    Ok(())
}

pub(crate) fn test(root: &Path) -> Result<(), String> {
    cargo(root, &["test", "--workspace", ALL_FEATURES])
}

/// The lock file of each workspace knows what the manifests ask for.
pub(crate) fn locks(root: &Path) -> Result<(), String> {
    cargo(root, &["fetch", "--locked"])?;
    for workspace in [BENCH, MODEL, OUTSIDE] {
        cargo(root, &["fetch", "--locked", workspace]).map_err(|problem| {
            format!("{problem}; `cargo metadata {workspace} > /dev/null` mends it")
        })?;
    }
    Ok(())
}

pub(crate) fn fmt(root: &Path) -> Result<(), String> {
    cargo(root, &["fmt", "--all", "--check"])
        .and_then(|()| cargo(root, &["fmt", "--check", BENCH]))
        .and_then(|()| cargo(root, &["fmt", "--check", MODEL]))
        .and_then(|()| cargo(root, &["fmt", "--check", OUTSIDE]))
        .map_err(|problem| format!("{problem}; `cargo xtask fmt --fix` mends it"))
}

pub(crate) fn lint(root: &Path) -> Result<(), String> {
    let rest = ["--workspace", ALL_FEATURES, "--all-targets", "--", "-D", "warnings"];
    cargo(root, &[&["clippy"], &rest[..]].concat())?;
    // What a student builds is the library without any feature.
    cargo(root, &["clippy", "-p", "common", "--", "-D", "warnings"])?;
    // Of the benchmarks those that need no peer: they follow what changes in `common`.
    let rest = ["--features", "common", "--all-targets", "--", "-D", "warnings"];
    cargo(root, &[&["clippy", BENCH], &rest[..]].concat())?;
    let rest = ["--target-dir", "target/model", "--all-targets", "--", "-D", "warnings"];
    cargo(root, &[&["clippy", MODEL, "--locked"], &rest[..]].concat())
}

pub(crate) fn docs(root: &Path) -> Result<(), String> {
    let mut command = command(root, &["doc", "--workspace", ALL_FEATURES, "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    finish(command)
}

pub(crate) fn verify(root: &Path) -> Result<(), String> {
    cargo(root, &["grade", "verify"])
}

pub(crate) fn conformance(root: &Path) -> Result<(), String> {
    conformance::print(root, Form::Table)
}

/// Every order of the algorithms' steps, and the planted bugs.
pub(crate) fn model(root: &Path) -> Result<(), String> {
    cargo(root, &["run", MODEL, "--locked", "--target-dir", "target/model"])
}

/// Some thousand kills of processes of every kind, and a thousand among those that use each primitive; the
/// tests have a short form of it.
pub(crate) fn torture(root: &Path) -> Result<(), String> {
    let mut command = command(
        root,
        &["test", "-p", "common", ALL_FEATURES, "--test", "torture", "--", "--nocapture"],
    );
    command.env("COMMON_TORTURE_ROUNDS", "600");
    finish(command)
}

/// Every attack on the grader between two honest submissions, as root and as an ordinary user; graders and
/// launchers killed at many moments; work in parallel told from what only seems to be, again and again. The
/// tests have a short form of it.
pub(crate) fn attacks(root: &Path) -> Result<(), String> {
    for (test, filter, name, value) in [
        ("attacks", "", "AUTOGRADER_ATTACKS", "long"),
        ("sandbox", "endings::", "AUTOGRADER_ROUNDS", "60"),
        ("evidence", "", "AUTOGRADER_ROUNDS", "10"),
    ] {
        let mut command =
            command(root, &["test", "-p", "autograder", "--test", test, "--", filter]);
        command.env(name, value);
        finish(command)?;
    }
    Ok(())
}

/// What comes from strangers, at random, for some minutes; the tests have a short form of it.
pub(crate) fn fuzz(root: &Path) -> Result<(), String> {
    let mut command =
        command(root, &["test", "-p", "common", ALL_FEATURES, "--lib", "--", "fuzz_"]);
    command.env("COMMON_FUZZ_ROUNDS", "1000000");
    finish(command)
}

pub(crate) fn outside(root: &Path) -> Result<(), String> {
    cargo(root, &["test", OUTSIDE, "--locked", "--target-dir", "target/outside"])
}

pub(crate) fn deny(root: &Path, advisories: bool) -> Result<(), String> {
    let asks = cargo_quietly(root, &["deny", "--version"]);
    if !asks {
        return Err("`cargo deny` is not installed; `cargo install cargo-deny --locked`".into());
    }
    cargo(root, &["deny", "check", "bans", "licenses", "sources"])?;
    if advisories {
        return cargo(root, &["deny", "check", "advisories"]);
    }
    println!(
        "advisories NOT checked: their database is fetched over the network; \
         `cargo xtask deny --advisories` asks it"
    );
    Ok(())
}

pub(crate) fn tidy(root: &Path) -> Result<(), String> {
    let findings = tidy::check(root)?;
    match findings.len() {
        0 => Ok(()),
        1 => Err(format!("{}\ntidy: 1 finding", findings[0])),
        n => Err(format!("{}\ntidy: {n} findings", findings.join("\n"))),
    }
}

/// Runs cargo in the workspace; its output goes where ours goes.
pub(crate) fn cargo(root: &Path, args: &[&str]) -> Result<(), String> {
    finish(command(root, args))
}

/// Runs cargo in the workspace, and returns what it prints on standard output.
pub(crate) fn cargo_output(root: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = command(root, args);
    let output = command.stderr(Stdio::inherit()).output();
    let output = judge(&command, output, |output| output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether cargo does this, without a word.
fn cargo_quietly(root: &Path, args: &[&str]) -> bool {
    command(root, args).output().is_ok_and(|output| output.status.success())
}

/// cargo with these arguments, in a folder.
pub(crate) fn command(root: &Path, args: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(args);
    // `cargo run` tells a program about the package it runs; the next cargo is not about that one.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    command
}

pub(crate) fn finish(mut command: Command) -> Result<(), String> {
    let status = command.status();
    judge(&command, status, |status| *status).map(drop)
}

/// What came of a command; an error names the command.
fn judge<T>(
    command: &Command,
    result: io::Result<T>,
    status: impl Fn(&T) -> ExitStatus,
) -> Result<T, String> {
    let words: Vec<_> =
        command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let text = format!("cargo {}", words.join(" "));
    match result {
        Ok(result) if status(&result).success() => Ok(result),
        Ok(result) => Err(format!("`{text}` failed ({})", status(&result))),
        Err(error) => Err(format!("`{text}` could not be started: {error}")),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(_: &Path) -> Result<(), String> {
        Ok(())
    }

    fn bad(_: &Path) -> Result<(), String> {
        Err("broken".into())
    }

    fn never(_: &Path) -> Result<(), String> {
        panic!("a step after one that failed");
    }

    #[test]
    fn the_first_failure_ends_it() {
        let root = Path::new(".");
        assert_eq!(run_steps(root, &[("one", good), ("two", good)]), Ok(()));
        let steps: &[(&str, Step)] = &[("one", good), ("two", bad), ("three", never)];
        let error = run_steps(root, steps).expect_err("it fails");
        assert!(error.starts_with("broken\nci: two failed after 1 of 3 steps"), "{error}");
    }

    #[test]
    fn a_failed_command_is_named() {
        let mut command = command(Path::new("."), &["no-such-chore"]);
        command.stderr(Stdio::null());
        let error = finish(command).expect_err("it fails");
        assert!(error.starts_with("`cargo no-such-chore` failed"), "{error}");
    }
}
