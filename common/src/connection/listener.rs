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
use super::auth::{AuthenticationError, Handshake, LONGEST, Next};
use super::pipe::Connection;
use crate::point::{self, Kind, Name, Named, Operation};
use crate::process::Finalizer;
use crate::sys::process::random;
use crate::sys::socket::{self, Interest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a handshake may take, and how long where others have to wait for that.
const PATIENCE: Duration = Duration::from_secs(5);
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

/// A stream to a peer, before it is a connection.
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

macro_rules! both {
    ($stream:expr, $name:ident => $work:expr) => {
        match $stream {
            Stream::Unix($name) => $work,
            Stream::Tcp($name) => $work,
        }
    };
}

impl Stream {
    fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        both!(self, stream => stream.set_nonblocking(is_nonblocking))
    }

    /// Small messages go at once, and not when the last one has arrived.
    fn into_fd(self) -> io::Result<OwnedFd> {
        self.set_nonblocking(false)?;
        Ok(match self {
            Self::Unix(stream) => stream.into(),
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.into()
            }
        })
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        both!(self, stream => stream.as_fd())
    }
}

/// Somebody who has come, and not shown a key yet.
struct Peer {
    stream: Stream,
    name: String,
    handshake: Handshake,
    /// What came of the next frame, with its length.
    inbox: Vec<u8>,
    since: Instant,
}

/// What became of a peer.
enum Fate {
    Waits,
    Done,
    Failed(AuthenticationError),
    Left,
}

impl Peer {
    fn begin(stream: Stream, name: String, key: &[u8], legacy: bool) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (handshake, challenge) = Handshake::of_listener(key, legacy)?;
        let mut peer = Self { stream, name, handshake, inbox: Vec::new(), since: Instant::now() };
        peer.send(&challenge)?;
        Ok(peer)
    }

    /// A frame of the handshake fits into any socket's buffer; where it does not, nobody reads.
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        both!(&mut self.stream, stream => stream.write_all(&bytes))
    }

    /// Reads what there is, and nothing of what comes after the handshake.
    fn go_on(&mut self) -> Fate {
        loop {
            let wanted = match self.inbox.first_chunk() {
                None => 4,
                Some(len) => match u32::from_be_bytes(*len) as usize {
                    len if len > LONGEST => return Fate::Failed(AuthenticationError::Garbled),
                    len => 4 + len,
                },
            };
            if self.inbox.len() == wanted && wanted > 4 {
                let frame = std::mem::take(&mut self.inbox);
                let Ok(Next { frames, end }) = self.handshake.receive(&frame[4..]) else {
                    return Fate::Left;
                };
                let sent = frames.iter().try_for_each(|frame| self.send(frame));
                match (end, sent) {
                    (Some(Err(error)), _) => return Fate::Failed(error),
                    (_, Err(_)) => return Fate::Left,
                    (Some(Ok(())), Ok(())) => return Fate::Done,
                    (None, Ok(())) => continue,
                }
            }
            if wanted == 4 && self.inbox.len() == 4 {
                // A frame of nothing.
                return Fate::Failed(AuthenticationError::Garbled);
            }
            let mut room = [0; LONGEST + 4];
            let room = &mut room[..wanted - self.inbox.len()];
            match both!(&mut self.stream, stream => stream.read(room)) {
                Ok(0) => return Fate::Left,
                Ok(read) => self.inbox.extend_from_slice(&room[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Fate::Waits,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Fate::Left,
            }
        }
    }
}

/// Waits for others to connect to an address (in Python: `Listener`).
///
/// Who comes has to show the key, if there is one, within 5 seconds (half a second where 64 others try the same);
/// until then it holds up nobody else. Dropping
/// the listener closes it, and removes its socket from the file system.
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

    /// Speaks the handshake of Python up to 3.11, which is MD5; newer ones understand it as well.
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
        let (peers, last) = (Mutex::default(), Mutex::default());
        let name = Name::new(Kind::Listener);
        Ok(Listener { name, socket, address, key, legacy, peers, last, _end: end })
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

/// Whether there is a socket, and nobody listens at it.
fn is_left_over(address: &Address) -> bool {
    let Address::Path(path) = address else { return false };
    let refused =
        UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    refused && path.symlink_metadata().is_ok()
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
        accepted
            .map(Connection::of_stream)
            .ok_or_else(|| io::Error::from(ErrorKind::TimedOut).into())
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
        Ok(self.accept_stream(Some(limit))?.map(Connection::of_stream))
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
                    Some(key) => peers.extend(Peer::begin(stream, name, key, self.legacy)),
                }
            } else if end.is_some_and(|end| end <= Instant::now()) {
                return Ok(None);
            }
        }
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

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

/// Connects to a [`Listener`] (in Python: `Client`).
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

    /// Speaks the handshake of Python up to 3.11, which is MD5.
    pub fn legacy(mut self) -> Self {
        self.legacy = true;
        self
    }

    /// Gives up a handshake that is not done by then; after 5 seconds, unless it is said.
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
        Ok(Connection::of_stream(self.connect_stream()?))
    }

    /// The same as a plain socket.
    pub(crate) fn connect_stream(&self) -> Result<OwnedFd, ConnectError> {
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                ConnectError::Nobody(self.address.clone())
            }
            _ => ConnectError::Io(self.address.clone(), error),
        };
        let stream = match &self.address {
            Address::Path(path) => Stream::Unix(UnixStream::connect(path).map_err(failed)?),
            Address::Abstract(name) => {
                let name = UnixAddr::from_abstract_name(name).map_err(failed)?;
                Stream::Unix(UnixStream::connect_addr(&name).map_err(failed)?)
            }
            Address::Tcp(address) => {
                let limit = self.limit.unwrap_or(PATIENCE);
                Stream::Tcp(TcpStream::connect_timeout(address, limit).map_err(failed)?)
            }
        };
        match &self.key {
            None => stream.into_fd().map_err(failed),
            Some(key) => {
                self.shake_hands(stream, key).and_then(|stream| stream.into_fd().map_err(failed))
            }
        }
    }

    fn shake_hands(&self, stream: Stream, key: &[u8]) -> Result<Stream, ConnectError> {
        let failed = |error: io::Error| ConnectError::Io(self.address.clone(), error);
        stream.set_nonblocking(true).map_err(failed)?;
        let mut peer = Peer {
            stream,
            name: String::new(),
            handshake: Handshake::of_client(key, self.legacy),
            inbox: Vec::new(),
            since: Instant::now(),
        };
        let limit = self.limit.unwrap_or(PATIENCE);
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

/// Without the key.
impl fmt::Debug for ListenerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerBuilder").field("address", &self.address).finish_non_exhaustive()
    }
}
