//! One number that several processes see and change in single steps, without a lock (in Python:
//! `RawValue`, which has no such steps).
//!
//! ```
//! use common::{AtomicValue, Process};
//!
//! fn count(total: AtomicValue<u64>) {
//!     for _ in 0..1000 {
//!         total.fetch_add(1);
//!     }
//! }
//!
//! # common::init();
//! let total = AtomicValue::new(0u64)?;
//! let children = [(); 2].map(|()| Process::new(count, total.clone()).start());
//! for child in children {
//!     child?.join()?;
//! }
//! assert_eq!(total.get(), 2000);
//! # common::Result::Ok(())
//! ```
//!
//! Each operation is done as a whole: nobody sees half of it, and whoever is killed has done it or not.
//! Two in a row are two: for more than one step at a time there is [`Value`](crate::Value).
//!
//! | for | operations |
//! | --- | --- |
//! | all: integers up to 64 bits, `f32`, `f64`, `bool` | `get`, `set`, `swap`, `compare_exchange`, `update` |
//! | numbers | `fetch_add`, `fetch_sub`, `fetch_max`, `fetch_min` |
//! | integers and `bool` | `fetch_and`, `fetch_or`, `fetch_xor` |
//!
//! What begins with `fetch_`, as well as `swap` and `update`, returns the value before. Integers wrap
//! around at their ends, as those of the standard library's atomics do. Floating-point numbers are
//! compared and exchanged as bits, see [`compare_exchange`](AtomicValue::compare_exchange).
//!
//! # Order
//!
//! Every operation is sequentially consistent: all processes see all operations on all atomic values in
//! one order, and what a process has written before is seen by whoever sees its operation. That is the
//! order that needs no thought, and on most machines it makes only `set` dearer than the weaker ones.

use crate::point::{self, Kind, Name, Operation};
use crate::shared::atomic::Atomic;
use crate::value::Plain;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;

/// What an [`AtomicValue`] can hold: integers up to 64 bits, `f32`, `f64` and `bool`.
#[diagnostic::on_unimplemented(
    message = "an AtomicValue cannot hold `{Self}`",
    label = "not an integer up to 64 bits, f32, f64 or bool",
    note = "a Value holds any plain data, under a lock"
)]
pub trait AtomicPlain: Plain + sealed::Cell {}

/// What can be added and compared in an [`AtomicValue`]: integers, `f32`, `f64`.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a number that can be added atomically")]
pub trait AtomicNumber: AtomicPlain + sealed::Numeric {}

/// What has bits to combine in an [`AtomicValue`]: integers and `bool`.
#[diagnostic::on_unimplemented(message = "`{Self}` has no bits that can be combined atomically")]
pub trait AtomicBits: AtomicPlain + sealed::Integral {}

/// A number that processes share, changed in single steps.
///
/// A clone, and what arrives in another process, is the same number. A handle that is received as
/// another type is an error there.
///
/// ```
/// use common::AtomicValue;
///
/// let highest = AtomicValue::new(2.5)?;
/// assert_eq!(highest.fetch_max(7.0), 2.5);
/// assert_eq!(highest.fetch_max(3.0), 7.0);
/// assert_eq!(format!("{highest:?}"), "AtomicValue(7.0)");
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "RawValue")]
pub struct AtomicValue<T: AtomicPlain> {
    cell: Atomic<T::Atomic>,
}

impl<T: AtomicPlain> AtomicValue<T> {
    /// A new one that is `value`.
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new(value: T) -> io::Result<Self> {
        let cell = Atomic::new::<T>(Name::new(Kind::AtomicValue))?;
        value.store(&cell);
        Ok(Self { cell })
    }

    /// What it is at this moment.
    #[doc(alias = "value")]
    #[doc(alias = "load")]
    #[must_use]
    #[inline]
    #[track_caller]
    pub fn get(&self) -> T {
        point::before(Operation::Get, &self.cell);
        T::load(&self.cell)
    }

    /// Makes it `value`.
    #[doc(alias = "value")]
    #[doc(alias = "store")]
    #[inline]
    #[track_caller]
    pub fn set(&self, value: T) {
        point::before(Operation::Set, &self.cell);
        value.store(&self.cell);
    }

    /// Makes it `value`; what it was.
    #[inline]
    #[track_caller]
    pub fn swap(&self, value: T) -> T {
        point::before(Operation::Update, &self.cell);
        value.swap(&self.cell)
    }

    /// Makes it `new` if it is `current`; what it was, as an `Err` if it was something else.
    ///
    /// ```
    /// let value = common::AtomicValue::new(5)?;
    /// assert_eq!(value.compare_exchange(5, 6), Ok(5));
    /// assert_eq!(value.compare_exchange(5, 7), Err(6));
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// Of floating-point numbers the bits are compared: a NaN is equal to itself, and 0.0 is not -0.0.
    ///
    /// # Errors
    ///
    /// What it was, where that is not `current`; nothing has changed.
    #[inline]
    #[track_caller]
    pub fn compare_exchange(&self, current: T, new: T) -> Result<T, T> {
        point::before(Operation::Update, &self.cell);
        T::compare_exchange(&self.cell, current, new)
    }

    /// Makes it what `change` makes of it; what it was. `change` is called again where another was
    /// quicker.
    ///
    /// ```
    /// let value = common::AtomicValue::new(5)?;
    /// assert_eq!(value.update(|number| number * 2), 5);
    /// assert_eq!(value.get(), 10);
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "fetch_update")]
    #[inline]
    #[track_caller]
    pub fn update(&self, change: impl FnMut(T) -> T) -> T {
        point::before(Operation::Update, &self.cell);
        sealed::exchange::<T>(&self.cell, change)
    }
}

impl<T: AtomicNumber> AtomicValue<T> {
    /// Adds `value`; what it was. An integer wraps around.
    ///
    /// ```
    /// let value = common::AtomicValue::new(250u8)?;
    /// assert_eq!(value.fetch_add(10), 250);
    /// assert_eq!(value.get(), 4);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn fetch_add(&self, value: T) -> T {
        point::before(Operation::Update, &self.cell);
        value.fetch_add(&self.cell)
    }

    /// Takes `value` off; what it was. An integer wraps around.
    #[inline]
    #[track_caller]
    pub fn fetch_sub(&self, value: T) -> T {
        point::before(Operation::Update, &self.cell);
        value.fetch_sub(&self.cell)
    }

    /// Makes it the larger of itself and `value`; what it was. A NaN is neither: the other number stays
    /// or comes, as with [`f64::max`].
    #[inline]
    #[track_caller]
    pub fn fetch_max(&self, value: T) -> T {
        point::before(Operation::Update, &self.cell);
        value.fetch_max(&self.cell)
    }

    /// Makes it the smaller of itself and `value`; what it was. A NaN is neither: the other number stays
    /// or comes, as with [`f64::min`].
    #[inline]
    #[track_caller]
    pub fn fetch_min(&self, value: T) -> T {
        point::before(Operation::Update, &self.cell);
        value.fetch_min(&self.cell)
    }
}

impl<T: AtomicBits> AtomicValue<T> {
    /// Keeps the bits that are in `value` too; what it was.
    #[inline]
    #[track_caller]
    pub fn fetch_and(&self, value: T) -> T {
        point::before(Operation::Update, &self.cell);
        value.fetch_and(&self.cell)
    }

    /// Adds the bits of `value`; what it was.
    #[inline]
    #[track_caller]
    pub fn fetch_or(&self, value: T) -> T {
        point::before(Operation::Update, &self.cell);
        value.fetch_or(&self.cell)
    }

    /// Turns the bits over that are in `value`; what it was.
    #[inline]
    #[track_caller]
    pub fn fetch_xor(&self, value: T) -> T {
        point::before(Operation::Update, &self.cell);
        value.fetch_xor(&self.cell)
    }
}

impl<T: AtomicPlain> Clone for AtomicValue<T> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone() }
    }
}

/// `AtomicValue(5)`.
impl<T: AtomicPlain + fmt::Debug> fmt::Debug for AtomicValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtomicValue").field(&self.get()).finish()
    }
}

impl<T: AtomicPlain> Serialize for AtomicValue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.cell.serialize(serializer)
    }
}

impl<'de, T: AtomicPlain> Deserialize<'de> for AtomicValue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { cell: Atomic::deserialize::<T, D>(deserializer)? })
    }
}

/// How each type does it. Nobody outside can name these traits, so nobody can add a type.
mod sealed {
    use super::{AtomicBits, AtomicNumber, AtomicPlain};
    use crate::shared::atomic::Integer;
    use std::sync::atomic::Ordering::SeqCst;
    use std::sync::atomic::{
        AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
        AtomicU64, AtomicUsize,
    };

    pub trait Cell: Copy {
        type Atomic: Integer;
        fn load(cell: &Self::Atomic) -> Self;
        fn store(self, cell: &Self::Atomic);
        fn swap(self, cell: &Self::Atomic) -> Self;
        fn compare_exchange(cell: &Self::Atomic, current: Self, new: Self) -> Result<Self, Self>;
    }

    pub trait Numeric: Cell {
        fn fetch_add(self, cell: &Self::Atomic) -> Self;
        fn fetch_sub(self, cell: &Self::Atomic) -> Self;
        fn fetch_max(self, cell: &Self::Atomic) -> Self;
        fn fetch_min(self, cell: &Self::Atomic) -> Self;
    }

    pub trait Integral: Cell {
        fn fetch_and(self, cell: &Self::Atomic) -> Self;
        fn fetch_or(self, cell: &Self::Atomic) -> Self;
        fn fetch_xor(self, cell: &Self::Atomic) -> Self;
    }

    /// A type that lies in an atomic integer, and how the one is made of the other.
    macro_rules! cell {
        ($value:ty, $atomic:ty, $into:expr, $from:expr) => {
            impl AtomicPlain for $value {}

            impl Cell for $value {
                type Atomic = $atomic;

                #[inline]
                fn load(cell: &$atomic) -> Self {
                    $from(cell.load(SeqCst))
                }

                #[inline]
                fn store(self, cell: &$atomic) {
                    cell.store($into(self), SeqCst);
                }

                #[inline]
                fn swap(self, cell: &$atomic) -> Self {
                    $from(cell.swap($into(self), SeqCst))
                }

                #[inline]
                fn compare_exchange(
                    cell: &$atomic,
                    current: Self,
                    new: Self,
                ) -> Result<Self, Self> {
                    cell.compare_exchange($into(current), $into(new), SeqCst, SeqCst)
                        .map($from)
                        .map_err($from)
                }
            }
        };
    }

    macro_rules! operations {
        ($group:ident, $value:ty, $atomic:ty, $into:expr, $from:expr, $($name:ident)*) => {
            impl $group for $value {
                $(
                    #[inline]
                    fn $name(self, cell: &$atomic) -> Self {
                        $from(cell.$name($into(self), SeqCst))
                    }
                )*
            }
        };
    }

    macro_rules! integers {
        ($($value:ty: $atomic:ty),*) => {
            $(
                cell!($value, $atomic, |value| value, |bits| bits);
                operations!(Numeric, $value, $atomic, |value| value, |bits| bits,
                    fetch_add fetch_sub fetch_max fetch_min);
                operations!(Integral, $value, $atomic, |value| value, |bits| bits,
                    fetch_and fetch_or fetch_xor);
                impl AtomicNumber for $value {}
                impl AtomicBits for $value {}
            )*
        };
    }

    macro_rules! floats {
        ($($value:ident: $atomic:ty),*) => {
            $(
                cell!($value, $atomic, $value::to_bits, $value::from_bits);
                impl AtomicNumber for $value {}

                impl Numeric for $value {
                    #[inline]
                    fn fetch_add(self, cell: &$atomic) -> Self {
                        exchange(cell, |number| number + self)
                    }

                    #[inline]
                    fn fetch_sub(self, cell: &$atomic) -> Self {
                        exchange(cell, |number| number - self)
                    }

                    #[inline]
                    fn fetch_max(self, cell: &$atomic) -> Self {
                        exchange(cell, |number: Self| number.max(self))
                    }

                    #[inline]
                    fn fetch_min(self, cell: &$atomic) -> Self {
                        exchange(cell, |number: Self| number.min(self))
                    }
                }
            )*
        };
    }

    /// By compare and swap, again where another was quicker; the value before.
    #[inline]
    pub(super) fn exchange<T: Cell>(cell: &T::Atomic, mut change: impl FnMut(T) -> T) -> T {
        let mut current = T::load(cell);
        loop {
            match T::compare_exchange(cell, current, change(current)) {
                Ok(before) => return before,
                Err(other) => current = other,
            }
        }
    }

    integers!(i8: AtomicI8, i16: AtomicI16, i32: AtomicI32, i64: AtomicI64, isize: AtomicIsize);
    integers!(u8: AtomicU8, u16: AtomicU16, u32: AtomicU32, u64: AtomicU64, usize: AtomicUsize);
    floats!(f32: AtomicU32, f64: AtomicU64);

    // Not the standard library's `AtomicBool`: of that, not each byte is one.
    cell!(bool, AtomicU8, u8::from, |bits| bits != 0);
    operations!(Integral, bool, AtomicU8, u8::from, |bits| bits != 0, fetch_and fetch_or fetch_xor);
    impl AtomicBits for bool {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use std::thread;

    /// The operations of all types, at both ends of the type.
    macro_rules! integer {
        ($($name:ident: $type:ty),*) => {
            $(
                #[test]
                fn $name() {
                    let value = AtomicValue::<$type>::new(<$type>::MAX).unwrap();
                    assert_eq!(value.fetch_add(1), <$type>::MAX);
                    assert_eq!(value.fetch_sub(1), <$type>::MIN);
                    assert_eq!(value.swap(5), <$type>::MAX);
                    assert_eq!(value.fetch_max(7), 5);
                    assert_eq!(value.fetch_max(6), 7);
                    assert_eq!(value.fetch_min(8), 7);
                    assert_eq!(value.fetch_min(6), 7);
                    assert_eq!(value.fetch_or(1), 6);
                    assert_eq!(value.fetch_and(0b101), 7);
                    assert_eq!(value.fetch_xor(0b110), 5);
                    assert_eq!(value.compare_exchange(5, 9), Err(3));
                    assert_eq!(value.compare_exchange(3, 9), Ok(3));
                    assert_eq!(value.update(|number| number / 2), 9);
                    assert_eq!(value.get(), 4);
                }
            )*
        };
    }

    integer!(an_i8: i8, an_i16: i16, an_i32: i32, an_i64: i64, an_isize: isize);
    integer!(a_u8: u8, a_u16: u16, a_u32: u32, a_u64: u64, a_usize: usize);

    #[test]
    fn a_float_is_added_and_compared_as_a_number_and_exchanged_as_bits() {
        let value = AtomicValue::new(1.5f32).unwrap();
        assert_eq!(value.fetch_add(1.0), 1.5);
        assert_eq!(value.fetch_sub(0.25), 2.5);
        assert_eq!(value.fetch_max(f32::INFINITY), 2.25);
        assert_eq!(value.fetch_min(-0.0), f32::INFINITY);
        assert_eq!(
            value.compare_exchange(0.0, 1.0).map_err(f32::to_bits),
            Err((-0.0f32).to_bits())
        );
        assert_eq!(value.compare_exchange(-0.0, f32::NAN), Ok(0.0));
        assert!(value.compare_exchange(f32::NAN, 7.0).unwrap().is_nan());

        let value = AtomicValue::new(f64::NAN).unwrap();
        assert!(value.fetch_max(3.0).is_nan());
        assert_eq!(value.fetch_max(f64::NAN), 3.0);
        assert_eq!(value.fetch_min(f64::NAN), 3.0);
        assert_eq!(value.fetch_add(f64::NAN), 3.0);
        assert!(value.update(|number| number + 1.0).is_nan());
    }

    #[test]
    fn a_bool_is_combined() {
        let value = AtomicValue::new(true).unwrap();
        assert!(value.fetch_and(false));
        assert!(!value.fetch_or(true));
        assert!(value.fetch_xor(true));
        assert!(!value.fetch_xor(true));
        assert_eq!(value.compare_exchange(false, true), Err(true));
        assert!(value.swap(false));
        assert!(!value.update(|flag| !flag));
        assert_eq!(format!("{value:?}"), "AtomicValue(true)");
    }

    #[test]
    fn threads_lose_nothing() {
        let (sum, bits) = (AtomicValue::new(0.0f64).unwrap(), AtomicValue::new(0u8).unwrap());
        thread::scope(|scope| {
            for number in 0..4 {
                let (sum, bits) = (&sum, &bits);
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        sum.fetch_add(0.5);
                        bits.fetch_xor(1 << number);
                    }
                    bits.fetch_or(1 << number);
                });
            }
        });
        assert_eq!((sum.get(), bits.get()), (40_000.0, 0b1111));
    }

    #[test]
    fn a_handle_arrives_as_the_type_that_it_was_made_with_only() {
        let value = AtomicValue::new(7u8).unwrap();
        let message = codec::encode(&value).unwrap();
        let error =
            codec::decode::<AtomicValue<bool>>(&message.bytes, message.copy_descriptors()).err();
        let text = error.unwrap().to_string();
        assert!(text.contains("it was not made for bool"), "{text}");
        let other: AtomicValue<u8> =
            codec::decode(&message.bytes, message.copy_descriptors()).unwrap();
        message.hand_over();
        assert_eq!((other.fetch_add(1), value.get()), (7, 8));
    }
}
