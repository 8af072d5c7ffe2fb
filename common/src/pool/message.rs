//! What goes over the lines of a pool.
//!
//! To the workers go [chunks](ChunkHeader): tasks of one function, behind one another. Back come
//! [reports](Report). Both are a header of words and a payload, which is a list of *entries*:
//!
//! ```text
//! | place in the chunk, u32 | length and, in the highest bit, whether it is a failure, u32 | bytes |
//! ```
//!
//! The bytes are what [`item`](crate::queue::item) makes of an argument or result, or a [`Failure`]. An
//! entry of 2 GiB or more stands alone, and its length is that of what is left.

use super::error::TaskError;
use crate::codec::{self, EncodeError};
use crate::sys::entry::Distance;
use serde::{Deserialize, Serialize};

const WORD: usize = 8;
/// The bytes before those of an entry.
const ENTRY: usize = 8;
const FAILED: u32 = 1 << 31;
/// An entry of this length goes to the end.
const TO_THE_END: u32 = FAILED - 1;

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at * WORD..(at + 1) * WORD)?.try_into().ok()?))
}

fn words<const LEN: usize>(words: impl IntoIterator<Item = u64>) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    for (bytes, word) in bytes.chunks_exact_mut(WORD).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// What stands before the arguments of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    /// No other chunk of the pool has it; never 0.
    pub(super) chunk: u64,
    /// How many tasks it has.
    pub(super) count: u32,
    /// Its place among those that may be cancelled, and 1; or 0.
    pub(super) ticket: u32,
    pub(super) function: Function,
}

/// The function of a chunk, and the code that knows its types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) trampoline: Distance,
    pub(super) target: Distance,
}

impl ChunkHeader {
    pub(super) const LEN: usize = 4 * WORD;

    pub(super) fn bytes(self) -> [u8; Self::LEN] {
        let size = u64::from(self.ticket) << 32 | u64::from(self.count);
        words([self.chunk, size, self.function.trampoline, self.function.target])
    }

    /// The header of a chunk, and its entries.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let size = word(bytes, 1)?;
        let function = Function { trampoline: word(bytes, 2)?, target: word(bytes, 3)? };
        let (count, ticket) = (size as u32, (size >> 32) as u32);
        let header = Self { chunk: word(bytes, 0)?, count, ticket, function };
        Some((header, &bytes[Self::LEN..]))
    }
}

/// What stands before the entries of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Of which chunk; 0 where it is about none.
    pub(super) chunk: u64,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The entries are results.
    Results,
    /// The entries are arguments of tasks that somebody else shall do, all from this place on.
    Returned { from: u32 },
    /// The task at this place died with its worker.
    Lost { place: u32, worker: u32 },
    /// The pool is broken.
    Broken,
    /// There is something to look at.
    Nudge,
}

impl Report {
    pub(super) const NUDGE: Self = Self { chunk: 0, what: What::Nudge };
    pub(super) const BROKEN: Self = Self { chunk: 0, what: What::Broken };

    const LEN: usize = 3 * WORD;

    pub(super) fn bytes(self) -> [u8; Self::LEN] {
        let (kind, more) = match self.what {
            What::Results => (0, 0),
            What::Returned { from } => (1, u64::from(from)),
            What::Lost { place, worker } => (2, u64::from(worker) << 32 | u64::from(place)),
            What::Broken => (3, 0),
            What::Nudge => (4, 0),
        };
        words([self.chunk, kind, more])
    }

    /// A report, and its entries.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let more = word(bytes, 2)?;
        let (low, high) = (more as u32, (more >> 32) as u32);
        let what = match word(bytes, 1)? {
            0 => What::Results,
            1 => What::Returned { from: low },
            2 => What::Lost { place: low, worker: high },
            3 => What::Broken,
            4 => What::Nudge,
            _ => return None,
        };
        Some((Self { chunk: word(bytes, 0)?, what }, &bytes[Self::LEN..]))
    }
}

/// Appends an entry whose bytes `write` appends; where that fails, nothing is appended.
pub(super) fn append(
    entries: &mut Vec<u8>,
    place: u32,
    is_failure: bool,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = entries.len();
    entries.extend_from_slice(&place.to_ne_bytes());
    entries.extend_from_slice(&[0; 4]);
    if let Err(error) = write(entries) {
        entries.truncate(start);
        return Err(error);
    }
    let len = entries.len() - start - ENTRY;
    let len = u32::try_from(len).map_or(TO_THE_END, |len| len.min(TO_THE_END));
    let flag = if is_failure { FAILED } else { 0 };
    entries[start + 4..start + ENTRY].copy_from_slice(&(len | flag).to_ne_bytes());
    Ok(())
}

/// Appends a failure.
pub(super) fn append_failure(entries: &mut Vec<u8>, place: u32, failure: &Failure) {
    append(entries, place, true, |entries| {
        entries.extend(codec::encode_data(failure, "a text is no handle")?);
        Ok(())
    })
    .expect("texts have an encoding");
}

/// One of the entries of a chunk or report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) place: u32,
    pub(super) is_failure: bool,
    pub(super) bytes: &'a [u8],
}

/// Reads entries one after the other; ends where what follows is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries<'a>(pub(super) &'a [u8]);

impl Entries<'_> {
    /// Passes over so many.
    pub(super) fn pass(&mut self, count: u32) {
        let _ = self.by_ref().take(count as usize).count();
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let (head, rest) = self.0.split_at_checked(ENTRY)?;
        let (place, len) = head.split_at(4);
        let place = u32::from_ne_bytes(place.try_into().ok()?);
        let flagged = u32::from_ne_bytes(len.try_into().ok()?);
        let (bytes, after) = match flagged & TO_THE_END {
            TO_THE_END => (rest, &rest[rest.len()..]),
            len => rest.split_at_checked(len as usize)?,
        };
        self.0 = after;
        Some(Entry { place, is_failure: flagged & FAILED != 0, bytes })
    }
}

/// Why a task has no value, as its worker says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Failure {
    Panicked { message: String, place: String },
    Argument(String),
    Result(String),
    Cancelled,
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Panicked { message, place } => Self::Panicked { message, place },
            Failure::Argument(reason) => Self::Argument(reason),
            Failure::Result(reason) => Self::Result(reason),
            Failure::Cancelled => Self::Cancelled,
        }
    }
}

/// The failure that an entry tells.
pub(super) fn failure(bytes: &[u8]) -> TaskError {
    match codec::decode::<Failure>(bytes, Vec::new()) {
        Ok(failure) => failure.into(),
        Err(error) => TaskError::Result(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let function = Function { trampoline: 5, target: u64::MAX };
        let header = ChunkHeader { chunk: 1 << 40, count: u32::MAX, ticket: 7, function };
        let mut bytes = header.bytes().to_vec();
        bytes.push(9);
        assert_eq!(ChunkHeader::read(&bytes), Some((header, &[9][..])));
        let whats = [
            What::Results,
            What::Returned { from: 3 },
            What::Lost { place: 4, worker: 5 },
            What::Broken,
            What::Nudge,
        ];
        for what in whats {
            let report = Report { chunk: 2, what };
            assert_eq!(Report::read(&report.bytes()), Some((report, &[][..])));
        }
    }

    #[test]
    fn entries_stand_behind_one_another() {
        let mut bytes = Vec::new();
        for place in 0..3 {
            append(&mut bytes, place, false, |to| {
                to.extend(vec![7; place as usize]);
                Ok(())
            })
            .unwrap();
        }
        append_failure(&mut bytes, 3, &Failure::Cancelled);
        let entries: Vec<_> = Entries(&bytes).collect();
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[2], Entry { place: 2, is_failure: false, bytes: &[7, 7] });
        assert!(entries[3].is_failure);
        assert!(matches!(failure(entries[3].bytes), TaskError::Cancelled));
    }

    #[test]
    fn what_is_cut_is_no_entry_and_no_header() {
        let mut bytes = Vec::new();
        append(&mut bytes, 1, false, |to| {
            to.extend([1, 2, 3]);
            Ok(())
        })
        .unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(Entries(&bytes[..cut]).next(), None);
        }
        let function = Function { trampoline: 0, target: 0 };
        let header = ChunkHeader { chunk: 1, count: 1, ticket: 0, function }.bytes();
        for cut in 0..header.len() {
            assert_eq!(ChunkHeader::read(&header[..cut]), None);
            assert!(cut >= 24 || Report::read(&header[..cut]).is_none());
        }
        assert!(matches!(failure(&[255; 3]), TaskError::Result(_)));
    }
}
