//! The sandbox: what stands between a submission and the machine that grades it.
//!
//! ```text
//!  grader or judge          launcher                 process 1              the program
//!  (threads)                (one thread)             of the sandbox
//!      |  order, pipes         |                        |                      |
//!      |---------------------->| namespaces, groups     |                      |
//!      |                       |----------------------->| files, settings      |
//!      |                       |                        |--------------------->| confines itself,
//!      |  Ready  <-------------|------------------------|----------------------| waits
//!      |  go  -----------------|-----------------------------------------------> execve
//!      |  <=== its output, read by the grader with a limit ====================|
//!      |  Ended, Over <--------|------------------------| collects, counts     x
//! ```
//!
//! A chain in which each dies with the one before it: the launcher sees its socket close, process 1
//! gets a signal from the kernel and sees its pipe close, and with process 1 the kernel ends all that
//! is in its namespace. So nothing is left whoever is killed, by whatever signal, at whatever moment.
//!
//! # Tiers
//!
//! | [`Tier`] | walls | for |
//! | --- | --- | --- |
//! | `full` | namespaces, private files, no capabilities, Landlock, seccomp, limits | official scores |
//! | `reduced` | Landlock, seccomp, limits; as root, another user | where namespaces cannot be had |
//! | `none` | none | one's own program |
//!
//! [`detect`] finds out which one this machine gives, by trying.
//!
//! # Files
//!
//! | file | what it is |
//! | --- | --- |
//! | `tier` | the tiers, and which one can be had |
//! | `session` | the grader's end of a run |
//! | `plan` | what grader, launcher and process 1 say to each other |
//! | `launch` | the launcher |
//! | `hold` | a process that becomes the program when it is told to, in tier `none` |
//! | `init` | process 1 |
//! | `confine` | from a copy of process 1 to the program |
//! | `mounts` | what the program sees of files |
//! | `seccomp` | which system calls it may use |
//! | `limits` | the limits of single processes |
//! | `cgroup` | what all its processes may take together |
//! | `sample` | the same, where there are no control groups |
//! | `sys` | kernel calls that no crate wraps |
//! | `perf` | what the kernel writes down about processes |
//! | `pidfd` | how a process ended that is not our child |
//! | `turns` | short turns on a processor, which come sooner |
//!
//! `unsafe` stands in `sys`, `perf`, `pidfd` and `turns` only.
#![expect(unsafe_code, reason = "this is where the system calls are")]

mod cgroup;
mod confine;
mod hold;
mod init;
mod launch;
mod limits;
mod mounts;
pub(crate) mod perf;
pub(crate) mod pidfd;
mod plan;
mod sample;
mod seccomp;
pub(crate) mod session;
mod sys;
mod tier;
pub(crate) mod turns;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use hold::await_stop;
pub use hold::hold;
pub use launch::launch;
pub(crate) use launch::remove_own;
pub use plan::{Fault, Step};
pub use tier::{Detection, Shortfall, Tier, detect};

/// The hidden command of the grader that is the launcher.
pub const LAUNCH: &str = "launch";

/// The hidden command of the grader that becomes a program once it is told to.
pub const HOLD: &str = "hold";

/// In which sandbox a program runs, and who builds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// How much of a sandbox.
    pub tier: Tier,
    /// The grader's own program; its command [`LAUNCH`] is the launcher.
    pub launcher: PathBuf,
    /// Whether control groups are used where they can be had. Without them, memory is divided among
    /// processes beforehand, and what is taken is sampled.
    pub use_groups: bool,
    /// That the program is no submission but a tool of the grader, and what it is given.
    pub tool: Option<Tool>,
}

/// A program of the host that is given more to see, and hands out a file: the compiler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Folders that it may read and execute. The program lies in one of them.
    pub shows: Vec<Show>,
    /// A file in its working directory, and where its content goes at the end: a new file.
    pub product: (PathBuf, PathBuf),
}

/// A folder of the host that a tool sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    /// Where it lies.
    pub host: PathBuf,
    /// Where it lies for the tool, in the full tier: a folder right below the root.
    pub inside: PathBuf,
}

impl Show {
    /// Where it lies for a tool in this tier.
    pub fn seen_from(&self, tier: Tier) -> &Path {
        if tier == Tier::Full { &self.inside } else { &self.host }
    }
}

impl Sandbox {
    /// No sandbox at all.
    pub fn none() -> Sandbox {
        Sandbox { tier: Tier::None, launcher: PathBuf::new(), use_groups: false, tool: None }
    }

    /// A sandbox of this tier; with tier `none` the program is only held until whoever watches is ready.
    pub fn new(tier: Tier, launcher: impl Into<PathBuf>) -> Sandbox {
        Sandbox { tier, launcher: launcher.into(), use_groups: true, tool: None }
    }
}

/// What a run has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// CPU time of all its processes together.
    pub cpu: Duration,
    /// The most memory, in bytes, that all of them held together.
    pub memory: u64,
    /// How many processes and threads there have ever been, the program's first one included; only
    /// the full tier knows.
    pub created: Option<u32>,
    /// Who counted.
    pub accounting: Accounting,
}

/// Who counts what a run takes, and so how its memory is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accounting {
    /// The kernel, in a control group: all processes together.
    ControlGroup,
    /// The sandbox, which looks every 20 ms; memory is divided among processes beforehand.
    Samples,
}
