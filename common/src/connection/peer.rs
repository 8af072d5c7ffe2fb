//! The other side of a handshake, whose frames are read as they come: nobody waits for it.

use super::auth::{AuthenticationError, Handshake, LONGEST, Next};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a handshake may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A stream to a peer, before it is a connection.
pub(super) enum Stream {
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
    pub(super) fn into_fd(self) -> io::Result<OwnedFd> {
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

/// The other side of a handshake.
pub(super) struct Peer {
    pub(super) stream: Stream,
    pub(super) name: String,
    handshake: Handshake,
    /// What came of the next frame, with its length.
    inbox: Vec<u8>,
    pub(super) since: Instant,
}

/// What became of a peer.
#[derive(Debug)]
pub(super) enum Fate {
    Waits,
    Done,
    Failed(AuthenticationError),
    Left,
}

impl Peer {
    /// Somebody who has come, and not shown a key yet.
    pub(super) fn come(stream: Stream, name: String, key: &[u8], legacy: bool) -> io::Result<Self> {
        let (handshake, challenge) = Handshake::of_listener(key, legacy)?;
        let mut peer = Self::begin(stream, name, handshake)?;
        peer.send(&challenge)?;
        Ok(peer)
    }

    /// Somebody who listens.
    pub(super) fn listening(stream: Stream, key: &[u8], legacy: bool) -> io::Result<Self> {
        Self::begin(stream, String::new(), Handshake::of_client(key, legacy))
    }

    fn begin(stream: Stream, name: String, handshake: Handshake) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, name, handshake, inbox: Vec::new(), since: Instant::now() })
    }

    /// A frame of the handshake fits into any socket's buffer; where it does not, nobody reads.
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        both!(&mut self.stream, stream => stream.write_all(&bytes))
    }

    /// Reads what there is, and nothing of what comes after the handshake.
    pub(super) fn go_on(&mut self) -> Fate {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::random;

    /// A peer of a listener, and a stranger's end of the line to it.
    fn peer(key: &[u8]) -> (Peer, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (Peer::come(Stream::Unix(ours), String::new(), key, true).unwrap(), theirs)
    }

    #[test]
    fn fuzz_no_bytes_of_strangers_are_a_key() {
        let rounds =
            std::env::var("COMMON_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
        let mut state = 0x5eed_u64;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let key = random::<16>().unwrap();
        for _ in 0..rounds.unwrap_or(5_000) {
            let (mut peer, mut stranger) = peer(&key);
            // A stranger with a key of its own, whose frames are honest, cut, changed or anything else.
            let mut handshake = Handshake::of_client(b"another", true);
            let heads: [&[u8]; 4] = [b"#CHALLENGE#", b"#WELCOME#", b"#FAILURE#", b"{sha256}"];
            for _ in 0..1 + next(6) {
                let mut inbox = vec![0; 1024];
                let read = stranger.read(&mut inbox).unwrap_or(0);
                let honest = inbox.get(4..read).and_then(|frame| handshake.receive(frame).ok());
                let mut frame = match honest.and_then(|honest| honest.frames.into_iter().next()) {
                    Some(frame) if next(2) == 0 => frame,
                    _ => {
                        let head = heads[next(4) as usize];
                        let body: Vec<u8> = (0..next(60)).map(|_| next(256) as u8).collect();
                        [head, &body[..]].concat()
                    }
                };
                let len = frame.len() as u32;
                let claim = if next(4) == 0 { next(1 << 32) as u32 } else { len };
                frame.truncate(if next(8) == 0 { next(60) as usize } else { frame.len() });
                let sent = stranger.write_all(&claim.to_be_bytes());
                let _ = sent.and_then(|()| stranger.write_all(&frame));
                match peer.go_on() {
                    Fate::Done => panic!("a stranger was let in by {frame:?}"),
                    Fate::Waits => {}
                    Fate::Failed(_) | Fate::Left => break,
                }
            }
        }
    }

    #[test]
    fn nothing_is_read_of_what_comes_after_the_handshake() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut listener = Peer::come(Stream::Unix(ours), String::new(), b"key", false).unwrap();
        let mut client = Peer::listening(Stream::Unix(theirs), b"key", false).unwrap();
        assert!(matches!(client.go_on(), Fate::Waits));
        assert!(matches!(listener.go_on(), Fate::Waits));
        assert!(matches!(client.go_on(), Fate::Waits));
        assert!(matches!(listener.go_on(), Fate::Waits));
        assert!(matches!(client.go_on(), Fate::Done));
        both!(&mut client.stream, stream => stream.write_all(b"after")).unwrap();
        assert!(matches!(listener.go_on(), Fate::Done));
        let mut rest = [0; 8];
        let read = both!(&mut listener.stream, stream => stream.read(&mut rest)).unwrap();
        assert_eq!(&rest[..read], b"after");
    }
}
