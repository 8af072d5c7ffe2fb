//! Finds and ends the descendants of this process.
//!
//! A program can lay its children aside: with `setsid` they leave its process group, and when their
//! parent ends they become children of another process. The kernel gives such orphans to the
//! nearest *subreaper* above them, so a process that has called [`adopt_orphans`] remains an
//! ancestor of everything that it ever started, and an empty list of children means that nothing
//! is left.
//!
//! # System calls
//!
//! `prctl(PR_SET_CHILD_SUBREAPER)`, `kill`, `waitpid`; the list of processes is `/proc/*/stat`
//! (proc(5)).

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, process, thread};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::text;

/// How long [`end_all`] tries.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its process id.
    pub pid: i32,
    /// Its name, as `ps` shows it; chosen by the program, and made safe to print.
    pub name: String,
    #[serde(skip)]
    parent: i32,
    #[serde(skip)]
    ended: bool,
}

/// From now on, processes below this one that lose their parent become children of this one.
///
/// # Errors
///
/// What the kernel says; it has no reason to say anything.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// The descendants of this process, at one moment or nearly so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Those that still run or could.
    pub living: Vec<Process>,
    /// Those that have ended and whose exit code nobody has collected yet.
    pub ended: Vec<Process>,
}

/// Counts the descendants of this process.
///
/// Processes that start others while the list is read can be missed. But nothing can hide from two
/// counts in a row: what was missed in the first is alive in the second, or has ended since. So if
/// both find nothing living and the same ended ones, there is nothing.
///
/// # Errors
///
/// If `/proc` cannot be read.
pub fn census() -> io::Result<Census> {
    let all = every_process()?;
    let mut census = Census::default();
    let mut parents = HashSet::from([process::id() as i32]);
    // A child may stand before its parent in the list, hence rounds.
    loop {
        let before = parents.len();
        for process in &all {
            if parents.contains(&process.parent) && parents.insert(process.pid) {
                let list = if process.ended { &mut census.ended } else { &mut census.living };
                list.push(process.clone());
            }
        }
        if parents.len() == before {
            return Ok(census);
        }
    }
}

/// Ends every descendant of this process, and returns when none is left.
///
/// All are stopped first, in rounds until a round finds no new one: a stopped process starts no
/// other. Only then are they killed and their exit codes collected. The work is done when this
/// process has no child any more, dead or alive.
///
/// # Errors
///
/// If `/proc` cannot be read, or something is still there after 20 seconds.
pub fn end_all() -> io::Result<()> {
    let began = Instant::now();
    loop {
        let mut stopped = HashSet::new();
        loop {
            let before = stopped.len();
            // The short look first: a chain, in which each process starts the next and ends, is
            // over before the long one has found its parent in the list.
            for pid in children() {
                stop(pid, &mut stopped);
            }
            for process in census()?.living {
                stop(process.pid, &mut stopped);
            }
            if stopped.len() == before {
                break;
            }
        }
        for pid in stopped {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if no_child_left()? {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let left = census()?.living;
            let message = format!("processes are left that cannot be killed: {left:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        // Dying takes the kernel a moment.
        thread::sleep(Duration::from_millis(1));
    }
}

fn stop(pid: i32, stopped: &mut HashSet<i32>) {
    if stopped.insert(pid) {
        // The answer can only be that it has ended in the meantime.
        let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
    }
}

fn no_child_left() -> io::Result<bool> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return Ok(false),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The children of this process, as far as the kernel tells without reading the whole list.
fn children() -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect()
}

fn every_process() -> io::Result<Vec<Process>> {
    let mut all = vec![];
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // A process that ends between the two steps has no stat any more.
        if let Ok(stat) = fs::read(entry.path().join("stat")) {
            all.extend(parse_stat(&stat));
        }
    }
    Ok(all)
}

/// `1234 (name) S 1200 ...`, where the name may hold anything, parentheses too.
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let opening = stat.iter().position(|&byte| byte == b'(')?;
    let closing = stat.iter().rposition(|&byte| byte == b')')?;
    let pid = str::from_utf8(stat.get(..opening)?).ok()?.trim().parse().ok()?;
    let mut rest = str::from_utf8(stat.get(closing + 1..)?).ok()?.split_whitespace();
    let state = rest.next()?;
    let parent = rest.next()?.parse().ok()?;
    let name = text::clean_line(stat.get(opening + 1..closing)?, 32);
    Some(Process { pid, name, parent, ended: matches!(state, "Z" | "X") })
}

/// Whether a name belongs to a process that is no more: behind the prefix stands its number, and a `-`.
pub(crate) fn owner_has_ended(name: &OsStr, prefix: &str) -> bool {
    let owner = name.to_str().and_then(|name| name.strip_prefix(prefix)?.split_once('-'));
    let owner = owner.and_then(|(number, _)| number.parse::<u32>().ok());
    owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_parent() {
        let process = parse_stat(b"42 (a) R 1 (b) S 17 42 42 0 -1").unwrap();
        assert_eq!((process.pid, process.parent, process.ended), (42, 17, false));
        assert_eq!(process.name, "a) R 1 (b");
    }

    #[test]
    fn a_zombie_has_ended() {
        assert!(parse_stat(b"42 (a) Z 17 42").unwrap().ended);
    }

    #[test]
    fn a_name_tells_whether_its_owner_has_ended() {
        let mut child = process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let has_ended = |name: &str| owner_has_ended(OsStr::new(name), "grade-");
        assert!(has_ended(&format!("grade-{}-x", child.id())));
        for name in [format!("grade-{}-x", process::id()), "grade-x-1".into(), "other".into()] {
            assert!(!has_ended(&name), "{name}");
        }
    }

    #[test]
    fn this_process_is_in_the_list() {
        let own = process::id() as i32;
        assert!(every_process().unwrap().iter().any(|process| process.pid == own));
    }
}
