//! Why a program does not come to its end: its processes are read before they are killed, and the student
//! reads who waits for what, and what to do.
//!
//! ```
//! use autograder::explain;
//!
//! let own = std::process::id() as i32;
//! let explanation = explain::look(own, explain::PATIENCE).explain();
//! // For the student, and for the result:
//! let (lines, _json) = (explanation.lines(false), serde_json::to_string(&explanation).unwrap());
//! assert!(!lines.is_empty() && lines.len() <= explain::LINES);
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | `proc.rs` | reads a tree of processes from outside |
//! | `call.rs` | what a thread waits for, from its system call |
//! | `sockets.rs` | which sockets belong together |
//! | `notes.rs` | what the threads of a program have noted that uses `common` |
//! | `graph.rs` | who waits for whom: circles, waits for oneself, for what is outside |
//! | `text.rs` | the same in words, with the way out |
//!
//! # What must be allowed
//!
//! Whoever looks needs what a debugger needs (`PTRACE_MODE_ATTACH` in `ptrace(2)`): the same user, or root,
//! or the owner of the program's user namespace; and the program must not have made itself undumpable.
//! Otherwise states, children and locks on files are still known, and waits are told by the kernel's name
//! of the place only.
//!
//! For names and lines, the program's environment must have `COMMON_WAITS` (`common::point`), of any value.

mod call;
mod graph;
mod notes;
mod proc;
mod sockets;
mod text;

use std::time::Duration;

pub use call::{Direction, Wait, Which};
pub use graph::{At, Channel, End, Explanation, Member, Standing, Waiting, What};
pub use notes::{Held, Note, Place};
pub use proc::{
    DESCRIPTORS, Descriptor, FileLock, PATIENCE, Process, Snapshot, TASKS, Target, Task,
};
pub use text::LINES;

/// The environment variable by which a program that uses `common` is asked for names and lines.
pub const NOTES: &str = "COMMON_WAITS";

/// Looks at the process `root` and everything below it; takes at most `patience`, or [`PATIENCE`] if that
/// is shorter.
///
/// Nothing is stopped. What cannot be read is not known: there is no error.
pub fn look(root: i32, patience: Duration) -> Snapshot {
    proc::look(root, true, patience)
}

/// Looks at everything below the process `root`, which is the grader's own, and not at itself.
pub fn look_below(root: i32, patience: Duration) -> Snapshot {
    proc::look(root, false, patience)
}
