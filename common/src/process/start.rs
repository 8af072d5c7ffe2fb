//! What parent and child do to make a function run in another process.
//!
//! | parent, [`start`] | child, [`init`] |
//! | --- | --- |
//! | makes a pair of sockets, starts itself again with one of them | finds it by its command line, closes all else |
//! | sends the order: name, trampoline, target | receives it |
//! | sends the argument with its descriptors | the trampoline, which knows the types, receives it |
//! | keeps its socket until the child has ended | calls the target, leaves with its outcome |
//!
//! Meeting over an inherited socket means that the death of either side is the end of a stream, and
//! not a wait for ever.

use super::Child;
use crate::codec::{self, EncodeError};
use crate::connection::SendError;
use crate::connection::channel::Channel;
use crate::sys::entry::{self, Distance};
use crate::sys::process;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The argument that makes an executable a child.
const CHILD: &str = "--common-child";
/// The exit code of a panic, as Rust's own.
const PANICKED: i32 = 101;
/// The exit code of a child that could not even begin.
const NOT_BEGUN: i32 = 102;

static INITIALISED: AtomicBool = AtomicBool::new(false);
static STARTED: AtomicU64 = AtomicU64::new(0);
/// The child's end of the socket to its parent; open until it ends.
static TO_PARENT: OnceLock<Channel> = OnceLock::new();

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `main` did not begin with [`init`].
    #[error("no process can be started before common::init(); make it the first line of main")]
    NotInitialised,
    /// The target is not code of this executable.
    #[error(
        "the target of process {name:?} lies in a dynamic library; name a function of this program"
    )]
    ForeignTarget {
        /// The name of the process.
        name: String,
    },
    /// The argument has no encoding.
    #[error("the argument of process {name:?}: {source}")]
    Argument {
        /// The name of the process.
        name: String,
        /// Why not.
        source: EncodeError,
    },
    /// The child ended before it had received its argument.
    #[error(
        "process {name:?} {exit} before it had its argument; does the program's main begin \
             with common::init()?"
    )]
    EndedEarly {
        /// The name of the process.
        name: String,
        /// How it ended.
        exit: super::Exit,
    },
    /// The system refused.
    #[error("process {name:?} could not be started: {source}")]
    Io {
        /// The name of the process.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

/// What a target may return, and the exit code it gives.
pub trait Outcome {
    /// The exit code; an error is printed on standard error.
    fn exit_code(self) -> i32;
}

impl Outcome for () {
    fn exit_code(self) -> i32 {
        0
    }
}

/// `Ok` counts as its value; `Err` is printed and gives 1.
impl<T: Outcome, E: fmt::Debug> Outcome for Result<T, E> {
    fn exit_code(self) -> i32 {
        match self {
            Ok(value) => value.exit_code(),
            Err(error) => {
                let _ = writeln!(io::stderr(), "Error: {error:?}");
                1
            }
        }
    }
}

/// What the parent asks of the child, before the argument.
#[derive(Serialize, Deserialize)]
struct Order {
    name: String,
    trampoline: Distance,
    target: Distance,
}

pub(super) fn start<A, R>(
    target: fn(A) -> R,
    argument: &A,
    name: Option<String>,
) -> Result<Child, StartError>
where
    A: Serialize + DeserializeOwned,
    R: Outcome,
{
    if !INITIALISED.load(Ordering::Relaxed) {
        return Err(StartError::NotInitialised);
    }
    let number = STARTED.fetch_add(1, Ordering::Relaxed) + 1;
    let name = name.unwrap_or_else(|| format!("Process-{number}"));
    let trampoline: fn(Distance, &mut &'static Channel) -> i32 = run::<A, R>;
    let (Some(trampoline), Some(target)) =
        (entry::of_trampoline(trampoline), entry::of_target(target))
    else {
        return Err(StartError::ForeignTarget { name });
    };
    let argument = codec::encode(argument)
        .map_err(|source| StartError::Argument { name: name.clone(), source })?;
    let order = codec::encode(&Order { name: name.clone(), trampoline, target })
        .map_err(|source| StartError::Argument { name: name.clone(), source })?;

    let failed = |source| StartError::Io { name: name.clone(), source };
    let (ours, theirs) = Channel::pair().map_err(failed)?;
    let program = std::env::args_os().next().unwrap_or_else(|| OsString::from("child"));
    let words = [&program, OsStr::new(CHILD), OsStr::new(&name)];
    let pid = process::start_again(&words, theirs.as_fd()).map_err(failed)?;
    drop(theirs);
    let lifeline = ours.as_fd().try_clone_to_owned();
    let (watch, lifeline) = match (process::watch(pid), lifeline) {
        (Ok(watch), Ok(lifeline)) => (watch, lifeline),
        (Err(source), _) | (_, Err(source)) => {
            // The child would read the end and leave; do not let it begin.
            let _ = process::signal(pid, 9);
            while let Ok(None) = process::collect(pid) {
                std::thread::yield_now();
            }
            return Err(failed(source));
        }
    };
    let child = Child::new(name.clone(), pid, watch, lifeline);
    match ours.send(&order).and_then(|()| ours.send(&argument)) {
        Ok(()) => Ok(child),
        Err(error) => {
            let ended = matches!(error, SendError::Closed);
            if !ended {
                let _ = child.signal(9);
            }
            match child.join() {
                Ok(exit) if ended => Err(StartError::EndedEarly { name, exit }),
                _ => Err(StartError::Io { name, source: io::Error::other(error) }),
            }
        }
    }
}

/// Makes children possible: the first line of `main` in every program that starts processes (in
/// Python: `freeze_support`, and the `__main__` guard).
///
/// In the program that the user started it returns at once. In a child it does the child's work and
/// never returns: what stands before it runs in every child as well, what stands after it does not.
pub fn init() {
    if is_child() {
        let code = serve();
        std::process::exit(code);
    }
    INITIALISED.store(true, Ordering::Relaxed);
}

/// Whether this process is a child that another one started. May be asked before [`init`].
#[must_use]
pub fn is_child() -> bool {
    std::env::args_os().nth(1).is_some_and(|word| word == CHILD)
}

/// The life of a child; its exit code.
fn serve() -> i32 {
    let channel = match process::take_given() {
        Ok(given) => TO_PARENT.get_or_init(|| Channel::new(given)),
        Err(error) => return not_begun(&format!("it has no socket to its parent ({error})")),
    };
    INITIALISED.store(true, Ordering::Relaxed);
    let order: Order =
        match channel.receive().map_err(|error| error.to_string()).and_then(|frame| {
            codec::decode(&frame.bytes, frame.descriptors).map_err(|error| error.to_string())
        }) {
            Ok(order) => order,
            Err(error) => return not_begun(&error),
        };
    process::set_name(&order.name);
    match entry::trampoline::<&'static Channel, i32>(order.trampoline) {
        Some(trampoline) => trampoline(order.target, &mut { channel }),
        None => not_begun("its parent is another program"),
    }
}

/// Receives the argument and calls the target; the exit code.
fn run<A: DeserializeOwned, R: Outcome>(target: Distance, channel: &mut &'static Channel) -> i32 {
    let Some(target) = entry::target::<A, R>(target) else {
        return not_begun("its parent is another program");
    };
    let argument = channel.receive().map_err(|error| error.to_string()).and_then(|frame| {
        codec::decode(&frame.bytes, frame.descriptors).map_err(|error| error.to_string())
    });
    match argument {
        Ok(argument) => {
            // The panic's message is on standard error already: the hook has printed it.
            panic::catch_unwind(AssertUnwindSafe(|| target(argument).exit_code()))
                .unwrap_or(PANICKED)
        }
        Err(error) => not_begun(&format!("its argument: {error}")),
    }
}

fn not_begun(reason: &str) -> i32 {
    let mut text = format!("child process {}: cannot begin: {reason}", process::getpid());
    let _ = write!(text, "; only common starts a program with {CHILD}");
    let _ = writeln!(io::stderr(), "{text}");
    NOT_BEGUN
}
