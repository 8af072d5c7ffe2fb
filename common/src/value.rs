//! One value that several processes see, with a lock of its own (in Python: `Value`).
//!
//! ```
//! use common::{Process, Value};
//!
//! fn add((total, number): (Value<i64>, i64)) {
//!     total.update(|total| *total += number);
//! }
//!
//! # common::init();
//! let total = Value::new(0i64)?;
//! let children = [1, 2, 3].map(|number| Process::new(add, (total.clone(), number)).start());
//! for child in children {
//!     child?.join()?;
//! }
//! assert_eq!(total.get(), 6);
//! # common::Result::Ok(())
//! ```
//!
//! The value and its lock lie in memory that has no name: there is nothing to unlink, and they are gone
//! with the last process that holds them. Ten thousand of them take a megabyte or so and a few descriptors.
//!
//! | you want to | take |
//! | --- | --- |
//! | change one value by what it was | [`Value::update`] |
//! | do several things before anybody else sees the value | [`Value::lock`] |
//! | only add, or take the larger | [`AtomicValue`](crate::AtomicValue), which needs no lock |
//! | many values of one type | [`Array`](crate::Array) |
//! | one lock for several objects | a [`Lock`](crate::sync::Lock) beside them |
//!
//! # Types
//!
//! A value is [`Plain`] data. Python says by a letter what the Rust type says here:
//!
//! | Python | Rust | | Python | Rust |
//! | --- | --- | --- | --- | --- |
//! | `b`, `B` | `i8`, `u8` | | `q`, `Q` | `i64`, `u64` |
//! | `h`, `H` | `i16`, `u16` | | `f`, `d` | `f32`, `f64` |
//! | `i`, `I` | `i32`, `u32` | | `c` | `u8` |
//! | `l`, `L` | `i64`, `u64` (on 64-bit Linux) | | `u` | `char` |
//!
//! Numbers are not converted on the way: what does not fit does not compile, where Python cuts it off.
//!
//! # When a holder dies
//!
//! A process that is killed while it holds the lock does not keep it, and the next guard is told
//! ([`ValueGuard::previous_holder_died`]): the value may be half changed. `get`, `set` and `update` go on
//! with it as it is, and leave the news to the next guard. It is a value of its type in any case: where
//! the bytes that the holder left are none, as is possible for `bool`, `char` and enums, all of them are
//! zero instead.

use crate::point::{self, Kind, Name, Operation};
use crate::shared::guarded::{Guarded, Held};
use crate::sync::word::Deadline;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

pub use crate::shared::guarded::Plain;

/// What the slot of a value says that it is.
const KIND: u32 = u32::from_be_bytes(*b"valu");

/// A value that processes share.
///
/// A clone, and what arrives in another process, is the same value. A handle that is received as
/// another type is an error there.
///
/// ```
/// use common::Value;
///
/// let value = Value::new(3.14)?;
/// value.set(value.get() * 2.0);
/// assert_eq!(format!("{value:?}"), "Value(6.28)");
/// # std::io::Result::Ok(())
/// ```
pub struct Value<T: Plain> {
    data: Guarded<T>,
}

impl<T: Plain> Value<T> {
    /// A new value (in Python: `Value('i', 0)`).
    ///
    /// # Errors
    ///
    /// Where the machine has no shared memory or no descriptor left.
    #[track_caller]
    pub fn new(value: T) -> io::Result<Self> {
        Ok(Self { data: Guarded::new(Name::new(Kind::Value), KIND, value)? })
    }

    /// What it is at this moment.
    ///
    /// Another process may change it right afterwards: [`set`](Value::set) to something that was made of
    /// this undoes what happened in between. For that there is [`update`](Value::update).
    ///
    /// # Panics
    ///
    /// Where this thread holds a guard of it; so do `set`, `update` and `lock`.
    #[doc(alias = "value")]
    #[must_use]
    #[inline]
    #[track_caller]
    pub fn get(&self) -> T {
        point::before(Operation::Get, &self.data);
        *self.data.hold()
    }

    /// Makes it `value`.
    ///
    /// # Panics
    ///
    /// As for [`get`](Value::get).
    #[doc(alias = "value")]
    #[inline]
    #[track_caller]
    pub fn set(&self, value: T) {
        point::before(Operation::Set, &self.data);
        *self.data.hold() = value;
    }

    /// Changes it by what it is, under its lock: nobody else reads or writes it meanwhile (in Python:
    /// `with v.get_lock(): v.value += 1`). What `change` returns is returned.
    ///
    /// ```
    /// let value = common::Value::new(10u32)?;
    /// let before = value.update(|number| std::mem::replace(number, *number + 1));
    /// assert_eq!((before, value.get()), (10, 11));
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    ///
    /// As for [`get`](Value::get). Where `change` panics, the next guard is told.
    #[inline]
    #[track_caller]
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        point::before(Operation::Update, &self.data);
        change(&mut self.data.hold())
    }

    /// Takes its lock; waits until it is free. Dropping the guard gives it back.
    ///
    /// ```
    /// let value = common::Value::new([1u8; 4])?;
    /// let mut guard = value.lock();
    /// guard[0] = 7;
    /// assert!(value.try_lock().is_none());
    /// drop(guard);
    /// assert_eq!(value.get(), [7, 1, 1, 1]);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    ///
    /// As for [`get`](Value::get). (In Python the lock is recursive, and two guards could be had.)
    #[doc(alias = "get_lock")]
    #[doc(alias = "get_obj")]
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> ValueGuard<'_, T> {
        point::before(Operation::Acquire, &self.data);
        ValueGuard::new(&self.data, self.data.hold())
    }

    /// Takes its lock if that is free; not where this thread holds it already.
    #[must_use]
    #[track_caller]
    pub fn try_lock(&self) -> Option<ValueGuard<'_, T>> {
        point::before(Operation::TryAcquire, &self.data);
        let held = self.data.try_hold()?;
        Some(ValueGuard::new(&self.data, held))
    }

    /// Takes its lock; waits until it is free, at most for `limit`.
    #[must_use]
    #[track_caller]
    pub fn lock_timeout(&self, limit: Duration) -> Option<ValueGuard<'_, T>> {
        point::before(Operation::AcquireTimeout, &self.data);
        let held = self.data.hold_before(Deadline::after(limit))?;
        Some(ValueGuard::new(&self.data, held))
    }
}

/// A value that this thread is alone with.
///
/// It belongs to its thread:
///
/// ```compile_fail,E0277
/// let value = common::Value::new(0)?;
/// std::thread::scope(|scope| {
///     let guard = value.lock();
///     scope.spawn(move || drop(guard));
/// });
/// # std::io::Result::Ok(())
/// ```
#[must_use = "dropping it gives the lock back"]
pub struct ValueGuard<'a, T: Plain> {
    data: &'a Guarded<T>,
    held: Held<'a, T>,
    is_news: bool,
    made: &'static Location<'static>,
}

impl<'a, T: Plain> ValueGuard<'a, T> {
    #[inline]
    #[track_caller]
    fn new(data: &'a Guarded<T>, held: Held<'a, T>) -> Self {
        Self { data, is_news: held.take_news(), held, made: Location::caller() }
    }

    /// Whether a holder died while it held the lock, or panicked: the value may be half changed. It is
    /// said once, to the first guard after that.
    #[must_use]
    pub fn previous_holder_died(&self) -> bool {
        self.is_news
    }
}

impl<T: Plain> Deref for ValueGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T: Plain> DerefMut for ValueGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

impl<T: Plain> Drop for ValueGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        point::before_at(Operation::Release, self.data, &self.made);
    }
}

/// The value itself.
impl<T: Plain + fmt::Debug> fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Plain> Clone for Value<T> {
    fn clone(&self) -> Self {
        Self { data: self.data.clone() }
    }
}

/// `Value(5)`, or `Value(<locked>)` where somebody holds it: this does not wait.
impl<T: Plain + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A copy, so that nothing of the user's runs under the lock.
        match self.data.try_hold().map(|held| *held) {
            Some(value) => f.debug_tuple("Value").field(&value).finish(),
            None => f.debug_tuple("Value").field(&format_args!("<locked>")).finish(),
        }
    }
}

impl<T: Plain> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.data.serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { data: Guarded::<T>::deserialize(KIND, deserializer)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use std::thread;

    #[test]
    fn it_is_what_it_was_made_set_and_changed_to() {
        let value = Value::new(7i32).unwrap();
        assert_eq!(value.get(), 7);
        value.set(-1);
        assert_eq!(value.update(|number| std::mem::replace(number, 5)), -1);
        *value.lock() += 1;
        assert_eq!((value.get(), value.clone().get()), (6, 6));
    }

    #[test]
    fn threads_take_turns() {
        let value = Value::new(0u64).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|_| value.update(|number| *number += 1)));
            }
        });
        assert_eq!(value.get(), 80_000);
    }

    #[test]
    fn who_does_not_wait_is_refused_while_it_is_held() {
        let value = Value::new(1).unwrap();
        let guard = value.lock();
        assert!(value.try_lock().is_none());
        assert!(value.lock_timeout(Duration::from_millis(5)).is_none());
        thread::scope(|scope| {
            scope.spawn(|| assert!(value.lock_timeout(Duration::from_millis(5)).is_none()));
        });
        drop(guard);
        assert_eq!(*value.try_lock().unwrap(), 1);
        assert_eq!(*value.lock_timeout(Duration::ZERO).unwrap(), 1);
    }

    #[test]
    fn waiting_for_oneself_is_told() {
        let value = Value::new(1).unwrap();
        let ways: [fn(&Value<i32>); 4] = [
            |value| value.set(2),
            |value| assert_eq!(value.get(), 1),
            |value| value.update(|number| *number = 2),
            |value| drop(value.lock()),
        ];
        for way in ways {
            let value = value.clone();
            let thread = thread::spawn(move || {
                let _guard = value.lock();
                way(&value);
            });
            let panic = thread.join().unwrap_err();
            let text = panic.downcast_ref::<String>().unwrap();
            assert!(text.contains("this thread holds the value already"), "{text}");
        }
        assert_eq!(value.get(), 1);
    }

    #[test]
    fn a_change_that_panics_is_told_to_the_next_guard_only() {
        let value = Value::new(1).unwrap();
        let other = value.clone();
        let panics = move || other.update(|number| assert_eq!(*number, 2, "the test expects it"));
        assert!(thread::spawn(panics).join().is_err());
        value.update(|number| *number += 1);
        value.set(value.get() + 1);
        assert_eq!(format!("{value:?}"), "Value(3)");
        assert!(value.lock().previous_holder_died());
        assert!(!value.lock().previous_holder_died());
    }

    #[test]
    fn its_debug_text_does_not_wait() {
        let value = Value::new([1.5, 2.0]).unwrap();
        assert_eq!(format!("{value:?}"), "Value([1.5, 2.0])");
        let guard = value.lock();
        assert_eq!(format!("{value:?} {guard:?}"), "Value(<locked>) [1.5, 2.0]");
    }

    #[test]
    fn a_handle_arrives_as_the_type_that_it_was_made_with_only() {
        fn sent<T: Plain, U: Plain>(value: &Value<T>) -> Result<Value<U>, codec::DecodeError> {
            let message = codec::encode(value).unwrap();
            let arrived = codec::decode(&message.bytes, message.copy_descriptors());
            if arrived.is_ok() {
                message.hand_over();
            }
            arrived
        }
        let value = Value::new(u32::MAX).unwrap();
        sent::<u32, u32>(&value).unwrap().set(5);
        assert_eq!(value.get(), 5);
        let refused = [
            sent::<u32, char>(&value).err().unwrap(),
            sent::<u32, i32>(&value).err().unwrap(),
            sent::<u32, u64>(&value).err().unwrap(),
            sent::<u32, [u32; 100]>(&value).err().unwrap(),
            sent::<[u32; 1], u32>(&Value::new([1]).unwrap()).err().unwrap(),
        ];
        for error in refused {
            let text = error.to_string();
            assert!(text.contains("it was not made for") || text.contains("smaller"), "{text}");
        }
        // Two types may have one name.
        let message = {
            #[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
            #[repr(transparent)]
            struct Same(u32);
            codec::encode(&Value::new(Same(1)).unwrap()).unwrap()
        };
        let error = {
            #[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
            #[repr(transparent)]
            struct Same(i32);
            codec::decode::<Value<Same>>(&message.bytes, message.copy_descriptors()).err()
        };
        let text = error.unwrap().to_string();
        assert!(text.contains("Same; receive it as"), "{text}");
    }
}
