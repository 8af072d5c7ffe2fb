//! Sleep until a word in shared memory changes, and wake who sleeps.
//!
//! The words lie in memory that several processes map, so the calls are the shared ones (without
//! `FUTEX_PRIVATE_FLAG`): the kernel finds the sleepers by the page, not by the address.
//!
//! # System calls
//!
//! `futex(2)`: `FUTEX_WAIT` (with a relative limit), `FUTEX_WAKE`, `FUTEX_CMP_REQUEUE`.

use super::checked;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `word` holds `expected`: until a wake, a signal, or the end of `limit`.
///
/// It may return early for no reason; the caller looks at the word again and decides. That is why
/// there is nothing to return.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
    let limit = libc::timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    // SAFETY: the word outlives the call, the limit is a valid timespec, and the kernel only reads.
    let result = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const limit)
    };
    // EAGAIN (it had changed already), EINTR and ETIMEDOUT all mean: look again.
    let _ = checked(result);
}

/// Wakes at most `count` of those who sleep on `word`; how many it has woken.
pub(crate) fn wake(word: &AtomicU32, count: i32) -> u32 {
    // SAFETY: the word is valid; a wake reads no memory of ours.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE,
            count,
            ptr::null::<libc::timespec>(),
        )
    };
    debug_assert!(result >= 0, "a wake of a mapped, aligned word cannot fail");
    result.try_into().unwrap_or(0)
}

/// Lets at most `count` of those who sleep on `word` sleep on `other` instead; how many, or `None` where
/// `word` does not hold `expected` any more.
pub(crate) fn requeue(
    word: &AtomicU32,
    expected: u32,
    other: &AtomicU32,
    count: i32,
) -> Option<u32> {
    // In the place of a limit stands how many to move; the word is checked, and none is woken.
    let count = libc::c_long::from(count);
    // SAFETY: both words are valid; the call reads the first and no other memory of ours.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_CMP_REQUEUE,
            0,
            count,
            other.as_ptr(),
            expected,
        )
    };
    checked(result).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::SeqCst;
    use std::time::Instant;

    #[test]
    fn a_changed_word_does_not_sleep() {
        wait(&AtomicU32::new(1), 0, Duration::from_secs(3600));
    }

    #[test]
    fn the_limit_ends_the_sleep() {
        let (word, start) = (AtomicU32::new(0), Instant::now());
        while start.elapsed() < Duration::from_millis(20) {
            wait(&word, 0, Duration::from_millis(20));
        }
        assert_eq!(word.load(SeqCst), 0);
    }

    #[test]
    fn a_wake_ends_the_sleep() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(SeqCst) == 0 {
                    wait(&word, 0, Duration::from_secs(3600));
                }
            });
            word.store(1, SeqCst);
            wake(&word, i32::MAX);
        });
    }

    #[test]
    fn who_is_moved_is_woken_by_the_other_word() {
        let (word, other) = (AtomicU32::new(0), AtomicU32::new(0));
        assert_eq!(requeue(&word, 1, &other, 1), None);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                wait(&word, 0, Duration::from_secs(3600));
            });
            // Until it sleeps, and so can be moved, there is nobody to wake.
            while wake(&other, 1) == 0 {
                assert!(requeue(&word, 0, &other, 1).is_some());
                std::thread::yield_now();
            }
            sleeper.join().unwrap();
        });
    }
}
