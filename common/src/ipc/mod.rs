//! Objects of the kernel that programs used before there was anything else, for those that have to talk to
//! such programs, and to see what they are (no Python names: Python leaves them to other packages).
//!
//! | | what it is | found by | lives |
//! | --- | --- | --- | --- |
//! | [`MessageQueue`] | messages that the kernel keeps, each of a kind (System V) | its number | until it is removed |
//! | [`Segment`] | memory (System V) | its number | until it is removed and nobody has it attached |
//! | [`Mapping`] | memory behind a descriptor, such as `shm_open` gives (POSIX) | whatever the descriptor came from | as that does |
//!
//! A queue or segment belongs to the process that has made it: its handle removes it when it is dropped.
//! Where that process is killed, nobody removes it; `ipcs` lists what there is, and `ipcrm` removes it. For
//! new programs there are [`Queue`](crate::Queue) and [`SharedMemory`](crate::SharedMemory), of which
//! nothing stays behind.
//!
//! POSIX message queues, named pipes and sockets need no type of their own: the crate `nix` has safe ones.
//!
//! # Limits
//!
//! The kernel has as many queues as /proc/sys/kernel/msgmni says, of /proc/sys/kernel/msgmnb bytes each, with
//! messages of /proc/sys/kernel/msgmax bytes at most (on Linux 16,384 and 8,192 where nobody has changed them),
//! and as many segments as /proc/sys/kernel/shmmni says.

mod memory;
mod message_queue;

pub use memory::{Mapping, Memory, Segment};
pub use message_queue::{Message, MessageQueue};

use crate::sys::sysv;
use std::io;

/// Why an object of the kernel could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IpcError {
    /// Nothing has this number.
    #[error(
        "there is no System V {what} {id}; it was never made or is removed by now (`ipcs` lists what there is)"
    )]
    Gone {
        /// Message queue or segment.
        what: &'static str,
        /// Its number.
        id: i32,
    },
    /// The kernel gives no more of them, or not as many bytes.
    #[error("the kernel gives no {what}: {source}; `ipcs` lists what there is, `ipcrm` removes it")]
    NoSpace {
        /// Message queue, segment or mapping.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A message of kind 0 or below, which `receive` keeps for questions about several kinds.
    #[error("a message cannot be of kind {0}; kinds begin with 1")]
    BadKind(i64),
    /// A message is longer than any may be.
    #[error("a message of {len} bytes is too long; /proc/sys/kernel/msgmax has the limit")]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// What is to be mapped has fewer bytes.
    #[error(
        "{len} bytes cannot be mapped of what has {has}; ask for less, or make it longer before (ftruncate)"
    )]
    TooShort {
        /// How many were asked for.
        len: usize,
        /// How many there are.
        has: usize,
    },
    /// The system refused.
    #[error("System V {what} {id}: {source}")]
    Refused {
        /// Message queue or segment.
        what: &'static str,
        /// Its number.
        id: i32,
        /// What the system says.
        source: io::Error,
    },
}

impl IpcError {
    /// What the system has said of the object with this number.
    fn of(what: &'static str, id: i32, source: io::Error) -> Self {
        match sysv::is_gone(&source) {
            true => Self::Gone { what, id },
            false => Self::Refused { what, id, source },
        }
    }
}
