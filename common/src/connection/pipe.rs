//! A typed connection, and the pair of them that a pipe is (in Python: `Pipe`).

use super::channel::{Channel, RecvError, SendError};
use crate::codec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

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
pub fn pipe<S, R>() -> io::Result<(Connection<S, R>, Connection<R, S>)> {
    let (left, right) = Channel::pair()?;
    Ok((Connection::over(left), Connection::over(right)))
}

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
    channel: Channel,
    types: PhantomData<fn(S) -> R>,
}

impl<S, R> Connection<S, R> {
    fn over(channel: Channel) -> Self {
        Self { channel, types: PhantomData }
    }

    /// Closes this end. Dropping it does the same; this says so.
    pub fn close(self) {}
}

impl<S: Serialize, R> Connection<S, R> {
    /// Sends `value`; waits while the kernel's buffer is full.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] when the other end is closed or its process has ended; see
    /// [`SendError`] for the rest. The value stays with the caller.
    pub fn send(&self, value: &S) -> Result<(), SendError> {
        self.channel.send(&codec::encode(value)?)
    }
}

impl<S, R: DeserializeOwned> Connection<S, R> {
    /// Receives the next message; waits for it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Eof`] when the other end is closed and nothing is left; see [`RecvError`] for
    /// the rest. After a damaged message the next one may be read where its length was right.
    pub fn recv(&self) -> Result<R, RecvError> {
        let frame = self.channel.receive()?;
        Ok(codec::decode(&frame.bytes, frame.descriptors)?)
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
        codec::serialize_descriptor(self.channel.socket(), serializer)
    }
}

impl<'de, S, R> Deserialize<'de> for Connection<S, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::over(Channel::new(codec::deserialize_descriptor(deserializer)?)))
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
        let frame = receiver.channel.receive().unwrap();
        assert!(codec::decode::<(u8, u8)>(&frame.bytes, frame.descriptors).is_err());
        assert!(matches!(near.recv(), Err(RecvError::Eof)));
    }

    #[test]
    fn a_message_of_another_type_is_an_error_and_the_next_is_read() {
        let (left, right) = pipe::<(String, bool), ()>().unwrap();
        let wrong: Connection<(), u8> = Connection::over(right.channel);
        left.send(&("text".to_string(), true)).unwrap();
        left.send(&(String::new(), true)).unwrap();
        assert!(matches!(wrong.recv(), Err(RecvError::Decode(_))));
        let right: Connection<(), (String, bool)> = Connection::over(wrong.channel);
        assert_eq!(right.recv().unwrap(), (String::new(), true));
    }

    #[test]
    fn a_handle_is_serialised_in_a_message_only() {
        let (near, _far) = pipe::<u32, u32>().unwrap();
        let error = serde_json::to_string(&near).unwrap_err();
        assert!(error.to_string().contains("travels only in the argument of a Process"), "{error}");
    }
}
