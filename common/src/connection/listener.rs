//! Connections between processes that share nothing but an address (in Python: `Listener` and `Client`).
//!
//! Messages, and the handshake before them, are `CPython`'s on the wire. A message of [`send`] is this crate's own
//! encoding; [`send_bytes`] and [`recv_bytes`] are what a Python program can talk to.
//!
//! **Nothing is encrypted.** A key keeps strangers from coming in, not from listening or changing what goes
//! by. So a listener binds to this machine only, unless [`beyond_loopback`] says otherwise; between machines, use
//! a tunnel: `ssh -L 50000:localhost:50000 there`, and connect to port 50000 here.
//!
//! [`send`]: super::Connection::send
//! [`send_bytes`]: super::Connection::send_bytes
//! [`recv_bytes`]: super::Connection::recv_bytes
//! [`beyond_loopback`]: ListenerBuilder::beyond_loopback

use super::address::Address;
use super::auth::AuthenticationError;
use super::peer::{Fate, PATIENCE, Peer, Stream};
use super::pipe::Connection;
use crate::point::{self, Kind, Name, Named, Operation};
use crate::process::Finalizer;
use crate::sys::process::random;
use crate::sys::socket::{self, Interest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a handshake may take where others have to wait for that.
const HASTE: Duration = Duration::from_millis(500);
/// So many handshakes are under way at a time; who comes then waits in the kernel's line.
const MOST: usize = 64;

/// Why nobody can come to an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another listener has the address.
    #[error("another listener has {0}; choose another address")]
    Taken(Address),
    /// The socket is there, and nobody listens at it: who did was killed.
    #[error("{0} is left over from a listener that has gone; remove it")]
    LeftOver(Address),
    /// Other machines could come to it, and nothing on the way is encrypted.
    #[error(
        "{0} can be reached from other machines, in clear; use localhost and an ssh tunnel, or say \
         beyond_loopback()"
    )]
    BeyondLoopback(Address),
    /// The system refused.
    #[error("nobody can listen at {0}: {1}")]
    Io(Address, #[source] io::Error),
}

/// Why nobody was accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// Somebody came who could not show that it knows the key; others can still come.
    #[error("somebody at {1} was turned away: {0}")]
    Authentication(#[source] AuthenticationError, String),
    /// Somebody came and was silent, or left in the midst of the handshake; others can still come.
    #[error("somebody at {0} came, and did not finish the handshake")]
    Unfinished(String),
    /// The system refused.
    #[error("nobody could be accepted: {0}")]
    Io(#[from] io::Error),
}

enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(socket) => socket.as_fd(),
            Self::Tcp(socket) => socket.as_fd(),
        }
    }
}

/// Waits for others to connect to an address (in Python: `Listener`).
///
/// Who comes has to show the key, if there is one, within 5 seconds (half a second where 64 others try the
/// same); until then it holds up nobody else. Dropping the listener closes it, and removes its socket from the
/// file system.
///
/// ```
/// use common::connection::{self, Client, Listener};
///
/// let listener = Listener::builder().authkey(b"secret").bind()?;
/// let address = listener.address().clone();
/// let client = std::thread::spawn(move || {
///     let connection = Client::new(address).authkey(b"secret").connect::<String, u64>()?;
///     connection.send(&"hello".to_string())?;
///     common::Result::Ok(connection.recv()?)
/// });
/// let connection = listener.accept::<u64, String>()?;
/// let text = connection.recv()?;
/// connection.send(&(text.len() as u64))?;
/// assert_eq!(client.join().unwrap()?, 5);
/// # common::Result::Ok(())
/// ```
#[must_use = "dropping it closes it"]
pub struct Listener {
    name: Name,
    socket: Socket,
    address: Address,
    key: Option<Vec<u8>>,
    legacy: bool,
    peers: Mutex<Vec<Peer>>,
    /// Whether a thread accepts; the others wait until it is done.
    is_accepting: Mutex<bool>,
    done: Condvar,
    last: Mutex<Option<String>>,
    /// Removes the socket from the file system.
    _end: Option<Finalizer>,
}

impl Named for Listener {
    fn name(&self) -> &Name {
        &self.name
    }
}

/// How a listener listens; [`bind`](ListenerBuilder::bind) makes it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[must_use = "bind() makes the listener"]
pub struct ListenerBuilder {
    address: Option<Address>,
    key: Option<Vec<u8>>,
    legacy: bool,
    beyond_loopback: bool,
}

impl ListenerBuilder {
    /// Listens at this address; at a new abstract one where none is given. Anybody on this machine can come to
    /// an abstract one, so it wants a key; a path can lie in a folder that is closed to others.
    pub fn address(mut self, address: impl Into<Address>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Whether one has to know a key.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Lets nobody in who does not know this key, which may be empty.
    pub fn authkey(mut self, key: &[u8]) -> Self {
        self.key = Some(key.to_vec());
        self
    }

    /// Lets in Python up to 3.11 as well, which knows MD5 only.
    pub fn legacy(mut self) -> Self {
        self.legacy = true;
        self
    }

    /// Lets other machines come, although nothing is encrypted: see the
    /// [module](crate::connection).
    pub fn beyond_loopback(mut self) -> Self {
        self.beyond_loopback = true;
        self
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// See [`ListenError`].
    #[track_caller]
    pub fn bind(self) -> Result<Listener, ListenError> {
        let Self { address, key, legacy, beyond_loopback } = self;
        let failed = |address: &Address| {
            let address = address.clone();
            move |error: io::Error| match error.kind() {
                ErrorKind::AddrInUse if is_left_over(&address) => ListenError::LeftOver(address),
                ErrorKind::AddrInUse => ListenError::Taken(address),
                _ => ListenError::Io(address, error),
            }
        };
        let address = match address {
            Some(address) => address,
            None => fresh().map_err(failed(&Address::Abstract(Vec::new())))?,
        };
        if !beyond_loopback && !address.is_loopback() {
            return Err(ListenError::BeyondLoopback(address));
        }
        let (socket, address) = listen(&address).map_err(failed(&address))?;
        let end = match &address {
            Address::Path(path) => Some(remover(path)),
            Address::Abstract(_) | Address::Tcp(_) => None,
        };
        Ok(Listener {
            name: Name::new(Kind::Listener),
            socket,
            address,
            key,
            legacy,
            peers: Mutex::default(),
            is_accepting: Mutex::default(),
            done: Condvar::new(),
            last: Mutex::default(),
            _end: end,
        })
    }
}

fn fresh() -> io::Result<Address> {
    let number = u64::from_ne_bytes(random()?);
    Ok(Address::abstract_name(format!("listener-{number:016x}")))
}

fn listen(address: &Address) -> io::Result<(Socket, Address)> {
    let (socket, address) = match address {
        Address::Path(path) => (Socket::Unix(UnixListener::bind(path)?), address.clone()),
        Address::Abstract(name) => {
            let name = UnixAddr::from_abstract_name(name)?;
            (Socket::Unix(UnixListener::bind_addr(&name)?), address.clone())
        }
        Address::Tcp(wanted) => {
            let socket = TcpListener::bind(wanted)?;
            let address = Address::Tcp(socket.local_addr()?);
            (Socket::Tcp(socket), address)
        }
    };
    match &socket {
        Socket::Unix(socket) => socket.set_nonblocking(true)?,
        Socket::Tcp(socket) => socket.set_nonblocking(true)?,
    }
    Ok((socket, address))
}

/// Whether there is a socket, and nobody listens at it. It is asked as one of another kind: a listener that is
/// there notices nothing.
fn is_left_over(address: &Address) -> bool {
    let Address::Path(path) = address else { return false };
    let is_socket = path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_socket());
    let asked = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    is_socket && asked.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Removes the socket at a path when it is dropped, unless another one is there by then.
fn remover(path: &Path) -> Finalizer {
    let place = |path: &Path| {
        let meta = path.symlink_metadata().ok()?;
        Some((meta.dev(), meta.ino()))
    };
    let (path, ours) = (path.to_path_buf(), place(path));
    Finalizer::at_exit(0, move || {
        if ours.is_some() && place(&path) == ours {
            // Somebody else may have been faster.
            let _ = std::fs::remove_file(&path);
        }
    })
}

impl Listener {
    /// A listener at this address without a key.
    ///
    /// # Errors
    ///
    /// See [`ListenError`].
    #[track_caller]
    pub fn bind(address: impl Into<Address>) -> Result<Self, ListenError> {
        Self::builder().address(address).bind()
    }

    /// A listener in another way.
    pub fn builder() -> ListenerBuilder {
        ListenerBuilder::default()
    }

    /// Where it can be found; with the port that it got, where it was bound to any.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Where the last one came from that was accepted, as far as that has a name.
    #[must_use]
    pub fn last_accepted(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for somebody who connects, and knows the key.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Authentication`] and [`AcceptError::Unfinished`] say who was turned away; call it again
    /// for the next one.
    #[track_caller]
    pub fn accept<S, R>(&self) -> Result<Connection<S, R>, AcceptError> {
        point::before(Operation::Accept, self);
        let accepted = self.accept_stream(None)?;
        let stream = accepted.ok_or_else(|| io::Error::from(ErrorKind::TimedOut))?;
        Ok(Connection::of_stream(Connection::<S, R>::next_name(), stream))
    }

    /// The same, at most for `limit`; `None` where nobody came.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Listener::accept).
    #[track_caller]
    pub fn accept_timeout<S, R>(
        &self,
        limit: Duration,
    ) -> Result<Option<Connection<S, R>>, AcceptError> {
        point::before(Operation::Accept, self);
        let accepted = self.accept_stream(Some(limit))?;
        let name = Connection::<S, R>::next_name;
        Ok(accepted.map(|stream| Connection::of_stream(name(), stream)))
    }

    /// Closes it, as dropping it does.
    #[track_caller]
    pub fn close(self) {
        point::before(Operation::Close, &self);
    }

    /// The same as a plain socket.
    pub(crate) fn accept_stream(
        &self,
        limit: Option<Duration>,
    ) -> Result<Option<OwnedFd>, AcceptError> {
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        let Some(_turn) = self.turn(end) else { return Ok(None) };
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let has_room = peers.len() < MOST;
            let patience = if has_room { PATIENCE } else { HASTE };
            if let Some(place) = peers.iter().position(|peer| peer.since.elapsed() >= patience) {
                return Err(AcceptError::Unfinished(peers.remove(place).name));
            }
            let mut watched: Vec<_> =
                peers.iter().map(|peer| (peer.stream.as_fd(), Interest::Read)).collect();
            if has_room {
                watched.push((self.socket.as_fd(), Interest::Read));
            }
            let next = peers.iter().map(|peer| peer.since + patience).chain(end).min();
            let pause = next.map(|next| next.saturating_duration_since(Instant::now()));
            let mut ready = socket::poll(&watched, pause)?;
            let has_come = has_room && ready.pop().is_some_and(|ready| ready.readable);
            for place in (0..ready.len()).rev().filter(|place| ready[*place].readable) {
                match peers[place].go_on() {
                    Fate::Waits => {}
                    Fate::Done => return self.finish(peers.remove(place)).map(Some),
                    Fate::Left => return Err(AcceptError::Unfinished(peers.remove(place).name)),
                    Fate::Failed(error) => {
                        return Err(AcceptError::Authentication(error, peers.remove(place).name));
                    }
                }
            }
            if has_come && let Some((stream, name)) = self.take()? {
                match &self.key {
                    None => {
                        self.note(&name);
                        return Ok(Some(stream.into_fd()?));
                    }
                    // One that has left already is none of our concern.
                    Some(key) => peers.extend(Peer::come(stream, name, key, self.legacy)),
                }
            }
            if end.is_some_and(|end| end <= Instant::now()) {
                return Ok(None);
            }
        }
    }

    /// The turn to accept; `None` where another thread has it until the end.
    fn turn(&self, end: Option<Instant>) -> Option<Turn<'_>> {
        let mut is_accepting = self.is_accepting.lock().unwrap_or_else(PoisonError::into_inner);
        while *is_accepting {
            is_accepting = match end {
                None => self.done.wait(is_accepting).unwrap_or_else(PoisonError::into_inner),
                Some(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    let waited = self.done.wait_timeout(is_accepting, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *is_accepting = true;
        Some(Turn(self))
    }

    fn note(&self, name: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_string());
    }

    fn finish(&self, peer: Peer) -> Result<OwnedFd, AcceptError> {
        self.note(&peer.name);
        Ok(peer.stream.into_fd()?)
    }

    /// Takes the first one out of the kernel's line; `None` where it has left.
    fn take(&self) -> io::Result<Option<(Stream, String)>> {
        let taken = match &self.socket {
            Socket::Unix(socket) => {
                socket.accept().map(|(stream, _)| (Stream::Unix(stream), self.address.to_string()))
            }
            Socket::Tcp(socket) => {
                socket.accept().map(|(stream, peer)| (Stream::Tcp(stream), peer.to_string()))
            }
        };
        match taken {
            Ok(taken) => Ok(Some(taken)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {
                    Ok(None)
                }
                _ => Err(error),
            },
        }
    }
}

/// Given to the next thread when it is dropped.
struct Turn<'a>(&'a Listener);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.is_accepting.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.done.notify_one();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

/// Without the key.
impl fmt::Debug for ListenerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerBuilder").field("address", &self.address).finish_non_exhaustive()
    }
}
