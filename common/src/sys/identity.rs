//! Which process this is, so that no later one can be taken for it.
//!
//! A process id is given out again. Together with the instant at which the process was started, as the
//! kernel counts it, it is not: an [`Identity`] fits one process only.
//!
//! # System calls
//!
//! `/proc/PID/stat`, see `proc_pid_stat(5)`; `kill(2)` with no signal where there is no `/proc`.

use super::thread;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::cell::Cell;
use std::io;

/// A process, for as long as the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its id; never 0.
    pub(crate) pid: u32,
    /// The lower half of the number of ticks from the machine's start to its own; 0 where nobody tells.
    pub(crate) started: u32,
}

thread_local! {
    /// The epoch in which the answer is right, and the answer.
    static THIS: Cell<(u32, Identity)> =
        const { Cell::new((thread::NO_EPOCH, Identity { pid: 0, started: 0 })) };
}

/// This process.
#[inline]
pub(crate) fn this() -> Identity {
    let (epoch, identity) = THIS.get();
    if thread::is_now(epoch) { identity } else { find() }
}

#[cold]
fn find() -> Identity {
    let pid = std::process::id();
    let identity = Identity { pid, started: stat(pid).map_or(0, |(started, _)| started) };
    THIS.set((thread::epoch(), identity));
    identity
}

/// Whether it runs. One that has ended and that nobody has collected yet does not.
pub(crate) fn is_alive(process: Identity) -> bool {
    match stat(process.pid) {
        Ok((started, has_ended)) => started == process.started && !has_ended,
        Err(error) if is_gone(&error) && process.started != 0 => false,
        // What cannot be asked is taken to run: to think so wrongly costs a wait, the opposite costs data.
        Err(_) => exists(process.pid),
    }
}

fn is_gone(error: &io::Error) -> bool {
    // ESRCH: it ended while its file was read.
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn exists(pid: u32) -> bool {
    kill(Pid::from_raw(pid.cast_signed()), None) != Err(Errno::ESRCH)
}

/// When a process was started, and whether it has ended.
fn stat(pid: u32) -> io::Result<(u32, bool)> {
    let text = std::fs::read(format!("/proc/{pid}/stat"))?;
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Field 3 is the state and field 22 the start; field 2 is a name in parentheses, which may hold anything.
fn parse(text: &[u8]) -> Option<(u32, bool)> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let started: u64 = fields.nth(18)?.parse().ok()?;
    Some((started as u32, matches!(state, "Z" | "X" | "x")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn this_process_runs_and_a_namesake_is_not_it() {
        let me = this();
        assert!(me.started != 0);
        assert_eq!(this(), me);
        assert!(is_alive(me));
        assert!(!is_alive(Identity { started: me.started.wrapping_sub(1), ..me }));
    }

    #[test]
    fn one_that_was_killed_does_not_run_also_before_it_is_collected() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let identity = Identity { pid: child.id(), started: stat(child.id()).unwrap().0 };
        assert!(is_alive(identity));
        child.kill().unwrap();
        while is_alive(identity) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!is_alive(identity));
    }

    #[test]
    fn a_name_may_hold_anything() {
        let line = |name: &str, state: &str| {
            format!("7 ({name}) {state} 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 9 9\n")
        };
        assert_eq!(parse(line("a) Z (b", "S").as_bytes()), Some((4242, false)));
        assert_eq!(parse(line("x", "Z").as_bytes()), Some((4242, true)));
        assert_eq!(parse(b"7 (x) S 1 2"), None);
        assert_eq!(parse(b""), None);
    }
}
