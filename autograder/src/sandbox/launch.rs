//! The launcher: the grader's own program, run again to build one sandbox and to end it.
//!
//! It is a process of its own, and not a thread of the grader, because only a process with one
//! thread may go on in copies of itself. It has no other work:
//!
//! ```text
//!  order --> control groups --> namespaces, process 1 --> Ready --> "go" --> watch --> end --> Over
//! ```
//!
//! | while it watches | it ends the run |
//! | --- | --- |
//! | the socket to the grader closes: the grader wants an end, or is gone | at once |
//! | the run has taken its CPU time, memory or processes | at once |
//! | process 1 has ended, and everything with it | nothing is left to do |
//!
//! An end is asked of process 1 first, which still says what was taken; 50 ms later it is killed, and
//! the kernel kills what is in its namespace. If this process is killed, process 1 dies of it. It is
//! not told to die with the grader by the kernel, because it has control groups to remove; the socket
//! tells it.
//!
//! # System calls
//!
//! `clone` with new user, process, mount, IPC, network and host name namespaces; `poll`, `waitpid`,
//! `kill`, `recvmsg` with `SCM_RIGHTS`; `user_namespaces(7)`.

use std::fs::{self, File, Permissions};
use std::io::{self, IoSliceMut, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, dup2_stdin, getegid, geteuid};

use super::cgroup::Groups;
use super::confine::Place;
use super::init::{self, TICK};
use super::mounts::Shown;
use super::plan::{Answer, Fault, Hit, InStep, Lines, Order, Sample, Step, Word, tell};
use super::sys::{self, Side};
use super::{Accounting, Tier, Used};
use crate::evidence::left::Leftover;
use crate::tree;

/// How long process 1 may take to end the run by itself.
const ORDERLY: Duration = Duration::from_millis(50);

/// Users of the host that nobody is: the program's own, when root starts it, is this one and the
/// launcher's process id.
const NOBODYS_USERS: u32 = 2_000_000_000;

/// The user to take where only a part of the users exists, as in a container.
const NOBODY: u32 = 65534;

/// The launcher's process: takes its order from the socket that is its stdin, and ends when the run
/// has ended. Returns whether anybody has heard how.
pub fn launch() -> bool {
    let Ok(socket) = take_stdin() else { return false };
    // What is made for the program, it must be able to read.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let answer = match receive(&socket).and_then(|(order, descriptors, lines)| {
        Run::start(order, descriptors, &socket)?.watch(&socket, lines)
    }) {
        Ok(over) => over,
        Err(fault) => Answer::Fault(fault),
    };
    tell(&socket, &answer).is_ok()
}

/// The socket, which then is not stdin any more and in nobody's way.
fn take_stdin() -> io::Result<UnixStream> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

/// The order, its descriptors, and what has arrived after the order.
fn receive(socket: &UnixStream) -> Result<(Order, Descriptors, Lines), Fault> {
    let mut bytes = vec![0; 1 << 16];
    let mut space = cmsg_space!([i32; 4]);
    let (count, numbers) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<()>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .doing(Step::Launcher, "receiving the order")?;
        let mut numbers = vec![];
        for control in message.cmsgs().doing(Step::Launcher, "receiving descriptors")? {
            if let ControlMessageOwned::ScmRights(received) = control {
                numbers.extend(received);
            }
        }
        (message.bytes, numbers)
    };
    let mut owned = numbers.into_iter().map(sys::own).collect::<Vec<_>>();
    let product = if owned.len() > 3 { owned.pop().map(File::from) } else { None };
    let streams = <[OwnedFd; 3]>::try_from(owned).map_err(|got| Fault {
        step: Step::Launcher,
        message: format!("was given {} descriptors instead of 3", got.len()),
    })?;
    let descriptors = Descriptors { streams, product };
    bytes.truncate(count);
    let mut lines = Lines::starting_with(bytes);
    loop {
        if let Some(order) = lines.next().doing(Step::Launcher, "reading the order")? {
            return Ok((order, descriptors, lines));
        }
        if !lines.read(socket).doing(Step::Launcher, "reading the order")? {
            return Err("it broke off").doing(Step::Launcher, "reading the order");
        }
    }
}

/// What an order brings along.
struct Descriptors {
    /// The program's stdin, stdout and stderr.
    streams: [OwnedFd; 3],
    /// Where a tool's product goes.
    product: Option<File>,
}

/// A run that is there.
struct Run {
    order: Order,
    groups: Groups,
    /// Process 1.
    init: Pid,
    reports: PipeReader,
    words: Lines,
    life: PipeWriter,
    go: Option<PipeWriter>,
    sample: Sample,
    hit: Option<Hit>,
    left: Option<Vec<tree::Process>>,
    traces: Vec<Leftover>,
    ended: Option<i32>,
    fault: Option<Fault>,
    collected: bool,
    /// Removed at the end, after everything else.
    _folder: Option<OwnFolder>,
}

impl Run {
    fn start(order: Order, descriptors: Descriptors, socket: &UnixStream) -> Result<Run, Fault> {
        tree::adopt_orphans().doing(Step::Launcher, "adopting orphans")?;
        let full = order.tier == Tier::Full;
        // What only root may read, nobody can show to another user without a mount.
        let keeps_user = order.tool.is_some() && !full;
        let user = match geteuid().is_root() && !keeps_user {
            true => unused_user().at(Step::Users)?,
            false => None,
        };
        let program = match &order.program {
            Some(path) if order.tool.is_none() => Some(open_program(path).at(Step::Program)?),
            _ => None,
        };
        let shown = match &order.tool {
            Some(tool) if full => tool.shows.iter().map(Shown::new).collect(),
            _ => vec![],
        };
        let folder = match full {
            true => None,
            false => Some(OwnFolder::make(&order.group, program.as_ref(), user).at(Step::Mounts)?),
        };
        let others = match full || user.is_some() {
            true => 0,
            false => tasks_of(geteuid().as_raw()),
        };
        let groups = match order.use_groups {
            true => Groups::make(&order.group, &order.caps),
            false => Groups::default(),
        };
        let (reports, report) = io::pipe().doing(Step::Launcher, "a pipe")?;
        let (life_of_init, life) = io::pipe().doing(Step::Launcher, "a pipe")?;
        let (go_of_program, go) = io::pipe().doing(Step::Launcher, "a pipe")?;
        let side = if full { sys::clone_into(namespaces()) } else { sys::fork() };
        let init = match side.at(Step::Namespaces)? {
            Side::Parent(pid) => pid,
            Side::Child => {
                let place = folder.as_ref().map(OwnFolder::place);
                // They are the launcher's, and their drop would remove them.
                std::mem::forget((groups, folder));
                // These are the launcher's ends: as long as a copy is open, nobody sees it go.
                drop((reports, life, go));
                sys::close_copy(socket.as_fd());
                init::run(init::Start {
                    order,
                    program,
                    shown,
                    streams: descriptors.streams,
                    product: descriptors.product,
                    report,
                    life: life_of_init,
                    go: go_of_program,
                    place,
                    user,
                    others,
                })
            }
        };
        let mut run = Run {
            order,
            groups,
            init,
            reports,
            words: Lines::default(),
            life,
            go: Some(go),
            sample: Sample::default(),
            hit: None,
            left: None,
            traces: vec![],
            ended: None,
            fault: None,
            collected: false,
            _folder: folder,
        };
        if full {
            run.map_users(user).at(Step::Users)?;
        }
        run.groups.add(init.as_raw());
        let begin = if run.groups.bound() { init::BEGIN_GROUPED } else { init::BEGIN };
        run.life.write_all(&[begin]).doing(Step::Launcher, "beginning")?;
        Ok(run)
    }

    /// Root of the namespace is this user outside.
    fn map_users(&self, user: Option<u32>) -> io::Result<()> {
        let process = PathBuf::from(format!("/proc/{}", self.init));
        if user.is_none() {
            // Only then may somebody who is not root map a group.
            fs::write(process.join("setgroups"), "deny")?;
        }
        let group = user.unwrap_or(getegid().as_raw());
        let user = user.unwrap_or(geteuid().as_raw());
        fs::write(process.join("uid_map"), format!("0 {user} 1"))?;
        fs::write(process.join("gid_map"), format!("0 {group} 1"))
    }

    /// Passes words on until the run has ended, and ends it when something says so.
    fn watch(mut self, socket: &UnixStream, mut lines: Lines) -> Result<Answer, Fault> {
        let mut stopping: Option<Instant> = None;
        loop {
            let timeout = match stopping {
                Some(moment) if moment.elapsed() >= ORDERLY => {
                    // It can only have ended in the meantime.
                    let _ = kill(self.init, Signal::SIGKILL);
                    Duration::from_secs(10)
                }
                Some(moment) => ORDERLY.saturating_sub(moment.elapsed()),
                None => TICK,
            };
            let timeout =
                PollTimeout::try_from(timeout.as_millis() as i32 + 1).unwrap_or(PollTimeout::MAX);
            let mut watched = vec![PollFd::new(self.reports.as_fd(), PollFlags::POLLIN)];
            if stopping.is_none() {
                watched.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut watched, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).doing(Step::Launcher, "waiting"),
            }
            let spoken = watched[0].any().unwrap_or(false);
            let called = watched.get(1).and_then(PollFd::any).unwrap_or(false);
            if spoken && !self.hear(socket).doing(Step::Launcher, "hearing process 1")? {
                break;
            }
            let mut stop = false;
            if called {
                if lines.read(socket).doing(Step::Launcher, "hearing the grader")? {
                    if lines.next::<String>().doing(Step::Launcher, "hearing the grader")?.is_some()
                    {
                        self.let_go().doing(Step::Launcher, "letting the program go")?;
                    }
                } else {
                    stop = true;
                }
            }
            if self.hit.is_none() && self.ended.is_none() {
                self.hit = self.limit_reached();
            }
            if (stop || self.hit.is_some() || self.fault.is_some()) && stopping.is_none() {
                stopping = Some(Instant::now());
                // If it has ended already, the pipe says so in a moment.
                let _ = self.life.write_all(&[init::STOP]);
            }
        }
        self.collect().doing(Step::Launcher, "collecting process 1")?;
        match self.fault.take() {
            Some(fault) => Err(fault),
            None if self.ended.is_none()
                && stopping.is_none()
                && self.limit_reached().is_none() =>
            {
                Err("it was killed").doing(Step::Launcher, "watching process 1")
            }
            None => Ok(self.account()),
        }
    }

    /// What process 1 says; `false` when it has ended.
    fn hear(&mut self, socket: &UnixStream) -> io::Result<bool> {
        let open = self.words.read(&self.reports)?;
        while let Some(word) = self.words.next()? {
            match word {
                Word::Ready { landlock } => {
                    let root = self.init.as_raw();
                    let grouped = self.groups.bound();
                    // If the grader is gone, the next look at the socket tells.
                    let _ = tell(socket, &Answer::Ready { root, grouped, landlock });
                }
                Word::Ended(status) => {
                    self.ended = Some(status);
                    let _ = tell(socket, &Answer::Ended(status));
                }
                Word::Sample(sample) => self.sample = sample,
                Word::Left(left) => self.left = Some(left),
                Word::Traces(traces) => self.traces = traces,
                Word::Fault(fault) => self.fault = Some(fault),
            }
        }
        Ok(open)
    }

    fn let_go(&mut self) -> io::Result<()> {
        match self.go.take() {
            Some(mut go) => go.write_all(b"g"),
            None => Ok(()),
        }
    }

    fn cpu(&self) -> Duration {
        self.groups.cpu().unwrap_or(self.sample.cpu)
    }

    fn limit_reached(&self) -> Option<Hit> {
        let caps = &self.order.caps;
        if let Some(hit) = self.groups.hit() {
            return Some(hit);
        }
        if self.cpu() >= caps.cpu {
            return Some(Hit::Cpu);
        }
        if self.sample.memory > caps.memory {
            return Some(Hit::Memory);
        }
        (self.sample.tasks > caps.processes).then_some(Hit::Processes)
    }

    fn collect(&mut self) -> io::Result<()> {
        self.collected = true;
        let _ = kill(self.init, Signal::SIGKILL);
        while waitpid(self.init, None) == Err(Errno::EINTR) {}
        if self.order.tier != Tier::Full {
            // Process 1 has done that, unless it was killed.
            tree::end_all()?;
        }
        Ok(())
    }

    fn account(mut self) -> Answer {
        if self.hit.is_none() {
            self.hit = self.limit_reached();
        }
        let used = Used {
            cpu: self.cpu(),
            memory: self.groups.memory_peak().unwrap_or(self.sample.memory),
            created: self.sample.created,
            accounting: match self.groups.bound() {
                true => Accounting::ControlGroup,
                false => Accounting::Samples,
            },
        };
        Answer::Over {
            hit: self.hit,
            left: self.left.take(),
            traces: std::mem::take(&mut self.traces),
            used,
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.collected {
            let _ = self.collect();
        }
    }
}

fn namespaces() -> CloneFlags {
    CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
}

fn open_program(path: &[u8]) -> io::Result<File> {
    let file = File::open(PathBuf::from(std::ffi::OsString::from_vec(path.to_vec())))?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// A user of the host that nobody is, for this run alone. None where there is only one user: that root
/// is root of a container, and outside it somebody ordinary.
fn unused_user() -> io::Result<Option<u32>> {
    let map = fs::read_to_string("/proc/self/uid_map")?;
    let own = NOBODYS_USERS + std::process::id();
    Ok([own, NOBODY].into_iter().find(|&user| is_mapped(user, &map)))
}

/// Whether a user exists, by `/proc/self/uid_map`: lines of first inside, first outside, how many.
fn is_mapped(user: u32, map: &str) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> =
            line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(numbers[..], [first, _, count] if (first..first + count).contains(&user.into()))
    })
}

/// How many processes and threads a user has.
fn tasks_of(user: u32) -> u32 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let counts = processes.filter_map(|entry| {
        let own = entry.metadata().ok()?.uid() == user;
        // A folder has two names besides those of the folders in it.
        let links = fs::metadata(entry.path().join("task")).ok()?.nlink();
        own.then_some(links.saturating_sub(2) as u32)
    });
    counts.sum()
}

/// The folder of a run in the reduced tier.
pub(super) struct OwnFolder {
    path: PathBuf,
}

impl OwnFolder {
    /// Where the folder of a run lies.
    pub(super) fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(name)
    }

    fn make(name: &str, program: Option<&File>, user: Option<u32>) -> io::Result<OwnFolder> {
        let path = OwnFolder::path(name);
        remove_own(&path);
        fs::DirBuilder::new().mode(0o755).create(&path)?;
        let folder = OwnFolder { path };
        if let Some(mut program) = program {
            let copy = folder.path.join("program");
            io::copy(&mut program, &mut File::create_new(&copy)?)?;
            fs::set_permissions(&copy, Permissions::from_mode(0o555))?;
        }
        let run = folder.path.join("box");
        fs::DirBuilder::new().mode(0o700).create(&run)?;
        chown(&run, user, user)?;
        Ok(folder)
    }

    fn place(&self) -> Place {
        let folder = self.path.join("box");
        Place { program: self.path.join("program"), temporary: folder.clone(), folder }
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        remove_own(&self.path);
    }
}

/// Removes a folder of ours; one that somebody else has put there is left alone.
pub(crate) fn remove_own(path: &Path) {
    let own = fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == geteuid().as_raw());
    if own {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_exists_if_the_map_has_it() {
        let all = "         0          0 4294967295\n";
        assert!(is_mapped(NOBODYS_USERS + 4_194_304, all));
        let container = "0 100000 65536\n";
        assert!(is_mapped(NOBODY, container));
        assert!(!is_mapped(NOBODYS_USERS, container));
    }
}
