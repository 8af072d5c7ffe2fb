//! Bytes that others may write at any time, read and written as words.
//!
//! There is never a reference to such bytes. Every access is one of whole, aligned 64-bit words, because two
//! accesses of different sizes must not meet; a part of a word is exchanged inside it by compare and swap.
//! What lies within one word is therefore never torn. The last word may reach beyond the bytes: the kernel
//! maps pages.
//!
//! A fence behind each read and before each write makes a value that was seen vouch for what its
//! writer had written before.

use crate::sys::memory::Mapping;
use crate::sys::sysv::Attached;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The bytes of a word.
const WORD: usize = 8;

/// Memory that is mapped from the beginning of a page on.
///
/// # Safety
///
/// `start` is the first byte of a page, and the pages that `len` bytes from there on touch are mapped for
/// reading and writing for as long as the value lives.
pub(crate) unsafe trait Mapped {
    /// The first byte.
    fn start(&self) -> NonNull<u8>;

    /// How many bytes it has.
    fn len(&self) -> usize;

    /// Copies the bytes from `offset` on into `to`; false where they do not lie inside.
    #[must_use]
    fn load(&self, offset: usize, to: &mut [u8]) -> bool {
        let Some(words) = words(self, offset, to.len()) else { return false };
        let (mut skip, mut rest) = (offset % WORD, to);
        for word in words {
            let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            let (part, after) = rest.split_at_mut(rest.len().min(WORD - skip));
            match <&mut [u8; WORD]>::try_from(&mut *part) {
                Ok(whole) => *whole = bytes,
                Err(_) => part.copy_from_slice(&bytes[skip..skip + part.len()]),
            }
            (skip, rest) = (0, after);
        }
        fence(Ordering::Acquire);
        true
    }

    /// Copies `from` to `offset`; false where it does not fit.
    #[must_use]
    fn store(&self, offset: usize, from: &[u8]) -> bool {
        let Some(words) = words(self, offset, from.len()) else { return false };
        fence(Ordering::Release);
        let (mut skip, mut rest) = (offset % WORD, from);
        for word in words {
            let (part, after) = rest.split_at(rest.len().min(WORD - skip));
            match part.try_into() {
                Ok(whole) => word.store(u64::from_ne_bytes(whole), Ordering::Relaxed),
                Err(_) => exchange(word, skip, part),
            }
            (skip, rest) = (0, after);
        }
        true
    }
}

// SAFETY: a mapping begins at a page, and is unmapped when it is dropped.
unsafe impl Mapped for Mapping {
    fn start(&self) -> NonNull<u8> {
        Mapping::start(self)
    }

    fn len(&self) -> usize {
        Mapping::len(self)
    }
}

// SAFETY: a segment is attached at a page, whole, and detached when this is dropped.
unsafe impl Mapped for Attached {
    fn start(&self) -> NonNull<u8> {
        Attached::start(self)
    }

    fn len(&self) -> usize {
        Attached::len(self)
    }
}

/// The words that `len` bytes from `offset` on touch; `None` where they do not lie inside.
fn words<M: Mapped + ?Sized>(memory: &M, offset: usize, len: usize) -> Option<&[AtomicU64]> {
    let end = offset.checked_add(len).filter(|&end| end <= memory.len())?;
    if len == 0 {
        return Some(&[]);
    }
    let (first, last) = (offset / WORD, (end - 1) / WORD);
    // SAFETY: the mapping begins at a page and reaches to the end of the page of its last byte, and
    // `first` is the word of a byte inside.
    let start = unsafe { memory.start().as_ptr().cast::<AtomicU64>().add(first) };
    // SAFETY: the words up to `last` are mapped for as long as `memory` lives, as above; any bit
    // pattern is a u64; nobody makes a plain reference to them.
    Some(unsafe { std::slice::from_raw_parts(start, last - first + 1) })
}

/// Replaces the bytes from `skip` on in a word, and no other.
fn exchange(word: &AtomicU64, skip: usize, part: &[u8]) {
    let replaced = |old: u64| {
        let mut bytes = old.to_ne_bytes();
        bytes[skip..skip + part.len()].copy_from_slice(part);
        Some(u64::from_ne_bytes(bytes))
    };
    let result = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, replaced);
    debug_assert!(result.is_ok(), "there is always a new value");
}
