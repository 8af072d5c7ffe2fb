//! Frames over a socket: a length, bytes, and descriptors that ride on them.
//!
//! One thread at a time writes a frame and one reads one, each under a lock of its own, so that
//! frames of several threads never mix and a reader never blocks a writer. What travels is read into
//! memory that the connection keeps, or straight into the caller's, so that a message costs one copy
//! into the kernel and one out of it, and no fresh page.
//!
//! Nothing is read ahead: what the kernel holds belongs to whoever reads next, in whichever process.

use crate::codec::{DecodeError, EncodeError, MAX_BYTES, Message};
use crate::sys::descriptor::Descriptor;
use crate::sys::socket::{self, Interest, MAX_DESCRIPTORS};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest message that four bytes of length can tell.
const SHORT: usize = i32::MAX as usize;
/// A buffer grows by what has arrived, and not by what a length claims.
const STEP: usize = 1 << 20;
/// A connection keeps a buffer of at most this many bytes for its next message.
const KEPT: usize = 4 << 20;

/// Why a message could not be sent. It is all or nothing for the receiver: a message that was cut
/// off is an error there too.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The other end is closed, or its process has ended (in Python: `BrokenPipeError`).
    #[error("the other end of the connection is closed; nobody can receive")]
    Closed,
    /// The value has no encoding.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The message is longer than a connection takes.
    #[error("the message has {len} bytes and the limit is {limit}; send it in parts")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There is a handle in the message, and the other end may be on another machine.
    #[error(
        "a handle travels between processes of one machine, over a Unix socket; send data instead"
    )]
    HandleFarAway,
    /// This process was forked and was not given this end.
    #[error("{NOT_GIVEN}")]
    NotGiven,
    /// The kernel refused.
    #[error("the message could not be sent: {0}")]
    Io(#[source] io::Error),
}

const NOT_GIVEN: &str = "this process was not given this end of the connection; put it into the \
                         argument of the Process";

/// Why no message was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The other end is closed, or its process has ended, and nothing is left to read (in Python:
    /// `EOFError`).
    #[error("the other end of the connection is closed and nothing is left to receive")]
    Eof,
    /// The other end was closed in the middle of a message.
    #[error("the message was cut off: the other end closed or died in the middle of it")]
    Truncated,
    /// The length in front of a message is none.
    #[error("the length of a message is damaged; the other end does not speak this protocol")]
    BadLength,
    /// The message is longer than this end takes.
    #[error("a message of {len} bytes came and the limit is {limit}")]
    TooLong {
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// An earlier message was damaged, cut off or too long, so that nobody knows where the next one
    /// begins; this end still sends.
    #[error("nothing more can be received here: an earlier message was damaged or not taken")]
    Desynchronised,
    /// This process was forked and was not given this end.
    #[error("{NOT_GIVEN}")]
    NotGiven,
    /// The bytes are no message of the expected type.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The kernel refused.
    #[error("the message could not be received: {0}")]
    Io(#[source] io::Error),
}

/// Why no message was received into a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvIntoError {
    /// The buffer is too small (in Python: `BufferTooShort`); here is the message.
    #[error("a message of {} bytes came and the buffer is smaller; the error holds it", .0.len())]
    TooShort(Vec<u8>),
    /// No message came.
    #[error(transparent)]
    Recv(#[from] RecvError),
}

/// One end of a pair of sockets, as a sender and receiver of frames.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: Arc<Descriptor>,
    sending: Mutex<()>,
    receiving: Mutex<Receiving>,
}

/// What one who receives needs.
#[derive(Debug, Default)]
struct Receiving {
    /// Where the next message begins is unknown.
    lost: bool,
    /// Memory for the next message.
    spare: Vec<u8>,
}

/// A frame as it arrived.
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Channel {
    pub(crate) fn new(socket: impl Into<Descriptor>) -> Self {
        Self::over(Arc::new(socket.into()))
    }

    pub(crate) fn over(socket: Arc<Descriptor>) -> Self {
        Self { socket, sending: Mutex::default(), receiving: Mutex::default() }
    }

    /// Two connected ends.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = socket::pair()?;
        Ok((Self::new(left), Self::new(right)))
    }

    /// The descriptor itself, for a message that takes this end to another process.
    pub(crate) fn socket(&self) -> &Arc<Descriptor> {
        &self.socket
    }

    /// Sends a message; returns when the kernel has all of it.
    pub(crate) fn send(&self, message: &Message) -> Result<(), SendError> {
        if !message.descriptors.is_empty() && !socket::is_local(self.as_fd()) {
            return Err(SendError::HandleFarAway);
        }
        let numbers: Vec<RawFd> =
            message.descriptors.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
        self.send_frame(&message.bytes, &numbers)?;
        message.hand_over();
        Ok(())
    }

    /// Sends `bytes` as a message.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError> {
        self.send_frame(bytes, &[])
    }

    fn send_frame(&self, bytes: &[u8], descriptors: &[RawFd]) -> Result<(), SendError> {
        if bytes.len() > MAX_BYTES {
            return Err(SendError::TooLong { len: bytes.len(), limit: MAX_BYTES });
        }
        let mut header = [0; 12];
        let header = match i32::try_from(bytes.len()) {
            Ok(short) => {
                header[..4].copy_from_slice(&short.to_be_bytes());
                &header[..4]
            }
            Err(_) => {
                header[..4].copy_from_slice(&(-1i32).to_be_bytes());
                header[4..].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
                &header[..]
            }
        };
        let mut batches = descriptors.chunks(MAX_DESCRIPTORS).peekable();
        let (mut header, mut bytes) = (header, bytes);
        let _one = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        while !header.is_empty() || !bytes.is_empty() {
            let batch = batches.next().unwrap_or_default();
            // While more descriptors wait, a piece is short: the others need bytes to ride on. There
            // are enough, because each handle has written at least one.
            let piece = match (batches.peek(), header.is_empty()) {
                (None, _) => bytes,
                (Some(_), false) => &[],
                (Some(_), true) => &bytes[..1],
            };
            let parts = [IoSlice::new(header), IoSlice::new(piece)];
            let sent =
                socket::send(self.as_fd(), &parts, batch).map_err(|error| match error.kind() {
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => SendError::Closed,
                    _ if socket::is_nowhere(&error) => SendError::NotGiven,
                    _ => SendError::Io(error),
                })?;
            let of_header = sent.min(header.len());
            header = &header[of_header..];
            bytes = &bytes[sent - of_header..];
        }
        Ok(())
    }

    /// Receives a frame of at most `limit` bytes; waits for it.
    pub(crate) fn receive(&self, limit: usize) -> Result<Frame, RecvError> {
        let mut receiving = self.receiving()?;
        let bytes = std::mem::take(&mut receiving.spare);
        let mut frame = Frame { bytes, descriptors: Vec::new() };
        let result = self.read_length(&mut frame.descriptors, limit).and_then(|len| {
            self.read_body(&mut frame, len)?;
            Ok(frame)
        });
        self.keep_place(&mut receiving, &result);
        result
    }

    /// Gives memory back that a frame came in, for the next one.
    pub(crate) fn give_back(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() <= KEPT {
            bytes.clear();
            self.receiving.lock().unwrap_or_else(PoisonError::into_inner).spare = bytes;
        }
    }

    /// Receives a message into `buffer` and says how long it is; descriptors are closed.
    pub(crate) fn receive_into(&self, buffer: &mut [u8]) -> Result<usize, RecvIntoError> {
        let mut receiving = self.receiving()?;
        let mut descriptors = Vec::new();
        let result = self.read_length(&mut descriptors, MAX_BYTES).and_then(|len| {
            if let Some(buffer) = buffer.get_mut(..len) {
                self.fill_all(buffer, more(&mut descriptors))?;
                return Ok(Ok(len));
            }
            let mut frame = Frame { bytes: Vec::new(), descriptors };
            self.read_body(&mut frame, len)?;
            Ok(Err(RecvIntoError::TooShort(frame.bytes)))
        });
        self.keep_place(&mut receiving, &result);
        result?
    }

    /// Whether a message, or the end, can be received, after waiting at most for `limit`.
    pub(crate) fn poll(&self, limit: Option<Duration>) -> io::Result<bool> {
        Ok(socket::poll(&[(self.as_fd(), Interest::Read)], limit)?[0].readable)
    }

    /// The right to receive, as long as the place in the stream is known.
    fn receiving(&self) -> Result<MutexGuard<'_, Receiving>, RecvError> {
        let receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        if receiving.lost { Err(RecvError::Desynchronised) } else { Ok(receiving) }
    }

    /// Remembers whether an error has lost the place in the stream. Then nobody reads any more, and
    /// a sender shall not wait for room.
    fn keep_place<T>(&self, receiving: &mut Receiving, result: &Result<T, RecvError>) {
        use RecvError::{BadLength, Io, TooLong, Truncated};
        if let Err(Truncated | BadLength | TooLong { .. } | Io(_)) = result {
            receiving.lost = true;
            socket::stop_reading(self.as_fd());
        }
    }

    /// Reads the length in front of a message.
    fn read_length(
        &self,
        descriptors: &mut Vec<OwnedFd>,
        limit: usize,
    ) -> Result<usize, RecvError> {
        let mut short = [0; 4];
        match self.fill(&mut short, Some(descriptors))? {
            0 => return Err(RecvError::Eof),
            4 => {}
            _ => return Err(RecvError::Truncated),
        }
        let len = match i32::from_be_bytes(short) {
            -1 => {
                let mut long = [0; 8];
                self.fill_all(&mut long, more(descriptors))?;
                match u64::from_be_bytes(long) {
                    len if len > SHORT as u64 => len,
                    _ => return Err(RecvError::BadLength),
                }
            }
            len => u64::try_from(len).map_err(|_| RecvError::BadLength)?,
        };
        let fits = usize::try_from(len).ok().filter(|&len| len <= limit);
        fits.ok_or(RecvError::TooLong { len, limit })
    }

    /// Reads a message of `len` bytes.
    fn read_body(&self, frame: &mut Frame, len: usize) -> Result<(), RecvError> {
        let bytes = &mut frame.bytes;
        while bytes.len() < len {
            if bytes.len() == bytes.capacity() {
                bytes.reserve_exact((len - bytes.len()).min(bytes.len().max(STEP)));
            }
            let left = len - bytes.len();
            match socket::receive_more(self.as_fd(), bytes, left, more(&mut frame.descriptors)) {
                Ok(0) => return Err(RecvError::Truncated),
                Ok(_) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Ok(())
    }

    /// Reads until `buffer` is full or the end comes; how many bytes it read.
    fn fill(
        &self,
        buffer: &mut [u8],
        mut descriptors: Option<&mut Vec<OwnedFd>>,
    ) -> Result<usize, RecvError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            match socket::receive(self.as_fd(), rest, descriptors.as_deref_mut()) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) => match refused(error) {
                    RecvError::Truncated => break,
                    other => return Err(other),
                },
            }
        }
        Ok(filled)
    }

    fn fill_all(
        &self,
        buffer: &mut [u8],
        descriptors: Option<&mut Vec<OwnedFd>>,
    ) -> Result<(), RecvError> {
        if self.fill(buffer, descriptors)? < buffer.len() {
            return Err(RecvError::Truncated);
        }
        Ok(())
    }
}

/// Where further descriptors of a message go, if there can be any: those that did not fit on its
/// length ride on the bytes behind it.
fn more(descriptors: &mut Vec<OwnedFd>) -> Option<&mut Vec<OwnedFd>> {
    let full = !descriptors.is_empty() && descriptors.len().is_multiple_of(MAX_DESCRIPTORS);
    full.then_some(descriptors)
}

/// What a failed read means.
fn refused(error: io::Error) -> RecvError {
    match error.kind() {
        // The other end closed with bytes of ours unread.
        io::ErrorKind::ConnectionReset => RecvError::Truncated,
        _ if socket::is_nowhere(&error) => RecvError::NotGiven,
        _ => RecvError::Io(error),
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory;

    fn message(bytes: &[u8], descriptors: usize) -> Message {
        let one = Arc::new(memory::anonymous("test", 1).unwrap().into());
        Message::raw(bytes.to_vec(), vec![one; descriptors])
    }

    fn raw(channel: &Channel, bytes: &[u8]) {
        assert_eq!(
            socket::send(channel.as_fd(), &[IoSlice::new(bytes)], &[]).unwrap(),
            bytes.len()
        );
    }

    #[test]
    fn the_bytes_on_the_wire_are_those_of_cpython() {
        let (left, right) = Channel::pair().unwrap();
        left.send(&message(b"hello", 0)).unwrap();
        let mut buffer = [0; 16];
        let read = socket::receive(right.as_fd(), &mut buffer, None).unwrap();
        assert_eq!(&buffer[..read], b"\0\0\0\x05hello");
    }

    #[test]
    fn more_descriptors_than_one_write_takes_arrive_in_order() {
        let (left, right) = Channel::pair().unwrap();
        let sent = message(&[7; 600], 600);
        left.send(&sent).unwrap();
        left.send(&message(b"next", 1)).unwrap();
        let frame = right.receive(MAX_BYTES).unwrap();
        assert_eq!((frame.bytes, frame.descriptors.len()), (sent.bytes, 600));
        let frame = right.receive(MAX_BYTES).unwrap();
        assert_eq!((&frame.bytes[..], frame.descriptors.len()), (&b"next"[..], 1));
    }

    #[test]
    fn a_large_message_passes_while_the_other_side_reads() {
        let (left, right) = Channel::pair().unwrap();
        let sent = message(&[3; 5 << 20], 0);
        std::thread::scope(|scope| {
            scope.spawn(|| left.send(&sent).unwrap());
            assert_eq!(right.receive(MAX_BYTES).unwrap().bytes, sent.bytes);
        });
    }

    #[test]
    fn every_damaged_frame_is_an_error_with_a_name() {
        type Check = fn(&RecvError) -> bool;
        let cases: [(&[u8], Check); 6] = [
            (b"", |error| matches!(error, RecvError::Eof)),
            (b"\0\0", |error| matches!(error, RecvError::Truncated)),
            (b"\0\0\0\x05hel", |error| matches!(error, RecvError::Truncated)),
            (b"\xff\xff\xff\xfe", |error| matches!(error, RecvError::BadLength)),
            (b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x01x", |error| matches!(error, RecvError::BadLength)),
            (b"\xff\xff\xff\xff\x7f\0\0\0\0\0\0\x01x", |error| {
                matches!(error, RecvError::TooLong { .. })
            }),
        ];
        for (bytes, right_error) in cases {
            let (left, right) = Channel::pair().unwrap();
            raw(&left, bytes);
            drop(left);
            let error = right.receive(MAX_BYTES).err().unwrap();
            assert!(right_error(&error), "{bytes:?}: {error:?}");
        }
    }

    #[test]
    fn a_claim_of_many_bytes_takes_no_memory_before_they_come() {
        let (left, right) = Channel::pair().unwrap();
        raw(&left, b"\xff\xff\xff\xff\0\0\0\x03\xff\xff\xff\xff");
        drop(left);
        // 16 GiB were claimed; had they been allocated and zeroed, this test would not end well.
        assert!(matches!(right.receive(MAX_BYTES), Err(RecvError::Truncated)));
    }

    #[test]
    fn a_closed_peer_cannot_be_sent_to() {
        let (left, right) = Channel::pair().unwrap();
        drop(right);
        assert!(matches!(left.send(&message(b"x", 0)), Err(SendError::Closed)));
    }
}
