//! A line of messages between the processes of a pool: bytes, over the ring of a queue.

use crate::shared::ring::{MOST, NotGot, NotPut, RingMemory};
use crate::sync::word::Deadline;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

/// What the memory of a line says that it is.
const KIND: u32 = u32::from_be_bytes(*b"pool");

/// A line; it travels as a handle.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<RingMemory>);

/// Why nothing was got.
#[derive(Debug)]
pub(super) enum Nothing {
    /// Nothing came in time.
    Yet,
    /// Nothing comes any more.
    Ever,
    /// The memory could not be used.
    Error(io::Error),
}

impl Line {
    pub(super) fn new(label: &str) -> io::Result<Self> {
        RingMemory::new(label, KIND, MOST).map(|ring| Self(Arc::new(ring)))
    }

    /// Puts a message that consists of `parts`. Nothing is put after [`end`](Line::end), and that is no
    /// error: nobody would read it.
    pub(super) fn put(&self, parts: &[&[u8]]) -> io::Result<()> {
        let len = parts.iter().map(|part| part.len()).sum();
        let write = |mut to: &mut [u8]| {
            for part in parts {
                let (here, rest) = to.split_at_mut(part.len());
                here.copy_from_slice(part);
                to = rest;
            }
            Ok::<(), Infallible>(())
        };
        match self.0.ring().put(&self.0.putting(), len, Deadline::NEVER, write) {
            Ok(()) | Err(NotPut::Shut) => Ok(()),
            Err(NotPut::Memory(error)) => Err(error),
            Err(NotPut::TooLong) => {
                let text = format!("{len} bytes are more than one message takes");
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
            Err(NotPut::Full) => Err(io::ErrorKind::StorageFull.into()),
            Err(NotPut::Writer(never)) => match never {},
        }
    }

    /// Takes the first message: what `read` makes of it; waits for one until the deadline.
    pub(super) fn get<R>(
        &self,
        deadline: Deadline,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Nothing> {
        self.0.ring().get(&self.0.getting(), deadline, read).map_err(nothing)
    }

    /// Looks at the first message, while nobody is in the midst of taking one.
    pub(super) fn peek<R>(&self, look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, Nothing> {
        self.0.ring().peek(&self.0.getting(), look).map_err(nothing)
    }

    /// Whether somebody waits for a message.
    #[inline]
    pub(super) fn is_awaited(&self) -> bool {
        self.0.is_awaited()
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.0.ring().len() as usize
    }

    /// Says that nothing more comes: who gets ends when nothing is left.
    pub(super) fn end(&self) {
        self.0.ring().shut(&self.0.putting());
    }
}

fn nothing(refused: NotGot<io::Error>) -> Nothing {
    match refused {
        NotGot::Empty => Nothing::Yet,
        NotGot::Shut => Nothing::Ever,
        NotGot::Memory(error) => Nothing::Error(error),
        NotGot::Damaged => {
            let text = "what a pool's processes share is damaged";
            Nothing::Error(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RingMemory::deserialize(KIND, deserializer).map(|ring| Self(Arc::new(ring)))
    }
}
