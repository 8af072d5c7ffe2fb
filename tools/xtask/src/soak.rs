//! Every lesson many times while the machine is busy: never a wrong line, never a hang, nothing left behind.

use std::collections::BTreeSet;
use std::fs;
use std::hint;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::steps;
use crate::workspace::Workspace;

/// How many lessons run side by side: most of them sleep most of the time.
const SIDE_BY_SIDE: &str = "--test-threads=16";

/// Runs what the headers of all lessons promise, `rounds` times, beside a busy loop for each processor.
pub(crate) fn soak(root: &Path, rounds: u32, filter: Option<&str>) -> Result<(), String> {
    let workspace = Workspace::read(root)?;
    let mut tests = Vec::new();
    for member in workspace.lesson_crates() {
        tests.push((member.name.as_str(), built(root, &member.name)?));
    }

    let before = objects();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            });
        }
        let result = (1..=rounds).try_for_each(|round| {
            let start = Instant::now();
            for (package, test) in &tests {
                let mut command = Command::new(test);
                command
                    .current_dir(root.join(package))
                    .args(["--quiet", SIDE_BY_SIDE])
                    .args(filter);
                let output = command.output().map_err(|error| error.to_string())?;
                if !output.status.success() {
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    return Err(format!("{text}\nsoak: {package} failed in round {round}"));
                }
            }
            println!("round {round} of {rounds}: ok ({:.0} s)", start.elapsed().as_secs_f64());
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        result
    })?;
    let left: Vec<String> = objects().difference(&before).cloned().collect();
    match left.is_empty() {
        true => Ok(()),
        false => Err(format!("soak: left behind: {}", left.join(", "))),
    }
}

/// The test of a crate that runs its headers. It is built once, whatever else is built meanwhile.
fn built(root: &Path, package: &str) -> Result<PathBuf, String> {
    let arguments = ["test", "-p", package, steps::ALL_FEATURES, "--test", "transcripts"];
    let rest = ["--no-run", "--message-format=json-render-diagnostics"];
    let messages = steps::cargo_output(root, &[&arguments[..], &rest].concat())?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut tests = messages.filter(|message| message["target"]["name"] == "transcripts");
    let path = tests.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    path.ok_or_else(|| format!("{package} has no test `transcripts`"))
}

/// What a program could leave with the kernel: names in /dev/shm and /dev/mqueue, objects of System V.
fn objects() -> BTreeSet<String> {
    let mut objects = BTreeSet::new();
    for folder in ["/dev/shm", "/dev/mqueue"] {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        objects.extend(files.map(|file| file.path().display().to_string()));
    }
    for kind in ["msg", "shm", "sem"] {
        let list = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let ids = list.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
        objects.extend(ids.map(|id| format!("{kind} {id}")));
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_shared_memory_is_an_object() {
        let name = format!("/dev/shm/xtask-test-{}", std::process::id());
        fs::write(&name, "").expect("written");
        let is_seen = objects().contains(&name);
        fs::remove_file(&name).expect("removed");
        assert!(is_seen && !objects().contains(&name));
    }
}
