//! What `common/src/sync/word.rs` offers to the algorithms, over loom's words.
//!
//! | there | here |
//! | --- | --- |
//! | a futex of the kernel | a queue of sleepers beside the word, see [`machine`](crate::machine) |
//! | a sleep is a slice of 100 ms at most | it lasts until somebody wakes the sleeper, so that a lost wake-up is a deadlock; where a model asks for slices, it also ends when nobody can go on |
//! | `spin` looks for a while | looks once: loom runs the others before and after the look anyhow |
//! | `sign`, `ask`, `compare` note where the others are, for those who spin | nothing, because nobody spins |
//! | `barrier` is enough for the processor, beside a swap | a fence of the memory model |
//! | the clock | a [`Deadline`] passes after a number of sleeps |
//! | the kernel's list of a thread's words | [`Record`] tells the machine |
//! | several threads in a process | each thread is a process of its own |
//! | who looks for dead processes rests in between | it is time to look once after each slice; where a model asks for it, always |
//!
//! Every operation is first a moment at which a mortal thread may die.

use crate::machine::{self, Bits, Kept};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{self, AtomicU32, AtomicU64};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

pub(crate) use std::sync::atomic::Ordering;

/// Somebody sleeps on the word.
pub(crate) const WAITERS: u32 = 0x8000_0000;
/// The thread that held the word has died.
pub(crate) const DIED: u32 = 0x4000_0000;
/// The bits of a thread's id.
pub(crate) const HOLDER: u32 = 0x3fff_ffff;

/// A word of shared memory on which threads sleep.
pub(crate) struct Word(Rc<Kept>);

impl Word {
    /// A word with a name, for the trace of an order that fails.
    pub(crate) fn new(name: &'static str, value: u32) -> Self {
        Self(Rc::new(Kept { name, value: AtomicU32::new(value), links: UnsafeCell::new(()) }))
    }

    #[track_caller]
    fn step(
        &self,
        what: &'static str,
        order: Ordering,
        act: impl FnOnce(&AtomicU32) -> (u32, Option<u32>),
    ) -> (u32, Option<u32>) {
        if machine::unwinds() {
            return (0, None);
        }
        machine::moment();
        let (before, after) = act(&self.0.value);
        let shown = (Bits(before), after.map(Bits));
        machine::note(Location::caller(), self.0.name, what, order, shown.0, shown.1);
        (before, after)
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> u32 {
        self.step("load", order, |word| (word.load(order), None)).0
    }

    #[track_caller]
    pub(crate) fn store(&self, value: u32, order: Ordering) {
        self.step("store", order, |word| {
            word.store(value, order);
            (value, Some(value))
        });
    }

    #[track_caller]
    pub(crate) fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.step("swap", order, |word| (word.swap(value, order), Some(value))).0
    }

    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        let (before, after) = self.step("compare_exchange", success, |word| {
            match word.compare_exchange(current, new, success, failure) {
                Ok(before) => (before, Some(new)),
                Err(before) => (before, None),
            }
        });
        if after.is_some() { Ok(before) } else { Err(before) }
    }

    #[track_caller]
    pub(crate) fn fetch_add(&self, number: u32, order: Ordering) -> u32 {
        let add = |word: &AtomicU32| {
            let before = word.fetch_add(number, order);
            (before, Some(before.wrapping_add(number)))
        };
        self.step("fetch_add", order, add).0
    }

    #[track_caller]
    pub(crate) fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        let or = |word: &AtomicU32| {
            let before = word.fetch_or(bits, order);
            (before, Some(before | bits))
        };
        self.step("fetch_or", order, or).0
    }

    /// The same as [`compare_exchange`](Self::compare_exchange): one that fails for no reason only looks
    /// again.
    #[track_caller]
    pub(crate) fn compare_exchange_weak(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.compare_exchange(current, new, success, failure)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

/// A word of shared memory that holds more, and on which nobody sleeps.
pub(crate) struct Wide {
    name: &'static str,
    value: AtomicU64,
}

impl Wide {
    /// A word with a name, for the trace of an order that fails.
    pub(crate) fn new(name: &'static str, value: u64) -> Self {
        Self { name, value: AtomicU64::new(value) }
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        if machine::unwinds() {
            return 0;
        }
        machine::moment();
        let value = self.value.load(order);
        machine::note(Location::caller(), self.name, "load", order, Digits(value), None);
        value
    }

    #[track_caller]
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        if machine::unwinds() {
            return;
        }
        machine::moment();
        self.value.store(value, order);
        let shown = (Digits(value), Some(Digits(value)));
        machine::note(Location::caller(), self.name, "store", order, shown.0, shown.1);
    }
}

/// A value of which each part may mean something else.
struct Digits(u64);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Between a store and a load: the load comes after the store.
pub(crate) fn barrier() {
    atomic::fence(Ordering::SeqCst);
}

/// When a wait ends at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<usize>);

impl Deadline {
    pub(crate) const NEVER: Self = Self(None);

    /// One that passes after so many sleeps. Each of them ends at any moment, or when it is woken.
    pub(crate) fn sleeps(count: u32) -> Self {
        Self(Some(machine::deadline(count)))
    }

    pub(crate) fn is_never(self) -> bool {
        self.0.is_none()
    }

    /// One that allows a sleep, where this one does not.
    pub(crate) fn at_least_a_slice(self) -> Self {
        match self.0 {
            Some(_) if self.has_passed() => Self::sleeps(1),
            _ => self,
        }
    }

    /// Whether it is over.
    pub(crate) fn has_passed(self) -> bool {
        self.0.is_some_and(machine::has_passed)
    }
}

/// Sleeps while `word` holds `expected`; false when the time is up.
#[track_caller]
pub(crate) fn sleep(word: &Word, expected: u32, deadline: Deadline) -> bool {
    if deadline.0.is_some_and(machine::is_over) {
        return false;
    }
    machine::moment();
    machine::sleep(Location::caller(), &word.0, expected, !deadline.is_never());
    true
}

/// Wakes at most `count` of those who sleep on `word`; how many it has woken.
#[track_caller]
pub(crate) fn wake(word: &Word, count: u32) -> u32 {
    machine::moment();
    machine::wake(Location::caller(), &word.0, count)
}

/// Lets at most `count` of those who sleep on `word` sleep on `other`; how many, or `None` where `word`
/// does not hold `expected` any more.
#[track_caller]
pub(crate) fn requeue(word: &Word, expected: u32, other: &Word, count: u32) -> Option<u32> {
    machine::moment();
    machine::requeue(Location::caller(), &word.0, expected, &other.0, count)
}

/// Whether it is time to look for processes that are gone, and this thread is the one to do it: one is,
/// after each slice.
pub(crate) fn is_due(_last: &Word) -> bool {
    machine::is_due()
}

/// A process; here every thread is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    pub(crate) started: u32,
}

/// This process.
pub(crate) fn this_process() -> Identity {
    that_with_id(me())
}

/// The only process that there is with this id.
pub(crate) fn that_with_id(pid: u32) -> Identity {
    Identity { pid, started: 1000 + pid }
}

/// Whether it runs.
pub(crate) fn is_alive(process: Identity) -> bool {
    machine::moment();
    process == that_with_id(process.pid) && machine::is_alive(process.pid)
}

// Where the others are is for those who spin; here nobody does.

pub(crate) fn sign(_core: &Word) {}

pub(crate) fn ask(_core: &Word) {}

pub(crate) fn sign_if_asked(_core: &Word) {}

pub(crate) fn compare(_core: &Word, _acted: &Word) {}

/// Looks once.
pub(crate) fn spin<T>(_core: &Word, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    look()
}

/// The id of this thread.
pub(crate) fn me() -> u32 {
    machine::me()
}

/// A word, and its place in the list of the thread that holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    word: &'a Word,
}

impl<'a> Record<'a> {
    pub(crate) fn of(word: &'a Word) -> Self {
        Self { word }
    }

    pub(crate) fn word(self) -> &'a Word {
        self.word
    }

    /// Says that this thread is about to take the word, or to give it back.
    pub(crate) fn begin(self) -> Step<'a> {
        if !machine::unwinds() {
            machine::moment();
            machine::set_pending(Some(&self.word.0));
        }
        Step { record: self, id: me() }
    }
}

/// A thread takes a word, or gives it back.
#[derive(Clone, Copy, Debug)]
#[must_use = "a step that was begun has an end"]
pub(crate) struct Step<'a> {
    record: Record<'a>,
    id: u32,
}

impl Step<'_> {
    /// The id of this thread.
    pub(crate) fn me(self) -> u32 {
        self.id
    }

    /// Says that the word is taken or given back, or will not be.
    pub(crate) fn end(self) {
        if machine::unwinds() {
            return;
        }
        machine::moment();
        machine::set_pending(None);
    }

    /// Puts the word, which this thread has taken, into its list.
    pub(crate) fn enlist(self) {
        machine::moment();
        machine::enlist(&self.record.word.0);
    }

    /// Takes the word, which this thread still holds, out of its list.
    pub(crate) fn delist(self) {
        machine::moment();
        machine::delist(&self.record.word.0);
    }
}
