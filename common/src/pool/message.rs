//! What goes over the lines of a pool.
//!
//! To the workers go [chunks](ChunkHeader): tasks of one function, behind one another. Back come
//! [reports](Report). Both are a header of words and a payload, which is a list of *entries*:
//!
//! ```text
//! | place in the chunk, u32 | length and, in the highest bit, whether it is a failure, u32 | bytes |
//! ```
//!
//! The bytes are what [`item`] makes of an argument or result, or a [`Failure`]. An entry of 1 GiB or more
//! stands alone, and its length is that of what is left.
//!
//! Values of a plain type of a fixed size, a number for instance, are a *run*: behind one head, which holds the
//! place of the first and the size of each, they fill the rest. A run is either the whole list or none of it.

use super::error::TaskError;
use crate::codec::{self, EncodeError};
use crate::queue::item;
use crate::sys::entry::Distance;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

const WORD: usize = 8;
/// The bytes before those of an entry.
const HEAD: usize = 8;
const FAILED: u32 = 1 << 31;
const RUN: u32 = 1 << 30;
/// An entry of this length goes to the end.
const TO_THE_END: u32 = RUN - 1;

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

/// Appends a value; where it has no encoding, nothing is appended, and a handle in it is an error that says
/// `way`. The values of a list are appended in the order of their places.
#[inline]
pub(super) fn append<T: Serialize + 'static>(
    entries: &mut Vec<u8>,
    place: u32,
    value: &T,
    way: &'static str,
) -> Result<(), EncodeError> {
    if let Some(bytes) = item::fixed_bytes(value) {
        let is_new = entries.is_empty();
        if is_new || is_run(entries) {
            entries.reserve(HEAD + bytes.len());
            if is_new {
                entries.extend_from_slice(&head(place, RUN | bytes.len() as u32));
            }
            entries.extend_from_slice(bytes);
            return Ok(());
        }
    }
    append_entry(entries, place, 0, |entries| item::append(value, way, entries))
}

/// Whether values of another kind cannot be appended.
#[inline]
pub(super) fn is_run(entries: &[u8]) -> bool {
    entries.get(4..HEAD).is_some_and(|flagged| number(flagged) & (RUN | FAILED) == RUN)
}

#[inline]
fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_ne_bytes)
}

#[inline]
fn head(place: u32, flagged: u32) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    bytes[..4].copy_from_slice(&place.to_ne_bytes());
    bytes[4..].copy_from_slice(&flagged.to_ne_bytes());
    bytes
}

/// Appends an entry whose bytes `write` appends; where that fails, nothing is appended.
fn append_entry(
    entries: &mut Vec<u8>,
    place: u32,
    flag: u32,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    debug_assert!(!is_run(entries), "a run is a list of its own");
    let start = entries.len();
    entries.extend_from_slice(&[0; HEAD]);
    if let Err(error) = write(entries) {
        entries.truncate(start);
        return Err(error);
    }
    let len = entries.len() - start - HEAD;
    let len = u32::try_from(len).map_or(TO_THE_END, |len| len.min(TO_THE_END));
    entries[start..start + HEAD].copy_from_slice(&head(place, len | flag));
    Ok(())
}

/// Appends a failure to what is no run.
pub(super) fn append_failure(entries: &mut Vec<u8>, place: u32, failure: &Failure) {
    append_entry(entries, place, FAILED, |entries| {
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
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    /// In a run, the place of the next value, and the size of each.
    run: Option<(u32, u32)>,
}

impl<'a> Entries<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        match bytes.split_first_chunk::<HEAD>() {
            Some((head, rest)) if is_run(head) => {
                let size = number(&head[4..]) & TO_THE_END;
                Self { rest, run: (size > 0).then_some((number(&head[..4]), size)) }
            }
            _ => Self { rest: bytes, run: None },
        }
    }

    /// Goes on with the last `len` bytes of what was a list of this kind.
    #[inline]
    pub(super) fn of_last(self, bytes: &'a [u8], len: usize) -> Self {
        Self { rest: &bytes[bytes.len().saturating_sub(len)..], ..self }
    }

    /// How many bytes are left.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// The values that are left, if they are a run of values of so many bytes, and the place of the first.
    #[inline]
    pub(super) fn run_of(&self, size: usize) -> Option<(u32, &'a [u8])> {
        self.run.filter(|run| run.1 as usize == size).map(|(place, _)| (place, self.rest))
    }

    /// Passes over so many.
    pub(super) fn pass(&mut self, count: u32) {
        let _ = self.by_ref().take(count as usize).count();
    }

    /// Takes the next so many as a list of their own; `None` where there are not so many.
    pub(super) fn part(&mut self, count: u32) -> Option<Cow<'a, [u8]>> {
        let before = *self;
        let passed = self.by_ref().take(count as usize).count();
        let part = &before.rest[..before.rest.len() - self.rest.len()];
        (passed == count as usize).then(|| Self { rest: part, ..before }.list())
    }

    /// What is left as a list of its own.
    pub(super) fn list(&self) -> Cow<'a, [u8]> {
        match self.run {
            None => Cow::Borrowed(self.rest),
            Some((place, size)) => Cow::Owned([&head(place, RUN | size), self.rest].concat()),
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        if let Some((place, size)) = &mut self.run {
            let (bytes, rest) = self.rest.split_at_checked(*size as usize)?;
            let entry = Entry { place: *place, is_failure: false, bytes };
            (self.rest, *place) = (rest, place.wrapping_add(1));
            return Some(entry);
        }
        let (head, rest) = self.rest.split_first_chunk::<HEAD>()?;
        let (place, flagged) = (number(&head[..4]), number(&head[4..]));
        let (bytes, after) = match flagged & TO_THE_END {
            TO_THE_END => (rest, &rest[rest.len()..]),
            len => rest.split_at_checked(len as usize)?,
        };
        self.rest = after;
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
            append(&mut bytes, place, &vec![7u8; place as usize], "").unwrap();
        }
        append_failure(&mut bytes, 3, &Failure::Cancelled);
        append(&mut bytes, 4, &9u8, "").unwrap();
        let entries: Vec<_> = Entries::new(&bytes).collect();
        assert_eq!(entries.len(), 5);
        assert_eq!(entries[2], Entry { place: 2, is_failure: false, bytes: &[7, 7] });
        assert!(entries[3].is_failure);
        assert!(matches!(failure(entries[3].bytes), TaskError::Cancelled));
        assert_eq!(entries[4], Entry { place: 4, is_failure: false, bytes: &[9] });
        let mut entries = Entries::new(&bytes);
        assert!(entries.run_of(1).is_none());
        assert_eq!(Entries::new(&entries.part(2).unwrap()).count(), 2);
        assert_eq!(Entries::new(&entries.list()).last().unwrap().place, 4);
        assert!(entries.part(4).is_none());
    }

    #[test]
    fn values_of_a_fixed_size_are_a_run() {
        let mut bytes = Vec::new();
        for place in 5..9 {
            append(&mut bytes, place, &(place as u16), "").unwrap();
        }
        assert!(is_run(&bytes) && bytes.len() == HEAD + 4 * 2);
        let mut entries = Entries::new(&bytes);
        assert_eq!(entries.run_of(2), Some((5, &bytes[HEAD..])));
        assert_eq!(entries.run_of(4), None);
        let seen: Vec<_> = entries.map(|entry| (entry.place, entry.bytes.to_vec())).collect();
        assert_eq!(seen[3], (8, 8u16.to_ne_bytes().to_vec()));
        let part = entries.part(1).unwrap().into_owned();
        assert_eq!(Entries::new(&part).map(|entry| entry.place).collect::<Vec<_>>(), [5]);
        entries.pass(1);
        let rest = entries.list().into_owned();
        assert_eq!(Entries::new(&rest).map(|entry| entry.place).collect::<Vec<_>>(), [7, 8]);
        assert!(entries.part(3).is_none());
        // A run without a size would never end.
        assert_eq!(Entries::new(&[0, 0, 0, 0, 0, 0, 0, 64, 1]).count(), 0);
    }

    #[test]
    fn what_is_cut_is_no_entry_and_no_header() {
        let mut bytes = Vec::new();
        append(&mut bytes, 1, &vec![1u8, 2, 3], "").unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(Entries::new(&bytes[..cut]).next(), None);
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
