//! Plain data behind a lock of its own, in a slot: what a `Value` and an `Array` are made of.
//!
//! | offset in the content | bytes | what |
//! | --- | --- | --- |
//! | 0 | 40 | the record of the lock; in its free bytes: |
//! | 4 | 4 | where the lock was last taken |
//! | 8 | 4 | the news for the next holder |
//! | 16 | 8 | the type of the data |
//! | 40 | at most 8 | one small value, so that all of it lies in one cache line |
//! | 48 | any | the data otherwise; the address is a multiple of 64 |
//!
//! # Why there are references
//!
//! Whoever has a [`Held`] holds the lock, and there is one for each time that the lock is taken. All
//! processes that map the data came to it by its handle, so they take the same lock before they touch
//! it, and see the same type in it: a handle of another type does not arrive. So a holder is alone with
//! the data, in all threads of all processes, and may have a plain reference to it.
//!
//! A holder that is killed may leave a value half written. For most types each pattern of bits is a
//! value, perhaps not one that anybody has written. For the others (`bool`, `char`, enums) the pattern is
//! looked at before there is a reference to it, and where it is none of the type's, zero takes its place.

use super::arena::{self, Slot};
use crate::point::{Name, Named};
use crate::sync::algorithm::lock::{self as algorithm, Refused};
use crate::sync::word::Deadline;
use crate::sys::robust::{self, Record};
use bytemuck::{CheckedBitPattern, NoUninit, Zeroable};
use serde::{Deserializer, Serializer, de};
use std::any::{TypeId, type_name};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const CORE: usize = 4;
const NEWS: usize = 8;
const TYPE: usize = 16;
/// Where a small value lies, and how large it may be.
const NEAR: usize = robust::BYTES;
const SMALL: usize = 8;
/// Where other data lies, and what its address is a multiple of.
const FAR: usize = 48;
const ALIGN: usize = 64;

// The first byte of a content lies 16 behind a multiple of 64.
const _: () = assert!((arena::HEADER + FAR).is_multiple_of(ALIGN) && arena::ALIGN == ALIGN);
const _: () = assert!((arena::HEADER + NEAR).is_multiple_of(SMALL) && NEAR + SMALL <= FAR);

/// Data that means the same in every process: numbers, `bool`, `char`, arrays of them, and structs and
/// enums that say so.
///
/// There is nothing to implement: a type has it if it has the traits of the crate `bytemuck` that are
/// named above, which say that it holds no reference, has no byte that is not part of its value, and can
/// be all zero. A struct or an enum gets them by deriving.
///
/// ```
/// use bytemuck::{CheckedBitPattern, NoUninit, Zeroable};
/// use common::Value;
///
/// #[derive(Clone, Copy, NoUninit, CheckedBitPattern, Zeroable)]
/// #[repr(C)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// let point = Value::new(Point { x: 1.0, y: 2.0 })?;
/// point.update(|point| point.x += 1.0);
/// assert_eq!(point.get().x, 2.0);
/// # std::io::Result::Ok(())
/// ```
///
/// What points to somewhere means nothing in another process, and is refused:
///
/// ```compile_fail,E0277
/// let text = common::Value::new(String::from("a text"));
/// ```
///
/// So is what has to lie at a multiple of more than 64 bytes:
///
/// ```compile_fail,E0080
/// #[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
/// #[repr(C, align(128))]
/// struct Page([u8; 128]);
///
/// let page = common::Value::new(Page([0; 128]));
/// ```
pub trait Plain: NoUninit + CheckedBitPattern + Zeroable + Send + Sync {}

impl<T: NoUninit + CheckedBitPattern + Zeroable + Send + Sync> Plain for T {}

/// What lies behind a lock: a plain value, or a slice of them.
pub(crate) trait Content {
    /// What a user calls it.
    const NAME: &'static str;

    /// Puts zero where there is no value.
    ///
    /// # Safety
    ///
    /// All of `data` is mapped, aligned and this thread's alone.
    unsafe fn mend(data: NonNull<Self>);
}

impl<T: Plain> Content for T {
    const NAME: &'static str = "value";

    #[inline]
    unsafe fn mend(data: NonNull<Self>) {
        // SAFETY: a pattern of `T` has the layout of `T`, and any bytes are one; the caller vouches for
        // the rest.
        let bits = unsafe { data.cast::<T::Bits>().as_ref() };
        if !T::is_valid_bit_pattern(bits) {
            // SAFETY: the caller vouches for it, and the reference is used no more.
            unsafe { data.write(T::zeroed()) };
        }
    }
}

impl<T: Plain> Content for [T] {
    const NAME: &'static str = "array";

    #[inline]
    unsafe fn mend(data: NonNull<Self>) {
        // Types of which each pattern is a value are patterns of themselves, and no others are.
        if TypeId::of::<T>() == TypeId::of::<T::Bits>() {
            return;
        }
        let first = data.cast::<T>();
        // SAFETY: as for one value.
        let bits = unsafe { slice::from_raw_parts(first.cast::<T::Bits>().as_ptr(), data.len()) };
        // Without a branch, so that many are looked at in one step.
        if bits.iter().fold(true, |valid, bits| valid & T::is_valid_bit_pattern(bits)) {
            return;
        }
        for index in 0..data.len() {
            // SAFETY: it lies inside the slice.
            let element = unsafe { first.add(index) };
            // SAFETY: the caller vouches for all of the slice, and the reference is used no more.
            unsafe { T::mend(element) };
        }
    }
}

/// Data and its lock; a clone is the same.
pub(crate) struct Guarded<T: ?Sized> {
    slot: Arc<Slot>,
    /// The first byte of the slot's content, and the data in it: the arena does not move.
    start: NonNull<u8>,
    data: NonNull<T>,
}

// SAFETY: it is an address in a mapping of the process, which every thread may use; what is at it is
// only touched under the lock, and may pass from thread to thread, as `Plain` says.
unsafe impl<T: ?Sized + Content> Send for Guarded<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Content> Sync for Guarded<T> {}

impl<T: ?Sized> Clone for Guarded<T> {
    fn clone(&self) -> Self {
        Self { slot: Arc::clone(&self.slot), start: self.start, data: self.data }
    }
}

/// Where a single value lies in the content.
const fn offset<T>() -> usize {
    if size_of::<T>() <= SMALL && align_of::<T>() <= SMALL { NEAR } else { FAR }
}

/// What stands for a type: the same in each process of one executable, and handles go to no others.
pub(crate) fn tag<T: 'static>() -> u64 {
    let mut hasher = DefaultHasher::new();
    TypeId::of::<T>().hash(&mut hasher);
    hasher.finish()
}

/// A new slot for so many bytes of `T` from `offset` on.
fn slot<T: Plain>(
    name: Name,
    kind: u32,
    offset: usize,
    bytes: Option<usize>,
) -> io::Result<Arc<Slot>> {
    const { assert!(align_of::<T>() <= ALIGN, "shared data is aligned to 64 bytes at most") };
    let len = bytes.and_then(|bytes| bytes.checked_add(offset));
    let slot = Slot::new(name, kind, len.ok_or(io::ErrorKind::OutOfMemory)?)?;
    slot.word64(TYPE).store(tag::<T>(), Ordering::Relaxed);
    Ok(slot)
}

/// A slot that has arrived, if it holds data of `T` from `offset` on.
fn arrived<'de, T: Plain, D: Deserializer<'de>>(
    kind: u32,
    offset: usize,
    deserializer: D,
) -> Result<Arc<Slot>, D::Error> {
    let slot = arena::deserialize(kind, offset, deserializer)?;
    if slot.word64(TYPE).load(Ordering::Relaxed) == tag::<T>() {
        return Ok(slot);
    }
    Err(wrong_type::<T, _>())
}

/// A handle is of another type than `T`.
pub(crate) fn wrong_type<T, E: de::Error>() -> E {
    let name = type_name::<T>();
    E::custom(format_args!("it was not made for {name}; receive it as the type it was made with"))
}

/// The lock of a slot is the first that its content holds; where that begins.
fn lock(slot: &Slot) -> NonNull<u8> {
    // So that the slot knows of it.
    let _ = slot.record();
    slot.content()
}

impl<T: Plain> Guarded<T> {
    /// A new slot that holds `value`.
    pub(crate) fn new(name: Name, kind: u32, value: T) -> io::Result<Self> {
        let slot = slot::<T>(name, kind, offset::<T>(), Some(size_of::<T>()))?;
        let new = Self::over(slot);
        // SAFETY: inside the slot and aligned; nobody else knows the slot yet.
        unsafe { new.data.write(value) };
        Ok(new)
    }

    /// What has arrived.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        kind: u32,
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let slot = arrived::<T, D>(kind, offset::<T>(), deserializer)?;
        if slot.len() != offset::<T>() + size_of::<T>() {
            return Err(de::Error::custom("it has another size than what it says that it is"));
        }
        Ok(Self::over(slot))
    }

    /// A slot that has room for the value.
    fn over(slot: Arc<Slot>) -> Self {
        assert!(slot.len() >= offset::<T>() + size_of::<T>());
        let start = lock(&slot);
        // SAFETY: inside the content, as just checked.
        let data = unsafe { start.add(offset::<T>()) };
        Self { slot, start, data: data.cast() }
    }
}

impl<T: Plain> Guarded<[T]> {
    /// A new slot that holds so many zeroes.
    pub(crate) fn zeroed(name: Name, kind: u32, count: usize) -> io::Result<Self> {
        const { assert!(size_of::<T>() > 0, "an array holds elements that have bytes") };
        let slot = slot::<T>(name, kind, FAR, count.checked_mul(size_of::<T>()))?;
        Ok(Self::over(slot))
    }

    /// A new slot that holds a copy of `values`.
    pub(crate) fn copied(name: Name, kind: u32, values: &[T]) -> io::Result<Self> {
        let new = Self::zeroed(name, kind, values.len())?;
        let first = new.data.cast::<T>();
        // SAFETY: there is room for as many; nobody else knows the slot yet, so it is apart from `values`.
        unsafe { first.as_ptr().copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        Ok(new)
    }

    /// What has arrived.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        kind: u32,
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let slot = arrived::<T, D>(kind, FAR, deserializer)?;
        if !(slot.len() - FAR).is_multiple_of(size_of::<T>()) {
            return Err(de::Error::custom("it has another size than what it says that it is"));
        }
        Ok(Self::over(slot))
    }

    /// A slot with the data of an array.
    fn over(slot: Arc<Slot>) -> Self {
        assert!(slot.len() >= FAR);
        let count = (slot.len() - FAR) / size_of::<T>();
        let start = lock(&slot);
        // SAFETY: inside the content or at its end, as just checked.
        let first = unsafe { start.add(FAR) };
        Self { slot, start, data: NonNull::slice_from_raw_parts(first.cast(), count) }
    }

    /// How many elements there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// Takes the lock for one element; `None` where there is no such.
    #[inline]
    #[track_caller]
    pub(crate) fn hold_element(&self, index: usize) -> Option<Held<'_, T>> {
        if index >= self.len() {
            return None;
        }
        // SAFETY: inside the array, as just checked.
        let element = unsafe { self.data.cast::<T>().add(index) };
        // SAFETY: as above.
        Some(unsafe { self.hold_part(element) })
    }

    /// Takes the lock for some elements; `None` where they do not all exist.
    #[track_caller]
    pub(crate) fn hold_range(&self, range: Range<usize>) -> Option<Held<'_, [T]>> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        // SAFETY: inside the array or at its end, as just checked.
        let first = unsafe { self.data.cast::<T>().add(range.start) };
        let part = NonNull::slice_from_raw_parts(first, range.len());
        // SAFETY: as above.
        Some(unsafe { self.hold_part(part) })
    }
}

impl<T: ?Sized + Content> Guarded<T> {
    /// Takes the lock; waits until it is free.
    ///
    /// # Panics
    ///
    /// Where this thread holds it.
    #[inline]
    #[track_caller]
    pub(crate) fn hold(&self) -> Held<'_, T> {
        // SAFETY: it is all of the data.
        unsafe { self.hold_part(self.data) }
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_hold(&self) -> Option<Held<'_, T>> {
        let words = self.words();
        // SAFETY: the lock was just taken, and it is that of the data.
        words.try_take().then(|| unsafe { Held::new(words, self.data) })
    }

    /// Takes the lock; waits until it is free, at most for so long.
    pub(crate) fn hold_before(&self, deadline: Deadline) -> Option<Held<'_, T>> {
        let words = self.words();
        // SAFETY: the lock was just taken, and it is that of the data.
        words.take(deadline).is_ok().then(|| unsafe { Held::new(words, self.data) })
    }

    /// The same for a part of the data.
    ///
    /// # Safety
    ///
    /// `part` lies inside the data, aligned.
    #[inline]
    #[track_caller]
    unsafe fn hold_part<P: ?Sized + Content>(&self, part: NonNull<P>) -> Held<'_, P> {
        let words = self.words();
        match words.take(Deadline::NEVER) {
            // SAFETY: the lock was just taken, and it is that of the data.
            Ok(()) => unsafe { Held::new(words, part) },
            Err(Refused::Mine | Refused::Held) => held_here(T::NAME),
        }
    }

    /// The words of the lock.
    #[inline]
    fn words(&self) -> algorithm::Lock<'_> {
        // SAFETY: the content begins with a record, aligned; the arena does not move, and is mapped while
        // `self` lives, which outlives every holder.
        let record = unsafe { Record::at(self.start) };
        algorithm::Lock { record, core: self.word(CORE), news: self.word(NEWS) }
    }

    /// A word of the lock, beside the record's own.
    #[inline]
    fn word(&self, offset: usize) -> &AtomicU32 {
        debug_assert!(offset.is_multiple_of(4) && offset < TYPE);
        // SAFETY: inside the record, with which the content begins.
        let word = unsafe { self.start.add(offset) };
        // SAFETY: in range and aligned; any bit pattern is a u32; nobody makes a plain reference to it.
        unsafe { word.cast().as_ref() }
    }
}

impl<T: ?Sized> Guarded<T> {
    /// Serialises the handle.
    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        arena::serialize(&self.slot, serializer)
    }
}

impl<T: ?Sized> Named for Guarded<T> {
    fn name(&self) -> &Name {
        self.slot.name()
    }
}

/// To wait would be for ever.
#[cold]
#[track_caller]
fn held_here(name: &str) -> ! {
    panic!(
        "this thread holds the {name} already, and would wait for itself for ever; use the guard that \
         it has, or drop that first"
    )
}

/// Data that this thread is alone with, until this is dropped.
pub(crate) struct Held<'a, T: ?Sized> {
    words: algorithm::Lock<'a>,
    /// The address makes it neither `Send` nor `Sync`: it is this thread that holds the lock.
    data: NonNull<T>,
    /// A panic that was under way before is none of this holder's.
    was_panicking: bool,
    lifetime: PhantomData<&'a mut T>,
}

impl<'a, T: ?Sized + Content> Held<'a, T> {
    /// The end of taking a lock.
    ///
    /// # Safety
    ///
    /// This thread has just taken the lock, and `data`, aligned, is a part of what it guards.
    #[inline]
    unsafe fn new(words: algorithm::Lock<'a>, data: NonNull<T>) -> Self {
        let was_panicking = thread::panicking();
        // First, so that the lock is given back where a type's own check panics.
        let held = Self { words, data, was_panicking, lifetime: PhantomData };
        // SAFETY: the slot is mapped, and the lock makes the data this thread's alone.
        unsafe { T::mend(data) };
        held
    }
}

impl<T: ?Sized> Held<'_, T> {
    /// Whether there was news of a holder before, which nobody else will hear any more.
    pub(crate) fn take_news(&self) -> bool {
        self.words.take_news() != algorithm::NOTHING
    }
}

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: mapped, aligned, a value of the type, and this thread's alone while `self` lives.
        unsafe { self.data.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { self.data.as_mut() }
    }
}

impl<T: ?Sized> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if thread::panicking() && !self.was_panicking {
            self.words.tell(algorithm::HOLDER_PANICKED);
        }
        self.words.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::Kind;
    use std::ptr;

    const KIND: u32 = 9;

    fn one<T: Plain>(value: T) -> Guarded<T> {
        Guarded::new(Name::new(Kind::Value), KIND, value).unwrap()
    }

    fn many<T: Plain>(values: &[T]) -> Guarded<[T]> {
        Guarded::copied(Name::new(Kind::Array), KIND, values).unwrap()
    }

    /// A type of which not each pattern is a value, with neighbours of which each is.
    #[derive(Clone, Copy, Debug, PartialEq, NoUninit, CheckedBitPattern, Zeroable)]
    #[repr(C)]
    struct Letter {
        number: u32,
        letter: char,
    }

    /// What a holder that was killed may leave.
    fn leave<T: ?Sized + Content>(data: &Guarded<T>, at: usize, bytes: &[u8]) {
        let first = data.data.cast::<u8>();
        // SAFETY: the tests stay inside their data.
        let to = unsafe { first.add(at) };
        // SAFETY: as above; nobody holds it.
        unsafe { to.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    #[test]
    fn data_lies_where_it_is_aligned_and_small_values_in_one_line() {
        #[derive(Clone, Copy, NoUninit, CheckedBitPattern, Zeroable)]
        #[repr(C, align(64))]
        struct Line([u64; 8]);

        fn check<T: Plain>(value: T, small: bool) {
            let data = one(value);
            assert!(data.data.is_aligned());
            let (first, start) = (data.data.addr().get(), data.start.addr().get());
            assert_eq!(first - start, if small { NEAR } else { FAR });
            let last = first + size_of::<T>() - 1;
            assert_eq!(last / ALIGN == start / ALIGN, small);
            let array = many(&[value, value]);
            assert!(array.data.cast::<T>().is_aligned());
            assert_eq!(array.data.cast::<T>().addr().get() % ALIGN, 0);
        }
        check(7u8, true);
        check('x', true);
        check(7.0f64, true);
        check([1u16; 4], true);
        check([1u16; 5], false);
        check(7u128, false);
        check(Line([0; 8]), false);
    }

    #[test]
    fn a_value_of_no_bytes_is_one() {
        let nothing = one(());
        *nothing.hold() = ();
    }

    #[test]
    fn what_is_no_value_is_never_seen() {
        let letter = one('x');
        leave(&letter, 0, &0xd800u32.to_ne_bytes());
        assert_eq!(*letter.hold(), '\0');

        let both = one(Letter { number: 7, letter: 'x' });
        leave(&both, 4, &u32::MAX.to_ne_bytes());
        assert_eq!(*both.hold(), Letter { number: 0, letter: '\0' });

        let flags = many(&[true; 100]);
        leave(&flags, 40, &[2]);
        leave(&flags, 99, &[255]);
        // Each way to an element looks.
        assert!(!*flags.hold_element(40).unwrap());
        assert_eq!(flags.hold_range(98..100).unwrap()[..], [true, false]);
        leave(&flags, 7, &[3]);
        let held = flags.hold();
        assert!(held.iter().enumerate().all(|(index, &flag)| flag != [7, 40, 99].contains(&index)));
    }

    #[test]
    fn what_is_a_value_is_left_alone() {
        let number = one(f32::from_bits(0x7fa0_0001));
        assert_eq!(number.hold().to_bits(), 0x7fa0_0001);
        let letters = many(&['\0', '\u{d7ff}', '\u{e000}', char::MAX]);
        assert_eq!(letters.hold()[..], ['\0', '\u{d7ff}', '\u{e000}', char::MAX]);
    }

    #[test]
    fn elements_that_do_not_exist_are_not_held() {
        let array = many(&[1, 2, 3]);
        assert!(array.hold_element(3).is_none());
        assert!(array.hold_element(usize::MAX).is_none());
        assert!(array.hold_range(2..4).is_none());
        let back = Range { start: 3, end: 2 };
        assert!(array.hold_range(back).is_none());
        assert_eq!(array.hold_range(3..3).unwrap().len(), 0);
        assert_eq!(many::<u128>(&[]).hold().len(), 0);
        // None of the calls above has kept the lock.
        assert_eq!(array.hold()[..], [1, 2, 3]);
    }

    #[test]
    fn more_than_there_can_be_is_an_error() {
        for count in [usize::MAX, usize::MAX / 4, usize::MAX / 4 - 20] {
            let error =
                Guarded::<[u32]>::zeroed(Name::new(Kind::Array), KIND, count).err().unwrap();
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn the_news_waits_for_one_who_asks() {
        let value = one(1);
        let other = value.clone();
        let thread = thread::spawn(move || {
            let mut held = other.hold();
            *held = 2;
            panic!("a panic that the test expects");
        });
        assert!(thread.join().is_err());
        assert_eq!(*value.hold(), 2);
        assert!(value.hold().take_news());
        assert!(!value.hold().take_news());
    }

    #[test]
    fn a_check_that_panics_gives_the_lock_back() {
        #[derive(Clone, Copy, NoUninit, Zeroable)]
        #[repr(transparent)]
        struct Odd(u32);

        // SAFETY: any u32 is one.
        unsafe impl CheckedBitPattern for Odd {
            type Bits = u32;

            fn is_valid_bit_pattern(bits: &u32) -> bool {
                assert!(bits % 2 == 1, "the test expects it");
                true
            }
        }

        let odd = one(Odd(1));
        leave(&odd, 0, &2u32.to_ne_bytes());
        let other = odd.clone();
        assert!(thread::spawn(move || drop(other.hold())).join().is_err());
        leave(&odd, 0, &3u32.to_ne_bytes());
        let held = odd.hold();
        assert_eq!(held.0, 3);
        assert!(held.take_news());
    }

    #[test]
    fn a_panic_that_was_under_way_before_is_no_news() {
        struct Last(Guarded<i32>);

        impl Drop for Last {
            fn drop(&mut self) {
                *self.0.hold() += 1;
            }
        }

        let value = one(1);
        let last = Last(value.clone());
        let thread = thread::spawn(move || {
            let _last = last;
            panic!("a panic that the test expects");
        });
        assert!(thread.join().is_err());
        assert_eq!(*value.hold(), 2);
        assert!(!value.hold().take_news());
    }

    #[test]
    fn clones_are_the_same_and_others_apart() {
        let values: Vec<_> = (0..100u64).map(one).collect();
        let same = values[7].clone();
        assert!(ptr::eq(&raw const *same.hold(), values[7].data.as_ptr()));
        *same.hold() = 1000;
        for (number, value) in (0..100).zip(&values) {
            assert_eq!(*value.hold(), if number == 7 { 1000 } else { number });
        }
    }
}
