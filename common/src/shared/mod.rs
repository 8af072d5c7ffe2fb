//! Memory that several processes see, as words and bytes.
//!
//! Two kinds: a [`Region`] grows and belongs to whatever asked for it; the slots of an [`arena`] are
//! small and many, and belong to primitives and values. [`guarded`] puts plain data and its lock into a
//! slot, [`atomic`] one number.
//!
//! A [`Region`] is anonymous shared memory and its descriptor. Others may write to it at any time,
//! so it gives no reference to plain data: words are atomics, bytes are copied in and out. Every
//! offset is checked, because it may have been read from another process.
//!
//! [`named`] is memory that has a name besides, and [`register`] knows which names a program has given.
//! [`words`] is how bytes are read and written whose other users are no part of this crate.
#![expect(unsafe_code, reason = "this is where shared bytes become typed")]

pub(crate) mod arena;
pub(crate) mod atomic;
pub(crate) mod guarded;
pub(crate) mod named;
pub(crate) mod register;
pub(crate) mod ring;
pub(crate) mod words;

use crate::codec;
use crate::sys::descriptor::Descriptor;
use crate::sys::memory::{self, Mapping};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Shared memory and its descriptor; it travels as a handle.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    memory: Arc<Descriptor>,
    mapping: Arc<Mapping>,
}

impl Region {
    /// New memory of `len` bytes, all zero.
    pub(crate) fn new(label: &str, len: usize) -> io::Result<Self> {
        Self::map(Arc::new(memory::anonymous(label, len)?.into()), len)
    }

    fn map(memory: Arc<Descriptor>, len: usize) -> io::Result<Self> {
        let mapping = Arc::new(Mapping::new(&*memory, len)?);
        Ok(Self { memory, mapping })
    }

    /// How many bytes this process has mapped.
    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Makes the memory at least `len` bytes long, for everyone; others see it by [`Region::renew`].
    pub(crate) fn grow(&mut self, len: usize) -> io::Result<()> {
        if len > self.len() {
            memory::reserve(&*self.memory, len)?;
            *self = Self::map(Arc::clone(&self.memory), len)?;
        }
        Ok(())
    }

    /// Maps what another process has added.
    pub(crate) fn renew(&mut self) -> io::Result<()> {
        let len = memory::len(&*self.memory)?;
        if len > self.len() {
            *self = Self::map(Arc::clone(&self.memory), len)?;
        }
        Ok(())
    }

    /// Whether `count` items of `size` bytes lie inside from `offset` on, aligned to their size.
    fn inside(&self, offset: usize, size: usize, count: usize) -> bool {
        let end = size.checked_mul(count).and_then(|bytes| bytes.checked_add(offset));
        offset.is_multiple_of(size) && end.is_some_and(|end| end <= self.len())
    }

    /// The 32-bit word at `offset`.
    pub(crate) fn word32(&self, offset: usize) -> Option<&AtomicU32> {
        if !self.inside(offset, 4, 1) {
            return None;
        }
        // SAFETY: inside the mapping, as just checked.
        let word = unsafe { self.mapping.start().add(offset) }.cast::<AtomicU32>();
        // SAFETY: in range and aligned; any bit pattern is a u32; nobody makes a plain reference.
        Some(unsafe { word.as_ref() })
    }

    /// `count` 64-bit words from `offset` on.
    #[inline]
    pub(crate) fn words64(&self, offset: usize, count: usize) -> Option<&[AtomicU64]> {
        if !self.inside(offset, 8, count) {
            return None;
        }
        // SAFETY: inside the mapping, as just checked.
        let first = unsafe { self.mapping.start().add(offset) }.cast::<AtomicU64>();
        // SAFETY: in range and aligned; any bit pattern is a u64; nobody makes a plain reference.
        Some(unsafe { std::slice::from_raw_parts(first.as_ptr(), count) })
    }

    /// Copies `bytes` to `offset`; false where they do not fit.
    #[must_use]
    pub(crate) fn copy_in(&self, offset: usize, bytes: &[u8]) -> bool {
        let fits = self.inside(offset, 1, bytes.len());
        if fits {
            // SAFETY: inside the mapping, as just checked.
            let to = unsafe { self.mapping.start().add(offset) };
            // SAFETY: both sides are valid for the length, and private memory is never shared memory.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
        }
        fits
    }

    /// A copy of the `len` bytes at `offset`.
    pub(crate) fn copy_out(&self, offset: usize, len: usize) -> Option<Vec<u8>> {
        if !self.inside(offset, 1, len) {
            return None;
        }
        let mut bytes = vec![0; len];
        // SAFETY: inside the mapping, as just checked.
        let from = unsafe { self.mapping.start().add(offset) };
        // SAFETY: both sides are valid for the length, and private memory is never shared memory.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), bytes.as_mut_ptr(), len) };
        Some(bytes)
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::serialize_descriptor(&self.memory, serializer)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let memory = codec::deserialize_descriptor(deserializer)?;
        let len = memory::len(&memory).map_err(de::Error::custom)?;
        Self::map(Arc::new(memory), len).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::SeqCst;

    #[test]
    fn what_one_maps_another_sees() {
        let region = Region::new("test", 4096).unwrap();
        let message = codec::encode(&region).unwrap();
        let descriptors = message.copy_descriptors();
        let other: Region = codec::decode(&message.bytes, descriptors).unwrap();
        region.words64(64, 2).unwrap()[1].store(7, SeqCst);
        assert_eq!(other.words64(64, 2).unwrap()[1].load(SeqCst), 7);
        assert!(region.copy_in(100, b"hello"));
        assert_eq!(other.copy_out(100, 5).unwrap(), b"hello");
    }

    #[test]
    fn growth_keeps_the_content_and_others_catch_up() {
        let mut region = Region::new("test", 8).unwrap();
        let mut other = region.clone();
        region.words64(0, 1).unwrap()[0].store(9, SeqCst);
        region.grow(1 << 20).unwrap();
        assert!(region.copy_in((1 << 20) - 1, b"!"));
        other.renew().unwrap();
        assert_eq!(other.words64(0, 1).unwrap()[0].load(SeqCst), 9);
        assert_eq!(other.copy_out((1 << 20) - 1, 1).unwrap(), b"!");
    }

    #[test]
    fn what_lies_outside_or_askew_is_refused() {
        let region = Region::new("test", 16).unwrap();
        assert!(region.word32(16).is_none());
        assert!(region.word32(2).is_none());
        assert!(region.words64(8, 2).is_none());
        assert!(region.words64(0, usize::MAX).is_none());
        assert!(!region.copy_in(usize::MAX, b"x"));
        assert!(region.copy_out(10, 7).is_none());
    }
}
