//! What a tests file is written with, and the program that it becomes.
//!
//! ```
//! use autograder::prelude::*;
//!
//! autograder::tests! { counts_the_primes_up_to_one_hundred, four_workers_share_the_work }
//!
//! fn counts_the_primes_up_to_one_hundred(program: &Program) {
//!     program.run(["1", "100", "2"]).assert().success().stdout("primes: 25\n");
//! }
//!
//! fn four_workers_share_the_work(program: &Program) {
//!     let run = program.run(["1", "3000000", "4"]);
//!     run.assert().success().stdout("primes: 216816\n");
//!     run.processes()
//!         .created(at_least(4))
//!         .ran_together(4).for_at_least(share_of_work(0.25))
//!         .worked_by_children(at_least(0.8));
//! }
//! ```
//!
//! A test passes when its function returns. What else may happen:
//!
//! | in the test | verdict |
//! | --- | --- |
//! | a run reaches the limit of time, on the clock or on processors | TLE: the test ends there |
//! | a run reaches the limit of memory | MLE: the test ends there |
//! | a run reaches the limit of output | OLE: the test ends there |
//! | a run reaches the limit of processes | PLE: the test ends there |
//! | a run leaves processes behind, or shared memory, semaphores, queues, sockets | POL: the test ends there |
//! | an assertion fails, after a run that a signal, a panic or an error from `main` ended | RE |
//! | an assertion fails after any other run | WA |
//! | it fails before it has run the program | the test itself is at fault, and so the grader |
//!
//! (A panic ends a Rust program with exit code 101, an error that `main` returns with 1. A program
//! that is to report wrong use should end with another code, such as 2.)
//!
//! A test may run the program several times. One that depends on who comes first says in `assignment.toml`
//! how often it is repeated, and how often it has to pass: each time with another seed, and every second
//! time on a single processor. The judge as a whole is given the time for four runs
//! at their limit for each time, and half a minute besides.
//!
//! Each run takes place in a sandbox and an empty folder of its own, with `PATH`, `HOME`, `TMPDIR` and
//! `COMMON_WAITS` as its only environment. An observer stands beside it ([`evidence`](crate::evidence)), and
//! if it has to be stopped because its time is up, its author reads who waited for whom
//! ([`explain`]).

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

use crate::evidence::left::Kind;
use crate::evidence::{Evidence, Leftover, Observer, Processes, Source};
use crate::runner::{self, Limits, Plan, RunError, Stop, Watcher};
use crate::sandbox::{Sandbox, Tier, Used};
use crate::verdict::Verdict;
use crate::{explain, order, text};

/// How much of a failed assertion is shown.
const SHOWN: usize = 3000;

/// How long the processes of a run are looked at before they are killed: the run must not outlive its limit
/// by much.
const LOOK: Duration = Duration::from_millis(60);

/// How many names of what was left are shown.
const NAMES: usize = 10;

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
    sandbox: Sandbox,
    /// From which its inputs are made.
    seed: Cell<u64>,
    processors: Cell<Option<u32>>,
    caller: io::Stdin,
    runs: Cell<u32>,
    last: Cell<Option<ExitStatus>>,
    source: Cell<Option<Source>>,
}

/// One run of the submission that ended by itself, within its limits.
#[derive(Clone, Debug)]
pub struct Run {
    output: Output,
    call: String,
    evidence: Result<Evidence, String>,
    used: Option<Used>,
    left: Vec<Leftover>,
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

    /// Where the inputs of this test come from: it is another one for each student, and each time that the
    /// test is repeated, and the same whenever the same student's submission is graded.
    pub fn seed(&self) -> u64 {
        self.seed.get()
    }

    /// A generator of random numbers that begins at the [seed](Program::seed).
    ///
    /// ```
    /// # use autograder::prelude::*;
    /// fn adds_what_it_is_given(program: &Program) {
    ///     let mut random = program.random();
    ///     let (a, b) = (random.u32(1..1000), random.u32(1..1000));
    ///     let sum = program.run([a.to_string(), b.to_string()]);
    ///     sum.assert().success().stdout(format!("{}\n", a + b));
    /// }
    /// ```
    pub fn random(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed())
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
                (explain::NOTES.into(), "1".into()),
            ],
            folder: folder.clone(),
            input,
            limits: Limits { processors: self.processors.get(), ..self.limits },
            sandbox: self.sandbox.clone(),
        };
        let mut witness = Witness::new(self.sandbox.tier);
        let outcome = runner::run_watched(&plan, Some(self.caller.as_fd()), &mut witness);
        // The whole of it goes with the folder that the grader made, at the latest.
        let _ = fs::remove_dir_all(&folder);
        let Witness { observer, explanation, .. } = witness;
        let evidence = observer.map(Observer::finish);
        self.source.set(evidence.as_ref().ok().map(|evidence| evidence.source));
        match outcome {
            Ok(runner::Outcome { stopped: Some(stop), .. }) => {
                halt(Halt::Stopped { stop, call, explanation })
            }
            Ok(outcome) => {
                self.last.set(Some(outcome.status));
                let runner::Outcome { status, stdout, stderr, used, traces, .. } = outcome;
                // Programs write files, and may; all else that has a name has to be removed by its owner.
                let (left, named): (Vec<_>, Vec<_>) =
                    traces.into_iter().partition(|trace| trace.kind == Kind::File);
                if !named.is_empty() {
                    halt(Halt::Left { named, call });
                }
                Run { output: Output { status, stdout, stderr }, call, evidence, used, left }
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

    /// Its processes, ready for assertions: how many there were, how many could run at the same time, how
    /// the work was shared out. See [`evidence::predicates`](crate::evidence::predicates).
    pub fn processes(&self) -> Processes<'_> {
        self.evidence().processes()
    }

    /// All that is known about its processes.
    pub fn evidence(&self) -> &Evidence {
        match &self.evidence {
            Ok(evidence) => evidence,
            Err(reason) => halt(Halt::Fault(format!("nothing is known of processes: {reason}"))),
        }
    }

    /// What it took, where a sandbox counts.
    pub fn used(&self) -> Option<Used> {
        self.used
    }

    /// The files that it left in its folder; only the full tier looks.
    pub fn left(&self) -> &[Leftover] {
        &self.left
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

/// Who stands beside a run.
struct Witness {
    tier: Tier,
    observer: Result<Observer, String>,
    explanation: Vec<String>,
}

impl Witness {
    fn new(tier: Tier) -> Witness {
        Witness { tier, observer: Err("the run did not begin".to_string()), explanation: vec![] }
    }
}

impl Watcher for Witness {
    fn launched(&mut self, process: u32) {
        self.observer = Observer::attach(process).map_err(|error| error.to_string());
    }

    fn stopping(&mut self, root: i32, stop: &Stop) {
        if *stop == Stop::Time {
            // In a sandbox, the root is the grader's own.
            let snapshot = match self.tier {
                Tier::None => explain::look(root, LOOK),
                _ => explain::look_below(root, LOOK),
            };
            self.explanation = snapshot.explain().lines(false);
        }
    }
}

/// What ends a test from the inside; nobody else can make one.
enum Halt {
    Stopped { stop: Stop, call: String, explanation: Vec<String> },
    Left { named: Vec<Leftover>, call: String },
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
    pub(crate) limits: Limits,
    pub(crate) sandbox: Sandbox,
    pub(crate) tests: Vec<Errand>,
}

/// A test that is to be run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Errand {
    pub(crate) name: String,
    /// One for each time that it runs.
    pub(crate) seeds: Vec<u64>,
    /// How often it has to pass.
    pub(crate) passes: u32,
}

/// What a judge says, one per line.
#[derive(Serialize, Deserialize)]
pub(crate) enum Event {
    Started {
        test: String,
    },
    Finished {
        test: String,
        verdict: Verdict,
        message: Option<String>,
        seconds: f64,
        /// How its last run was observed.
        source: Option<Source>,
    },
    Fault {
        message: String,
    },
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
    let program = Program {
        program: task.program,
        folder: task.folder,
        limits: task.limits,
        seed: Cell::new(0),
        processors: Cell::new(None),
        sandbox: task.sandbox,
        caller: io::stdin(),
        runs: Cell::new(0),
        last: Cell::new(None),
        source: Cell::new(None),
    };
    // If nobody hears it, the grader is gone between two runs.
    let tell = |event: Event| reply(&event).inspect_err(|_| drop(fs::remove_dir_all(&task.work)));
    for errand in task.tests {
        let name = &errand.name;
        let (_, test) = tests
            .iter()
            .find(|(other, _)| other == name)
            .ok_or_else(|| format!("has no test called {name}"))?;
        tell(Event::Started { test: name.clone() })?;
        let began = Instant::now();
        let verdict = repeat(*test, &program, &errand);
        let seconds = (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let (verdict, message) = match verdict {
            ops::ControlFlow::Continue(finding) => finding,
            ops::ControlFlow::Break(Some(fault)) => {
                return Err(format!("fails in {name}: {fault}"));
            }
            ops::ControlFlow::Break(None) => {
                // The grader is gone: nobody else will remove it now.
                let _ = fs::remove_dir_all(&task.work);
                return Ok(());
            }
        };
        let source = program.source.take();
        tell(Event::Finished { test: errand.name, verdict, message, seconds, source })?;
    }
    Ok(())
}

/// A test, as often as it takes: its verdict, or the fault that ends the judge.
fn repeat(
    test: Test,
    program: &Program,
    errand: &Errand,
) -> ops::ControlFlow<Option<String>, (Verdict, Option<String>)> {
    let (repeats, mut passed, mut failed) = (errand.seeds.len() as u32, 0, 0);
    let mut first = None;
    for (number, &seed) in errand.seeds.iter().enumerate() {
        program.seed.set(seed);
        program.processors.set((number % 2 == 1).then_some(1));
        match examine(test, program)? {
            (Verdict::Ok, _) => passed += 1,
            failure => {
                failed += 1;
                first.get_or_insert((number + 1, failure));
            }
        }
        // The rest cannot change it.
        if passed >= errand.passes || failed > repeats - errand.passes {
            break;
        }
    }
    let finding = match first {
        Some((_, finding)) if passed < errand.passes && repeats == 1 => finding,
        Some((number, (verdict, message))) if passed < errand.passes => {
            let place = if number % 2 == 0 { ", on a single processor" } else { "" };
            let message = format!(
                "it passed {passed} of {} times, and has to pass {} of {repeats}; it failed first at \
                 time {number}{place}:\n{}",
                passed + failed,
                errand.passes,
                message.unwrap_or_default()
            );
            (verdict, Some(message))
        }
        _ => (Verdict::Ok, None),
    };
    ops::ControlFlow::Continue(finding)
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
            Halt::Stopped { stop, call, explanation } => {
                let (verdict, message) = sentence(&stop, program.limits);
                let lines = explanation.iter().map(|line| format!("{line}\n")).collect::<String>();
                Continue((verdict, Some(format!("{message}\n{lines}run=`{call}`"))))
            }
            Halt::Left { named, call } => {
                let shown = named.iter().take(NAMES).map(|trace| format!("{trace}\n"));
                let list = shown.collect::<String>();
                let message = "the program ended, and what it had made was still there:";
                Continue((Verdict::Pol, Some(format!("{message}\n{list}run=`{call}`"))))
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
                "the program was still running after {} and was ended",
                seconds(limits.wall)
            );
            (Verdict::Tle, message)
        }
        Stop::Cpu => {
            let message = format!(
                "all processes of the program together had used {} of processor time, and were ended",
                seconds(limits.cpu)
            );
            (Verdict::Tle, message)
        }
        Stop::Memory => {
            let message = format!(
                "all processes of the program together needed more than {} MiB of memory",
                limits.memory >> 20
            );
            (Verdict::Mle, message)
        }
        Stop::Processes => {
            let message = format!(
                "the program tried to have more than {} processes and threads at the same time, \
                 and was ended",
                limits.processes
            );
            (Verdict::Ple, message)
        }
        Stop::Output => {
            let message =
                format!("the program printed more than {} bytes and was ended", limits.output);
            (Verdict::Ole, message)
        }
        Stop::Leftovers(left) => {
            let shown = left
                .iter()
                .take(NAMES)
                .map(|process| format!("{} ({})", process.pid, process.name));
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

/// As in `1 second`, `4 seconds`.
fn seconds(time: Duration) -> String {
    let number = time.as_secs_f64();
    format!("{number} second{}", if time == Duration::from_secs(1) { "" } else { "s" })
}

fn words_of(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("the test failed without a word")
}
