//! A typed connection, and the pair of them that a pipe is (in Python: `Pipe`).

use super::channel::{Channel, Frame, RecvError, RecvIntoError, SendError};
use super::handle::Handle;
use crate::codec::{self, MAX_BYTES};
use crate::point::{self, Kind, Name, Named, Operation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Two connected ends: what one sends the other receives, both ways (in Python: `Pipe()`).
///
/// The first sends `S` and receives `R`, the second the other way round.
///
/// ```
/// let (parent, child) = common::pipe::<String, u64>()?;
/// parent.send(&"how many?".to_string())?;
/// assert_eq!(child.recv()?, "how many?");
/// child.send(&3)?;
/// assert_eq!(parent.recv()?, 3);
/// # common::Result::Ok(())
/// ```
///
/// # Errors
///
/// Where this process has no descriptor left.
#[doc(alias = "Pipe")]
#[track_caller]
pub fn pipe<S, R>() -> io::Result<(Connection<S, R>, Connection<R, S>)> {
    let names = (Name::new(Kind::Connection), Name::new(Kind::Connection));
    let (left, right) = Channel::pair()?;
    Ok((Connection::over(names.0, left), Connection::over(names.1, right)))
}

/// Two connected ends of which one only sends and the other only receives (in Python:
/// `Pipe(duplex=False)`, which gives them in this order as well).
///
/// ```
/// let (receiver, sender) = common::one_way_pipe::<String>()?;
/// sender.send(&"hello".to_string())?;
/// assert_eq!(receiver.recv()?, "hello");
/// # common::Result::Ok(())
/// ```
///
/// The wrong direction is no method:
///
/// ```compile_fail
/// let (receiver, sender) = common::one_way_pipe::<String>().unwrap();
/// receiver.send(&"hello".to_string());
/// ```
///
/// ```compile_fail
/// let (receiver, sender) = common::one_way_pipe::<String>().unwrap();
/// sender.recv();
/// ```
///
/// # Errors
///
/// Where this process has no descriptor left.
#[track_caller]
pub fn one_way_pipe<T>() -> io::Result<(Receiver<T>, Sender<T>)> {
    pipe()
}

/// The receiving end of [`one_way_pipe`]: a connection that does not send.
pub type Receiver<T> = Connection<OneWay, T>;

/// The sending end of [`one_way_pipe`]: a connection that does not receive.
pub type Sender<T> = Connection<T, OneWay>;

/// What travels against the direction of [`one_way_pipe`]: there is no value of it.
#[derive(Debug)]
pub enum OneWay {}

/// One end of a pipe: sends `S` and receives `R` (in Python: `Connection`).
///
/// Dropping it closes it; when the other end's copies are closed in every process, [`recv`] reports
/// the end. It may be used by several threads; each message goes to one of them.
///
/// It is a handle: serialised into the argument of a [`Process`](crate::Process) or into a message,
/// it is the same end that arrives in the other process.
///
/// [`recv`]: Connection::recv
#[derive(Debug)]
pub struct Connection<S, R = S> {
    name: Name,
    channel: Channel,
    types: PhantomData<fn(S) -> R>,
}

impl<S, R> Named for Connection<S, R> {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl<S, R> Connection<S, R> {
    /// The name of a connection that somebody is about to make.
    pub(super) fn next_name() -> Name {
        point::quietly(|| Name::new(Kind::Connection))
    }

    /// A connection over a socket that is connected.
    pub(super) fn of_stream(name: Name, socket: OwnedFd) -> Self {
        Self::over(name, Channel::new(socket))
    }

    fn over(name: Name, channel: Channel) -> Self {
        Self { name, channel, types: PhantomData }
    }

    /// Closes this end. Dropping it does the same; this says so.
    #[track_caller]
    pub fn close(self) {
        point::before(Operation::Close, &self);
    }
}

impl<S: Serialize, R> Connection<S, R> {
    /// Sends `value`; waits while the kernel's buffer is full.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] when the other end is closed or its process has ended; see
    /// [`SendError`] for the rest. The value stays with the caller.
    #[track_caller]
    pub fn send(&self, value: &S) -> Result<(), SendError> {
        point::before(Operation::Send, self);
        self.channel.send(&codec::encode(value)?)
    }

    /// Sends `bytes` as one message that is not encoded: what a Python `recv_bytes` reads. They may
    /// be none.
    ///
    /// Such a message is for [`recv_bytes`](Connection::recv_bytes); `recv` would take it for an
    /// encoded value.
    ///
    /// ```
    /// let (left, right) = common::pipe::<(), ()>()?;
    /// left.send_bytes(b"as they are")?;
    /// assert_eq!(right.recv_bytes()?, b"as they are");
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`send`](Connection::send).
    #[track_caller]
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError> {
        point::before(Operation::Send, self);
        self.channel.send_bytes(bytes)
    }
}

impl<S, R: DeserializeOwned> Connection<S, R> {
    /// Receives the next message; waits for it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Eof`] when the other end is closed and nothing is left; see [`RecvError`] for
    /// the rest. After a message of another type ([`RecvError::Decode`]) the next one may be read;
    /// after one that was cut off or damaged nothing can.
    #[track_caller]
    pub fn recv(&self) -> Result<R, RecvError> {
        point::before(Operation::Recv, self);
        let Frame { bytes, descriptors } = self.channel.receive(MAX_BYTES)?;
        let value = codec::decode(&bytes, descriptors);
        self.channel.give_back(bytes);
        Ok(value?)
    }

    /// Whether [`recv`](Connection::recv) would not have to wait: a message has come, or begun to
    /// come, or the end has.
    ///
    /// # Errors
    ///
    /// Where this process was forked and not given this end.
    #[track_caller]
    pub fn poll(&self) -> io::Result<bool> {
        self.poll_timeout(Duration::ZERO)
    }

    /// As [`poll`](Connection::poll), after waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As for [`poll`](Connection::poll).
    #[track_caller]
    pub fn poll_timeout(&self, limit: Duration) -> io::Result<bool> {
        point::before(Operation::Poll, self);
        self.channel.poll(Some(limit))
    }

    /// Receives the bytes of the next message as they are.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Connection::recv), but nothing is decoded.
    #[track_caller]
    pub fn recv_bytes(&self) -> Result<Vec<u8>, RecvError> {
        self.recv_bytes_max(MAX_BYTES)
    }

    /// As [`recv_bytes`](Connection::recv_bytes), for a message of at most `limit` bytes (in Python:
    /// `recv_bytes(maxlength)`).
    ///
    /// # Errors
    ///
    /// [`RecvError::TooLong`] where the message is longer. It is not read then, so nothing more can
    /// be received here; this end still sends.
    #[track_caller]
    pub fn recv_bytes_max(&self, limit: usize) -> Result<Vec<u8>, RecvError> {
        point::before(Operation::Recv, self);
        Ok(self.channel.receive(limit)?.bytes)
    }

    /// Receives the bytes of the next message into `buffer`, and says how many there are: no memory
    /// is allocated.
    ///
    /// # Errors
    ///
    /// [`RecvIntoError::TooShort`] holds a message that is longer than `buffer`; the next one may be
    /// read. The rest is as for [`recv_bytes`](Connection::recv_bytes).
    #[track_caller]
    pub fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize, RecvIntoError> {
        point::before(Operation::Recv, self);
        self.channel.receive_into(buffer)
    }
}

/// Polls ready when there is a message, or the end, to receive (in Python: `fileno`).
impl<S, R> AsFd for Connection<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl<S, R> Serialize for Connection<S, R> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        (Handle::from_shared(Arc::clone(self.channel.socket())), &self.name).serialize(serializer)
    }
}

impl<'de, S, R> Deserialize<'de> for Connection<S, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (handle, name) = <(Handle, Name)>::deserialize(deserializer)?;
        Ok(Self::over(name, Channel::over(handle.share())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_travels_in_a_message() {
        let (carrier, receiver) = pipe::<Connection<u32, u32>, ()>().unwrap();
        let (near, far) = pipe::<u32, u32>().unwrap();
        carrier.send(&far).unwrap();
        drop(far);
        let far = receiver.recv().unwrap();
        near.send(&5).unwrap();
        assert_eq!(far.recv().unwrap(), 5);
        drop(far);
        assert!(matches!(near.recv(), Err(RecvError::Eof)));
    }

    #[test]
    fn a_handle_that_the_receiver_does_not_claim_is_closed() {
        let (carrier, receiver) = pipe::<Connection<u32, u32>, ()>().unwrap();
        let (near, far) = pipe::<u32, u32>().unwrap();
        carrier.send(&far).unwrap();
        drop(far);
        let frame = receiver.channel.receive(MAX_BYTES).unwrap();
        assert!(codec::decode::<(u8, u8)>(&frame.bytes, frame.descriptors).is_err());
        assert!(matches!(near.recv(), Err(RecvError::Eof)));
    }

    #[test]
    fn a_message_of_another_type_is_an_error_and_the_next_is_read() {
        let (left, right) = pipe::<(String, bool), ()>().unwrap();
        let wrong: Connection<(), u8> = Connection::over(right.name, right.channel);
        left.send(&("text".to_string(), true)).unwrap();
        left.send(&(String::new(), true)).unwrap();
        assert!(matches!(wrong.recv(), Err(RecvError::Decode(_))));
        let right: Connection<(), (String, bool)> = Connection::over(wrong.name, wrong.channel);
        assert_eq!(right.recv().unwrap(), (String::new(), true));
    }

    #[test]
    fn a_handle_is_serialised_in_a_message_only() {
        let (near, _far) = pipe::<u32, u32>().unwrap();
        let error = serde_json::to_string(&near).unwrap_err();
        assert!(error.to_string().contains("travels only in the argument of a Process"), "{error}");
    }
}
