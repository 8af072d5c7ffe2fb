//! What each worker has in hand, where the pool can read it when the worker has died.
//!
//! One region holds a desk for each worker. The worker alone writes to it; the pool reads it when the
//! worker is dead, and then clears it for the next one.
//!
//! | word | content |
//! | --- | --- |
//! | `CHUNK` | the chunk in hand, or 0 |
//! | `BEGUN` | how many of its tasks were begun |
//! | `INPUT` | how many bytes of it lie in the input area: none where it has one task |
//! | `OUTPUT` | how many bytes of entries lie in the output area: results that were not reported yet |
//! | `READY` | 1 when the worker takes tasks, 2 when it leaves because it has done enough |
//!
//! `CHUNK` is written last when a chunk is taken, and cleared when all of its results are reported. Each
//! word is written after what it speaks of, so a worker may be killed between any two writes.

use crate::shared::Region;
use crate::sync::word::Ordering;
use serde::{Deserialize, Serialize};
use std::io;

/// How many bytes of input or output a desk holds.
pub(super) const AREA: usize = 64 << 10;
const HEAD: usize = 64;
const CHUNK: usize = 0;
const BEGUN: usize = 1;
const INPUT: usize = 2;
const OUTPUT: usize = 3;
const READY: usize = 4;
/// One desk, with its words.
const DESK: usize = HEAD + 2 * AREA;

const STARTING: u64 = 0;
const AT_WORK: u64 = 1;
const LEAVING: u64 = 2;

/// The desks of a pool's workers; they travel as a handle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Desks(Region);

impl Desks {
    pub(super) fn new(workers: usize) -> io::Result<Self> {
        let len = workers.checked_mul(DESK).ok_or(io::ErrorKind::OutOfMemory)?;
        Region::new("desks", len).map(Self)
    }

    /// The desk of one worker.
    ///
    /// # Panics
    ///
    /// Where there is none of this number.
    pub(super) fn desk(&self, seat: usize) -> Desk {
        let at = seat * DESK;
        assert!(at + DESK <= self.0.len(), "a desk for each worker");
        Desk { region: self.0.clone(), at }
    }
}

/// What a dead worker had in hand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InHand {
    pub(super) chunk: u64,
    pub(super) begun: u32,
    /// The chunk as it came, where it has more than one task.
    pub(super) input: Vec<u8>,
    /// The entries of its results that were not reported.
    pub(super) output: Vec<u8>,
}

/// The desk of one worker.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    region: Region,
    at: usize,
}

impl Desk {
    #[inline]
    fn set(&self, word: usize, value: u64) {
        let words = self.region.words64(self.at, HEAD / 8).expect("a desk lies in its region");
        words[word].store(value, Ordering::Release);
    }

    fn get(&self, word: usize) -> u64 {
        let words = self.region.words64(self.at, HEAD / 8).expect("a desk lies in its region");
        words[word].load(Ordering::Acquire)
    }

    /// Takes a chunk; `input` are its bytes, where somebody else may have to do a part of it.
    pub(super) fn take(&self, chunk: u64, input: Option<&[u8]>) {
        let copied =
            input.filter(|input| input.len() <= AREA && self.region.copy_in(self.at + HEAD, input));
        self.set(INPUT, copied.map_or(0, |input| input.len() as u64));
        self.set(BEGUN, 0);
        self.set(OUTPUT, 0);
        self.set(CHUNK, chunk);
    }

    /// Begins the task at this place of the chunk.
    #[inline]
    pub(super) fn begin(&self, place: u32) {
        self.set(BEGUN, u64::from(place) + 1);
    }

    /// Notes an entry behind the `before` bytes that lie there; false where there is no room.
    #[inline]
    pub(super) fn note(&self, before: usize, entry: &[u8]) -> bool {
        let at = self.at + HEAD + AREA + before;
        let fits = before + entry.len() <= AREA
            && match (entry.as_chunks::<8>(), before % 8) {
                // Many are one word, and the call of a copy costs more than that.
                ((&[word], []), 0) => self.region.words64(at, 1).is_some_and(|words| {
                    words[0].store(u64::from_ne_bytes(word), Ordering::Relaxed);
                    true
                }),
                _ => self.region.copy_in(at, entry),
            };
        if fits {
            self.set(OUTPUT, (before + entry.len()) as u64);
        }
        fits
    }

    /// All results that lie there are reported.
    pub(super) fn reported(&self) {
        self.set(OUTPUT, 0);
    }

    /// Puts the chunk away.
    pub(super) fn put_away(&self) {
        self.set(CHUNK, 0);
    }

    /// The worker takes tasks from now on.
    pub(super) fn ready(&self) {
        self.set(READY, AT_WORK);
    }

    /// The worker has done as much as it shall.
    pub(super) fn leave(&self) {
        self.set(READY, LEAVING);
    }

    /// Whether the worker has come as far as to take tasks.
    pub(super) fn was_ready(&self) -> bool {
        self.get(READY) != STARTING
    }

    /// Whether the worker has left of its own accord.
    pub(super) fn has_left(&self) -> bool {
        self.get(READY) == LEAVING
    }

    /// The chunk in hand, or 0.
    pub(super) fn chunk(&self) -> u64 {
        self.get(CHUNK)
    }

    /// How many of its tasks were begun.
    pub(super) fn begun(&self) -> usize {
        usize::try_from(self.get(BEGUN)).unwrap_or(0)
    }

    /// What a dead worker had in hand.
    pub(super) fn in_hand(&self) -> Option<InHand> {
        let area = |word: usize, area: usize| {
            let len = usize::try_from(self.get(word)).ok().filter(|&len| len <= AREA)?;
            self.region.copy_out(self.at + HEAD + area, len)
        };
        let chunk = self.chunk();
        (chunk != 0).then(|| InHand {
            chunk,
            begun: u32::try_from(self.get(BEGUN)).unwrap_or(0),
            input: area(INPUT, 0).unwrap_or_default(),
            output: area(OUTPUT, AREA).unwrap_or_default(),
        })
    }

    /// Makes it ready for the next worker.
    pub(super) fn clear(&self) {
        self.set(CHUNK, 0);
        self.set(OUTPUT, 0);
        self.set(READY, STARTING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_has_in_hand_can_be_read() {
        let desks = Desks::new(2).unwrap();
        let desk = desks.desk(1);
        assert_eq!(desk.in_hand(), None);
        desk.take(7, Some(b"chunk"));
        desk.begin(2);
        assert!(desk.note(0, b"first") && desk.note(5, b"second"));
        let in_hand = desks.desk(1).in_hand().unwrap();
        assert_eq!((in_hand.chunk, in_hand.begun), (7, 3));
        assert_eq!((&in_hand.input[..], &in_hand.output[..]), (&b"chunk"[..], &b"firstsecond"[..]));
        assert_eq!(desks.desk(0).in_hand(), None);
        desk.reported();
        assert!(desk.in_hand().unwrap().output.is_empty());
        desk.put_away();
        assert_eq!(desk.in_hand(), None);
    }

    #[test]
    fn what_does_not_fit_is_not_noted() {
        let desk = Desks::new(1).unwrap().desk(0);
        desk.take(1, Some(&vec![1; AREA + 1]));
        assert!(desk.in_hand().unwrap().input.is_empty());
        assert!(desk.note(0, &vec![2; AREA]) && !desk.note(AREA, b"x"));
        assert_eq!(desk.in_hand().unwrap().output.len(), AREA);
        desk.take(2, None);
        assert!(desk.in_hand().unwrap().output.is_empty());
    }
}
