//! A program beside the trial, with a family of its own: the same trial again, playing a part.

use crate::trial::LONG;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Says which part a trial plays.
const PART: &str = "COMMON_TRIAL_PART";
/// What a program tells stands behind this.
const TOLD: &str = "told: ";

/// The part that this process plays; `None` in the trial itself.
pub(crate) fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// To be called in a part: tells the trial something.
pub(crate) fn tell(what: impl std::fmt::Display) {
    println!("{TOLD}{what}");
}

/// To be called in a part: waits until the trial says [`Program::go_on`].
pub(crate) fn wait() -> io::Result<()> {
    io::stdin().read_line(&mut String::new()).map(drop)
}

/// A running program. One that is dropped is killed.
pub(crate) struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// The trial of this full name again, in this part.
    pub(crate) fn start(trial: &str, part: &str) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([trial, "--exact", "--test-threads=1"])
            .env(PART, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().map(BufReader::new).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { child, output })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next that it tells.
    pub(crate) fn hear(&mut self) -> io::Result<String> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                let mut errors = String::new();
                if let Some(stderr) = &mut self.child.stderr {
                    stderr.read_to_string(&mut errors)?;
                }
                return Err(io::Error::other(format!("it ended and had said: {errors}")));
            }
            // Something of the harness may stand before it.
            if let Some((_, told)) = line.split_once(TOLD) {
                return Ok(told.trim_end_matches('\n').to_string());
            }
        }
    }

    /// Lets it go on from its [`wait`].
    pub(crate) fn go_on(&mut self) -> io::Result<()> {
        self.say("")
    }

    /// Gives it a line to read.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<()> {
        match &mut self.child.stdin {
            Some(stdin) => stdin.write_all(format!("{line}\n").as_bytes()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(Pid::from_raw(self.pid().cast_signed()), signal)?)
    }

    /// Waits until it has ended, though others of its family may live.
    pub(crate) fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Waits until everyone has ended who holds its standard error, and so its tracker; what was
    /// written there.
    pub(crate) fn errors(mut self) -> io::Result<String> {
        self.child.wait()?;
        let mut errors = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut errors)?;
        }
        Ok(errors)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The trackers that process `pid` has started and that run.
pub(crate) fn trackers_of(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten();
    let stats =
        processes.filter_map(|process| fs::read_to_string(process.ok()?.path().join("stat")).ok());
    let tracker = |stat: String| {
        let (tracker, rest) = stat.split_once(" (tracker) ")?;
        let mut rest = rest.split(' ');
        let (state, parent) = (rest.next()?, rest.next()?);
        (state != "Z" && parent == pid.to_string()).then(|| tracker.parse().ok())?
    };
    stats.filter_map(tracker).collect()
}

/// Whether a process is there that has not ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Kills a process and waits until it has ended.
pub(crate) fn end(pid: u32) -> io::Result<()> {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL)?;
    until(|| !is_alive(pid));
    Ok(())
}

/// Waits for what has to happen.
pub(crate) fn until(happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < LONG, "it does not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether there is a block of this name.
pub(crate) fn exists(name: &str) -> bool {
    Path::new("/dev/shm").join(name).symlink_metadata().is_ok()
}
