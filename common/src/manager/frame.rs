//! Frames between a manager's server and its clients: a length and so many bytes.
//!
//! A connection is used by one thread of a client at a time, and read by nobody else. So what comes is read
//! ahead: a small frame costs one system call on each side.

use crate::sys::descriptor::Descriptor;
use crate::sys::socket;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// How many bytes the length of a frame has.
const HEADER: usize = 4;
/// A frame has at most so many bytes.
pub(super) const MOST: usize = 1 << 30;
/// So much is read at once, and room grows by so much: not by what a length claims.
const STEP: usize = 64 << 10;
/// A buffer of more bytes is not kept.
const KEPT: usize = 1 << 20;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Arc<Descriptor>,
    /// What came: the frame at hand, and what lies behind it.
    inbox: Vec<u8>,
    /// Where the frame at hand ends, with its header.
    end: usize,
    /// What is not sent yet, and where in it the last frame begins.
    outbox: Vec<u8>,
    start: usize,
}

impl Stream {
    pub(super) fn new(socket: Arc<Descriptor>) -> Self {
        Self { socket, inbox: Vec::new(), end: 0, outbox: vec![0; HEADER], start: 0 }
    }

    /// What is written here is the content of the next frame.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outbox
    }

    /// Takes back what was written of the next frame.
    pub(super) fn take_back(&mut self) {
        self.outbox.truncate(self.start + HEADER);
    }

    /// Ends the frame; what is written now belongs to another one, and goes with it.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        let len = self.outbox.len() - self.start - HEADER;
        if len > MOST {
            self.take_back();
            return Err(too_long(len));
        }
        let header = (len as u32).to_le_bytes();
        self.outbox[self.start..self.start + HEADER].copy_from_slice(&header);
        self.start = self.outbox.len();
        self.outbox.resize(self.start + HEADER, 0);
        Ok(())
    }

    /// Ends the frame, and sends it with what was sealed before, and these descriptors.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where it is too long; nothing was sent then, and what was sealed before waits.
    pub(super) fn send_with(&mut self, descriptors: &[Arc<Descriptor>]) -> io::Result<()> {
        self.seal()?;
        let mut numbers: Vec<_> = descriptors.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
        let mut sent = 0;
        while sent < self.start {
            let rest = IoSlice::new(&self.outbox[sent..self.start]);
            sent += socket::send(self.socket.as_fd(), &[rest], &numbers)?;
            numbers.clear();
        }
        self.outbox.clear();
        self.outbox.shrink_to(KEPT);
        self.outbox.resize(HEADER, 0);
        self.start = 0;
        Ok(())
    }

    /// Ends the frame, and sends it with what was sealed before.
    pub(super) fn send(&mut self) -> io::Result<()> {
        self.send_with(&[])
    }

    /// Receives the next frame; false where the other end is closed. Descriptors that come are added to
    /// `descriptors`, or closed.
    pub(super) fn receive(
        &mut self,
        mut descriptors: Option<&mut Vec<OwnedFd>>,
    ) -> io::Result<bool> {
        self.inbox.drain(..self.end);
        self.end = 0;
        if self.inbox.is_empty() {
            self.inbox.shrink_to(KEPT);
        }
        loop {
            if let Some(len) = self.claimed() {
                if len > MOST {
                    return Err(too_long(len));
                }
                if self.inbox.len() >= HEADER + len {
                    self.end = HEADER + len;
                    return Ok(true);
                }
            }
            self.inbox.reserve(STEP);
            let descriptors = descriptors.as_deref_mut();
            match socket::receive_more(self.socket.as_fd(), &mut self.inbox, STEP, descriptors)? {
                0 if self.inbox.is_empty() => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }

    fn claimed(&self) -> Option<usize> {
        let header = self.inbox.get(..HEADER)?;
        Some(u32::from_le_bytes(header.try_into().ok()?) as usize)
    }

    /// The content of the frame that was received.
    pub(super) fn incoming(&self) -> &[u8] {
        self.inbox.get(HEADER..self.end).unwrap_or_default()
    }
}

impl Stream {
    /// The socket, which belongs to others too.
    pub(super) fn socket(&self) -> Arc<Descriptor> {
        Arc::clone(&self.socket)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn too_long(len: usize) -> io::Error {
    let text = format!("a message of {len} bytes is longer than a manager takes; send it in parts");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Writes the parts of a frame.
pub(super) trait Write {
    fn put_u8(&mut self, number: u8);
    fn put_u32(&mut self, number: u32);
    fn put_u64(&mut self, number: u64);
    /// A name of at most 255 bytes; what is longer is cut, and is no name that anybody knows.
    fn put_name(&mut self, name: &str);
}

impl Write for Vec<u8> {
    fn put_u8(&mut self, number: u8) {
        self.push(number);
    }

    fn put_u32(&mut self, number: u32) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_u64(&mut self, number: u64) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_name(&mut self, name: &str) {
        let len = name.len().min(u8::MAX.into());
        self.push(len as u8);
        self.extend_from_slice(&name.as_bytes()[..len]);
    }
}

/// What is left to read of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'a>(pub(super) &'a [u8]);

/// A frame that does not say what it has to.
#[derive(Debug)]
pub(super) struct Garbled;

impl<'a> Read<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Garbled> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Garbled)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Garbled> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, Garbled> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| Garbled)?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Garbled> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Garbled)?))
    }

    pub(super) fn name(&mut self) -> Result<&'a str, Garbled> {
        let len = self.u8()?.into();
        std::str::from_utf8(self.take(len)?).map_err(|_| Garbled)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Takes the numbers at the end, behind which stands how many they are.
    pub(super) fn numbers_at_the_end(&mut self) -> Result<Vec<u64>, Garbled> {
        let (rest, count) = self.0.split_last_chunk().ok_or(Garbled)?;
        let len = u32::from_le_bytes(*count) as usize * 8;
        let start = rest.len().checked_sub(len).ok_or(Garbled)?;
        let (rest, numbers) = rest.split_at(start);
        self.0 = rest;
        let (numbers, _) = numbers.as_chunks();
        Ok(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect())
    }
}

/// Writes numbers for [`Read::numbers_at_the_end`].
pub(super) fn put_numbers_at_the_end(to: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let before = to.len();
    numbers.for_each(|number| to.put_u64(number));
    to.put_u32(((to.len() - before) / 8) as u32);
}
