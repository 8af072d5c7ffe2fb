//! Two ends of a pipe that carry typed messages (in Python: `Pipe` and `Connection`).
//!
//! [`pipe`] gives two [`Connection`]s; what one sends the other receives, in order, both ways;
//! [`one_way_pipe`] gives a [`Receiver`] and a [`Sender`]. An end may go to another process, in the
//! argument of a [`Process`](crate::Process) or in a message, and so may any descriptor that the
//! program has, as a [`Handle`]. [`wait`] waits for several of them at once.
//!
//! Processes that share nothing meet at an [`Address`]: one [listens](Listener), the others
//! [connect](Client). What travels between them is not encrypted: a key keeps strangers out, and nobody from
//! reading what goes by. Between machines, use an ssh tunnel.
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

mod address;
mod auth;
pub(crate) mod channel;
mod client;
mod handle;
mod listener;
mod peer;
mod pipe;
mod wait;

pub use address::Address;
pub use auth::AuthenticationError;
pub use channel::{RecvError, RecvIntoError, SendError};
pub use client::{Client, ConnectError};
pub use handle::Handle;
pub use listener::{AcceptError, ListenError, Listener, ListenerBuilder};
pub use pipe::{Connection, OneWay, Receiver, Sender, one_way_pipe, pipe};
pub use wait::wait;
