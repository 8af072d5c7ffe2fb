//! Two ends of a pipe that carry typed messages (in Python: `Pipe` and `Connection`).
//!
//! [`pipe`] gives two [`Connection`]s; what one sends the other receives, in order, both ways. An
//! end may go to another process, in the argument of a [`Process`](crate::Process) or in a message.
//!
//! Messages travel over a pair of sockets, each behind its length, as `CPython` frames them
//! (below). A process that dies closes its end: its peer reads the end and
//! never waits for the dead.
//!
//! # Framing
//!
//! Four bytes, the length, big-endian; for 2 GiB and more -1 and eight bytes of length; then the
//! message. Descriptors ride on the bytes, at most 253 on one write; a message with more is written
//! in as many pieces as it takes.

pub(crate) mod channel;
mod pipe;

pub use channel::{RecvError, SendError};
pub use pipe::{Connection, pipe};
