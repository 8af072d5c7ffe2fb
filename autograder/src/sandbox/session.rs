//! The grader's end of a run in a sandbox.
//!
//! | what happens | how the run ends |
//! | --- | --- |
//! | the program ends, and nothing of it is left | by itself |
//! | the program ends, and after a moment something is left | [`Stop::Leftovers`] |
//! | the clock passes the limit | [`Stop::Time`] |
//! | it has printed more than the limit | [`Stop::Output`], at once |
//! | all its processes have taken more than a limit together | the launcher says which |
//! | whoever ordered the run is gone | [`RunError::Abandoned`] |
//!
//! Whatever decides it, the launcher then ends everything, and says when that is done.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::launch::{OwnFolder, remove_own};
use super::plan::{Answer, Caps, Fault, Hit, InStep, Lines, Order, Step, tell};
use super::{Accounting, LAUNCH, Sandbox, Tier, Tool, Used, cgroup, sample};
use crate::evidence::left::Leftover;
use crate::pipes::{Ends, Pipes};
use crate::runner::{GRACE, Limits, Outcome, Plan, RunError, Stop, Watcher};
use crate::tree;

/// How long a sandbox may take to be built, and to be ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much later than the moment that what is left has, the launcher may say that it is over.
const MARGIN: Duration = Duration::from_millis(50);

/// How long what was left of a sandbox whose launcher was killed may take to be gone.
const LAST: Duration = Duration::from_secs(5);

/// Runs a program in its sandbox.
pub(crate) fn run(
    plan: &Plan,
    caller: Option<BorrowedFd<'_>>,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, RunError> {
    let (pipes, ends) = Pipes::new(plan.input.as_deref(), plan.limits.output)?;
    let order = Order {
        tier: plan.sandbox.tier,
        program: Some(plan.program.as_os_str().as_bytes().to_vec()),
        args: plan.args.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
        env: plan
            .env
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect(),
        caps: caps(&plan.limits, plan.sandbox.tool.as_ref()),
        group: cgroup::fresh_name(),
        use_groups: plan.sandbox.use_groups,
        tool: plan.sandbox.tool.clone(),
    };
    let mut session = Session::start(&plan.sandbox, order, pipes, ends, watcher)?;
    let decided = session.watch(plan.limits.wall, caller);
    session.end(decided, watcher)
}

/// What a sandbox turned out to have.
pub(super) struct Attempt {
    pub(super) accounting: Accounting,
    pub(super) landlock: bool,
}

/// Builds a sandbox with nothing in it.
pub(super) fn attempt(sandbox: &Sandbox) -> Result<Attempt, Fault> {
    let limits = Limits::default();
    let order = Order {
        tier: sandbox.tier,
        program: None,
        args: vec![],
        env: vec![],
        caps: caps(&limits, None),
        group: cgroup::fresh_name(),
        use_groups: sandbox.use_groups,
        tool: None,
    };
    let fault = |error: RunError| match error {
        RunError::Sandbox(fault) => fault,
        error => Fault { step: Step::Launcher, message: error.to_string() },
    };
    let (pipes, ends) = Pipes::new(None, limits.output).map_err(|error| fault(error.into()))?;
    let mut session =
        Session::start(sandbox, order, pipes, ends, &mut NobodyWatches).map_err(fault)?;
    let decided = session.watch(limits.wall, None);
    let ready = session.ready.take();
    session.end(decided, &mut NobodyWatches).map_err(fault)?;
    ready.ok_or_else(silent)
}

struct NobodyWatches;

impl Watcher for NobodyWatches {}

fn caps(limits: &Limits, tool: Option<&Tool>) -> Caps {
    Caps {
        // A tool waits for what it starts: one process at a time takes memory.
        sharers: if tool.is_some() { 1 } else { limits.processes },
        cpu: limits.cpu,
        memory: limits.memory,
        processes: limits.processes,
        file_size: limits.file_size,
        files: limits.files,
        processors: limits.processors,
    }
}

struct Session<'a> {
    tier: Tier,
    launcher: Child,
    socket: UnixStream,
    lines: Lines,
    pipes: Pipes<'a>,
    /// How its control groups and its folder are called.
    name: String,
    ready: Option<Attempt>,
    /// Process 1, once it is known.
    root: Option<i32>,
    /// When the launcher said something new for the last time.
    heard: Instant,
    began: Option<Instant>,
    time: Option<Duration>,
    status: Option<i32>,
    over: Option<Over>,
    ended: bool,
}

/// The launcher's last word.
struct Over {
    hit: Option<Hit>,
    left: Option<Vec<tree::Process>>,
    traces: Vec<Leftover>,
    used: Used,
}

impl<'a> Session<'a> {
    fn start(
        sandbox: &Sandbox,
        order: Order,
        pipes: Pipes<'a>,
        ends: Ends,
        watcher: &mut dyn Watcher,
    ) -> Result<Session<'a>, RunError> {
        let (socket, theirs) = UnixStream::pair().doing(Step::Launcher, "a socket")?;
        let mut command = Command::new(&sandbox.launcher);
        command
            .arg(LAUNCH)
            .env_clear()
            // Where the folder of a run is, if it has one.
            .envs(std::env::var_os("TMPDIR").map(|folder| ("TMPDIR", folder)))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::null());
        let launcher = command
            .spawn()
            .doing(Step::Launcher, &format!("starting {}", sandbox.launcher.display()))?;
        // Its end of the socket; as long as we hold a copy, we would not see it go.
        drop(command);
        let mut session = Session {
            tier: sandbox.tier,
            launcher,
            socket,
            lines: Lines::default(),
            pipes,
            name: order.group.clone(),
            ready: None,
            root: None,
            heard: Instant::now(),
            began: None,
            time: None,
            status: None,
            over: None,
            ended: false,
        };
        watcher.launched(session.launcher.id());
        session.place(&order, ends).doing(Step::Launcher, "giving it its order")?;
        Ok(session)
    }

    fn place(&mut self, order: &Order, ends: Ends) -> io::Result<()> {
        let mut line = vec![];
        tell(&mut line, order)?;
        let product = match &order.tool {
            Some(tool) => Some(new_program(&tool.product.1)?),
            None => None,
        };
        let mut descriptors = vec![
            ends.stdin.as_fd().as_raw_fd(),
            ends.stdout.as_fd().as_raw_fd(),
            ends.stderr.as_fd().as_raw_fd(),
        ];
        descriptors.extend(product.as_ref().map(AsRawFd::as_raw_fd));
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&line)],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        self.socket.write_all(&line[sent..])
    }

    /// Serves the pipes until something decides the run; none if the launcher has the last word.
    fn watch(
        &mut self,
        wall: Duration,
        caller: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Stop>, RunError> {
        loop {
            let deadline = match (self.began, self.status) {
                (None, _) => self.heard + PATIENCE,
                (Some(began), None) => began + wall,
                // What is left is given a moment, but no more time than the run has, if it has any.
                (Some(began), Some(_)) => (began + wall).max(self.heard + GRACE + MARGIN),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return match (self.began, self.status) {
                    (Some(_), None) => Ok(Some(Stop::Time)),
                    (Some(_), Some(_)) => Ok(None),
                    (None, _) => Err(silent().into()),
                };
            }
            let others = [
                caller.map(|fd| (fd, PollFlags::empty())),
                Some((self.socket.as_fd(), PollFlags::POLLIN)),
            ];
            let [called, spoken] = self.pipes.serve(others, left)?;
            if called {
                return Err(RunError::Abandoned);
            }
            if spoken && !self.hear()? {
                return match self.over {
                    Some(_) => Ok(None),
                    None => Err(silent().into()),
                };
            }
            if self.over.is_some() {
                return Ok(None);
            }
            if self.pipes.overflowed() {
                return Ok(Some(Stop::Output));
            }
        }
    }

    /// What the launcher says; `false` when it has no more to say.
    fn hear(&mut self) -> Result<bool, RunError> {
        let open = self.lines.read(&self.socket)?;
        while let Some(answer) = self.lines.next()? {
            self.heard = Instant::now();
            match answer {
                Answer::Ready { root, grouped, landlock } => {
                    let accounting = match grouped {
                        true => Accounting::ControlGroup,
                        false => Accounting::Samples,
                    };
                    self.ready = Some(Attempt { accounting, landlock });
                    self.root = Some(root);
                    self.began = Some(Instant::now());
                    // If the launcher is gone, the end of the socket tells.
                    let _ = tell(&self.socket, &"go");
                }
                Answer::Ended(status) => {
                    self.status = Some(status);
                    self.time = self.began.map(|began| began.elapsed());
                }
                Answer::Over { hit, left, traces, used } => {
                    self.over = Some(Over { hit, left, traces, used });
                }
                Answer::Fault(fault) => return Err(fault.into()),
            }
        }
        Ok(open)
    }

    /// Has everything ended, and puts together what happened.
    fn end(
        mut self,
        decided: Result<Option<Stop>, RunError>,
        watcher: &mut dyn Watcher,
    ) -> Result<Outcome, RunError> {
        if let (Ok(Some(stop)), Some(root)) = (&decided, self.root) {
            watcher.stopping(root, stop);
        }
        let time = self.time.or(self.began.map(|began| began.elapsed()));
        let told = self.finish();
        let decided = decided?;
        told?;
        // Nobody writes any more, so what is there is all.
        self.pipes.drain()?;
        let Over { hit, left, traces, used } = self.over.take().ok_or_else(silent)?;
        let status = self.status.unwrap_or(Signal::SIGKILL as i32);
        let stdout = self.pipes.take_stdout();
        let stderr = self.pipes.take_stderr();
        let stopped = match (decided, hit) {
            (Some(stop), _) => Some(stop),
            (None, Some(Hit::Cpu)) => Some(Stop::Cpu),
            (None, Some(Hit::Memory)) => Some(Stop::Memory),
            (None, Some(Hit::Processes)) => Some(Stop::Processes),
            // It has ended, and still there was something that had to be killed.
            (None, None) if left.as_ref().is_none_or(|left| !left.is_empty()) => {
                Some(Stop::Leftovers(left.unwrap_or_default()))
            }
            (None, None) if self.pipes.overflowed() => Some(Stop::Output),
            (None, None) => {
                let refused = used.accounting == Accounting::Samples && status != 0;
                (refused && ran_out_of_memory(&stderr)).then_some(Stop::Memory)
            }
        };
        Ok(Outcome {
            status: ExitStatus::from_raw(status),
            stdout,
            stderr,
            time: time.unwrap_or_default(),
            stopped,
            used: Some(used),
            traces,
        })
    }

    /// Asks the launcher to end the run, waits until it has, and if it was killed does its work.
    fn finish(&mut self) -> Result<(), RunError> {
        self.ended = true;
        let deadline = Instant::now() + PATIENCE;
        let mut told = Ok(());
        let _ = self.socket.shutdown(Shutdown::Write);
        while self.over.is_none() && Instant::now() < deadline {
            let mut watched = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut watched, PollTimeout::from(100_u8)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(errno.into()),
            }
            match self.hear() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    told = Err(error);
                    break;
                }
            }
        }
        if self.over.is_some() {
            self.launcher.wait()?;
            return told;
        }
        // Killed, or it has lost its way. It ends by itself after a fault.
        while self.launcher.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                let _ = self.launcher.kill();
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.clean_up()?;
        told
    }

    /// What the launcher would have done.
    fn clean_up(&self) -> io::Result<()> {
        if self.tier == Tier::Reduced {
            tree::end_all()?;
        }
        if let Some(root) = self.root.map(Pid::from_raw) {
            let began = Instant::now();
            loop {
                // It may have become a child of this process; or of one that takes its time.
                let _ = waitpid(root, Some(WaitPidFlag::WNOHANG));
                if sample::has_ended(root.as_raw()) || began.elapsed() > LAST {
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        cgroup::remove_all(&self.name);
        remove_own(&OwnFolder::path(&self.name));
        Ok(())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.finish();
        }
    }
}

/// A new file that will be a program.
fn new_program(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o700).open(path)
}

fn silent() -> Fault {
    Fault { step: Step::Launcher, message: "it ended without a word".to_string() }
}

/// What Rust's allocator says when it is refused memory.
fn ran_out_of_memory(stderr: &[u8]) -> bool {
    let words = b"memory allocation of ";
    stderr.windows(words.len()).any(|window| window == words)
}
