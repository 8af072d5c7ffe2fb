//! A program that runs in a process group of its own, with a limit, and leaves nothing behind.
//!
//! Output goes to files, not pipes: so a process that is left over cannot hold up the reader, and is
//! found by looking for its group. What came is then an [`Assert`] of `assert_cmd`, for the status, the
//! standard error and whatever else a test wants to know.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::assert::{Assert, OutputAssertExt as _};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How often a run is looked at.
const TICK: Duration = Duration::from_millis(2);

/// What a run may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the start to the end of the program.
    pub time: Duration,
    /// From the end of the program to the end of the last process that it started.
    pub leave: Duration,
    /// Bytes on standard output, and as many on standard error.
    pub output: u64,
}

impl Default for Limits {
    /// A minute, two seconds to leave, and a megabyte.
    fn default() -> Limits {
        Limits { time: Duration::from_secs(60), leave: Duration::from_secs(2), output: 1024 * 1024 }
    }
}

/// A program that ran and has ended, as has every process in its group.
#[derive(Debug)]
pub struct Run {
    /// Status and output.
    pub assert: Assert,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
    /// From its start to its end.
    pub elapsed: Duration,
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It was not built.
    #[error(
        "{} does not exist; build it with the features that its lesson names (`--all-features`)",
        .0.display()
    )]
    Missing(PathBuf),
    /// The system refused something.
    #[error("{program} could not be run: {source}")]
    System {
        /// The program's file.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ran too long, and was killed.
    #[error("it was still running after {0:?}, and was killed; what it had printed:\n{1}")]
    TooLong(Duration, String),
    /// It printed too much, and was killed.
    #[error("it printed more than {0} bytes, and was killed")]
    TooMuch(u64),
    /// It ended, and left files in the folder for temporary files.
    #[error("it left temporary files: {0}; what is made there has to be removed")]
    LeftFiles(String),
    /// It ended, but processes that it started did not.
    #[error("it ended, but {0} still ran {1:?} later; every process it starts must end with it")]
    LeftOver(String, Duration),
}

impl Run {
    /// Runs `program` in an empty directory of its own, with another for temporary files, and waits for the
    /// end of its whole group.
    ///
    /// # Errors
    ///
    /// The program is missing, breaks a limit, or leaves a process or a temporary file behind. Then all processes are killed.
    pub fn new(program: &Path, args: &[String], limits: Limits) -> Result<Run, RunError> {
        if !program.is_file() {
            return Err(RunError::Missing(program.to_owned()));
        }
        let system = |source| RunError::System { program: program.display().to_string(), source };
        let place = tempfile::tempdir().map_err(system)?;
        let file = |name: &str| place.path().join(name);
        for folder in ["run", "tmp"] {
            fs::create_dir(file(folder)).map_err(system)?;
        }

        let start = Instant::now();
        let mut child = Command::new(program)
            .args(args)
            .current_dir(file("run"))
            .env("TMPDIR", file("tmp"))
            .stdin(Stdio::null())
            .stdout(File::create(file("stdout")).map_err(system)?)
            .stderr(File::create(file("stderr")).map_err(system)?)
            .process_group(0)
            .spawn()
            .map_err(system)?;
        let group = Group(child.id());

        let printed = |name: &str| fs::metadata(file(name)).map_or(0, |meta| meta.len());
        let text = |name: &str| -> io::Result<Vec<u8>> { fs::read(file(name)) };
        let status = loop {
            if let Some(status) = child.try_wait().map_err(system)? {
                break status;
            }
            let too_much = printed("stdout").max(printed("stderr")) > limits.output;
            let too_long = start.elapsed() > limits.time;
            if too_much || too_long {
                group.kill();
                let _ = child.wait();
            }
            if too_much {
                return Err(RunError::TooMuch(limits.output));
            }
            if too_long {
                let mut printed = text("stdout").map_err(system)?;
                printed.extend(text("stderr").map_err(system)?);
                return Err(RunError::TooLong(limits.time, lossy(&printed)));
            }
            thread::sleep(TICK);
        };
        let elapsed = start.elapsed();

        let end = Instant::now();
        while group.members().is_some() && end.elapsed() < limits.leave {
            thread::sleep(TICK);
        }
        if let Some(members) = group.members() {
            return Err(RunError::LeftOver(members.join(", "), limits.leave));
        }
        if printed("stdout").max(printed("stderr")) > limits.output {
            return Err(RunError::TooMuch(limits.output));
        }
        let left = fs::read_dir(file("tmp")).map_err(system)?.flatten();
        let left: Vec<_> = left.map(|file| file.file_name().display().to_string()).collect();
        if !left.is_empty() {
            return Err(RunError::LeftFiles(left.join(", ")));
        }

        let stdout = text("stdout").map_err(system)?;
        let stderr = text("stderr").map_err(system)?;
        let (out, err) = (lossy(&stdout), lossy(&stderr));
        let assert = Output { status, stdout, stderr }.assert();
        Ok(Run { assert, stdout: out, stderr: err, elapsed })
    }
}

/// Runs the lesson `bin` of this crate, for assertions beyond its header.
///
/// # Panics
///
/// If it is not built, takes over a minute, prints over a megabyte or leaves a process behind.
#[track_caller]
pub fn run(bin: &str, args: &[&str]) -> Assert {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    match Run::new(&binary(bin), &args, Limits::default()) {
        Ok(run) => run.assert,
        Err(error) => panic!("{bin}: {error}"),
    }
}

/// The file of a binary of the crate whose test this is: cargo puts it beside the folder of its tests.
pub(crate) fn binary(bin: &str) -> PathBuf {
    if let Some(named) = std::env::var_os(format!("CARGO_BIN_EXE_{bin}")) {
        return named.into();
    }
    let mut folder = std::env::current_exe().unwrap_or_default();
    folder.pop();
    folder.pop();
    folder.join(bin)
}

/// A process group, by the process that leads it. Dropping it kills what is left of it.
struct Group(u32);

impl Group {
    fn id(&self) -> Pid {
        Pid::from_raw(self.0.cast_signed())
    }

    fn kill(&self) {
        // Its only failure is that nobody is left.
        let _ = killpg(self.id(), Signal::SIGKILL);
    }

    /// Who is left, by number and name. A zombie is not: it waits for a parent, and does nothing.
    fn members(&self) -> Option<Vec<String>> {
        killpg(self.id(), None).ok()?;
        let stats = fs::read_dir("/proc")
            .ok()?
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
        let members: Vec<String> = stats.filter_map(|stat| self.member(&stat)).collect();
        Some(members).filter(|members| !members.is_empty())
    }

    /// The process of a line of `/proc/PID/stat`, if it is in this group: `pid (name) state ppid pgrp`.
    fn member(&self, stat: &str) -> Option<String> {
        let (process, rest) = stat.rsplit_once(") ")?;
        let (pid, name) = process.split_once(" (")?;
        let mut rest = rest.split(' ');
        let (state, group) = (rest.next()?, rest.nth(1)?);
        let lives = state != "Z" && state != "X";
        (lives && group == self.0.to_string()).then(|| format!("process {pid} ({name})"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.members().is_some() {
            self.kill();
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limits: Limits) -> Result<Run, RunError> {
        Run::new(Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], limits)
    }

    fn limits(time: u64, leave: u64) -> Limits {
        let (time, leave) = (Duration::from_millis(time), Duration::from_millis(leave));
        Limits { time, leave, ..Limits::default() }
    }

    /// Whether a process with this number lives.
    fn lives(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
    }

    #[test]
    fn output_status_and_time_are_kept() {
        let run = shell("echo out; echo err >&2; sleep 0.1; exit 3", Limits::default());
        let run = run.expect("it ends");
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("out\n", "err\n"));
        assert!(run.elapsed >= Duration::from_millis(100), "{:?}", run.elapsed);
        run.assert.code(3);
    }

    #[test]
    fn it_runs_in_an_empty_directory() {
        let run = shell("ls -A; mkdir logs", Limits::default()).expect("it ends");
        assert_eq!(run.stdout, "");
        run.assert.success();
    }

    #[test]
    fn one_that_never_ends_is_killed_with_its_children() {
        let error = shell("sleep 1000 & echo $!; wait", limits(300, 300)).expect_err("too long");
        let RunError::TooLong(_, printed) = error else { panic!("{error}") };
        let gone = Instant::now();
        while lives(&printed) {
            assert!(gone.elapsed() < Duration::from_secs(10), "the child of a killed run lives");
            thread::sleep(TICK);
        }
    }

    #[test]
    fn one_that_prints_without_end_is_killed() {
        let error = shell("while :; do echo xxxxxxxxxxxxxxxx; done", Limits::default());
        assert!(matches!(error, Err(RunError::TooMuch(_))), "{error:?}");
    }

    #[test]
    fn a_process_left_behind_is_named() {
        let error = shell("sleep 1000 & echo $!", limits(60_000, 300)).expect_err("left over");
        assert!(error.to_string().contains("(sleep)"), "{error}");
    }

    #[test]
    fn a_temporary_file_left_behind_is_named() {
        let error = shell("touch $TMPDIR/a; touch b", Limits::default()).expect_err("left over");
        assert!(error.to_string().starts_with("it left temporary files: a;"), "{error}");
    }

    #[test]
    fn a_process_that_ends_soon_after_is_waited_for() {
        let run = shell("(sleep 0.3; echo late) & echo early", Limits::default());
        assert_eq!(run.expect("all end").stdout, "early\nlate\n");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Run::new(Path::new("/nonexistent/bin"), &[], Limits::default());
        let error = error.expect_err("missing").to_string();
        assert!(error.starts_with("/nonexistent/bin does not exist"), "{error}");
    }

    #[test]
    fn a_line_of_proc_is_read_by_its_last_bracket() {
        let group = Group(u32::MAX >> 1);
        let stat = format!("12 (a) b) S 1 {} 7 0", group.0);
        assert_eq!(group.member(&stat).as_deref(), Some("process 12 (a) b)"));
        assert_eq!(group.member(&stat.replace(" S ", " Z ")), None);
        assert_eq!(group.member("12 (a) S 1 13 7 0"), None);
    }
}
