//! Runs one program under limits, and ends everything that it started.
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
//! Whatever decides it, at the end the process group is killed, then every descendant.
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
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::tree;

/// How long processes may outlive the program that started them.
pub const GRACE: Duration = Duration::from_millis(250);

/// How often, within [`GRACE`], the runner looks whether something is left.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What is read or written at once.
const CHUNK: usize = 64 * 1024;

/// What one run may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time on the clock.
    pub wall: Duration,
    /// Bytes on stdout and stderr together.
    pub output: usize,
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program, by its full path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub folder: PathBuf,
    /// What it reads; without it, its stdin is empty.
    pub input: Option<Vec<u8>>,
    /// What it may take.
    pub limits: Limits,
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
}

/// Why a run was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// It reached the limit of time.
    Time,
    /// It reached the limit of output.
    Output,
    /// It ended, and these processes did not.
    Leftovers(Vec<tree::Process>),
}

/// Why a run has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Whoever ordered the run is gone; everything of it was ended.
    #[error("the run was abandoned")]
    Abandoned,
    /// The operating system refused something.
    #[error("cannot run the program: {0}")]
    Io(#[from] io::Error),
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
/// All descendants of the calling process are ended together with the run, since nothing tells
/// them from what the program started. So a process that calls this has no other children, and its
/// runs take place one at a time: a second thread waits.
///
/// # Errors
///
/// [`RunError::Abandoned`] if the other end of `caller` was closed, [`RunError::Io`] if the program
/// cannot be started or its processes cannot be ended.
pub fn run(plan: &Plan, caller: Option<BorrowedFd<'_>>) -> Result<Outcome, RunError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    tree::adopt_orphans()?;
    let began = Instant::now();
    let mut running = Running::start(plan)?;
    let decided = running.watch(plan, began, caller);
    let time = began.elapsed();
    let status = running.end()?;
    let stopped = decided?;
    let Running { stdout, stderr, .. } = &mut running;
    Ok(Outcome {
        status,
        stdout: std::mem::take(&mut stdout.bytes),
        stderr: std::mem::take(&mut stderr.bytes),
        time,
        stopped,
    })
}

struct Running {
    child: Child,
    pid: Pid,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
    exit_notice: PipeReader,
    waiter: Option<JoinHandle<()>>,
    ended: bool,
}

impl Running {
    fn start(plan: &Plan) -> Result<Running, RunError> {
        let (exit_notice, exit_noticed) = io::pipe()?;
        let mut child = Command::new(&plan.program)
            .args(&plan.args)
            .env_clear()
            .envs(plan.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&plan.folder)
            .process_group(0)
            .stdin(if plan.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pid = Pid::from_raw(child.id() as i32);
        let stdout = Capture::new(child.stdout.take());
        let stderr = Capture::new(child.stderr.take());
        let stdin = child.stdin.take();
        let waiter = thread::Builder::new().name("exit notice".to_string()).spawn(move || {
            while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
                == Err(Errno::EINTR)
            {}
            drop(exit_noticed);
        });
        let mut running =
            Running { child, pid, stdin, stdout, stderr, exit_notice, waiter: None, ended: false };
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
        if let Some(stdin) = &self.stdin {
            set_nonblocking(stdin.as_fd())?;
        }
        for capture in [&self.stdout, &self.stderr] {
            if let Some(pipe) = &capture.pipe {
                set_nonblocking(pipe.as_fd())?;
            }
        }
        let mut input = plan.input.as_deref().unwrap_or_default();
        let deadline = began + plan.limits.wall;
        let mut exited: Option<Instant> = None;
        loop {
            if input.is_empty() {
                self.stdin = None;
            }
            let silent = self.stdout.pipe.is_none() && self.stderr.pipe.is_none();
            let now = Instant::now();
            let timeout = match exited {
                Some(moment) => {
                    let (first, second) = (tree::census()?, tree::census()?);
                    let nothing_lives = first.living.is_empty() && first == second;
                    if silent && nothing_lives {
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
            let ready = self.wait(caller, exited.is_some(), timeout)?;
            if ready.caller {
                return Err(RunError::Abandoned);
            }
            if ready.exit && exited.is_none() {
                exited = Some(Instant::now());
            }
            let room = plan.limits.output - self.stdout.bytes.len() - self.stderr.bytes.len();
            let fits = !ready.stdout || self.stdout.read(room)?;
            let room = plan.limits.output - self.stdout.bytes.len() - self.stderr.bytes.len();
            let fits = fits && (!ready.stderr || self.stderr.read(room)?);
            if !fits {
                return Ok(Some(Stop::Output));
            }
            if ready.stdin && !self.feed(&mut input)? {
                input = &[];
            }
        }
    }

    /// Sleeps until one of the pipes has something for us.
    fn wait(
        &self,
        caller: Option<BorrowedFd<'_>>,
        exited: bool,
        timeout: Duration,
    ) -> Result<Ready, RunError> {
        // Rounded up, or the last millisecond before a deadline would be spent spinning.
        let millis = timeout.as_millis().saturating_add(1).min(i32::MAX as u128) as i32;
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        let watched = [
            (caller, PollFlags::empty()),
            ((!exited).then(|| self.exit_notice.as_fd()), PollFlags::POLLIN),
            (self.stdout.pipe.as_ref().map(|pipe| pipe.as_fd()), PollFlags::POLLIN),
            (self.stderr.pipe.as_ref().map(|pipe| pipe.as_fd()), PollFlags::POLLIN),
            (self.stdin.as_ref().map(AsFd::as_fd), PollFlags::POLLOUT),
        ];
        let mut fds: Vec<PollFd<'_>> =
            watched.iter().filter_map(|(fd, events)| Some(PollFd::new((*fd)?, *events))).collect();
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(errno) => return Err(errno.into()),
        }
        let mut answers = fds.iter();
        let mut ready = watched.iter().map(|(fd, _)| {
            fd.is_some() && answers.next().and_then(PollFd::any).is_some_and(|any| any)
        });
        let mut next = || ready.next().unwrap_or(false);
        Ok(Ready { caller: next(), exit: next(), stdout: next(), stderr: next(), stdin: next() })
    }

    /// Writes what the pipe takes; `false` when the program does not want any more.
    fn feed(&mut self, input: &mut &[u8]) -> io::Result<bool> {
        let Some(stdin) = &mut self.stdin else { return Ok(false) };
        match stdin.write(&input[..input.len().min(CHUNK)]) {
            Ok(written) => {
                *input = &input[written..];
                Ok(true)
            }
            Err(error) if is_temporary(&error) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error),
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

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.end();
        }
    }
}

#[derive(Default)]
struct Ready {
    caller: bool,
    exit: bool,
    stdout: bool,
    stderr: bool,
    stdin: bool,
}

/// One output pipe, and what came through it.
struct Capture {
    pipe: Option<Box<dyn Source>>,
    bytes: Vec<u8>,
}

trait Source: Read + AsFd + Send {}

impl<T: Read + AsFd + Send> Source for T {}

impl Capture {
    fn new(pipe: Option<impl Source + 'static>) -> Capture {
        let pipe = pipe.map(|pipe| Box::new(pipe) as Box<dyn Source>);
        Capture { pipe, bytes: Vec::new() }
    }

    /// Reads what is there; `false` if it is more than `room`.
    fn read(&mut self, room: usize) -> io::Result<bool> {
        let Some(pipe) = &mut self.pipe else { return Ok(true) };
        let mut chunk = [0; CHUNK];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                self.bytes.extend_from_slice(&chunk[..count.min(room)]);
                return Ok(count <= room);
            }
            Err(error) if is_temporary(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(true)
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

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
