//! From a copy of pid 1 to the student's program.
//!
//! In this order, each step needing what the next one takes away: a session of its own, a user of
//! its own, the three descriptors, a working directory, no capabilities, no new privileges,
//! Landlock, limits, seccomp, the program.
//!
//! # Two user namespaces
//!
//! In the full tier, pid 1 is root of the sandbox's user namespace, and the program gets one more
//! inside: there it is user 1000, and everything of the sandbox (mounts, network, settings) belongs
//! to the outer one, in which it has no rights at all. Making yet another is forbidden.
//!
//! # System calls
//!
//! `setsid`, `unshare(CLONE_NEWUSER)`, `dup2`, `setrlimit`, `prctl`, `capset`, `landlock_*`,
//! `seccomp`, `execve`.

use std::convert::Infallible;
use std::ffi::{CString, NulError};
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::{
    Gid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, execve, setgroups, setresgid, setresuid, setsid,
};

use super::plan::{Fault, InStep, Order, Step, Word, tell};
use super::seccomp::{Choice, Filters};
use super::{Tier, limits, mounts, sys};

/// Who the program is in the full tier.
const STUDENT: u32 = 1000;

/// Where a program is, and where it may write.
pub(super) struct Place {
    pub(super) program: PathBuf,
    /// Its working directory and home.
    pub(super) folder: PathBuf,
    /// Where its temporary files go.
    pub(super) temporary: PathBuf,
}

/// What a program is given.
pub(super) struct Given {
    /// Its stdin, stdout and stderr.
    pub(super) streams: [OwnedFd; 3],
    /// Where to say that everything is ready, or what went wrong.
    pub(super) report: PipeWriter,
    /// Tells when to begin.
    pub(super) go: PipeReader,
    pub(super) grouped: bool,
    pub(super) place: Place,
    /// Processes and threads that the program's user has besides.
    pub(super) others: u32,
    /// The host's user that the program becomes, if this is root.
    pub(super) user: Option<u32>,
}

/// Becomes the program; comes back only with what went wrong.
pub(super) fn become_program(order: &Order, given: &mut Given) -> Result<Infallible, Fault> {
    let full = order.tier == Tier::Full;
    setsid().doing(Step::Confinement, "a session")?;
    let [stdin, stdout, stderr] = &given.streams;
    dup2_stdin(stdin)
        .and_then(|()| dup2_stdout(stdout))
        .and_then(|()| dup2_stderr(stderr))
        .doing(Step::Confinement, "standard streams")?;
    reset_signals().doing(Step::Confinement, "signals")?;
    // Whoever takes too much memory goes first, and not pid 1.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    if full {
        own_user_namespace().at(Step::Users)?;
    } else if let Some(user) = given.user {
        become_user(user).at(Step::Users)?;
    }
    prctl::set_pdeathsig(Signal::SIGKILL).doing(Step::Confinement, "dying with pid 1")?;
    // Whoever grades may look at it: this is no secret.
    prctl::set_dumpable(true).doing(Step::Confinement, "being looked at")?;
    std::env::set_current_dir(&given.place.folder).doing(Step::Start, "entering its folder")?;
    let call = Call::new(order, &given.place).at(Step::Start)?;
    prctl::set_no_new_privs().doing(Step::Confinement, "no new privileges")?;
    if full {
        sys::drop_capabilities().doing(Step::Confinement, "capabilities")?;
    } else {
        sys::give_up_capabilities().doing(Step::Confinement, "capabilities")?;
    }
    let landlock = restrict_files(order, &given.place)?;
    let filters = Filters::new(Choice { memfd: given.grouped, network: full })
        .doing(Step::Confinement, "seccomp")?;

    tell(&given.report, &Word::Ready { landlock }).at(Step::Start)?;
    given.go.read_exact(&mut [0]).doing(Step::Start, "waiting to be let go")?;
    // What was open when the launcher began, or belongs to it.
    sys::close_on_exec_from(3).doing(Step::Confinement, "descriptors")?;
    // Late, because this copy of the launcher may be larger than the program is to become.
    limits::apply(&order.caps, given.grouped, given.others).at(Step::Limits)?;
    if let Some(count) = order.caps.processors {
        limits::keep_to(count).doing(Step::Limits, "processors")?;
    }
    filters.install().doing(Step::Confinement, "seccomp")?;
    if order.program.is_none() {
        sys::leave(0);
    }
    execve(&call.program, &call.args, &call.env).doing(Step::Start, "execve")
}

/// What `execve` is called with.
struct Call {
    program: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Call {
    fn new(order: &Order, place: &Place) -> Result<Call, NulError> {
        let name: &[u8] = b"program";
        let args = std::iter::once(name).chain(order.args.iter().map(Vec::as_slice));
        // Where it may write is not for whoever calls it to say.
        let fixed = [
            (b"HOME".as_slice(), place.folder.as_os_str().as_bytes()),
            (b"TMPDIR", place.temporary.as_os_str().as_bytes()),
        ];
        let others = order.env.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        let others = others.filter(|(name, _)| fixed.iter().all(|(other, _)| other != name));
        let pair = |(name, value): (&[u8], &[u8])| CString::new([name, b"=", value].concat());
        Ok(Call {
            program: CString::new(place.program.as_os_str().as_bytes())?,
            args: args.map(CString::new).collect::<Result<_, _>>()?,
            env: others.chain(fixed).map(pair).collect::<Result<_, _>>()?,
        })
    }
}

/// The program begins with no signal blocked or ignored.
fn reset_signals() -> nix::Result<()> {
    SigSet::empty().thread_set_mask()?;
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            sys::set_signal_action(signal, &default)?;
        }
    }
    Ok(())
}

/// One more user namespace, in which this process is nobody in particular.
fn own_user_namespace() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER)?;
    // The files below belong to root while this process may not be looked at.
    prctl::set_dumpable(true)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{STUDENT} 0 1"))?;
    fs::write("/proc/self/gid_map", format!("{STUDENT} 0 1"))
}

fn become_user(user: u32) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Landlock: files, and signals and abstract sockets beyond the program's own processes. In the full
/// tier this is a second wall behind the mounts, and best effort; in the reduced tier it is the wall.
fn restrict_files(order: &Order, place: &Place) -> Result<bool, Fault> {
    let full = order.tier == Tier::Full;
    let restrict = || -> Result<RulesetStatus, RulesetError> {
        let abi = ABI::V6;
        let all = AccessFs::from_all(abi);
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let run = read | AccessFs::Execute;
        let file = AccessFs::ReadFile | AccessFs::WriteFile;
        let mut rules = vec![];
        for path in mounts::SHOWN {
            rules.push((path.to_string(), run));
        }
        for show in order.tool.iter().flat_map(|tool| &tool.shows) {
            rules.push((show.seen_from(order.tier).display().to_string(), run));
        }
        for path in ["/proc", "/etc"] {
            rules.push((path.to_string(), read));
        }
        for name in mounts::DEVICES {
            rules.push((format!("/dev/{name}"), file));
        }
        let writable = all & !AccessFs::Execute & !AccessFs::MakeBlock & !AccessFs::MakeChar;
        rules.push(("/dev/shm".to_string(), writable));
        // Without a rule, a queue could not be opened.
        rules.push(("/dev/mqueue".to_string(), writable));
        rules.push((place.folder.display().to_string(), writable));
        rules.push((place.temporary.display().to_string(), writable));
        rules.push((place.program.display().to_string(), AccessFs::ReadFile | AccessFs::Execute));
        if full {
            rules.push(("/dev".to_string(), read));
            rules.push(("/".to_string(), AccessFs::ReadDir.into()));
        }

        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .scope(Scope::Signal | Scope::AbstractUnixSocket)?
            .create()?;
        for (path, access) in rules {
            // Not every machine has every one of them.
            let Ok(beneath) = PathFd::new(&path) else { continue };
            let access =
                if Path::new(&path).is_dir() { access } else { access & AccessFs::from_file(abi) };
            ruleset = ruleset.add_rule(PathBeneath::new(beneath, access))?;
        }
        Ok(ruleset.restrict_self()?.ruleset)
    };
    let status = restrict().doing(Step::Confinement, "Landlock")?;
    let enforced = status != RulesetStatus::NotEnforced;
    if !enforced && !full {
        return Err(Fault {
            step: Step::Confinement,
            message: "this kernel has no Landlock".to_string(),
        });
    }
    Ok(enforced)
}

/// Says what went wrong and ends, as nothing else may happen in this process any more.
pub(super) fn give_up(fault: Fault, given: &Given) -> ! {
    // If nobody hears it, the end of this process says enough.
    let _ = tell(&given.report, &Word::Fault(fault));
    sys::leave(127)
}
