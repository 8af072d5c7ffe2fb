//! Where primitives and values live: slots in memory that several processes map.
//!
//! A process that makes a lock or a value takes a slot for it from an arena of its own, and gives the
//! slot to others as a handle: the arena's descriptor, once a message however many slots it brings,
//! and an offset. Who holds the arena already drops the descriptor. An arena never grows and never
//! moves, so an address inside it stays; when it is full, a larger one is made beside it.
//!
//! | offset in a slot | content |
//! | --- | --- |
//! | 0 | how many processes hold a handle; one that is under way in a message counts as well |
//! | 4 | what it is, so that a handle of another type is refused |
//! | 8 | how many bytes the content has |
//! | 16 | the content |
//!
//! Only the process that made an arena gives out its slots, and what nobody holds any more again, in
//! slots of any size; an arena of which nothing is held goes. A process that is killed does not count
//! back; its slots stay taken until the arena is gone, which is when the last process that maps it is.
//!
//! Where the last handle of a process goes while one of its threads holds the [`Record`] of a slot, the slot
//! stays taken and the arena mapped: the thread's list leads there, for its next lock, and for the kernel
//! when it ends.

use crate::codec;
use crate::point::{Name, Named};
use crate::sys::descriptor::{self, Descriptor};
use crate::sys::memory::{self, Mapping};
use crate::sys::robust::{self, Record};
use crate::sys::thread;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Slots begin at multiples of this: two of them never share a cache line.
pub(super) const ALIGN: usize = 64;
/// The bytes of a slot before its content.
pub(super) const HEADER: usize = 16;
/// The first arena of a process has this many bytes, and each later one four times as many as the
/// one before, up to [`LARGEST`].
const FIRST: usize = 64 << 10;
const LARGEST: usize = 4 << 20;
/// A slot that takes more has an arena to itself.
const OWN: usize = 1 << 20;

/// One mapping with slots in it.
#[derive(Debug)]
pub(crate) struct Arena {
    memory: Arc<Descriptor>,
    mapping: Mapping,
    /// Device and inode: what makes it the same arena in every process.
    place: (u64, u64),
}

/// An arena whose slots this process gives out.
struct Field {
    arena: Arc<Arena>,
    /// Where the slots begin that are held, as far as is known, and how long they are.
    slots: BTreeMap<usize, usize>,
    /// What lies between them, the first gap last: where it begins, and how long it is.
    gaps: Vec<(usize, usize)>,
}

/// What this process gives slots out of.
struct Yard {
    /// A forked child has the same memory, and must not give out its parent's slots.
    epoch: u32,
    fields: Vec<Field>,
}

static YARD: Mutex<Yard> = Mutex::new(Yard { epoch: 0, fields: Vec::new() });
/// The arenas that this process maps, its own and those of others.
static KNOWN: Mutex<Vec<Weak<Arena>>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, Vec<Weak<Arena>>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both lists, held while this process forks.
pub(crate) struct Held(
    #[expect(dead_code, reason = "held, not used")]
    (MutexGuard<'static, Yard>, MutexGuard<'static, Vec<Weak<Arena>>>),
);

pub(crate) fn hold() -> Held {
    Held((YARD.lock().unwrap_or_else(PoisonError::into_inner), known()))
}

impl Arena {
    fn new(len: usize) -> io::Result<Arc<Self>> {
        Self::map(memory::anonymous("arena", len)?.into(), len)
    }

    fn map(memory: Descriptor, len: usize) -> io::Result<Arc<Self>> {
        let place = memory::place(&memory)?;
        let mapping = Mapping::new(&memory, len)?;
        let arena = Arc::new(Self { memory: Arc::new(memory), mapping, place });
        let mut known = known();
        known.retain(|arena| arena.strong_count() > 0);
        known.push(Arc::downgrade(&arena));
        Ok(arena)
    }

    /// The arena behind a descriptor that has arrived.
    fn arrived(memory: Descriptor) -> io::Result<Arc<Self>> {
        let place = memory::place(&memory)?;
        let known = known().iter().filter_map(Weak::upgrade).find(|arena| arena.place == place);
        match known {
            Some(arena) => {
                // A forked child has the arenas of its parent, but not their descriptors.
                arena.memory.or_be(memory);
                Ok(arena)
            }
            None => {
                let len = memory::len(&memory)?;
                Self::map(memory, len)
            }
        }
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.mapping.len());
        // SAFETY: inside the mapping, as just checked.
        unsafe { self.mapping.start().add(offset) }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.mapping.len());
        // SAFETY: in range and aligned; any bit pattern is a u32; nobody makes a plain reference to it.
        unsafe { self.at(offset).cast().as_ref() }
    }

    fn word64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.mapping.len());
        // SAFETY: as in `word`.
        unsafe { self.at(offset).cast().as_ref() }
    }
}

impl Yard {
    /// A slot of `size` bytes in all.
    fn take(&mut self, size: usize) -> io::Result<(Arc<Arena>, usize)> {
        if self.epoch != thread::epoch() {
            *self = Self { epoch: thread::epoch(), fields: Vec::new() };
        }
        if size > OWN {
            return Ok((Arena::new(ALIGN + size)?, ALIGN));
        }
        if let Some(place) = self.find(size) {
            return Ok(place);
        }
        // Not again at each slot: much has to be free before it is used.
        if self.collect()
            && let Some(place) = self.find(size)
        {
            return Ok(place);
        }
        let last = self.fields.last().map_or(FIRST / 4, |field| field.arena.mapping.len());
        let arena = Arena::new((last * 4).min(LARGEST).max(ALIGN + size))?;
        self.fields.push(Field::new(arena));
        self.find(size).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn find(&mut self, size: usize) -> Option<(Arc<Arena>, usize)> {
        let take = |field: &mut Field| Some((Arc::clone(&field.arena), field.take(size)?));
        self.fields.iter_mut().find_map(take)
    }

    /// Finds the slots that nobody holds any more; whether a quarter of the memory is free.
    fn collect(&mut self) -> bool {
        for field in &mut self.fields {
            field.collect();
        }
        // An arena without slots goes, but for the last.
        if let Some(last) = self.fields.pop() {
            self.fields.retain(|field| !field.slots.is_empty());
            self.fields.push(last);
        }
        let free: usize = self.fields.iter().map(Field::free).sum();
        let all: usize = self.fields.iter().map(|field| field.arena.mapping.len()).sum();
        free >= all / 4
    }
}

impl Field {
    fn new(arena: Arc<Arena>) -> Self {
        let mut new = Self { arena, slots: BTreeMap::new(), gaps: Vec::new() };
        new.collect();
        new
    }

    /// A slot at the beginning of the first gap that is long enough.
    fn take(&mut self, size: usize) -> Option<usize> {
        let place = self.gaps.iter().rposition(|&(_, len)| len >= size)?;
        let (offset, len) = self.gaps[place];
        match len - size {
            0 => drop(self.gaps.remove(place)),
            rest => self.gaps[place] = (offset + size, rest),
        }
        self.slots.insert(offset, size);
        Some(offset)
    }

    /// Finds the slots that nobody holds any more. Neighbours become one gap.
    fn collect(&mut self) {
        self.slots.retain(|&offset, _| self.arena.word(offset).load(Ordering::Acquire) != 0);
        self.gaps.clear();
        let end = self.arena.mapping.len();
        let mut last = ALIGN;
        for (offset, size) in self.slots.iter().map(|(&at, &size)| (at, size)).chain([(end, 0)]) {
            if offset > last {
                self.gaps.push((last, offset - last));
            }
            last = offset + size;
        }
        self.gaps.reverse();
    }

    fn free(&self) -> usize {
        self.gaps.iter().map(|(_, len)| len).sum()
    }
}

/// A place in shared memory, held by this process.
#[derive(Debug)]
pub(crate) struct Slot {
    name: Name,
    arena: Arc<Arena>,
    offset: usize,
    /// Where the content begins, and how many bytes it has, all inside the arena.
    content: NonNull<u8>,
    len: usize,
    /// In which generation of this process it is held; see [`descriptor`].
    generation: AtomicU32,
    /// Whether the content begins with a record.
    has_record: AtomicBool,
}

// SAFETY: an address range that no thread owns; what lies there is atomics, or guarded by them.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl Slot {
    /// A new place of `len` bytes, all zero, for the object with this name; `kind` is what may be read
    /// there.
    pub(crate) fn new(name: Name, kind: u32, len: usize) -> io::Result<Arc<Self>> {
        let size = len
            .checked_add(HEADER + ALIGN - 1)
            .map(|size| size / ALIGN * ALIGN)
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let mut yard = YARD.lock().unwrap_or_else(PoisonError::into_inner);
        let (arena, offset) = yard.take(size)?;
        arena.word(offset).store(1, Ordering::Relaxed);
        drop(yard);
        arena.word(offset + 4).store(kind, Ordering::Relaxed);
        arena.word64(offset + 8).store(len as u64, Ordering::Relaxed);
        let slot = Self::held(name, arena, offset, len);
        // SAFETY: the content of a slot that nobody else knows yet.
        unsafe { slot.content.write_bytes(0, len) };
        Ok(Arc::new(slot))
    }

    fn held(name: Name, arena: Arc<Arena>, offset: usize, len: usize) -> Self {
        let generation = AtomicU32::new(descriptor::generation());
        let content = arena.at(offset + HEADER);
        let has_record = AtomicBool::new(false);
        Self { name, arena, offset, content, len, generation, has_record }
    }

    /// The slot at `offset` of an arena that has arrived, whose count has travelled with it.
    fn arrived(
        name: Name,
        arena: Arc<Arena>,
        offset: u64,
        kind: u32,
    ) -> Result<Self, &'static str> {
        let inside = |offset: &usize| {
            offset.is_multiple_of(ALIGN)
                && *offset >= ALIGN
                && offset + HEADER <= arena.mapping.len()
        };
        let offset =
            usize::try_from(offset).ok().filter(inside).ok_or("it lies outside its arena")?;
        if arena.word(offset + 4).load(Ordering::Relaxed) != kind {
            return Err("it is of another type");
        }
        let len = usize::try_from(arena.word64(offset + 8).load(Ordering::Relaxed)).ok();
        let end = len.and_then(|len| len.checked_add(offset + HEADER));
        let fits = end.is_some_and(|end| end <= arena.mapping.len());
        let len = len.filter(|_| fits).ok_or("it lies outside its arena")?;
        Ok(Self::held(name, arena, offset, len))
    }

    /// How many bytes the content has.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first byte of the content, [`HEADER`] behind a multiple of [`ALIGN`]; where it is stays so.
    pub(super) fn content(&self) -> NonNull<u8> {
        self.content
    }

    /// The 32-bit word at `offset` of the content.
    #[inline]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len);
        // SAFETY: inside the content, as just checked.
        let word = unsafe { self.content.add(offset) };
        // SAFETY: in range and aligned; any bit pattern is a u32; nobody makes a plain reference to it.
        unsafe { word.cast().as_ref() }
    }

    /// `count` 32-bit words from `offset` of the content on.
    pub(crate) fn words(&self, offset: usize, count: usize) -> &[AtomicU32] {
        let end = count.checked_mul(4).and_then(|bytes| bytes.checked_add(offset));
        assert!(offset.is_multiple_of(4) && end.is_some_and(|end| end <= self.len));
        // SAFETY: inside the content, as just checked, or at its end.
        let first = unsafe { self.content.add(offset) }.cast::<AtomicU32>();
        // SAFETY: in range and aligned; any bit pattern is a u32; nobody makes a plain reference to it.
        unsafe { slice::from_raw_parts(first.as_ptr(), count) }
    }

    /// The 64-bit word at `offset` of the content.
    pub(crate) fn word64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset + 8 <= self.len);
        self.arena.word64(self.offset + HEADER + offset)
    }

    /// The record with which the content begins.
    #[inline]
    pub(crate) fn record(&self) -> Record<'_> {
        assert!(robust::BYTES <= self.len);
        if !self.has_record.load(Ordering::Relaxed) {
            self.has_record.store(true, Ordering::Relaxed);
        }
        // SAFETY: in range, as just checked, and aligned; the arena does not move, and is mapped while
        // `self` lives, which outlives every guard of the word, and as long as a thread holds the word
        // whose guard was forgotten.
        unsafe { Record::at(self.content) }
    }

    /// Whether both are the same place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        // An arena is mapped once.
        self.content == other.content
    }

    /// One handle more: for a message that takes it to somebody.
    pub(crate) fn count_up(&self) {
        self.arena.word(self.offset).fetch_add(1, Ordering::Relaxed);
    }

    /// One handle less.
    pub(crate) fn count_down(&self) {
        self.arena.word(self.offset).fetch_sub(1, Ordering::Release);
    }

    /// In a forked child that was given it: it is held here as well.
    pub(crate) fn keep(&self) {
        self.generation.store(descriptor::generation(), Ordering::Relaxed);
    }

    /// It is held here no more, though somebody may still drop it.
    pub(crate) fn let_go(&self) {
        let here = descriptor::generation();
        // A copy that a fork has made counts nothing, unless it was given.
        let was_held = self.generation.swap(here.wrapping_sub(1), Ordering::Relaxed) == here;
        if was_held && !self.is_locked_here() {
            self.count_down();
        }
    }

    /// Whether a thread of this process holds the word of the record, if there is one.
    fn is_locked_here(&self) -> bool {
        if !self.has_record.load(Ordering::Relaxed) {
            return false;
        }
        let holder = self.record().word().load(Ordering::Relaxed) & robust::HOLDER;
        holder != 0 && thread::is_here(holder)
    }
}

impl Named for Slot {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Where a guard was forgotten the list of its thread leads to the record until the thread ends:
        // the memory stays, and the slot is nobody else's.
        if self.is_locked_here() {
            mem::forget(Arc::clone(&self.arena));
        }
        self.let_go();
    }
}

/// A slot on its way: what a handle serialises of itself.
pub(crate) struct AsSlot<'a>(pub(crate) &'a Arc<Slot>);

/// A slot of this kind, with at least so many bytes, that has arrived.
pub(crate) struct OfKind<const KIND: u32, const LEAST: usize>(pub(crate) Arc<Slot>);

impl Serialize for AsSlot<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0, serializer)
    }
}

impl<'de, const KIND: u32, const LEAST: usize> Deserialize<'de> for OfKind<KIND, LEAST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(KIND, LEAST, deserializer).map(Self)
    }
}

/// Serialises a slot: to be called from a handle's `Serialize`.
pub(crate) fn serialize<S: Serializer>(slot: &Arc<Slot>, serializer: S) -> Result<S::Ok, S::Error> {
    let place = codec::leave_slot::<S::Error>(slot, &slot.arena.memory)?;
    (place, slot.offset as u64, &slot.name).serialize(serializer)
}

/// Deserialises a slot of this kind with at least so many bytes: to be called from a handle's `Deserialize`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    kind: u32,
    least: usize,
    deserializer: D,
) -> Result<Arc<Slot>, D::Error> {
    let (place, offset, name) = <(u64, u64, Name)>::deserialize(deserializer)?;
    let arena = codec::take_arena::<D::Error>(place, Arena::arrived)?;
    let slot = Slot::arrived(name, arena, offset, kind).map_err(de::Error::custom)?;
    if slot.len() < least {
        return Err(de::Error::custom("it is smaller than what it says that it is"));
    }
    Ok(Arc::new(slot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::Kind;
    use crate::process::{Process, StartMethod};

    fn new(kind: u32, len: usize) -> io::Result<Arc<Slot>> {
        Slot::new(Name::new(Kind::Value), kind, len)
    }

    /// A handle that is nothing but its slot.
    struct Bare(Arc<Slot>);

    impl Bare {
        fn count(&self) -> u32 {
            self.0.arena.word(self.0.offset).load(Ordering::SeqCst)
        }
    }

    impl Serialize for Bare {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serialize(&self.0, serializer)
        }
    }

    impl<'de> Deserialize<'de> for Bare {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserialize(7, 64, deserializer).map(Bare)
        }
    }

    #[test]
    fn who_holds_a_slot_is_counted_wherever_its_handle_goes() {
        let slot = Bare(new(7, 64).unwrap());
        let message = codec::encode(&slot).unwrap();
        assert_eq!(slot.count(), 2);
        // Nobody got it.
        drop(message);
        assert_eq!(slot.count(), 1);

        let message = codec::encode(&[&slot, &slot]).unwrap();
        assert_eq!((message.descriptors.len(), slot.count()), (1, 3));
        let [one, two]: [Bare; 2] =
            codec::decode(&message.bytes, message.copy_descriptors()).unwrap();
        message.hand_over();
        drop(message);
        assert!(Arc::ptr_eq(&one.0.arena, &slot.0.arena), "the arena is mapped once");
        drop(one);
        assert_eq!(slot.count(), 2);
        drop(two);
        assert_eq!(slot.count(), 1);

        for method in StartMethod::ALL {
            fn child(slot: Bare) -> i32 {
                slot.count() as i32
            }
            let process = Process::new(child, Bare(Arc::clone(&slot.0)));
            let child = process.start_method(method).even_with_threads().start().unwrap();
            assert_eq!(child.join().unwrap().code(), Some(2), "{method}");
            assert_eq!(slot.count(), 1, "{method}");
        }
    }

    #[test]
    fn a_handle_of_another_kind_or_size_is_refused() {
        let slot = new(8, 64).unwrap();
        let message = codec::encode(&Bare(slot)).unwrap();
        let error =
            codec::decode::<Bare>(&message.bytes, message.copy_descriptors()).err().unwrap();
        assert!(error.to_string().contains("it is of another type"), "{error}");
        let slot = new(7, 32).unwrap();
        let message = codec::encode(&Bare(slot)).unwrap();
        let error =
            codec::decode::<Bare>(&message.bytes, message.copy_descriptors()).err().unwrap();
        assert!(error.to_string().contains("it is smaller"), "{error}");
    }

    #[test]
    fn a_slot_is_zero_also_when_it_was_used_before() {
        for round in 0..2000u32 {
            let slot = new(7, 3000).unwrap();
            assert_eq!(slot.word(2996).swap(round + 1, Ordering::Relaxed), 0);
        }
        let fields = &YARD.lock().unwrap().fields;
        let bytes: usize = fields.iter().map(|field| field.arena.mapping.len()).sum();
        assert!(bytes < 3000 * 2000, "slots that nobody holds were not given out again");
    }

    /// An arena of so many bytes, whose slots only this test gives out.
    fn field(len: usize) -> Field {
        Field::new(Arena::new(len).unwrap())
    }

    /// Takes a slot and holds it.
    fn hold(field: &mut Field, size: usize) -> Option<usize> {
        let offset = field.take(size)?;
        field.arena.word(offset).store(1, Ordering::Relaxed);
        Some(offset)
    }

    fn let_go(field: &Field, offset: usize) {
        field.arena.word(offset).store(0, Ordering::Relaxed);
    }

    #[test]
    fn neighbours_that_nobody_holds_become_one_gap() {
        let mut field = field(ALIGN * 8);
        let slots: Vec<_> = std::iter::from_fn(|| hold(&mut field, ALIGN)).collect();
        assert_eq!(slots, [1, 2, 3, 4, 5, 6, 7].map(|place| place * ALIGN));
        for place in [1, 2, 4, 6] {
            let_go(&field, place * ALIGN);
        }
        assert_eq!(hold(&mut field, ALIGN), None, "nobody has looked yet");
        field.collect();
        assert_eq!(field.gaps, [(6, 1), (4, 1), (1, 2)].map(|(at, len)| (at * ALIGN, len * ALIGN)));
        assert_eq!(field.free(), 4 * ALIGN);
        assert_eq!(hold(&mut field, 2 * ALIGN), Some(ALIGN));
        assert_eq!(hold(&mut field, 2 * ALIGN), None);
        assert_eq!(hold(&mut field, ALIGN), Some(4 * ALIGN));
    }

    #[test]
    fn slots_and_gaps_are_all_of_an_arena_at_any_time() {
        let mut field = field(1 << 16);
        let mut state = 1u64;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 33) % bound) as usize
        };
        let mut held = Vec::new();
        for _ in 0..5000 {
            match hold(&mut field, ALIGN * (1 + below(20))) {
                Some(offset) => held.push(offset),
                None => field.collect(),
            }
            if !held.is_empty() && (held.len() > 40 || below(3) == 0) {
                let place = below(held.len() as u64);
                let_go(&field, held.swap_remove(place));
            }
            let mut parts: Vec<_> = field.slots.iter().map(|(&at, &len)| (at, len)).collect();
            parts.extend(&field.gaps);
            parts.sort_unstable();
            let end = parts.into_iter().fold(ALIGN, |end, (at, len)| {
                assert_eq!(at, end);
                at + len
            });
            assert_eq!(end, 1 << 16);
        }
        held.drain(..).for_each(|offset| let_go(&field, offset));
        field.collect();
        assert_eq!(field.gaps, [(ALIGN, (1 << 16) - ALIGN)]);
    }

    #[test]
    fn an_arena_of_which_nothing_is_held_goes_but_for_the_last() {
        let mut yard = Yard { epoch: thread::epoch(), fields: Vec::new() };
        let mut arenas = Vec::new();
        for _ in 0..FIRST * 6 / ALIGN {
            let (arena, offset) = yard.take(ALIGN).unwrap();
            arena.word(offset).store(1, Ordering::Relaxed);
            arenas.push((Arc::downgrade(&arena), offset));
        }
        assert_eq!(yard.fields.len(), 3);
        for (arena, offset) in &arenas[1..] {
            arena.upgrade().unwrap().word(*offset).store(0, Ordering::Relaxed);
        }
        assert!(yard.collect());
        assert_eq!(yard.fields.len(), 2);
        assert!(arenas[0].0.upgrade().is_some());
        let (first, _) = yard.take(ALIGN).unwrap();
        assert!(Arc::ptr_eq(&first, &arenas[0].0.upgrade().unwrap()));
    }

    #[test]
    fn ten_thousand_slots_are_few_arenas() {
        let slots: Vec<_> = (0..10_000).map(|_| new(7, 48).unwrap()).collect();
        slots[9999].word(0).store(5, Ordering::Relaxed);
        assert_eq!(slots[0].word(0).load(Ordering::Relaxed), 0);
        let mut arenas: Vec<_> = slots.iter().map(|slot| slot.arena.place).collect();
        arenas.dedup();
        assert!(arenas.len() <= 4, "{arenas:?}");
    }

    #[test]
    fn a_slot_whose_word_a_thread_holds_is_not_given_up() {
        let (arena, offset) = std::thread::spawn(|| {
            let slot = new(7, OWN).unwrap();
            let step = slot.record().begin();
            slot.record().word().store(step.me(), Ordering::Relaxed);
            step.enlist();
            step.end();
            let arena = Arc::downgrade(&slot.arena);
            let offset = slot.offset;
            drop(slot);
            (arena, offset)
        })
        .join()
        .unwrap();
        let arena = arena.upgrade().expect("the memory is mapped");
        assert_eq!(arena.word(offset + HEADER).load(Ordering::Acquire), robust::DIED);
        assert_eq!(arena.word(offset).load(Ordering::Acquire), 1);
    }

    #[test]
    fn a_large_slot_has_an_arena_to_itself() {
        let slot = new(7, 5 << 20).unwrap();
        slot.word((5 << 20) - 4).store(1, Ordering::Relaxed);
        assert_eq!(slot.offset, ALIGN);
    }
}
