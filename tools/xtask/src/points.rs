//! What a point costs while nobody listens: instructions, counted by callgrind.
//!
//! One program that repeats an operation is built twice, with the points and without them
//! (`--cfg common_without_points`), and run with few repetitions and with many. What the many cost more,
//! divided by how many they are, is what one operation takes; the difference between the two builds is
//! the price of its points.

use crate::steps::{BENCH, command, finish};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many instructions a point may take.
const MOST: f64 = 4.0;
/// Two runs differ by a few instructions outside the operation, which count for a fraction of one.
const BLUR: f64 = 0.1;
/// The operations that `tools/bench/src/bin/points.rs` knows, and how many points each passes.
const OPERATIONS: &[(&str, u32)] = &[
    ("event_is_set", 1),
    ("semaphore_value", 1),
    ("lock_try_acquire", 1),
    ("lock_acquire_release", 2),
    ("shared_memory_get", 1),
    ("connection_poll", 1),
];
const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

pub(crate) fn points(root: &Path) -> Result<(), String> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err("valgrind is not installed; `apt-get install valgrind`".into());
    }
    let with = build(root, "")?;
    let without = build(root, "--cfg common_without_points")?;
    println!("{:<22} {:>10} {:>10} {:>10}", "instructions", "without", "with", "a point");
    let mut dear = Vec::new();
    for &(operation, points) in OPERATIONS {
        let (bare, all) = (of_one(&without, operation)?, of_one(&with, operation)?);
        let price = (all - bare) / f64::from(points);
        println!("{operation:<22} {bare:>10.2} {all:>10.2} {price:>10.2}");
        if price > MOST + BLUR {
            dear.push(operation);
        }
    }
    if dear.is_empty() {
        return Ok(());
    }
    Err(format!("a point takes more than {MOST} instructions in {}", dear.join(", ")))
}

/// Builds the program with these flags; where it lies.
fn build(root: &Path, flags: &str) -> Result<PathBuf, String> {
    let target = root.join(if flags.is_empty() { "target/points" } else { "target/no-points" });
    let mut command = command(root, &["build", BENCH, "--release", "--features", "common"]);
    command.args(["--bin", "points", "--target-dir"]).arg(&target).env("RUSTFLAGS", flags);
    finish(command)?;
    Ok(target.join("release/points"))
}

/// How many instructions one operation takes.
fn of_one(program: &Path, operation: &str) -> Result<f64, String> {
    let (few, many) = (count(program, operation, FEW)?, count(program, operation, MANY)?);
    Ok((many as f64 - few as f64) / (MANY - FEW) as f64)
}

/// How many instructions so many repetitions take.
fn count(program: &Path, operation: &str, repetitions: u64) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.arg(operation).arg(repetitions.to_string()).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    collected
        .filter(|_| output.status.success())
        .and_then(|(_, number)| number.trim().parse().ok())
        .ok_or_else(|| format!("valgrind counted nothing for {operation}:\n{text}"))
}
