//! What a tests file is written with, and the program that it becomes.
//!
//! ```
//! use autograder::prelude::*;
//!
//! autograder::tests! { counts_the_primes_up_to_one_hundred }
//!
//! fn counts_the_primes_up_to_one_hundred(program: &Program) {
//!     program.run(["1", "100", "2"]).assert().success().stdout("primes: 25\n");
//! }
//! ```
//!
//! A test passes when its function returns. What else may happen:
//!
//! | in the test | verdict |
//! | --- | --- |
//! | a run reaches the limit of time | TLE: the test ends there |
//! | a run reaches the limit of output | OLE: the test ends there |
//! | a run leaves processes behind | POL: the test ends there |
//! | an assertion fails, after a run that a signal, a panic or an error from `main` ended | RE |
//! | an assertion fails after any other run | WA |
//! | it fails before it has run the program | the test itself is at fault, and so the grader |
//!
//! (A panic ends a Rust program with exit code 101, an error that `main` returns with 1. A program
//! that is to report wrong use should end with another code, such as 2.)
//!
//! A test may run the program several times; the judge as a whole is given the time for four runs
//! at their limit per test, and half a minute besides.
//!
//! Each run takes place in an empty folder of its own, with `PATH`, `HOME` and `TMPDIR` as its only
//! environment.

use std::any::Any;
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Output};
use std::time::{Duration, Instant};
use std::{fs, ops};

use assert_cmd::assert::Assert;
use nix::sys::resource::{Resource, setrlimit};
use serde::{Deserialize, Serialize};

use crate::runner::{self, Limits, Plan, RunError, Stop};
use crate::sandbox::Sandbox;
use crate::verdict::Verdict;
use crate::{order, text};

/// How much of a failed assertion is shown.
const SHOWN: usize = 3000;

/// Lists the tests of a tests file, and makes it a program.
///
/// Each is a `fn(&Program)`.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::judge::main(&[$((stringify!($name), $name)),*])
        }
    };
}

/// One test: it passes when it returns.
pub type Test = fn(&Program);

/// The submission, built and ready to run.
#[derive(Debug)]
pub struct Program {
    program: PathBuf,
    folder: PathBuf,
    limits: Limits,
    caller: io::Stdin,
    runs: Cell<u32>,
    last: Cell<Option<ExitStatus>>,
}

/// One run of the submission that ended by itself, within its limits.
#[derive(Clone, Debug)]
pub struct Run {
    output: Output,
    call: String,
}

impl Program {
    /// Runs the program with these arguments and an empty input.
    ///
    /// If the run reaches a limit or leaves processes behind, the test ends here.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        self.execute(args.into_iter().map(|arg| arg.as_ref().to_os_string()).collect(), None)
    }

    /// The same, with something to read.
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: impl AsRef<[u8]>,
    ) -> Run {
        let args = args.into_iter().map(|arg| arg.as_ref().to_os_string()).collect();
        self.execute(args, Some(input.as_ref().to_vec()))
    }

    fn execute(&self, args: Vec<OsString>, input: Option<Vec<u8>>) -> Run {
        let number = self.runs.get() + 1;
        self.runs.set(number);
        let folder = self.folder.join(format!("run-{number}"));
        let call = args.iter().fold("program".to_string(), |mut call, arg| {
            call.push(' ');
            call.push_str(&text::clean_line(arg.as_encoded_bytes(), 200));
            call
        });
        if let Err(error) = fs::create_dir(&folder) {
            halt(Halt::Fault(format!("cannot create {}: {error}", folder.display())));
        }
        let plan = Plan {
            program: self.program.clone(),
            args,
            env: vec![
                ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
                ("HOME".into(), folder.clone().into()),
                ("TMPDIR".into(), folder.clone().into()),
            ],
            folder: folder.clone(),
            input,
            limits: self.limits,
            sandbox: Sandbox::none(),
        };
        let outcome = runner::run(&plan, Some(self.caller.as_fd()));
        // The whole of it goes with the folder that the grader made, at the latest.
        let _ = fs::remove_dir_all(&folder);
        match outcome {
            Ok(runner::Outcome { stopped: Some(stop), .. }) => halt(Halt::Stopped { stop, call }),
            Ok(outcome) => {
                self.last.set(Some(outcome.status));
                let runner::Outcome { status, stdout, stderr, .. } = outcome;
                Run { output: Output { status, stdout, stderr }, call }
            }
            Err(RunError::Abandoned) => halt(Halt::Abandoned),
            Err(error) => halt(Halt::Fault(error.to_string())),
        }
    }
}

impl Run {
    /// The run, ready for assertions.
    pub fn assert(&self) -> Assert {
        Assert::new(self.output.clone()).append_context("run", self.call.clone())
    }

    /// What the program printed on stdout; bytes that are no UTF-8 are replaced.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What the program printed on stderr; bytes that are no UTF-8 are replaced.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

/// What ends a test from the inside; nobody else can make one.
enum Halt {
    Stopped { stop: Stop, call: String },
    Fault(String),
    Abandoned,
}

fn halt(halt: Halt) -> ! {
    panic::resume_unwind(Box::new(halt))
}

/// What a judge is to do.
#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) program: PathBuf,
    pub(crate) folder: PathBuf,
    /// Everything of this submission, the folder above included.
    pub(crate) work: PathBuf,
    pub(crate) wall_seconds: f64,
    pub(crate) output_bytes: usize,
    pub(crate) tests: Vec<String>,
}

/// What a judge says, one per line.
#[derive(Serialize, Deserialize)]
pub(crate) enum Event {
    Started { test: String },
    Finished { test: String, verdict: Verdict, message: Option<String>, seconds: f64 },
    Fault { message: String },
}

/// The judge's process: takes its task from stdin, runs the tests, answers on stdout. Called by
/// [`tests!`](crate::tests).
pub fn main(tests: &[(&str, Test)]) -> ExitCode {
    panic::set_hook(Box::new(|_| {}));
    match judge(tests) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = order::reply(&Event::Fault { message });
            ExitCode::FAILURE
        }
    }
}

fn judge(tests: &[(&str, Test)]) -> Result<(), String> {
    let task: Task = order::receive().map_err(|error| format!("was given no task: {error}"))?;
    // A crash that a test is about must not fill the disk.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
        .map_err(|errno| format!("cannot set a limit: {errno}"))?;
    let limits = Limits {
        wall: Duration::from_secs_f64(task.wall_seconds),
        output: task.output_bytes,
        ..Limits::default()
    };
    let program = Program {
        program: task.program,
        folder: task.folder,
        limits,
        caller: io::stdin(),
        runs: Cell::new(0),
        last: Cell::new(None),
    };
    for name in task.tests {
        let (_, test) = tests
            .iter()
            .find(|(other, _)| *other == name)
            .ok_or_else(|| format!("has no test called {name}"))?;
        reply(&Event::Started { test: name.clone() })?;
        let began = Instant::now();
        let verdict = examine(*test, &program);
        let seconds = (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let (verdict, message) = match verdict {
            ops::ControlFlow::Continue(finding) => finding,
            ops::ControlFlow::Break(Some(fault)) => {
                return Err(format!("fails in {name}: {fault}"));
            }
            ops::ControlFlow::Break(None) => {
                // The grader is gone: nobody else will remove it now.
                let _ = fs::remove_dir_all(task.work);
                return Ok(());
            }
        };
        reply(&Event::Finished { test: name, verdict, message, seconds })?;
    }
    Ok(())
}

fn reply(event: &Event) -> Result<(), String> {
    order::reply(event).map_err(|error| error.to_string())
}

/// One test: its verdict, or the fault that ends the judge (none if the grader is gone).
fn examine(
    test: Test,
    program: &Program,
) -> ops::ControlFlow<Option<String>, (Verdict, Option<String>)> {
    use ops::ControlFlow::{Break, Continue};
    program.last.set(None);
    let payload = match panic::catch_unwind(AssertUnwindSafe(|| test(program))) {
        Ok(()) => return Continue((Verdict::Ok, None)),
        Err(payload) => payload,
    };
    match payload.downcast::<Halt>() {
        Ok(halt) => match *halt {
            Halt::Abandoned => Break(None),
            Halt::Fault(message) => Break(Some(message)),
            Halt::Stopped { stop, call } => {
                let (verdict, message) = sentence(&stop, program.limits);
                Continue((verdict, Some(format!("{message}\nrun=`{call}`"))))
            }
        },
        Err(payload) => {
            let message = text::without_colours(words_of(payload.as_ref()));
            let message = text::clean(message.as_bytes(), SHOWN);
            let Some(status) = program.last.get() else { return Break(Some(message)) };
            let verdict = match (status.code(), status.signal()) {
                (None, _) | (Some(1 | 101), _) => Verdict::Re,
                _ => Verdict::Wa,
            };
            let message = match status.signal() {
                Some(signal) => format!("the program was ended by signal {signal}\n{message}"),
                None => message,
            };
            Continue((verdict, Some(message)))
        }
    }
}

fn sentence(stop: &Stop, limits: Limits) -> (Verdict, String) {
    match stop {
        Stop::Time => {
            let message = format!(
                "the program was still running after {} seconds and was ended",
                limits.wall.as_secs_f64()
            );
            (Verdict::Tle, message)
        }
        Stop::Cpu => {
            let message = format!(
                "all processes of the program together had used {} seconds of processor time, and \
                 were ended",
                limits.cpu.as_secs_f64()
            );
            (Verdict::Tle, message)
        }
        Stop::Memory => {
            let message = format!(
                "all processes of the program together needed more than {} MiB of memory",
                limits.memory >> 20
            );
            (Verdict::Re, message)
        }
        Stop::Processes => {
            let message = format!(
                "the program tried to have more than {} processes and threads at the same time, \
                 and was ended",
                limits.processes
            );
            (Verdict::Re, message)
        }
        Stop::Output => {
            let message =
                format!("the program printed more than {} bytes and was ended", limits.output);
            (Verdict::Ole, message)
        }
        Stop::Leftovers(left) => {
            let shown =
                left.iter().take(10).map(|process| format!("{} ({})", process.pid, process.name));
            let list = match left.len() {
                0 => "something else holds its output open".to_string(),
                _ => shown.collect::<Vec<_>>().join(", "),
            };
            let message = format!(
                "the program ended, and processes that it had started did not: {list}; \
                 join every child before `main` returns"
            );
            (Verdict::Pol, message)
        }
    }
}

fn words_of(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("the test failed without a word")
}
