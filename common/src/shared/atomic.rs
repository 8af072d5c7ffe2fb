//! One number in a slot, for operations that nobody can interrupt: what an `AtomicValue` is made of.
//!
//! | offset in the content | bytes | what |
//! | --- | --- | --- |
//! | 0 | at most 8 | the number |
//! | 8 | 8 | the type |

use super::arena::{self, Slot};
use super::guarded::{tag, wrong_type};
use crate::point::{Name, Named};
use serde::{Deserializer, Serializer};
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, AtomicUsize, Ordering,
};

const KIND: u32 = u32::from_be_bytes(*b"atom");
const TYPE: usize = 8;
const BYTES: usize = 16;

/// An atomic integer of the standard library.
///
/// # Safety
///
/// Any bytes are one; it has 8 of them at most, and is aligned to no more.
pub unsafe trait Integer: Send + Sync + 'static {}

macro_rules! integers {
    ($($atomic:ty),*) => {
        $(
            // SAFETY: any bytes are an integer, and the standard library has them as large as they are.
            unsafe impl Integer for $atomic {}
        )*
    };
}

integers!(AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize);
integers!(AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize);

/// An integer that several processes see; a clone is the same.
pub(crate) struct Atomic<A> {
    slot: Arc<Slot>,
    /// The arena does not move.
    place: NonNull<A>,
}

// SAFETY: it is an address in a mapping of the process, and what is at it is an atomic.
unsafe impl<A: Integer> Send for Atomic<A> {}
// SAFETY: as above.
unsafe impl<A: Integer> Sync for Atomic<A> {}

impl<A> Clone for Atomic<A> {
    fn clone(&self) -> Self {
        Self { slot: Arc::clone(&self.slot), place: self.place }
    }
}

impl<A: Integer> Atomic<A> {
    /// A new slot whose integer is 0, for values of `T`.
    pub(crate) fn new<T: 'static>(name: Name) -> io::Result<Self> {
        let slot = Slot::new(name, KIND, BYTES)?;
        slot.word64(TYPE).store(tag::<T>(), Ordering::Relaxed);
        Ok(Self::over(slot))
    }

    /// What has arrived, if it was made for values of `T`.
    pub(crate) fn deserialize<'de, T: 'static, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let slot = arena::deserialize(KIND, BYTES, deserializer)?;
        if slot.word64(TYPE).load(Ordering::Relaxed) != tag::<T>() {
            return Err(wrong_type::<T, _>());
        }
        Ok(Self::over(slot))
    }

    fn over(slot: Arc<Slot>) -> Self {
        const { assert!(size_of::<A>() <= TYPE && align_of::<A>() <= TYPE) };
        assert!(slot.len() >= BYTES);
        let place = slot.content().cast();
        Self { slot, place }
    }

    /// Serialises the handle.
    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        arena::serialize(&self.slot, serializer)
    }
}

impl<A: Integer> Deref for Atomic<A> {
    type Target = A;

    #[inline]
    fn deref(&self) -> &A {
        // SAFETY: the first bytes of the content, which lies at a multiple of 8 and is mapped while `self`
        // lives; any bytes are an integer; nobody makes a plain reference to it.
        unsafe { self.place.as_ref() }
    }
}

impl<A> Named for Atomic<A> {
    fn name(&self) -> &Name {
        self.slot.name()
    }
}
