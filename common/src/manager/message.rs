//! What is asked of a manager's server, and what it answers.
//!
//! A request is a byte that says which, and what the table says. References to objects that lie in an
//! argument or a result are numbers at the end of the frame: the client's own for the server to hold, the server's
//! for the client to give back.
//!
//! | request | content | answer |
//! | --- | --- | --- |
//! | [`HELLO`] | which client this connection belongs to | none |
//! | [`CALL`] | object, thread, method, arguments, references | the result |
//! | [`CREATE`] | name of the type, arguments, references | object |
//! | [`MAKE`] | distance of the constructor, arguments, references | object |
//! | [`RELEASE`] | object | none |
//! | [`KEEP`] | object | nothing |
//! | [`JOIN`] | client whose connection this is from now on, with all that this one's client has | nothing |
//! | [`PUBLISH`] | object, name | nothing |
//! | [`FIND`] | name | kind and object |
//! | [`ABOUT`] | | the manager's number, and where it is served |
//! | [`COUNT`] | | how many objects there are |
//! | [`SHUTDOWN`] | | nothing |

use super::error::ManagerError;
use super::frame::Garbled;
use serde::{Deserialize, Serialize};

pub(super) const HELLO: u8 = 1;
pub(super) const CALL: u8 = 2;
pub(super) const CREATE: u8 = 3;
pub(super) const MAKE: u8 = 4;
pub(super) const RELEASE: u8 = 5;
pub(super) const KEEP: u8 = 6;
pub(super) const JOIN: u8 = 7;
pub(super) const PUBLISH: u8 = 8;
pub(super) const FIND: u8 = 9;
pub(super) const COUNT: u8 = 10;
pub(super) const SHUTDOWN: u8 = 11;
pub(super) const ABOUT: u8 = 12;

/// The first byte of an answer.
pub(super) const DONE: u8 = 0;
pub(super) const FAILED: u8 = 1;

/// Why a request has no result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    /// There is no such object (any more).
    NoObject,
    /// The object has no such method.
    NoMethod { kind: String, method: String },
    /// No such type was registered.
    NoType(String),
    /// Nothing was published under this name.
    NoName(String),
    /// There is no element of this number.
    OutOfRange { index: u64, len: u64 },
    /// A lock is not held by who releases it.
    NotOwner,
    /// A semaphore has no more permits than this.
    OverRelease(u32),
    /// A barrier is broken.
    BrokenBarrier,
    /// As many items wait in a queue as may, and that did not change in time.
    Full(u64),
    /// Nothing waits in a queue, and that did not change in time.
    Empty,
    /// A queue was shut down.
    ShutDown,
    /// More items are done than were taken.
    NothingInHand,
    /// The method, or a constructor, has panicked or says so.
    Failed(String),
    /// The argument is of another type.
    Argument(String),
    /// It needs code that the server's program does not have.
    OtherProgram,
    /// The request is no request.
    Garbled,
}

impl From<Garbled> for Failure {
    fn from(Garbled: Garbled) -> Self {
        Self::Garbled
    }
}

impl From<Failure> for ManagerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoObject => Self::NoObject,
            Failure::NoMethod { kind, method } => Self::NoMethod { kind, method },
            Failure::NoType(name) => Self::NoType(name),
            Failure::NoName(name) => Self::NoName(name),
            Failure::OutOfRange { index, len } => {
                Self::OutOfRange { index: index as usize, len: len as usize }
            }
            Failure::Failed(text) => Self::Failed(text),
            Failure::Argument(text) => Self::Argument(text),
            Failure::OtherProgram => Self::OtherProgram,
            Failure::NotOwner => Self::NotOwner,
            Failure::OverRelease(most) => Self::OverRelease(most),
            Failure::BrokenBarrier => Self::BrokenBarrier,
            Failure::Full(waiting) => Self::Full(waiting as usize),
            Failure::Empty => Self::Empty,
            Failure::ShutDown => Self::ShutDown,
            Failure::NothingInHand => Self::NothingInHand,
            Failure::Garbled => Self::Failed("the server did not understand the request".into()),
        }
    }
}
