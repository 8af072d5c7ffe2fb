//! Items of any length, first in, first out, between any number of processes of which any may be killed.
//!
//! Items lie one behind the other in a *segment* of memory, which is used in a circle. Where the next one
//! does not fit, those who put go on in a new, larger segment, and those who get follow when they have
//! emptied the old one, which is given back. One of them puts at a time, and one gets, each under a lock
//! of its side; both sides go on at the same time.
//!
//! A [`Place`] is a segment, an offset in it, and how many items lie before: so one store of `tail`
//! publishes an item, and one store of `head` takes it. Who is killed before that store has done nothing.
//!
//! | at each place | meaning |
//! | --- | --- |
//! | [`ITEM`] and a length | so many bytes follow, then the next place, at a multiple of 8 |
//! | [`SKIP`] | the next place is the beginning of the segment |
//! | [`JUMP`] and a segment | the next place is the beginning of that segment |
//!
//! There are always 8 free bytes at `tail`, for one of the last two, which are written before the item
//! that comes after them is published.
//!
//! | word | written under | content |
//! | --- | --- | --- |
//! | `tail` | the put lock | where the next item goes |
//! | `seen_head` | the put lock | `head`, as those who put last saw it |
//! | `spare` | the put lock | 1 + a segment that may be taken and not published yet, or 0 |
//! | `head` | the get lock | where the next item comes from |
//! | `seen_tail` | the get lock | `tail`, as those who get last saw it |
//! | `doomed` | the get lock | 1 + a segment that may be left and not given back yet, or 0 |
//! | `shut` | the put lock | not 0 when nothing more may come |
//!
//! A segment is spare before it is taken, and doomed before it is left. Who finds one that is, when it
//! comes to have the lock, knows that the holder before was killed, or panicked, or had no memory, and gives
//! it back; but not where `tail` or `head` is in it. The number of a doomed one may be free already, and is
//! taken by nobody as long as it may be given back once more.
//!
//! Each side rereads the other's place only when what it remembers is not enough, so that their two cache
//! lines stay apart while there are items and room.
//!
//! Who sleeps until there is an item, or room, does so on an event count. A publication and the look at
//! it for sleepers must not change places; between them lies the swap that gives the lock back, and a
//! [`barrier`].

use super::event_count::EventCount;
use super::lock::Lock;
use super::word::{Deadline, Ordering, Wide, Word, barrier, sign, spin};
use std::mem;

/// What lies at a place, in the lowest bits.
const ITEM: u64 = 1;
const SKIP: u64 = 2;
const JUMP: u64 = 3;
const KIND_BITS: u32 = 2;

/// What a place at which items lie is a multiple of, and how long a header is.
pub(crate) const UNIT: usize = 8;

/// The parts of a place, from the lowest bit on.
const COUNT_BITS: u32 = 28;
const OFFSET_BITS: u32 = 30;

/// At most so many items can wait.
pub(crate) const MOST: u32 = (1 << COUNT_BITS) - 1;
/// At most so many segments can there be at a time.
pub(crate) const SEGMENTS: usize = 1 << (64 - COUNT_BITS - OFFSET_BITS);
/// A segment has at most so many bytes.
pub(crate) const LONGEST: usize = UNIT << OFFSET_BITS;

/// The first segment has so many bytes, and each later one twice as many as the one before, up to
/// [`LARGE`], unless an item needs more.
pub(crate) const FIRST: usize = 64 << 10;
const LARGE: usize = 64 << 20;
/// A segment of at most so many bytes is kept when the ring is empty.
pub(crate) const KEPT: usize = 4 << 20;

/// The memory of a ring as one side sees it. To be used by the holder of that side's lock only.
pub(crate) trait Memory {
    type Error;

    /// How many bytes a segment has.
    fn len(&self, segment: u32) -> usize;

    /// Lends bytes of a segment.
    fn lend<R>(
        &self,
        segment: u32,
        offset: usize,
        len: usize,
        work: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, Self::Error>;

    /// Takes a segment of so many bytes: the first that is free and that `claim`, which is asked before,
    /// does not refuse.
    fn allocate(&self, len: usize, claim: impl Fn(u32) -> bool) -> Result<u32, Self::Error>;

    /// Gives a segment back; nothing where that is done already.
    fn free(&self, segment: u32);

    fn header(&self, segment: u32, offset: usize) -> Result<u64, Self::Error> {
        self.lend(segment, offset, UNIT, |bytes| {
            let mut header = [0; UNIT];
            header.copy_from_slice(bytes);
            u64::from_ne_bytes(header)
        })
    }

    fn set_header(&self, segment: u32, offset: usize, header: u64) -> Result<(), Self::Error> {
        self.lend(segment, offset, UNIT, |bytes| bytes.copy_from_slice(&header.to_ne_bytes()))
    }
}

/// Where an item begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    segment: u32,
    offset: usize,
    count: u32,
}

impl Place {
    fn of(word: u64) -> Self {
        let offset = (word >> COUNT_BITS) & ((1 << OFFSET_BITS) - 1);
        Self {
            segment: (word >> (COUNT_BITS + OFFSET_BITS)) as u32,
            offset: offset as usize * UNIT,
            count: word as u32 & MOST,
        }
    }

    fn word(self) -> u64 {
        let offset = (self.offset / UNIT) as u64;
        u64::from(self.segment) << (COUNT_BITS + OFFSET_BITS)
            | offset << COUNT_BITS
            | u64::from(self.count & MOST)
    }

    /// How many items lie between another place and this one.
    fn items_since(self, other: Self) -> u32 {
        self.count.wrapping_sub(other.count) & MOST
    }

    fn after(self, len: usize) -> Self {
        let offset = self.offset + UNIT + len.next_multiple_of(UNIT);
        Self { offset, count: self.count.wrapping_add(1) & MOST, ..self }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    pub(crate) put: Lock<'a>,
    pub(crate) tail: &'a Wide,
    pub(crate) seen_head: &'a Wide,
    pub(crate) spare: &'a Word,
    pub(crate) get: Lock<'a>,
    pub(crate) head: &'a Wide,
    pub(crate) seen_tail: &'a Wide,
    pub(crate) doomed: &'a Word,
    pub(crate) shut: &'a Word,
    /// Those who sleep until there is an item, and until there is room.
    pub(crate) getters: EventCount<'a>,
    pub(crate) putters: EventCount<'a>,
    /// Where somebody last put, and last got.
    pub(crate) put_core: &'a Word,
    pub(crate) get_core: &'a Word,
    /// At most so many items may wait.
    pub(crate) most: u32,
}

/// Why nothing was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPut<M, W> {
    Full,
    Shut,
    TooLong,
    Memory(M),
    /// The writer has refused.
    Writer(W),
}

/// Why nothing was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotGot<M> {
    Empty,
    Shut,
    Memory(M),
    /// What lies there makes no sense.
    Damaged,
}

impl Ring<'_> {
    /// Puts an item of `len` bytes that `write` writes; waits for room until the deadline.
    pub(crate) fn put<M: Memory, W>(
        self,
        memory: &M,
        len: usize,
        deadline: Deadline,
        write: impl FnOnce(&mut [u8]) -> Result<(), W>,
    ) -> Result<(), NotPut<M::Error, W>> {
        let mut has_spun = false;
        loop {
            if !self.enter_put(memory, deadline.at_least_a_slice()) {
                if has_spun && self.has_room_at(Ordering::Acquire) {
                    pass_on(self.putters);
                }
                return Err(NotPut::Full);
            }
            let turn = Turn(self.put);
            if self.shut.load(Ordering::Relaxed) != 0 {
                return Err(NotPut::Shut);
            }
            if self.has_room() {
                let written = self.write(memory, len, write);
                drop(turn);
                barrier();
                match written {
                    Ok(()) => self.getters.ring_one(),
                    Err(_) => pass_on(self.putters),
                }
                return written;
            }
            let announced = has_spun.then(|| self.putters.announce());
            // Between the announcement and the sleep.
            barrier();
            let has_room = announced.is_some() && self.has_room();
            drop(turn);
            if deadline.has_passed() {
                return Err(NotPut::Full);
            }
            match announced {
                None => {
                    spin(self.get_core, || self.has_room_at(Ordering::Relaxed).then_some(()));
                    has_spun = true;
                }
                Some(_) if has_room => {}
                Some(announced) => {
                    if !self.putters.sleep(announced, deadline)
                        && !self.has_room_at(Ordering::Acquire)
                    {
                        return Err(NotPut::Full);
                    }
                }
            }
        }
    }

    /// Whether one item more may wait. To be asked with the put lock.
    fn has_room(self) -> bool {
        let tail = Place::of(self.tail.load(Ordering::Relaxed));
        let seen = Place::of(self.seen_head.load(Ordering::Relaxed));
        if tail.items_since(seen) < self.most {
            return true;
        }
        tail.items_since(self.look_at_head()) < self.most
    }

    /// The same, by anybody: at that moment.
    fn has_room_at(self, order: Ordering) -> bool {
        let (tail, head) = (self.tail.load(order), self.head.load(order));
        Place::of(tail).items_since(Place::of(head)) < self.most
    }

    fn look_at_head(self) -> Place {
        let head = self.head.load(Ordering::Acquire);
        self.seen_head.store(head, Ordering::Relaxed);
        Place::of(head)
    }

    /// Writes an item and publishes it.
    fn write<M: Memory, W>(
        self,
        memory: &M,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<(), W>,
    ) -> Result<(), NotPut<M::Error, W>> {
        let need = len.checked_next_multiple_of(UNIT).and_then(|len| len.checked_add(UNIT));
        let need = need.filter(|&need| need <= LONGEST - UNIT).ok_or(NotPut::TooLong)?;
        let tail = Place::of(self.tail.load(Ordering::Relaxed));
        let at = match self
            .room(memory, tail, need)
            .or_else(|| self.wait_for_room(memory, tail, need))
        {
            Some(offset) => {
                if offset != tail.offset {
                    let skipped = memory.set_header(tail.segment, tail.offset, SKIP);
                    skipped.map_err(NotPut::Memory)?;
                }
                Place { offset, ..tail }
            }
            None => self.grow(memory, tail, need).map_err(NotPut::Memory)?,
        };
        let header = (len as u64) << KIND_BITS | ITEM;
        memory.set_header(at.segment, at.offset, header).map_err(NotPut::Memory)?;
        let written = memory.lend(at.segment, at.offset + UNIT, len, write);
        match written.map_err(NotPut::Memory)? {
            Ok(()) => {
                sign(self.put_core);
                self.tail.store(at.after(len).word(), Ordering::Release);
                Ok(())
            }
            Err(refused) => {
                // A segment that was taken for it is used by the next.
                self.tail.store(at.word(), Ordering::Release);
                Err(NotPut::Writer(refused))
            }
        }
        .inspect(|()| self.spare.store(0, Ordering::Relaxed))
        .inspect_err(|_| self.spare.store(0, Ordering::Relaxed))
    }

    /// Where in the segment of `tail` there are `need` bytes, and a unit behind them.
    fn room<M: Memory>(self, memory: &M, tail: Place, need: usize) -> Option<usize> {
        let end = memory.len(tail.segment);
        let fits = |head: Place| {
            let need = need + UNIT;
            if head.segment != tail.segment {
                // Nothing was read here yet.
                return (tail.offset + need <= end).then_some(tail.offset);
            }
            if head.offset > tail.offset {
                return (tail.offset + need <= head.offset).then_some(tail.offset);
            }
            if tail.offset + need <= end {
                return Some(tail.offset);
            }
            (need <= head.offset).then_some(0)
        };
        let seen = Place::of(self.seen_head.load(Ordering::Relaxed));
        fits(seen).or_else(|| fits(self.look_at_head()))
    }

    /// The same, after a moment in which one who gets may make room: that is cheaper than fresh memory.
    fn wait_for_room<M: Memory>(self, memory: &M, tail: Place, need: usize) -> Option<usize> {
        if need > memory.len(tail.segment) / 2 {
            return None;
        }
        spin(self.get_core, || self.room(memory, tail, need))
    }

    /// A new segment to which the place leads.
    fn grow<M: Memory>(self, memory: &M, tail: Place, need: usize) -> Result<Place, M::Error> {
        let len = memory.len(tail.segment).saturating_mul(2).min(LARGE);
        // Several of its kind fit, as long as that is not much.
        let len = len.max(need.saturating_mul(4).min(LARGE)).max(need + UNIT).max(FIRST);
        let segment = memory.allocate(len, |segment| self.claim(segment))?;
        // Of an earlier segment with this number nothing may be remembered.
        self.look_at_head();
        let header = u64::from(segment) << KIND_BITS | JUMP;
        memory.set_header(tail.segment, tail.offset, header)?;
        Ok(Place { segment, offset: 0, count: tail.count })
    }

    /// Notes that a segment will be taken; false where it must not be, because it is doomed.
    fn claim(self, segment: u32) -> bool {
        if self.doomed.load(Ordering::Relaxed) == segment + 1 {
            return false;
        }
        self.spare.store(segment + 1, Ordering::Relaxed);
        true
    }

    /// Gives a spare segment back, unless it is published. To be called with the put lock.
    fn settle_spare<M: Memory>(self, memory: &M) {
        let spare = self.spare.load(Ordering::Relaxed);
        if spare != 0 {
            if Place::of(self.tail.load(Ordering::Relaxed)).segment != spare - 1 {
                memory.free(spare - 1);
            }
            self.spare.store(0, Ordering::Relaxed);
        }
    }

    /// Takes an item: what `read` makes of it; waits for one until the deadline.
    pub(crate) fn get<M: Memory, R>(
        self,
        memory: &M,
        deadline: Deadline,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, NotGot<M::Error>> {
        let mut has_spun = false;
        loop {
            if !self.enter_get(memory, deadline.at_least_a_slice()) {
                if has_spun && self.has_item_at(Ordering::Acquire) {
                    pass_on(self.getters);
                }
                return Err(NotGot::Empty);
            }
            let turn = Turn(self.get);
            // Before the look: what was put before the shutting is seen.
            let is_shut = self.shut.load(Ordering::Acquire) != 0;
            if self.has_item() {
                let room = Room(self);
                let value = self.read(memory, read);
                mem::forget(room);
                if self.head.load(Ordering::Relaxed) == self.seen_tail.load(Ordering::Relaxed) {
                    self.shrink(memory);
                }
                drop(turn);
                if value.is_err() {
                    pass_on(self.getters);
                } else {
                    self.tell_room();
                }
                return value;
            }
            self.shrink(memory);
            if is_shut {
                return Err(NotGot::Shut);
            }
            drop(turn);
            if deadline.has_passed() {
                return Err(NotGot::Empty);
            }
            if !has_spun {
                has_spun = true;
                spin(self.put_core, || self.has_item_at(Ordering::Relaxed).then_some(()));
                continue;
            }
            let announced = self.getters.announce();
            barrier();
            if self.has_item_at(Ordering::Acquire) || self.shut.load(Ordering::Acquire) != 0 {
                continue;
            }
            if !self.getters.sleep(announced, deadline) && !self.has_item_at(Ordering::Acquire) {
                return Err(NotGot::Empty);
            }
        }
    }

    /// Whether there is an item. To be asked with the get lock.
    fn has_item(self) -> bool {
        let head = Place::of(self.head.load(Ordering::Relaxed));
        let seen = Place::of(self.seen_tail.load(Ordering::Relaxed));
        seen.count != head.count || self.look_at_tail().count != head.count
    }

    /// The same, by anybody: at that moment.
    fn has_item_at(self, order: Ordering) -> bool {
        let (head, tail) = (self.head.load(order), self.tail.load(order));
        Place::of(head).count != Place::of(tail).count
    }

    fn look_at_tail(self) -> Place {
        let tail = self.tail.load(Ordering::Acquire);
        self.seen_tail.store(tail, Ordering::Relaxed);
        Place::of(tail)
    }

    /// Reads the next item and takes it; there is one.
    fn read<M: Memory, R>(
        self,
        memory: &M,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, NotGot<M::Error>> {
        let (at, len) = self.next(memory)?;
        // Also where `read` panics it is taken.
        let taken = Taken { head: self.head, next: at.after(len).word() };
        let value = memory
            .lend(at.segment, at.offset + UNIT, len, |bytes| read(bytes))
            .map_err(NotGot::Memory)?;
        sign(self.get_core);
        drop(taken);
        Ok(value)
    }

    /// Where the next item is, and its length; there is one. The head has come to it then.
    fn next<M: Memory>(self, memory: &M) -> Result<(Place, usize), NotGot<M::Error>> {
        loop {
            let head = Place::of(self.head.load(Ordering::Relaxed));
            let header = memory.header(head.segment, head.offset).map_err(NotGot::Memory)?;
            let content = header >> KIND_BITS;
            match header & ((1 << KIND_BITS) - 1) {
                ITEM => {
                    let len = usize::try_from(content).map_err(|_| NotGot::Damaged)?;
                    let end = len.checked_add(head.offset + UNIT);
                    if end.is_none_or(|end| end > memory.len(head.segment)) {
                        return Err(NotGot::Damaged);
                    }
                    return Ok((head, len));
                }
                SKIP => {
                    self.head.store(Place { offset: 0, ..head }.word(), Ordering::Release);
                }
                JUMP if content < SEGMENTS as u64 => {
                    self.leave(memory, head, content as u32);
                }
                _ => return Err(NotGot::Damaged),
            }
        }
    }

    /// Wakes one who waits for room, after an item was taken.
    #[inline]
    fn tell_room(self) {
        if self.most < MOST {
            barrier();
            self.putters.ring_one();
        }
    }

    /// Looks at the next item, if there is one, and leaves it there; nobody takes it meanwhile, and whoever
    /// was taking it has taken it, or has died before.
    pub(crate) fn peek<M: Memory, R>(
        self,
        memory: &M,
        look: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R, NotGot<M::Error>> {
        self.enter_get(memory, Deadline::NEVER);
        let _turn = Turn(self.get);
        if !self.has_item() {
            return Ok(look(None));
        }
        let (at, len) = self.next(memory)?;
        memory
            .lend(at.segment, at.offset + UNIT, len, |bytes| look(Some(bytes)))
            .map_err(NotGot::Memory)
    }

    /// Goes on in another segment, and gives the old one back.
    fn leave<M: Memory>(self, memory: &M, head: Place, segment: u32) {
        self.doomed.store(head.segment + 1, Ordering::Relaxed);
        self.head.store(Place { segment, offset: 0, ..head }.word(), Ordering::Release);
        memory.free(head.segment);
        self.doomed.store(0, Ordering::Relaxed);
    }

    /// Where the ring is empty and large, goes on in a small segment, so that the memory of a burst is given
    /// back when it is drained. To be called with the get lock.
    fn shrink<M: Memory>(self, memory: &M) {
        let head = Place::of(self.head.load(Ordering::Relaxed));
        if memory.len(head.segment) <= KEPT || !self.put.try_take() {
            return;
        }
        let turn = Turn(self.put);
        self.settle_spare(memory);
        let tail = self.look_at_tail();
        if tail.count != head.count {
            return;
        }
        let Ok(segment) = memory.allocate(FIRST, |segment| self.claim(segment)) else { return };
        let jump = u64::from(segment) << KIND_BITS | JUMP;
        if memory.set_header(tail.segment, tail.offset, jump).is_ok() {
            let next = Place { segment, offset: 0, count: tail.count };
            self.tail.store(next.word(), Ordering::Release);
            self.seen_tail.store(next.word(), Ordering::Relaxed);
            self.seen_head.store(head.word(), Ordering::Relaxed);
        }
        self.settle_spare(memory);
        drop(turn);
        // Over whatever markers still lie before it.
        while Place::of(self.head.load(Ordering::Relaxed)).segment != segment {
            let head = Place::of(self.head.load(Ordering::Relaxed));
            match memory.header(head.segment, head.offset) {
                Ok(header) if header & ((1 << KIND_BITS) - 1) == SKIP => {
                    self.head.store(Place { offset: 0, ..head }.word(), Ordering::Release);
                }
                Ok(header) if header & ((1 << KIND_BITS) - 1) == JUMP => {
                    self.leave(memory, head, (header >> KIND_BITS) as u32);
                }
                _ => return,
            }
        }
    }

    /// Takes the put lock; false when the time is up.
    fn enter_put<M: Memory>(self, memory: &M, deadline: Deadline) -> bool {
        if self.put.take(deadline).is_err() {
            return false;
        }
        self.settle_spare(memory);
        true
    }

    /// Takes the get lock; false when the time is up.
    fn enter_get<M: Memory>(self, memory: &M, deadline: Deadline) -> bool {
        if self.get.take(deadline).is_err() {
            return false;
        }
        let doomed = self.doomed.load(Ordering::Relaxed);
        if doomed != 0 {
            if Place::of(self.head.load(Ordering::Relaxed)).segment != doomed - 1 {
                memory.free(doomed - 1);
            }
            self.doomed.store(0, Ordering::Relaxed);
        }
        true
    }

    /// Says that nothing more comes: who waits goes on.
    pub(crate) fn shut<M: Memory>(self, memory: &M) {
        self.enter_put(memory, Deadline::NEVER);
        self.shut.store(1, Ordering::Release);
        self.put.give_back();
        for sleepers in [self.getters, self.putters] {
            let advanced = sleepers.advance();
            sleepers.wake(advanced, u32::MAX);
        }
    }

    /// How many items wait at this moment.
    pub(crate) fn len(self) -> u32 {
        // The head first: it never passes a tail that is read later.
        let head = Place::of(self.head.load(Ordering::Acquire));
        Place::of(self.tail.load(Ordering::Acquire)).items_since(head)
    }
}

/// Wakes another in the place of this thread, which has perhaps been woken, and makes nothing of it.
#[cold]
fn pass_on(sleepers: EventCount) {
    sleepers.wake(sleepers.advance(), 1);
}

/// A lock that is given back at the end.
struct Turn<'a>(Lock<'a>);

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// An item that is taken at the end.
struct Taken<'a> {
    head: &'a Wide,
    next: u64,
}

impl Drop for Taken<'_> {
    #[inline]
    fn drop(&mut self) {
        self.head.store(self.next, Ordering::Release);
    }
}

/// Tells, where `read` panics, that there is room now.
struct Room<'a>(Ring<'a>);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.tell_room();
    }
}
