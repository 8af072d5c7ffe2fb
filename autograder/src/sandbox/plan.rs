//! What the grader, the launcher and pid 1 say to each other.
//!
//! ```text
//!  grader ---- Order (one line, with the descriptors of the program) ---------> launcher
//!         <--- Ready -------------------------------------------------------
//!         ---- "go" --------------------------------------------------------->
//!         <--- Ended -------------------------------------------------------
//!         <--- Over --------------------------------------------------------
//!
//!  pid 1  ---- Ready, Ended, Sample, Left, Traces, Fault ---> launcher    (a pipe)
//!         <--- begin, stop --------------------------             (another)
//! ```
//!
//! One side of the socket closes: the grader wants an end, or is gone. Either way the launcher ends
//! the run.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Tier, Tool, Used};
use crate::evidence::left::Leftover;
use crate::tree;

/// What a run may take, apart from time on the clock and output, which the grader itself watches.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Caps {
    pub(super) cpu: Duration,
    pub(super) memory: u64,
    pub(super) processes: u32,
    pub(super) file_size: u64,
    pub(super) files: u32,
    /// Among how many processes memory is divided, where no control group bounds it.
    pub(super) sharers: u32,
    /// On how many processors.
    pub(super) processors: Option<u32>,
}

/// What the launcher is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) tier: Tier,
    /// The program; without one, only the sandbox is built.
    pub(super) program: Option<Vec<u8>>,
    pub(super) args: Vec<Vec<u8>>,
    pub(super) env: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) caps: Caps,
    /// How the run's control groups are called.
    pub(super) group: String,
    /// Whether control groups may be used.
    pub(super) use_groups: bool,
    /// What a tool is given besides; its product has the fourth descriptor.
    pub(super) tool: Option<Tool>,
}

/// What the launcher says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The program waits to be let go.
    Ready {
        /// Process 1 of the sandbox.
        root: i32,
        grouped: bool,
        landlock: bool,
    },
    /// The program has ended, with this wait status.
    Ended(i32),
    /// Nothing of the run is left.
    Over {
        /// Which limit stopped it.
        hit: Option<Hit>,
        /// What the program had left behind; unknown if process 1 had to be killed.
        left: Option<Vec<tree::Process>>,
        /// And what is no process.
        traces: Vec<Leftover>,
        used: Used,
    },
    /// The sandbox could not be built.
    Fault(Fault),
}

/// The limits that the launcher watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Hit {
    Cpu,
    Memory,
    Processes,
}

/// What pid 1 says to the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    Ready { landlock: bool },
    Ended(i32),
    Sample(Sample),
    Left(Vec<tree::Process>),
    Traces(Vec<Leftover>),
    Fault(Fault),
}

/// What all processes of the run take together.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) cpu: Duration,
    pub(super) memory: u64,
    /// How many are there, threads included.
    pub(super) tasks: u32,
    /// How many there have ever been, threads included, where a namespace counts them.
    pub(super) created: Option<u32>,
}

/// A step of building the sandbox that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {message}")]
pub struct Fault {
    /// Which step.
    pub step: Step,
    /// What the kernel said.
    pub message: String,
}

/// The steps of building a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Start the launcher and hear from it.
    Launcher,
    /// Read the program.
    Program,
    /// Make the namespaces.
    Namespaces,
    /// Give the namespaces their users.
    Users,
    /// Make the private file system.
    Mounts,
    /// Set the limits of the namespaces.
    Limits,
    /// Confine the program: capabilities, Landlock, seccomp.
    Confinement,
    /// Start the program.
    Start,
}

impl std::fmt::Display for Step {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Step::Launcher => "cannot use the launcher",
            Step::Program => "cannot read the program",
            Step::Namespaces => "cannot make namespaces",
            Step::Users => "cannot give the namespace its user",
            Step::Mounts => "cannot make the private file system",
            Step::Limits => "cannot set limits",
            Step::Confinement => "cannot confine the program",
            Step::Start => "cannot start the program",
        })
    }
}

/// Says in which step something went wrong.
pub(super) trait InStep<T> {
    /// For a step that is one action.
    fn at(self, step: Step) -> Result<T, Fault>;

    /// For a step of several, of which this is the one.
    fn doing(self, step: Step, what: &str) -> Result<T, Fault>;
}

impl<T, E: std::fmt::Display> InStep<T> for Result<T, E> {
    fn at(self, step: Step) -> Result<T, Fault> {
        self.map_err(|error| Fault { step, message: error.to_string() })
    }

    fn doing(self, step: Step, what: &str) -> Result<T, Fault> {
        self.map_err(|error| Fault { step, message: format!("{what}: {error}") })
    }
}

/// Writes one line.
pub(super) fn tell(mut to: impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Lines that arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Begins with what has arrived already.
    pub(super) fn starting_with(pending: Vec<u8>) -> Lines {
        Lines { pending }
    }

    /// Reads once; `false` at the end of the stream.
    pub(super) fn read(&mut self, mut from: impl Read) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        match from.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.pending.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next whole line, as what it says.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = Vec::new();
        if !self.pending.contains(&b'\n') {
            return Ok(None);
        }
        let mut rest = self.pending.as_slice();
        rest.read_until(b'\n', &mut line)?;
        self.pending = rest.to_vec();
        Ok(Some(serde_json::from_slice(&line)?))
    }
}
