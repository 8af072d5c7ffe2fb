//! An order to a helper process, and its answers: both ends.
//!
//! The grader starts a helper (a judge, or itself to build a submission), writes one line of JSON to
//! it and keeps the pipe open. The helper answers with lines of JSON. If the grader ends, however it
//! ends, its side of the pipe closes: the helper sees that in the middle of a run, ends everything
//! that it started, and ends itself. The helper has a process group of its own, so that Ctrl-C
//! reaches it in this way too and not before it can clean up.

use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::tree;

/// How long a helper that was given up may take to clean up by itself.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// More than any helper has to say.
const MAX_ANSWER: usize = 64 << 20;

/// Starts a helper, gives it the order, and hands each of its lines to `answer` until it ends.
///
/// Whatever the outcome, nothing of the helper is left. The error is a phrase that goes on from
/// the helper's name.
pub(crate) fn place(
    command: &mut Command,
    order: &impl Serialize,
    limit: Duration,
    mut answer: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), String> {
    let mut helper = command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("could not be started: {error}"))?;
    let result = converse(&mut helper, order, limit, &mut answer);
    if result.is_ok()
        && let Ok(status) = helper.wait()
    {
        if status.success() {
            return Ok(());
        }
        tree::end_all().map_err(|error| format!("left something behind: {error}"))?;
        return Err(format!("ended with {status}"));
    }
    // Its pipe closes, it cleans up; and then it is made sure of.
    drop(helper.stdin.take());
    if let Some(stdout) = &mut helper.stdout {
        let _ = drain(stdout, Instant::now() + CLEAN_UP, &mut |_| Ok(()));
    }
    tree::end_all().map_err(|error| format!("left something behind: {error}"))?;
    result
}

fn converse(
    helper: &mut Child,
    order: &impl Serialize,
    limit: Duration,
    answer: &mut impl FnMut(&str) -> Result<(), String>,
) -> Result<(), String> {
    let mut line = serde_json::to_vec(order).map_err(|error| error.to_string())?;
    line.push(b'\n');
    let (Some(stdin), Some(stdout)) = (&mut helper.stdin, &mut helper.stdout) else {
        return Err("has no pipes".to_string());
    };
    stdin.write_all(&line).map_err(|error| format!("did not take its order: {error}"))?;
    drain(stdout, Instant::now() + limit, answer)
}

/// Reads lines until the pipe closes.
fn drain(
    pipe: &mut (impl Read + AsFd),
    deadline: Instant,
    answer: &mut impl FnMut(&str) -> Result<(), String>,
) -> Result<(), String> {
    let mut total = 0;
    let mut pending = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("took too long and was ended".to_string());
        }
        let timeout =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(format!("cannot be heard: {errno}")),
        }
        let count = pipe.read(&mut chunk).map_err(|error| format!("cannot be heard: {error}"))?;
        if count == 0 {
            return if pending.is_empty() {
                Ok(())
            } else {
                Err("broke off in mid-sentence".to_string())
            };
        }
        total += count;
        if total > MAX_ANSWER {
            return Err("does not stop talking".to_string());
        }
        pending.extend_from_slice(&chunk[..count]);
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            answer(String::from_utf8_lossy(&line).trim_end())?;
        }
    }
}

/// The helper's end: waits for the order.
pub(crate) fn receive<T: DeserializeOwned>() -> io::Result<T> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// The helper's end: says one thing.
pub(crate) fn reply(answer: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}
