//! Process 1 of the sandbox: starts the program, collects what ends, counts what is left.
//!
//! ```text
//!  begin --> build the sandbox --> start the program --> wait --+--> the program ends
//!                                                               |      within GRACE: nothing left
//!                                                               |      else: say what is left
//!                                                               +--> stop: kill all
//!                                     say what was used, end  <-+
//! ```
//!
//! Whoever loses its parent inside becomes a child of this process, so an empty list of children
//! means that nothing is left. With the end of this process, in the full tier, the kernel ends every
//! other one of the namespace; no signal from inside reaches it, and nobody inside may look at it.
//! In the reduced tier there is no namespace: it is a subreaper, and kills what is left itself.
//!
//! # System calls
//!
//! `signalfd`, `poll`, `waitpid`, `kill(-1)`, `prctl(PR_SET_DUMPABLE, PR_SET_PDEATHSIG)`,
//! `getrusage`; `pid_namespaces(7)`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, setgroups, sethostname, setresgid, setresuid};

use super::confine::{self, Given, Place};
use super::limits::Shares;
use super::mounts::Shown;
use super::plan::{Caps, Fault, InStep, Order, Sample, Step, Word, tell};
use super::sys::{self, Side};
use super::{Tier, mounts, sample};
use crate::evidence::left::{Snapshot, left_behind};
use crate::runner::GRACE;
use crate::tree;

/// How often the sandbox looks at what is taken, where no control group counts.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// How long processes may outlive the program that do not wait for anything but a processor: on a busy
/// machine it is not their fault that they have not ended yet.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// What the launcher says first to this process: a control group bounds its memory and processes, or
/// none does. Whatever it says after that is a wish to end.
pub(super) const BEGIN_GROUPED: u8 = b'g';
pub(super) const BEGIN: u8 = b'b';
pub(super) const STOP: u8 = b's';

/// Everything this process begins with.
pub(super) struct Start {
    pub(super) order: Order,
    pub(super) program: Option<File>,
    /// What a tool sees besides, in the full tier.
    pub(super) shown: Vec<Shown>,
    pub(super) streams: [OwnedFd; 3],
    /// Where a tool's product goes.
    pub(super) product: Option<File>,
    pub(super) report: PipeWriter,
    pub(super) life: PipeReader,
    pub(super) go: PipeReader,
    /// Where the program is, in the tier that has no file system of its own.
    pub(super) place: Option<Place>,
    pub(super) user: Option<u32>,
    pub(super) others: u32,
}

/// The life of process 1.
pub(super) fn run(start: Start) -> ! {
    let report = start.report.try_clone();
    let code = match live(start) {
        Ok(()) => 0,
        Err(fault) => {
            if let Ok(report) = report {
                // If nobody hears it, the end of this process says enough.
                let _ = tell(report, &Word::Fault(fault));
            }
            1
        }
    };
    sys::leave(code)
}

fn live(start: Start) -> Result<(), Fault> {
    let Start { order, program, shown, streams, product, report, mut life, go, .. } = start;
    let (place, user, others) = (start.place, start.user, start.others);
    let full = order.tier == Tier::Full;
    let mut word = [0];
    life.read_exact(&mut word).doing(Step::Launcher, "waiting for its word")?;
    let grouped = word == [BEGIN_GROUPED];
    let place = match place {
        Some(place) => place,
        None => {
            become_root_inside().at(Step::Users)?;
            build(program, shown, &order.caps)?;
            Place {
                program: mounts::PROGRAM.into(),
                folder: mounts::BOX.into(),
                temporary: "/tmp".into(),
            }
        }
    };
    let place = match (&order.tool, &order.program) {
        (Some(_), Some(path)) => Place { program: OsStr::from_bytes(path).into(), ..place },
        _ => place,
    };
    let product = match (&order.tool, product) {
        (Some(tool), Some(to)) => Some((place.folder.join(&tool.product.0), to)),
        _ => None,
    };
    tree::adopt_orphans().doing(Step::Start, "adopting orphans")?;
    prctl::set_pdeathsig(Signal::SIGKILL).doing(Step::Start, "dying with the launcher")?;
    prctl::set_dumpable(false).doing(Step::Start, "hiding from the program")?;
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().doing(Step::Start, "blocking a signal")?;
    let ended = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .doing(Step::Start, "making a signal readable")?;

    let before = Snapshot::take(Some(Path::new(mounts::BOX)));
    let to_program = report.try_clone().doing(Step::Start, "copying a descriptor")?;
    let program = match sys::fork().doing(Step::Start, "fork")? {
        Side::Child => {
            let mut given = Given { streams, report: to_program, go, grouped, place, others, user };
            let Err(fault) = confine::become_program(&order, &mut given);
            confine::give_up(fault, &given)
        }
        Side::Parent(pid) => pid,
    };
    // The last copies outside the program: its readers are to see the end.
    drop((streams, go, to_program));
    let mut init = Init {
        full,
        grouped,
        program,
        report,
        life,
        ended,
        sample: Sample::default(),
        before,
        product,
        most: order.caps.file_size,
        over: None,
    };
    init.watch().doing(Step::Start, "watching")
}

/// Root of the new namespaces, and nobody's group.
fn become_root_inside() -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    match setgroups(&[]) {
        // An ordinary user may not let go of groups in a namespace of his own.
        Ok(()) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(errno),
    }
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

fn build(program: Option<File>, shown: Vec<Shown>, caps: &Caps) -> Result<(), Fault> {
    unshare(CloneFlags::CLONE_NEWCGROUP).doing(Step::Namespaces, "control groups")?;
    sethostname("sandbox").doing(Step::Limits, "a host name")?;
    sys::raise_loopback().doing(Step::Limits, "the loopback device")?;
    mounts::build(program, shown, caps, |proc| limit_namespaces(proc, caps))
}

/// Bounds what the namespaces themselves hold, outside any process.
fn limit_namespaces(proc: &Path, caps: &Caps) -> Result<(), Fault> {
    let pages = Shares::of(caps).shared / 4096;
    let settings = [
        // The program's own one is made later, and is the only one.
        ("user/max_user_namespaces", "1".to_string()),
        ("user/max_pid_namespaces", "0".to_string()),
        ("user/max_mnt_namespaces", "0".to_string()),
        ("user/max_net_namespaces", "0".to_string()),
        ("user/max_ipc_namespaces", "0".to_string()),
        ("user/max_uts_namespaces", "0".to_string()),
        ("user/max_cgroup_namespaces", "0".to_string()),
        ("user/max_inotify_instances", "32".to_string()),
        ("kernel/shmall", pages.to_string()),
        ("kernel/shmmni", "256".to_string()),
        ("kernel/msgmni", "64".to_string()),
        ("kernel/sem", "250 8000 32 64".to_string()),
        ("fs/mqueue/queues_max", "32".to_string()),
    ];
    for (name, value) in settings {
        match fs::write(proc.join("sys").join(name), value) {
            // Not every kernel has every one of these things; then there is nothing to bound.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => result.doing(Step::Limits, name)?,
        }
    }
    Ok(())
}

struct Init {
    full: bool,
    grouped: bool,
    program: Pid,
    report: PipeWriter,
    life: PipeReader,
    ended: SignalFd,
    sample: Sample,
    /// What there was before the program.
    before: Snapshot,
    /// A tool's product, and where it goes.
    product: Option<(PathBuf, File)>,
    /// The most bytes that it may have.
    most: u64,
    /// When the program ended.
    over: Option<Instant>,
}

impl Init {
    fn watch(&mut self) -> io::Result<()> {
        loop {
            if self.collect()? {
                break;
            }
            if let Some(since) = self.over.map(|moment| moment.elapsed())
                && since >= GRACE
                && (since >= LAST_GRACE || !self.left_are_runnable()?)
            {
                break;
            }
            if self.wait()? {
                break;
            }
            if !self.grouped {
                self.sample.take()?;
                tell(&self.report, &Word::Sample(self.sample))?;
            }
        }
        self.finish()
    }

    fn left_are_runnable(&self) -> io::Result<bool> {
        Ok(tree::census()?.living.iter().all(|process| sample::is_runnable(process.pid)))
    }

    /// Collects whatever has ended; whether nothing is left after the program.
    fn collect(&mut self) -> io::Result<bool> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return Ok(false),
                Err(Errno::ECHILD) => return Ok(self.over.is_some()),
                Err(Errno::EINTR) => continue,
                status => status?,
            };
            if status.pid() == Some(self.program) {
                self.over = Some(Instant::now());
                tell(&self.report, &Word::Ended(raw(status)))?;
            }
        }
    }

    /// Sleeps until something has ended, or it is time to look again; whether the launcher wants an
    /// end, or is gone.
    fn wait(&mut self) -> io::Result<bool> {
        let timeout = match self.over {
            Some(_) => TICK,
            None if self.grouped => Duration::from_secs(3600),
            None => TICK,
        };
        let timeout =
            PollTimeout::try_from(timeout.as_millis() as i32 + 1).unwrap_or(PollTimeout::NONE);
        let mut watched = [
            PollFd::new(self.life.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.ended.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let called = watched[0].any().unwrap_or(false);
        while let Ok(Some(_)) = self.ended.read_signal() {}
        Ok(called)
    }

    /// Says what is left, ends it, and says what all of it has taken.
    fn finish(&mut self) -> io::Result<()> {
        if self.over.is_some() {
            tell(&self.report, &Word::Left(tree::census()?.living))?;
        }
        if self.full {
            self.sample.created = sample::tasks_created();
        }
        if !self.grouped {
            self.sample.take()?;
        }
        if self.full {
            // Everyone but this process.
            let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
            while !matches!(waitpid(None, None), Err(Errno::ECHILD)) {}
        } else {
            tree::end_all()?;
        }
        if let Some((product, mut to)) = self.product.take()
            && let Some(from) = open_regular(&product)
        {
            io::copy(&mut from.take(self.most), &mut to)?;
        }
        if self.full {
            // Only here is all that there is the program's.
            let after = Snapshot::take(Some(Path::new(mounts::BOX)));
            tell(&self.report, &Word::Traces(left_behind(&self.before, &after)))?;
        }
        if self.over.is_none() {
            tell(&self.report, &Word::Ended(Signal::SIGKILL as i32))?;
        }
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let cpu = sample::duration(usage.user_time()) + sample::duration(usage.system_time());
        self.sample.cpu = self.sample.cpu.max(cpu);
        self.sample.memory = self.sample.memory.max(usage.max_rss() as u64 * 1024);
        tell(&self.report, &Word::Sample(self.sample))
    }
}

/// A file, if it is there and one that has been written, whatever else may bear its name.
fn open_regular(path: &Path) -> Option<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

/// As `wait` gives it.
fn raw(status: WaitStatus) -> i32 {
    match status {
        WaitStatus::Exited(_, code) => code << 8,
        WaitStatus::Signaled(_, signal, _) => signal as i32,
        _ => 0,
    }
}
