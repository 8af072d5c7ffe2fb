//! Who connects to a listener.

use super::address::Address;
use super::auth::AuthenticationError;
use super::peer::{Fate, PATIENCE, Peer, Stream};
use super::pipe::Connection;
use crate::point::{Operation, before};
use crate::sys::socket::{self, Interest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

/// Why there is no connection to an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody listens there (in Python: `ConnectionRefusedError`, `FileNotFoundError`).
    #[error("nobody listens at {0}; start the listener first")]
    Nobody(Address),
    /// One of the two does not know the key.
    #[error(transparent)]
    Authentication(#[from] AuthenticationError),
    /// The other side was silent for too long, or has left, in the midst of the handshake.
    #[error("the listener at {0} did not finish the handshake; does it use a key?")]
    Unfinished(Address),
    /// The system refused.
    #[error("no connection to {0}: {1}")]
    Io(Address, #[source] io::Error),
}

/// Connects to a [`Listener`](super::Listener) (in Python: `Client`).
#[derive(Clone, Serialize, Deserialize)]
#[must_use = "connect() connects"]
pub struct Client {
    address: Address,
    key: Option<Vec<u8>>,
    legacy: bool,
    limit: Option<Duration>,
}

impl Client {
    /// To the listener at this address, without a key.
    pub fn new(address: impl Into<Address>) -> Self {
        Self { address: address.into(), key: None, legacy: false, limit: None }
    }

    /// Shows that it knows this key, and asks the same of the listener.
    pub fn authkey(mut self, key: &[u8]) -> Self {
        self.key = Some(key.to_vec());
        self
    }

    /// Puts up with a listener of Python up to 3.11, which knows MD5 only.
    pub fn legacy(mut self) -> Self {
        self.legacy = true;
        self
    }

    /// Gives up what is not done by then: to be let into the listener's line, and to be let in; after 5 seconds,
    /// unless it is said.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    #[track_caller]
    pub fn connect<S, R>(self) -> Result<Connection<S, R>, ConnectError> {
        let name = Connection::<S, R>::next_name();
        before(Operation::Connect, &name);
        Ok(Connection::of_stream(name, self.connect_stream()?))
    }

    /// The same as a plain socket.
    pub(crate) fn connect_stream(&self) -> Result<OwnedFd, ConnectError> {
        let since = Instant::now();
        let limit = self.limit.unwrap_or(PATIENCE);
        let stream = self.reach(limit).map_err(|error| self.failed(error))?;
        let stream = match &self.key {
            None => stream,
            Some(key) => self.shake_hands(stream, key, limit.saturating_sub(since.elapsed()))?,
        };
        stream.into_fd().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> ConnectError {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                ConnectError::Nobody(self.address.clone())
            }
            // The listener's line is full, and stays so.
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                ConnectError::Unfinished(self.address.clone())
            }
            _ => ConnectError::Io(self.address.clone(), error),
        }
    }

    fn reach(&self, limit: Duration) -> io::Result<Stream> {
        Ok(match &self.address {
            Address::Path(path) => Stream::Unix(socket::connect(path.into(), limit)?.into()),
            Address::Abstract(name) => {
                Stream::Unix(socket::connect(name.as_slice().into(), limit)?.into())
            }
            Address::Tcp(address) => {
                // No time is no time at all, which the call refuses.
                let limit = limit.max(Duration::from_millis(1));
                Stream::Tcp(TcpStream::connect_timeout(address, limit)?)
            }
        })
    }

    fn shake_hands(
        &self,
        stream: Stream,
        key: &[u8],
        limit: Duration,
    ) -> Result<Stream, ConnectError> {
        let failed = |error| self.failed(error);
        let mut peer = Peer::listening(stream, key, self.legacy).map_err(failed)?;
        loop {
            match peer.go_on() {
                Fate::Done => return Ok(peer.stream),
                Fate::Failed(error) => return Err(error.into()),
                Fate::Left => return Err(ConnectError::Unfinished(self.address.clone())),
                Fate::Waits => {}
            }
            let left = limit.saturating_sub(peer.since.elapsed());
            let watched = [(peer.stream.as_fd(), Interest::Read)];
            let ready = socket::poll(&watched, Some(left)).map_err(failed)?;
            if !ready[0].readable {
                return Err(ConnectError::Unfinished(self.address.clone()));
            }
        }
    }
}

/// Without the key.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.address)
    }
}
