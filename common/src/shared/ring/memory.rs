//! The memory of a ring: one file without a name, of which each side maps the segment that it is at.
//!
//! | offset in the header | under | content |
//! | --- | --- | --- |
//! | 0 | the put lock | its record, `tail`, `seen_head` |
//! | 64 | the get lock | its record, `head`, `seen_tail` |
//! | 128 | | those who sleep until there is an item; whether it is shut; how many may wait; the kind |
//! | 192 | | those who sleep until there is room |
//! | 256 | the put lock to take, the get lock to give back | the segments: offset and length in the file |
//!
//! A segment has pages before anyone knows of it, so a full machine is an error of the one who puts. When
//! it is given back, its pages go, and its place in the file is used again.

use super::algorithm::{FIRST, LONGEST, Memory, Ring, SEGMENTS};
use crate::codec;
use crate::sync::algorithm::event_count::EventCount;
use crate::sync::algorithm::lock::Lock;
use crate::sync::word::{Wide, Word};
use crate::sys::descriptor::Descriptor;
use crate::sys::memory::{self, Mapping};
use crate::sys::robust::Record;
use crate::sys::thread;
use serde::{Deserializer, Serializer, de};
use std::cell::UnsafeCell;
use std::fmt;
use std::io;
use std::mem;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many bytes the header has; segments begin at multiples of it.
const PAGE: usize = 4096;
const PUT: usize = 0;
const GET: usize = 64;
/// Behind a record, for each side.
const CORE: usize = 4;
const NEWS: usize = 8;
const EXTRA: usize = 12;
const LAST_CORE: usize = 16;
const PLACE: usize = 48;
const SEEN: usize = 56;
const GETTERS: usize = 128;
const SHUT: usize = 132;
const LIMIT: usize = 136;
const KIND: usize = 140;
const PUTTERS: usize = 192;
const TABLE: usize = 256;
/// A ring's file, and what this process has mapped of it; it travels as a handle.
pub(crate) struct RingMemory {
    file: Arc<Descriptor>,
    header: Mapping,
    put: UnsafeCell<Window>,
    get: UnsafeCell<Window>,
}

/// The segment that a side has mapped.
#[derive(Debug, Default)]
struct Window {
    /// A fork may have copied it while another thread was changing it.
    epoch: u32,
    place: (usize, usize),
    mapping: Option<Mapping>,
}

// SAFETY: it is mappings, which every thread may use; a window is only touched by the holder of the lock
// of its side, which one thread is at a time.
unsafe impl Send for RingMemory {}
// SAFETY: as above.
unsafe impl Sync for RingMemory {}

impl RingMemory {
    /// A new ring, of which at most `limit` items may wait.
    pub(crate) fn new(label: &str, kind: u32, limit: u32) -> io::Result<Self> {
        let file = memory::anonymous(label, PAGE + FIRST)?;
        let ring = Self::map(Arc::new(file.into()))?;
        ring.segment(0)[0].store(PAGE as u64, Ordering::Relaxed);
        ring.segment(0)[1].store(FIRST as u64, Ordering::Relaxed);
        ring.word(LIMIT).store(limit, Ordering::Relaxed);
        ring.word(KIND).store(kind, Ordering::Relaxed);
        Ok(ring)
    }

    fn map(file: Arc<Descriptor>) -> io::Result<Self> {
        let header = Mapping::new(&*file, PAGE)?;
        let (put, get) = Default::default();
        Ok(Self { file, header, put, get })
    }

    /// Serialises the handle.
    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::serialize_descriptor(&self.file, serializer)
    }

    /// A ring of this kind that has arrived.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        kind: u32,
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let file: Descriptor = codec::deserialize_descriptor(deserializer)?;
        let len = memory::len(&file).map_err(de::Error::custom)?;
        if len < PAGE {
            return Err(de::Error::custom("it is too small"));
        }
        let ring = Self::map(Arc::new(file)).map_err(de::Error::custom)?;
        if ring.word(KIND).load(Ordering::Relaxed) != kind {
            return Err(de::Error::custom("it is of another type"));
        }
        Ok(ring)
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < PAGE);
        // SAFETY: inside the header, as just checked.
        unsafe { self.header.start().add(offset) }
    }

    fn word(&self, offset: usize) -> &Word {
        assert!(offset.is_multiple_of(4));
        // SAFETY: in the header and aligned; any bit pattern is a u32; nobody makes a plain reference.
        unsafe { self.at(offset).cast().as_ref() }
    }

    fn wide(&self, offset: usize) -> &Wide {
        assert!(offset.is_multiple_of(8));
        // SAFETY: as in `word`.
        unsafe { self.at(offset).cast().as_ref() }
    }

    /// Offset and length of a segment.
    fn segment(&self, segment: u32) -> [&Wide; 2] {
        let at = TABLE + segment as usize % SEGMENTS * 16;
        [self.wide(at), self.wide(at + 8)]
    }

    fn place(&self, segment: u32) -> (usize, usize) {
        let [offset, len] = self.segment(segment);
        // The length first: it is written last.
        let len = len.load(Ordering::Acquire);
        (offset.load(Ordering::Relaxed) as usize, len as usize)
    }

    fn lock(&self, side: usize) -> Lock<'_> {
        // SAFETY: inside the header, aligned to 64; the header stays mapped while `self` lives, and no
        // holder keeps the lock longer.
        let record = unsafe { Record::at(self.at(side)) };
        Lock { record, core: self.word(side + CORE), news: self.word(side + NEWS) }
    }

    pub(crate) fn ring(&self) -> Ring<'_> {
        Ring {
            put: self.lock(PUT),
            tail: self.wide(PUT + PLACE),
            seen_head: self.wide(PUT + SEEN),
            spare: self.word(PUT + EXTRA),
            put_core: self.word(PUT + LAST_CORE),
            get: self.lock(GET),
            head: self.wide(GET + PLACE),
            seen_tail: self.wide(GET + SEEN),
            doomed: self.word(GET + EXTRA),
            get_core: self.word(GET + LAST_CORE),
            shut: self.word(SHUT),
            getters: EventCount { word: self.word(GETTERS) },
            putters: EventCount { word: self.word(PUTTERS) },
            most: self.limit(),
        }
    }

    /// Whether somebody may sleep until there is an item.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        EventCount { word: self.word(GETTERS) }.has_sleepers()
    }

    /// How many items may wait.
    pub(crate) fn limit(&self) -> u32 {
        self.word(LIMIT).load(Ordering::Relaxed)
    }

    /// The memory as those see it who put.
    pub(crate) fn putting(&self) -> View<'_> {
        View { ring: self, window: &self.put }
    }

    /// The memory as those see it who get.
    pub(crate) fn getting(&self) -> View<'_> {
        View { ring: self, window: &self.get }
    }
}

impl fmt::Debug for RingMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingMemory").field("limit", &self.limit()).finish_non_exhaustive()
    }
}

/// The memory as one side sees it.
pub(crate) struct View<'a> {
    ring: &'a RingMemory,
    window: &'a UnsafeCell<Window>,
}

impl View<'_> {
    /// Where a segment lies in this process, and how many bytes it has.
    fn open(&self, segment: u32) -> io::Result<(NonNull<u8>, usize)> {
        // SAFETY: only the holder of the side's lock uses the memory of its side, and no two of these
        // references live at a time.
        let window = unsafe { &mut *self.window.get() };
        let place @ (offset, len) = self.ring.place(segment);
        if window.epoch != thread::epoch() {
            mem::forget(mem::take(window));
            window.epoch = thread::epoch();
        }
        if window.place != place || window.mapping.is_none() {
            if len == 0 || len > LONGEST || !offset.is_multiple_of(PAGE) {
                return Err(damaged());
            }
            window.mapping = None;
            window.mapping = Some(Mapping::of(&*self.ring.file, offset, len)?);
            window.place = place;
        }
        let mapping = window.mapping.as_ref().ok_or_else(damaged)?;
        Ok((mapping.start(), mapping.len()))
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the memory of the queue is damaged")
}

impl Memory for View<'_> {
    type Error = io::Error;

    fn len(&self, segment: u32) -> usize {
        self.ring.place(segment).1
    }

    #[inline]
    fn lend<R>(
        &self,
        segment: u32,
        offset: usize,
        len: usize,
        work: impl FnOnce(&mut [u8]) -> R,
    ) -> io::Result<R> {
        let (start, end) = self.open(segment)?;
        if offset.checked_add(len).is_none_or(|last| last > end) {
            return Err(damaged());
        }
        // SAFETY: inside the segment, as just checked.
        let first = unsafe { start.add(offset) };
        // SAFETY: mapped, and the ring lends bytes that are between its places to one side only, of which
        // one thread at a time holds the lock. The window is not opened again by `work`, which knows
        // nothing of the ring's memory and waits for the lock that its thread holds if it uses the ring.
        let bytes = unsafe { slice::from_raw_parts_mut(first.as_ptr(), len) };
        Ok(work(bytes))
    }

    fn allocate(&self, len: usize, claim: impl Fn(u32) -> bool) -> io::Result<u32> {
        let len = len.checked_next_multiple_of(PAGE).ok_or(io::ErrorKind::OutOfMemory)?;
        let all: Vec<_> = (0..SEGMENTS as u32).map(|segment| self.ring.place(segment)).collect();
        let free = (0..).zip(&all).find(|&(segment, place)| place.1 == 0 && claim(segment));
        let (segment, _) = free.ok_or(io::ErrorKind::OutOfMemory)?;
        let mut taken: Vec<_> = all.into_iter().filter(|place| place.1 != 0).collect();
        taken.sort_unstable();
        // The first gap that is long enough.
        let mut offset = PAGE;
        for (begin, taken) in taken {
            if begin >= offset.saturating_add(len) {
                break;
            }
            offset = offset.max(begin.saturating_add(taken));
        }
        // The place first: where this thread is killed, whoever gives the segment back finds its pages.
        let [offset_word, len_word] = self.ring.segment(segment);
        offset_word.store(offset as u64, Ordering::Relaxed);
        len_word.store(len as u64, Ordering::Release);
        memory::reserve_part(&*self.ring.file, offset, len).inspect_err(|_| self.free(segment))?;
        Ok(segment)
    }

    fn free(&self, segment: u32) {
        let (offset, len) = self.ring.place(segment);
        if len == 0 {
            return;
        }
        // What the kernel keeps in spite of that is used again with the place.
        let _ = memory::give_back(&*self.ring.file, offset, len);
        self.ring.segment(segment)[1].store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::super::algorithm::{KEPT, MOST, NotGot, NotPut};
    use super::*;
    use crate::sync::word::Deadline;
    use std::convert::Infallible;
    use std::time::Duration;

    const NOW: Duration = Duration::ZERO;

    fn put(ring: &RingMemory, item: &[u8]) -> bool {
        let write = |bytes: &mut [u8]| {
            bytes.copy_from_slice(item);
            Ok::<(), Infallible>(())
        };
        match ring.ring().put(&ring.putting(), item.len(), Deadline::after(NOW), write) {
            Ok(()) => true,
            Err(NotPut::Full) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    fn get(ring: &RingMemory) -> Option<Vec<u8>> {
        match ring.ring().get(&ring.getting(), Deadline::after(NOW), |bytes| bytes.to_vec()) {
            Ok(item) => Some(item),
            Err(NotGot::Empty | NotGot::Shut) => None,
            Err(other) => panic!("{other:?}"),
        }
    }

    /// An item that says which it is and has this length.
    fn item(number: usize, len: usize) -> Vec<u8> {
        (0..len).map(|place| (number * 31 + place) as u8).collect()
    }

    fn bytes_in(ring: &RingMemory) -> usize {
        (0..SEGMENTS as u32).map(|segment| ring.place(segment).1).sum()
    }

    #[test]
    fn items_of_any_length_come_in_their_order() {
        let ring = RingMemory::new("test", 1, MOST).unwrap();
        let lens = [0, 1, 7, 8, 9, 100, 4096, 30_000, 65_528, 65_536, 200_000, 3 << 20, 0, 5];
        let mut next = 0;
        for round in 0..200 {
            for number in 0..round % 17 {
                assert!(put(&ring, &item(next + number, lens[(next + number) % lens.len()])));
            }
            assert_eq!(ring.ring().len() as usize, round % 17);
            for number in 0..round % 17 {
                let expected = item(next + number, lens[(next + number) % lens.len()]);
                assert!(get(&ring) == Some(expected), "round {round}, item {number}");
            }
            assert_eq!(get(&ring), None);
            next += round % 17;
        }
    }

    #[test]
    fn a_million_small_items_wait_and_their_memory_is_given_back() {
        let ring = RingMemory::new("test", 1, MOST).unwrap();
        for number in 0..1_000_000u64 {
            assert!(put(&ring, &number.to_ne_bytes()));
        }
        assert!(bytes_in(&ring) >= 16_000_000);
        for number in 0..1_000_000u64 {
            assert_eq!(get(&ring).unwrap(), number.to_ne_bytes());
        }
        assert_eq!(get(&ring), None);
        assert!(bytes_in(&ring) <= KEPT);
        assert!(memory::pages(&*ring.file).unwrap() * 512 <= PAGE + KEPT);
    }

    #[test]
    fn a_ring_that_is_emptied_again_and_again_needs_no_more_memory() {
        let ring = RingMemory::new("test", 1, MOST).unwrap();
        for number in 0..100_000 {
            assert!(put(&ring, &item(number, number % 3000)));
            assert!(get(&ring) == Some(item(number, number % 3000)));
        }
        assert_eq!(bytes_in(&ring), FIRST);
    }

    #[test]
    fn a_segment_is_taken_that_may_be_and_given_back_once() {
        let ring = RingMemory::new("test", 1, MOST).unwrap();
        let memory = ring.putting();
        assert_eq!(memory.allocate(FIRST, |segment| segment > 1).unwrap(), 2);
        assert_eq!(memory.allocate(FIRST, |_| true).unwrap(), 1);
        assert_eq!([1, 2].map(|segment| ring.place(segment).0), [PAGE + 2 * FIRST, PAGE + FIRST]);
        let refused = memory.allocate(FIRST, |_| false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory);
        [1, 2, 2].into_iter().for_each(|segment| memory.free(segment));
        assert_eq!(bytes_in(&ring), FIRST);
        assert!(memory::pages(&*ring.file).unwrap() * 512 <= PAGE + FIRST);
        // More than there is.
        assert!(memory.allocate(usize::MAX / 4, |_| true).is_err());
        assert_eq!(bytes_in(&ring), FIRST);
    }

    #[test]
    fn no_more_wait_than_may() {
        let ring = RingMemory::new("test", 1, 2).unwrap();
        assert!(put(&ring, b"a") && put(&ring, b"b") && !put(&ring, b"c"));
        assert_eq!(get(&ring).unwrap(), b"a");
        assert!(put(&ring, b"c") && !put(&ring, b"d"));
        ring.ring().shut(&ring.putting());
        assert_eq!((get(&ring).unwrap(), get(&ring).unwrap()), (b"b".to_vec(), b"c".to_vec()));
        let got = ring.ring().get(&ring.getting(), Deadline::NEVER, |_| ());
        assert!(matches!(got, Err(NotGot::Shut)));
        let refused = ring.ring().put(&ring.putting(), 0, Deadline::NEVER, |_| Err(()));
        assert!(matches!(refused, Err(NotPut::Shut)));
    }

    #[test]
    fn an_item_that_its_writer_refuses_is_not_there() {
        let ring = RingMemory::new("test", 1, MOST).unwrap();
        for len in [8, 60_000, 100_000, 10 << 20] {
            let refused = ring.ring().put(&ring.putting(), len, Deadline::NEVER, |_| Err("no"));
            assert!(matches!(refused, Err(NotPut::Writer("no"))));
            assert!(put(&ring, &item(len, len)));
            assert!(get(&ring) == Some(item(len, len)));
        }
        let long = ring.ring().put(&ring.putting(), usize::MAX, Deadline::NEVER, |_| Err(()));
        assert!(matches!(long, Err(NotPut::TooLong)));
    }

    #[test]
    fn threads_on_both_sides_lose_nothing() {
        const EACH: u64 = 50_000;
        for limit in [MOST, 3] {
            let ring = RingMemory::new("test", 1, limit).unwrap();
            let write = |number: u64| {
                move |bytes: &mut [u8]| {
                    bytes.fill(number as u8);
                    bytes[..8].copy_from_slice(&number.to_ne_bytes());
                    Ok::<(), Infallible>(())
                }
            };
            let sums: u64 = std::thread::scope(|scope| {
                let putters: Vec<_> = (0..3)
                    .map(|putter| {
                        let ring = &ring;
                        scope.spawn(move || {
                            for number in 0..EACH {
                                let len = 8 + (number % 100) as usize;
                                let number = number * 3 + putter;
                                let (ring, memory) = (ring.ring(), ring.putting());
                                ring.put(&memory, len, Deadline::NEVER, write(number)).unwrap();
                            }
                        })
                    })
                    .collect();
                let getters: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(|| {
                            let (mut sum, mut last) = (0, [None; 3]);
                            let take = |bytes: &[u8]| {
                                let number = u64::from_ne_bytes(bytes[..8].try_into().unwrap());
                                assert!(bytes[8..].iter().all(|byte| *byte == number as u8));
                                number
                            };
                            while let Ok(number) =
                                ring.ring().get(&ring.getting(), Deadline::NEVER, take)
                            {
                                // In the order of each putter.
                                let last = &mut last[number as usize % 3];
                                assert!(last.is_none_or(|last| last < number));
                                *last = Some(number);
                                sum += number;
                            }
                            sum
                        })
                    })
                    .collect();
                putters.into_iter().for_each(|putter| putter.join().unwrap());
                ring.ring().shut(&ring.putting());
                getters.into_iter().map(|getter| getter.join().unwrap()).sum()
            });
            let count = EACH * 3;
            assert_eq!(sums, count * (count - 1) / 2);
        }
    }
}
