//! Runs one program under limits, and ends everything that it started.
//!
//! In a [`Sandbox`], a launcher does most of the work (see [`sandbox`]). This file runs a program
//! without one, as its own author does.
//!
//! The program gets a process group of its own, its input through a pipe, and two pipes for its
//! output. One loop over `poll` then serves all of them until something decides the run:
//!
//! | what happens | how the run ends |
//! | --- | --- |
//! | the program exits, its pipes close and nothing of it is left | by itself |
//! | the program exits, and after [`GRACE`] something is left | [`Stop::Leftovers`] |
//! | the clock passes the limit | [`Stop::Time`] |
//! | it has printed more than the limit | [`Stop::Output`], at once: memory stays bounded |
//! | whoever ordered the run is gone | [`RunError::Abandoned`] |
//!
//! Whatever decides it, at the end the process group is killed, then every descendant. The limits on
//! CPU time, memory, processes and files are those of the sandbox; nothing enforces them here.
//!
//! # How a program is held
//!
//! Whoever watches has to be there before the program's first instruction. So what is started is the
//! grader's own program with its command [`HOLD`](sandbox::HOLD): it stops itself, and becomes the program
//! when it is told to go on.
//!
//! # Why a thread waits for the exit
//!
//! The process id must stay taken until the group has been killed, or the signal could hit a
//! stranger. The thread waits with `WNOWAIT`, which leaves the zombie in place, and then closes a
//! pipe that wakes the loop.
//!
//! # System calls
//!
//! `poll`, `waitid`, `killpg`, `fcntl(F_SETFL)`; and those of [`tree`].

use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::evidence::left::Leftover;
use crate::pipes::Pipes;
use crate::sandbox::{self, Sandbox, Tier, Used};
use crate::tree;

/// How long processes may outlive the program that started them.
pub const GRACE: Duration = Duration::from_millis(250);

/// How often, within [`GRACE`], the runner looks whether something is left.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What one run may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time on the clock.
    pub wall: Duration,
    /// Bytes on stdout and stderr together.
    pub output: usize,
    /// CPU time of all processes together.
    pub cpu: Duration,
    /// Bytes of memory of all processes together, files in memory included.
    pub memory: u64,
    /// Processes and threads at the same time.
    pub processes: u32,
    /// Bytes of one file.
    pub file_size: u64,
    /// Open files of one process.
    pub files: u32,
    /// Processors to run on; all that there are, if it does not say.
    pub processors: Option<u32>,
}

impl Default for Limits {
    /// Enough for any program of the course.
    fn default() -> Limits {
        Limits {
            wall: Duration::from_secs(10),
            output: 1 << 20,
            cpu: Duration::from_secs(60),
            memory: 2 << 30,
            processes: 48,
            file_size: 64 << 20,
            files: 256,
            processors: None,
        }
    }
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program, by its full path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment; in a sandbox, `HOME` and `TMPDIR` lead to folders of the sandbox.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory; in a sandbox, it has an empty one there instead.
    pub folder: PathBuf,
    /// What it reads; without it, its stdin is empty.
    pub input: Option<Vec<u8>>,
    /// What it may take.
    pub limits: Limits,
    /// Where it runs.
    pub sandbox: Sandbox,
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How the program itself ended; by SIGKILL if it was stopped before.
    pub status: ExitStatus,
    /// What it printed on stdout, up to the limit.
    pub stdout: Vec<u8>,
    /// What it printed on stderr, up to the limit.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub time: Duration,
    /// Why it was stopped, if it was.
    pub stopped: Option<Stop>,
    /// What it took; only a sandbox counts.
    pub used: Option<Used>,
    /// What is left of it that is no process, as names in shared memory; only the full tier looks.
    pub traces: Vec<Leftover>,
}

/// Why a run was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// It reached the limit of time.
    Time,
    /// All its processes together reached the limit of CPU time.
    Cpu,
    /// It reached the limit of output.
    Output,
    /// All its processes together reached the limit of memory.
    Memory,
    /// It tried to have more processes and threads than it may.
    Processes,
    /// It ended, and these processes did not.
    Leftovers(Vec<tree::Process>),
}

/// Whoever wants to look at a run while it lasts.
pub trait Watcher {
    /// The process exists that will become the program or start it, and does nothing yet.
    fn launched(&mut self, process: u32) {
        let _ = process;
    }

    /// The run is about to be stopped for its time or output: everything below this process is still
    /// there, and itself is either the program or the one that has started it. What the launcher
    /// watches (CPU time, memory, processes) it stops by itself, without a word before.
    fn stopping(&mut self, root: i32, stop: &Stop) {
        let _ = (root, stop);
    }
}

/// Nobody looks.
#[derive(Clone, Copy, Debug)]
struct Unwatched;

impl Watcher for Unwatched {}

/// Why a run has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Whoever ordered the run is gone; everything of it was ended.
    #[error("the run was abandoned")]
    Abandoned,
    /// The operating system refused something.
    #[error("cannot run the program: {0}")]
    Io(#[from] io::Error),
    /// There is no sandbox to run it in.
    #[error("the sandbox cannot be built: {0}")]
    Sandbox(#[from] sandbox::Fault),
}

impl From<Errno> for RunError {
    fn from(errno: Errno) -> RunError {
        RunError::Io(errno.into())
    }
}

/// Runs a program to its end, or to the end of its limits.
///
/// `caller` is a pipe whose other end belongs to whoever ordered the run: when that end closes, the
/// run is abandoned.
///
/// Outside the full tier, all descendants of the calling process are ended together with the run,
/// since nothing tells them from what the program started. So a process that calls this has no other
/// children, and such runs take place one at a time: a second thread waits. In the full tier, a run
/// has nothing to do with others.
///
/// # Errors
///
/// [`RunError::Abandoned`] if the other end of `caller` was closed, [`RunError::Sandbox`] if the
/// sandbox cannot be built, [`RunError::Io`] if the program cannot be started or its processes cannot
/// be ended.
pub fn run(plan: &Plan, caller: Option<BorrowedFd<'_>>) -> Result<Outcome, RunError> {
    run_watched(plan, caller, &mut Unwatched)
}

/// The same, with someone who looks.
///
/// # Errors
///
/// As for [`run`].
pub fn run_watched(
    plan: &Plan,
    caller: Option<BorrowedFd<'_>>,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, RunError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if plan.sandbox.tier == Tier::Full {
        return sandbox::session::run(plan, caller, watcher);
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    tree::adopt_orphans()?;
    match plan.sandbox.tier {
        Tier::None => run_unconfined(plan, caller, watcher),
        _ => sandbox::session::run(plan, caller, watcher),
    }
}

fn run_unconfined(
    plan: &Plan,
    caller: Option<BorrowedFd<'_>>,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, RunError> {
    let mut running = Running::start(plan)?;
    if running.is_held {
        sandbox::await_stop(running.pid);
    }
    watcher.launched(running.child.id());
    let began = Instant::now();
    if running.is_held {
        kill(running.pid, Signal::SIGCONT)?;
    }
    let decided = running.watch(plan, began, caller);
    if let Ok(Some(stop)) = &decided {
        watcher.stopping(running.pid.as_raw(), stop);
    }
    let time = began.elapsed();
    let status = running.end()?;
    let stopped = decided?;
    Ok(Outcome {
        status,
        stdout: running.pipes.take_stdout(),
        stderr: running.pipes.take_stderr(),
        time,
        stopped,
        used: None,
        traces: vec![],
    })
}

struct Running<'a> {
    child: Child,
    pid: Pid,
    pipes: Pipes<'a>,
    exit_notice: PipeReader,
    waiter: Option<JoinHandle<()>>,
    /// Whether it waits to be told to become the program.
    is_held: bool,
    ended: bool,
}

impl Running<'_> {
    fn start(plan: &Plan) -> Result<Running<'_>, RunError> {
        let (pipes, ends) = Pipes::new(plan.input.as_deref(), plan.limits.output)?;
        let (exit_notice, exit_noticed) = io::pipe()?;
        let holder = &plan.sandbox.launcher;
        let is_held = !holder.as_os_str().is_empty();
        let mut command = Command::new(if is_held { holder } else { &plan.program });
        if is_held {
            command.arg(sandbox::HOLD).arg(&plan.program);
            if let Some(count) = plan.limits.processors {
                command.args(["--processors", &count.to_string()]);
            }
            command.arg("--");
        } else {
            command.arg0("program");
        }
        command
            .args(&plan.args)
            .env_clear()
            .envs(plan.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&plan.folder)
            .process_group(0)
            .stdin(ends.stdin)
            .stdout(ends.stdout)
            .stderr(ends.stderr);
        let child = command.spawn()?;
        // The program's ends of the pipes: while we hold copies, they never close.
        drop(command);
        let pid = Pid::from_raw(child.id() as i32);
        let waiter = thread::Builder::new().name("exit notice".to_string()).spawn(move || {
            while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
                == Err(Errno::EINTR)
            {}
            drop(exit_noticed);
        });
        let mut running =
            Running { child, pid, pipes, exit_notice, waiter: None, is_held, ended: false };
        running.waiter = Some(waiter?);
        Ok(running)
    }

    /// Serves the pipes until something decides the run.
    fn watch(
        &mut self,
        plan: &Plan,
        began: Instant,
        caller: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Stop>, RunError> {
        let deadline = began + plan.limits.wall;
        let mut exited: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let timeout = match exited {
                Some(moment) => {
                    let (first, second) = (tree::census()?, tree::census()?);
                    let nothing_lives = first.living.is_empty() && first == second;
                    if self.pipes.silent() && nothing_lives {
                        return Ok(None);
                    }
                    if now >= moment + GRACE {
                        return Ok(Some(Stop::Leftovers(leftovers(first, second))));
                    }
                    LOOK_AGAIN
                }
                None if now >= deadline => return Ok(Some(Stop::Time)),
                None => deadline - now,
            };
            let exit_notice = exited.is_none().then(|| self.exit_notice.as_fd());
            let [called, noticed] = self.pipes.serve(
                [
                    caller.map(|fd| (fd, PollFlags::empty())),
                    exit_notice.map(|fd| (fd, PollFlags::POLLIN)),
                ],
                timeout,
            )?;
            if called {
                return Err(RunError::Abandoned);
            }
            if noticed {
                exited = Some(Instant::now());
            }
            if self.pipes.overflowed() {
                return Ok(Some(Stop::Output));
            }
        }
    }

    /// Kills the group while its id is still taken, collects the program, then ends the rest.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.ended = true;
        // Both only fail when there is nothing to kill; the program may have changed its group.
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = kill(self.pid, Signal::SIGKILL);
        if let Some(waiter) = self.waiter.take() {
            let _ = waiter.join();
        }
        let status = self.child.wait();
        tree::end_all()?;
        status
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.end();
        }
    }
}

/// What lived at one of two moments, the second included: see [`tree::census`].
fn leftovers(first: tree::Census, second: tree::Census) -> Vec<tree::Process> {
    let mut left = second.living;
    let since = second.ended.into_iter().filter(|process| !first.ended.contains(process));
    for process in first.living.into_iter().chain(since) {
        if !left.iter().any(|other| other.pid == process.pid) {
            left.push(process);
        }
    }
    left
}
