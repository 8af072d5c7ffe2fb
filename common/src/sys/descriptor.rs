//! Descriptors of this crate: a forked child holds those that it was given, and no other.
//!
//! `fork` copies every descriptor, and a copy of the wrong end keeps a pipe open that others believe
//! closed. So each descriptor that this crate owns is written down while it is open, and a forked
//! child shuts all that it was not given. The objects that owned them are still in its memory: they
//! bear the number of the generation in which their descriptor was open, see that it has passed, and
//! answer with [`NOWHERE`] from then on, so that neither a call nor a `Drop` of theirs can hit a
//! stranger that has got the same number. Where such an object has to serve again, it can be given a
//! copy of its descriptor that has arrived in a message.
//!
//! Descriptors that the program opened by itself are not touched.
//!
//! # System calls
//!
//! `close(2)`, `fcntl(2)`.

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// No descriptor can have this number (`nr_open` ends far below), so a call on it is EBADF.
const NOWHERE: RawFd = RawFd::MAX;

/// How many standard streams there are; they have the lowest numbers.
const STREAMS: RawFd = 3;

/// How many forks lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// One bit a number: the descriptors that this crate has open.
static OPEN: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// An open descriptor that belongs to this crate.
#[derive(Debug)]
pub(crate) struct Descriptor {
    number: AtomicI32,
    generation: AtomicU32,
}

impl Descriptor {
    fn number(&self) -> RawFd {
        self.number.load(Ordering::Relaxed)
    }

    /// Whether it is open in this process: not inherited by a fork without having been given.
    pub(crate) fn is_open(&self) -> bool {
        self.generation.load(Ordering::Acquire) == GENERATION.load(Ordering::Relaxed)
    }

    /// The plain descriptor, which this crate forgets.
    ///
    /// # Errors
    ///
    /// EBADF where this process was not given it.
    pub(crate) fn into_owned(self) -> io::Result<OwnedFd> {
        if !self.is_open() {
            return Err(Errno::EBADF.into());
        }
        let number = self.number();
        strike(&mut open(), number);
        std::mem::forget(self);
        // SAFETY: this object was the owner, and it is gone.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }

    /// Where this process was not given it: is `copy` from now on, a descriptor of the same file.
    pub(crate) fn or_be(&self, copy: Self) {
        let _alone = open();
        if self.is_open() {
            // Dropped when the list is free again.
            return;
        }
        self.number.store(copy.number(), Ordering::Relaxed);
        self.generation.store(copy.generation.load(Ordering::Relaxed), Ordering::Release);
        std::mem::forget(copy);
    }
}

/// A descriptor that takes the place of a standard stream which the program has closed is moved
/// behind them first: what is printed must not go into a pipe of ours.
impl From<OwnedFd> for Descriptor {
    fn from(descriptor: OwnedFd) -> Self {
        let descriptor = match descriptor.as_raw_fd() {
            // std's own clone is never a standard stream.
            ..STREAMS => descriptor.try_clone().unwrap_or(descriptor),
            _ => descriptor,
        };
        let mut open = open();
        let number = descriptor.into_raw_fd();
        let (word, bit) = place(number);
        if open.len() <= word {
            open.resize(word + 1, 0);
        }
        open[word] |= bit;
        let generation = AtomicU32::new(GENERATION.load(Ordering::Relaxed));
        Self { number: AtomicI32::new(number), generation }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let number = if self.is_open() { self.number() } else { NOWHERE };
        // SAFETY: open for as long as `self` is, or a number that no descriptor ever has.
        unsafe { BorrowedFd::borrow_raw(number) }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.is_open() {
            // Under the lock: the number may belong to another thread as soon as it is closed.
            let mut open = open();
            strike(&mut open, self.number());
            // SAFETY: this object is the owner and is used no more.
            drop(unsafe { OwnedFd::from_raw_fd(self.number()) });
        }
    }
}

/// Whether the program has none of the standard streams closed.
pub(super) fn streams_are_open() -> bool {
    (0..STREAMS).all(|number| {
        // SAFETY: only asks for the flags of a number, open or not.
        unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
    })
}

/// The number of this generation; a fork through this crate begins another.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// The list of open descriptors, held still while this process forks.
pub(crate) struct Held(MutexGuard<'static, Vec<u64>>);

/// Keeps every other thread from opening and closing descriptors of this crate.
pub(crate) fn hold() -> Held {
    Held(open())
}

impl Held {
    /// In a forked child: shuts every descriptor of this crate but `given`.
    pub(crate) fn shut_all_but(mut self, given: &[Arc<Descriptor>]) {
        let generation = GENERATION.load(Ordering::Relaxed).wrapping_add(1);
        let mut kept = vec![0; self.0.len()];
        for descriptor in given.iter().filter(|descriptor| descriptor.is_open()) {
            let (word, bit) = place(descriptor.number());
            kept[word] |= bit;
        }
        for descriptor in given {
            if descriptor.is_open() {
                descriptor.generation.store(generation, Ordering::Relaxed);
            }
        }
        GENERATION.store(generation, Ordering::Relaxed);
        for (word, (open, kept)) in self.0.iter().zip(&kept).enumerate() {
            let mut shut = open & !kept;
            while shut != 0 {
                let number = word * 64 + shut.trailing_zeros() as usize;
                shut &= shut - 1;
                // SAFETY: it belongs to this crate, and its owner believes it gone from now on.
                drop(unsafe { OwnedFd::from_raw_fd(number as RawFd) });
            }
        }
        *self.0 = kept;
    }
}

fn open() -> MutexGuard<'static, Vec<u64>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Word and bit of a number.
fn place(number: RawFd) -> (usize, u64) {
    let number = number.cast_unsigned() as usize;
    (number / 64, 1 << (number % 64))
}

fn strike(open: &mut [u64], number: RawFd) {
    let (word, bit) = place(number);
    open[word] &= !bit;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn descriptor() -> Descriptor {
        OwnedFd::from(File::open("/dev/null").unwrap()).into()
    }

    fn is_listed(number: RawFd) -> bool {
        let (word, bit) = place(number);
        open().get(word).is_some_and(|open| open & bit != 0)
    }

    #[test]
    fn an_open_descriptor_is_listed_until_it_is_closed_or_taken_out() {
        let one = descriptor();
        let number = one.as_fd().as_raw_fd();
        assert!(is_listed(number));
        let plain = one.into_owned().unwrap();
        assert!(!is_listed(plain.as_raw_fd()));
        let again = Descriptor::from(plain);
        assert!(is_listed(again.as_fd().as_raw_fd()));
    }

    #[test]
    fn one_of_a_generation_that_has_passed_is_nowhere_and_closes_nothing() {
        let (inherited, witness) = (descriptor(), descriptor());
        let number = inherited.number();
        inherited.generation.fetch_add(7, Ordering::Relaxed);
        assert_eq!(inherited.as_fd().as_raw_fd(), NOWHERE);
        drop(inherited);
        assert!(is_listed(number));
        // Give it back its owner, so that this test leaves nothing.
        let generation = AtomicU32::new(witness.generation.load(Ordering::Relaxed));
        drop(Descriptor { number: AtomicI32::new(number), generation });
        assert!(!is_listed(number));
    }

    #[test]
    fn one_that_was_not_given_can_be_a_copy_that_has_arrived() {
        let (inherited, copy) = (descriptor(), descriptor());
        let [own, arrived] = [inherited.number(), copy.number()];
        let generation = inherited.generation.fetch_add(7, Ordering::Relaxed);
        inherited.or_be(copy);
        assert_eq!(inherited.as_fd().as_raw_fd(), arrived);
        // One that is open stays as it is.
        inherited.or_be(descriptor());
        assert_eq!(inherited.as_fd().as_raw_fd(), arrived);
        // Give it back its owner, so that this test leaves nothing.
        drop(Descriptor { number: AtomicI32::new(own), generation: AtomicU32::new(generation) });
    }
}
