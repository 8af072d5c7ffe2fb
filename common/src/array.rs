//! Values of one type, as many as it was made with, that several processes see, with a lock for all of
//! them (in Python: `Array`).
//!
//! ```
//! use common::{Array, Process};
//!
//! fn negate(numbers: Array<i32>) {
//!     for number in numbers.lock().iter_mut() {
//!         *number = -*number;
//!     }
//! }
//!
//! # common::init();
//! let numbers = Array::from_slice(&[1, 2, 3])?;
//! Process::new(negate, numbers.clone()).start()?.join()?;
//! assert_eq!(numbers.to_vec(), [-1, -2, -3]);
//! # common::Result::Ok(())
//! ```
//!
//! | Python | Rust |
//! | --- | --- |
//! | `Array('i', 5)`, `Array('i', [1, 2])` | [`Array::<i32>::new(5)`](Array::new), [`Array::from_slice(&[1, 2])`](Array::from_slice) |
//! | `a[i]`, `a[i] = x` | [`get`](Array::get), [`set`](Array::set): the lock is taken for each |
//! | `with a.get_lock(): a[i] += x` | [`update`](Array::update) |
//! | `a[:]` | [`to_vec`](Array::to_vec) |
//! | `a[2:5]`, `a[2:5] = [..]` | [`copy_out`](Array::copy_out), [`copy_in`](Array::copy_in) |
//! | `with a.get_lock():` | [`lock`](Array::lock): a guard that is a slice |
//!
//! A guard is the way to read or change many elements: it takes the lock once, and what it gives is
//! memory, as quick as any other.
//!
//! The types are those of a [`Value`](crate::Value), and so is what happens
//! [when a holder dies](crate::value#when-a-holder-dies). For types of which not each pattern of bits is
//! a value (`bool`, `char`, enums), whatever reads elements looks at those first, a guard at all of them.

use crate::point::{self, Kind, Name, Operation};
use crate::shared::guarded::{Guarded, Held};
use crate::sync::word::Deadline;
use crate::value::Plain;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

/// What the slot of an array says that it is.
const KIND: u32 = u32::from_be_bytes(*b"arry");

/// An array that processes share.
///
/// A clone, and what arrives in another process, is the same array. A handle that is received as
/// another type is an error there. Its length never changes, and may be 0.
///
/// ```
/// use common::Array;
///
/// let counts = Array::<u32>::new(3)?;
/// counts.set(0, 5)?;
/// counts.update(2, |count| *count += 1)?;
/// assert_eq!(format!("{counts:?}"), "Array([5, 0, 1])");
/// assert_eq!(counts.lock().iter().sum::<u32>(), 6);
/// # common::Result::Ok(())
/// ```
pub struct Array<T: Plain> {
    data: Guarded<[T]>,
}

/// Elements were asked for that an array does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The first element that was asked for.
    pub index: usize,
    /// How many were asked for.
    pub count: usize,
    /// How many the array has.
    pub len: usize,
}

impl std::error::Error for OutOfRange {}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, count, len } = self;
        match count {
            1 => write!(f, "there is no element {index} in an array of {len}; ")?,
            _ => write!(f, "{count} elements from {index} on do not lie in an array of {len}; ")?,
        }
        match len {
            0 => f.write_str("an array that was made with no elements stays empty"),
            1 => f.write_str("the only one has index 0"),
            _ => write!(f, "indices go from 0 to {}", len - 1),
        }
    }
}

impl<T: Plain> Array<T> {
    /// A new array of `len` elements, all of them zero (in Python: `Array('i', len)`).
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left, or not so much memory.
    #[track_caller]
    pub fn new(len: usize) -> io::Result<Self> {
        Ok(Self { data: Guarded::zeroed(Name::new(Kind::Array), KIND, len)? })
    }

    /// A new array that holds a copy of `values` (in Python: `Array('i', values)`).
    ///
    /// # Errors
    ///
    /// As for [`new`](Array::new).
    #[track_caller]
    pub fn from_slice(values: &[T]) -> io::Result<Self> {
        Ok(Self { data: Guarded::copied(Name::new(Kind::Array), KIND, values)? })
    }

    /// How many elements it has.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether it has none.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What an element is at this moment.
    ///
    /// Another process may change it right afterwards: [`set`](Array::set) to something that was made of
    /// this undoes what happened in between. For that there is [`update`](Array::update).
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    ///
    /// # Panics
    ///
    /// Where this thread holds a guard of the array; so does every method that takes the lock.
    #[doc(alias = "__getitem__")]
    #[inline]
    #[track_caller]
    pub fn get(&self, index: usize) -> Result<T, OutOfRange> {
        point::before(Operation::Get, &self.data);
        Ok(*self.hold_element(index)?)
    }

    /// Makes an element `value`.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    ///
    /// # Panics
    ///
    /// As for [`get`](Array::get).
    #[doc(alias = "__setitem__")]
    #[inline]
    #[track_caller]
    pub fn set(&self, index: usize, value: T) -> Result<(), OutOfRange> {
        point::before(Operation::Set, &self.data);
        *self.hold_element(index)? = value;
        Ok(())
    }

    /// Changes an element by what it is, under the array's lock: nobody else reads or writes it
    /// meanwhile. What `change` returns is returned.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`]; `change` was not called.
    ///
    /// # Panics
    ///
    /// As for [`get`](Array::get). Where `change` panics, the next guard is told.
    #[inline]
    #[track_caller]
    pub fn update<R>(
        &self,
        index: usize,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, OutOfRange> {
        point::before(Operation::Update, &self.data);
        Ok(change(&mut *self.hold_element(index)?))
    }

    /// Copies `values` into the array, from element `index` on, under one lock.
    ///
    /// ```
    /// let array = common::Array::from_slice(&[0u8; 5])?;
    /// array.copy_in(1, &[7, 8])?;
    /// assert_eq!(array.to_vec(), [0, 7, 8, 0, 0]);
    /// assert!(array.copy_in(4, &[7, 8]).is_err());
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] where they do not all fit; nothing was written.
    ///
    /// # Panics
    ///
    /// As for [`get`](Array::get).
    #[track_caller]
    pub fn copy_in(&self, index: usize, values: &[T]) -> Result<(), OutOfRange> {
        point::before(Operation::Set, &self.data);
        self.hold_range(index, values.len())?.copy_from_slice(values);
        Ok(())
    }

    /// Copies as many elements as `values` has room for, from element `index` on, under one lock.
    ///
    /// ```
    /// let array = common::Array::from_slice(b"howdy")?;
    /// let mut some = [0; 3];
    /// array.copy_out(1, &mut some)?;
    /// assert_eq!(&some, b"owd");
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] where there are not so many; nothing was written.
    ///
    /// # Panics
    ///
    /// As for [`get`](Array::get).
    #[track_caller]
    pub fn copy_out(&self, index: usize, values: &mut [T]) -> Result<(), OutOfRange> {
        point::before(Operation::Get, &self.data);
        values.copy_from_slice(&self.hold_range(index, values.len())?);
        Ok(())
    }

    /// A copy of all elements as they are at one moment.
    ///
    /// # Panics
    ///
    /// As for [`get`](Array::get).
    #[must_use]
    #[track_caller]
    pub fn to_vec(&self) -> Vec<T> {
        point::before(Operation::Get, &self.data);
        // Room is asked for before the lock is.
        let mut copy = Vec::with_capacity(self.len());
        copy.extend_from_slice(&self.data.hold());
        copy
    }

    /// Takes the lock of the array; waits until it is free. Dropping the guard gives it back.
    ///
    /// # Panics
    ///
    /// As for [`get`](Array::get). (In Python the lock is recursive, and two guards could be had.)
    #[doc(alias = "get_lock")]
    #[doc(alias = "get_obj")]
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> ArrayGuard<'_, T> {
        point::before(Operation::Acquire, &self.data);
        ArrayGuard::new(&self.data, self.data.hold())
    }

    /// Takes the lock of the array if that is free; not where this thread holds it already.
    #[must_use]
    #[track_caller]
    pub fn try_lock(&self) -> Option<ArrayGuard<'_, T>> {
        point::before(Operation::TryAcquire, &self.data);
        let held = self.data.try_hold()?;
        Some(ArrayGuard::new(&self.data, held))
    }

    /// Takes the lock of the array; waits until it is free, at most for `limit`.
    #[must_use]
    #[track_caller]
    pub fn lock_timeout(&self, limit: Duration) -> Option<ArrayGuard<'_, T>> {
        point::before(Operation::AcquireTimeout, &self.data);
        let held = self.data.hold_before(Deadline::after(limit))?;
        Some(ArrayGuard::new(&self.data, held))
    }

    #[inline]
    #[track_caller]
    fn hold_element(&self, index: usize) -> Result<Held<'_, T>, OutOfRange> {
        let out_of_range = OutOfRange { index, count: 1, len: self.len() };
        self.data.hold_element(index).ok_or(out_of_range)
    }

    #[track_caller]
    fn hold_range(&self, index: usize, count: usize) -> Result<Held<'_, [T]>, OutOfRange> {
        let out_of_range = OutOfRange { index, count, len: self.len() };
        let end = index.checked_add(count).ok_or(out_of_range)?;
        self.data.hold_range(index..end).ok_or(out_of_range)
    }
}

/// The elements of an array that this thread is alone with: a slice.
///
/// ```
/// let array = common::Array::from_slice(&[3, 1, 2])?;
/// let mut guard = array.lock();
/// guard.sort();
/// assert_eq!(guard[1..], [2, 3]);
/// # std::io::Result::Ok(())
/// ```
///
/// It belongs to its thread:
///
/// ```compile_fail,E0277
/// let array = common::Array::<i32>::new(5)?;
/// std::thread::scope(|scope| {
///     let guard = array.lock();
///     scope.spawn(move || drop(guard));
/// });
/// # std::io::Result::Ok(())
/// ```
#[must_use = "dropping it gives the lock back"]
pub struct ArrayGuard<'a, T: Plain> {
    data: &'a Guarded<[T]>,
    held: Held<'a, [T]>,
    is_news: bool,
    made: &'static Location<'static>,
}

impl<'a, T: Plain> ArrayGuard<'a, T> {
    #[inline]
    #[track_caller]
    fn new(data: &'a Guarded<[T]>, held: Held<'a, [T]>) -> Self {
        Self { data, is_news: held.take_news(), held, made: Location::caller() }
    }

    /// Whether a holder died while it held the lock, or panicked: elements may be half changed. It is
    /// said once, to the first guard after that.
    #[must_use]
    pub fn previous_holder_died(&self) -> bool {
        self.is_news
    }
}

impl<T: Plain> Deref for ArrayGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.held
    }
}

impl<T: Plain> DerefMut for ArrayGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.held
    }
}

impl<T: Plain> Drop for ArrayGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        point::before_at(Operation::Release, self.data, &self.made);
    }
}

/// The elements.
impl<T: Plain + fmt::Debug> fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Plain> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self { data: self.data.clone() }
    }
}

/// `Array([1, 2, 3])`, or `Array(<locked>)` where somebody holds it: this does not wait.
impl<T: Plain + fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A copy, so that nothing of the user's runs under the lock.
        match self.data.try_hold().map(|held| held.to_vec()) {
            Some(values) => f.debug_tuple("Array").field(&values).finish(),
            None => f.debug_tuple("Array").field(&format_args!("<locked>")).finish(),
        }
    }
}

impl<T: Plain> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.data.serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { data: Guarded::<[T]>::deserialize(KIND, deserializer)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::value::Value;
    use std::thread;

    #[test]
    fn its_elements_are_read_and_written_one_by_one_and_together() {
        let array = Array::<i32>::new(10).unwrap();
        assert_eq!((array.len(), array.is_empty()), (10, false));
        assert_eq!(array.to_vec(), [0; 10]);
        for index in 0..10 {
            array.set(index, index as i32).unwrap();
        }
        assert_eq!(array.update(9, |number| std::mem::replace(number, 90)), Ok(9));
        array.copy_in(2, &[20, 30]).unwrap();
        let mut some = [0; 4];
        array.copy_out(1, &mut some).unwrap();
        assert_eq!(some, [1, 20, 30, 4]);
        array.lock().reverse();
        assert_eq!(array.clone().to_vec(), [90, 8, 7, 6, 5, 4, 30, 20, 1, 0]);
        assert_eq!(array.get(6), Ok(30));
    }

    #[test]
    fn an_element_that_is_not_there_is_an_error_that_says_what_is() {
        let array = Array::from_slice(&[1u8, 2, 3]).unwrap();
        let error = OutOfRange { index: 3, count: 1, len: 3 };
        assert_eq!(array.get(3), Err(error));
        assert_eq!(array.set(3, 7), Err(error));
        assert_eq!(array.update(3, |_| ()), Err(error));
        let text = "there is no element 3 in an array of 3; indices go from 0 to 2";
        assert_eq!(error.to_string(), text);
        let error = array.copy_in(2, &[7, 7]).unwrap_err();
        assert_eq!(error, OutOfRange { index: 2, count: 2, len: 3 });
        let text = "2 elements from 2 on do not lie in an array of 3; indices go from 0 to 2";
        assert_eq!(error.to_string(), text);
        assert!(array.copy_out(usize::MAX, &mut [0; 2]).is_err());
        assert!(array.copy_out(3, &mut []).is_ok());
        assert_eq!(array.to_vec(), [1, 2, 3]);
    }

    #[test]
    fn it_may_be_empty() {
        let array = Array::<f64>::new(0).unwrap();
        assert!(array.is_empty() && array.to_vec().is_empty() && array.lock().is_empty());
        let text = array.get(0).unwrap_err().to_string();
        assert!(text.contains("stays empty"), "{text}");
        assert_eq!(format!("{array:?}"), "Array([])");
    }

    #[test]
    fn threads_take_turns() {
        let array = Array::<u32>::new(3).unwrap();
        thread::scope(|scope| {
            for first in 0..3 {
                let array = &array;
                scope.spawn(move || {
                    for index in (0..3).cycle().skip(first).take(9000) {
                        array.update(index, |number| *number += 1).unwrap();
                    }
                });
            }
        });
        assert_eq!(array.to_vec(), [9000; 3]);
    }

    #[test]
    fn one_lock_is_for_all_elements() {
        let array = Array::from_slice(&[1, 2]).unwrap();
        let guard = array.lock();
        assert!(array.try_lock().is_none());
        assert!(array.lock_timeout(Duration::from_millis(5)).is_none());
        assert_eq!(format!("{array:?} {guard:?}"), "Array(<locked>) [1, 2]");
        drop(guard);
        assert_eq!(array.try_lock().unwrap()[..], [1, 2]);
        assert_eq!(format!("{array:?}"), "Array([1, 2])");
    }

    #[test]
    #[should_panic(expected = "this thread holds the array already")]
    fn waiting_for_oneself_is_told() {
        let array = Array::from_slice(&[1, 2]).unwrap();
        let _guard = array.lock();
        let _ = array.get(0);
    }

    #[test]
    fn a_panic_is_told_to_the_next_guard_only() {
        let array = Array::from_slice(&[1, 2]).unwrap();
        let other = array.clone();
        let panics =
            move || other.update(1, |number| assert_eq!(*number, 1, "the test expects it"));
        assert!(thread::spawn(panics).join().is_err());
        assert_eq!((array.get(1), array.to_vec()), (Ok(2), vec![1, 2]));
        assert!(array.lock().previous_holder_died());
        assert!(!array.lock().previous_holder_died());
    }

    #[test]
    fn a_handle_arrives_as_the_type_that_it_was_made_with_only() {
        let array = Array::from_slice(&[1u32, 2, 3]).unwrap();
        let message = codec::encode(&array).unwrap();
        let other: Array<u32> = codec::decode(&message.bytes, message.copy_descriptors()).unwrap();
        message.hand_over();
        other.set(1, 20).unwrap();
        assert_eq!((other.len(), array.get(1)), (3, Ok(20)));

        let message = codec::encode(&array).unwrap();
        let errors = [
            codec::decode::<Array<char>>(&message.bytes, message.copy_descriptors()).err(),
            codec::decode::<Array<u8>>(&message.bytes, message.copy_descriptors()).err(),
            codec::decode::<Value<u32>>(&message.bytes, message.copy_descriptors()).err(),
        ];
        let texts = errors.map(|error| error.unwrap().to_string());
        assert!(texts[0].contains("it was not made for char"), "{texts:?}");
        assert!(texts[1].contains("it was not made for u8"), "{texts:?}");
        assert!(texts[2].contains("it is of another type"), "{texts:?}");
    }
}
