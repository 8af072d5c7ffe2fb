//! Words that the kernel marks when the thread that holds them dies.
//!
//! A thread keeps a list of the words that it holds. When it ends, by whatever means, the kernel
//! walks the list, sets [`DIED`] in each word that still bears the thread's id, and wakes one who
//! sleeps on it. There is one list a thread, and one distance in it from a link to its word; the C
//! library has registered its own for pthread mutexes. So our words join that list: a [`Record`] lies
//! in memory as a pthread mutex does, as far as the list is concerned, and is linked as the C library
//! links. The two can hold words in any order.
//!
//! | offset | bytes | content |
//! | --- | --- | --- |
//! | 0 | 4 | the word: the holder's thread id, [`WAITERS`], [`DIED`] |
//! | 4 | 20 | free for the owner of the record |
//! | 24 | 8 | the link before, written by this list's owner only |
//! | 32 | 8 | the next link |
//!
//! A thread may die between taking a word and linking it. So it says first which word it is about to
//! take or to give back ([`Record::begin`]), and the kernel looks at that one as well.
//!
//! # System calls
//!
//! `get_robust_list(2)`, `set_robust_list(2)`; see `robust-futexes` in the kernel's documentation.

use super::thread;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering, compiler_fence};

/// Somebody sleeps on the word.
pub(crate) const WAITERS: u32 = 0x8000_0000;
/// The thread that held the word has died.
pub(crate) const DIED: u32 = 0x4000_0000;
/// The bits of a thread's id.
pub(crate) const HOLDER: u32 = 0x3fff_ffff;

/// How many bytes a record takes; it is aligned to 8.
pub(crate) const BYTES: usize = 40;
/// Where the links lie in a record, as in a pthread mutex.
const LINKS: usize = 24;
/// From a next field to the word of its record.
const DISTANCE: isize = -((LINKS + size_of::<usize>()) as isize);

/// The field that leads on, to that of the record behind. Its lowest bit says something about the C
/// library's kinds of mutex.
#[repr(transparent)]
struct Next(*mut Next);

/// The end of a record, which is the same for the C library's. What leads back leads to a next field
/// as well.
#[repr(C)]
struct Links {
    before: *mut Next,
    next: Next,
}

/// What the kernel knows as the head of a thread's list.
#[repr(C)]
struct Head {
    first: Next,
    /// From a next field to its word.
    distance: isize,
    pending: *mut Next,
}

/// A head of our own. As in every record, what leads back lies in front of what leads on.
#[repr(C)]
struct OwnHead {
    before: *mut Next,
    head: Head,
}

/// What a thread remembers of itself.
#[derive(Clone, Copy)]
struct This {
    /// The epoch in which the rest is right.
    epoch: u32,
    id: u32,
    head: *mut Head,
}

thread_local! {
    static THIS: Cell<This> =
        const { Cell::new(This { epoch: thread::NO_EPOCH, id: 0, head: ptr::null_mut() }) };
    /// Used where the C library has registered none that we can join.
    static OWN: UnsafeCell<OwnHead> = const {
        let head = Head { first: Next(ptr::null_mut()), distance: DISTANCE, pending: ptr::null_mut() };
        UnsafeCell::new(OwnHead { before: ptr::null_mut(), head })
    };
}

/// A word, and its place in the list of the thread that holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    start: NonNull<u8>,
    memory: PhantomData<&'a AtomicU32>,
}

impl<'a> Record<'a> {
    /// The record at `start`.
    ///
    /// # Safety
    ///
    /// There are [`BYTES`] bytes, aligned to 8, at an address that stays while any thread of this
    /// process holds the word, and the last 16 of them are used by records only.
    pub(crate) unsafe fn at(start: NonNull<u8>) -> Self {
        Self { start, memory: PhantomData }
    }

    /// The word.
    #[inline]
    pub(crate) fn word(self) -> &'a AtomicU32 {
        // SAFETY: the first bytes of the record, aligned; only used as an atomic.
        unsafe { self.start.cast().as_ref() }
    }

    fn links(self) -> *mut Links {
        self.start.as_ptr().wrapping_add(LINKS).cast()
    }

    /// Says that this thread is about to take the word, or to give it back.
    #[inline]
    pub(crate) fn begin(self) -> Step<'a> {
        let This { id, head, .. } = this();
        // SAFETY: the head is this thread's own, and no reference to it exists.
        unsafe { (*head).pending = next_of(self.links()) };
        compiler_fence(Ordering::SeqCst);
        Step { record: self, id, head }
    }
}

/// A thread takes a word, or gives it back.
#[derive(Clone, Copy, Debug)]
#[must_use = "a step that was begun has an end"]
pub(crate) struct Step<'a> {
    record: Record<'a>,
    id: u32,
    head: *mut Head,
}

impl Step<'_> {
    /// The id of this thread.
    #[inline]
    pub(crate) fn me(self) -> u32 {
        self.id
    }

    /// Says that the word is taken or given back, or will not be.
    #[inline]
    pub(crate) fn end(self) {
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the head is this thread's own, and no reference to it exists.
        unsafe { (*self.head).pending = ptr::null_mut() };
    }

    /// Puts the word, which this thread has taken, into its list.
    #[inline]
    pub(crate) fn enlist(self) {
        let (head, next) = (self.head, next_of(self.record.links()));
        // SAFETY: the head is this thread's own, and no reference to it exists.
        let first = unsafe { (*head).first.0 };
        let links = Links { before: head.cast(), next: Next(first) };
        // SAFETY: the record is this thread's for as long as it holds the word.
        unsafe { self.record.links().write(links) };
        // SAFETY: the first in the list is a record of this thread, the C library's or ours, or the head.
        unsafe { (*links_of(first)).before = next };
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { (*head).first = Next(next) };
        compiler_fence(Ordering::SeqCst);
    }

    /// Takes the word, which this thread still holds, out of its list.
    #[inline]
    pub(crate) fn delist(self) {
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the record is this thread's for as long as it holds the word.
        let Links { before, next } = unsafe { self.record.links().read() };
        // SAFETY: both neighbours are in this thread's list: records that it holds, or the head.
        unsafe { (*links_of(next.0)).before = before };
        // SAFETY: as above; where the one before is the head, its next field is the head's first.
        unsafe { before.map_addr(|address| address & !1).write(next) };
        compiler_fence(Ordering::SeqCst);
    }
}

/// The links of which `next` is the next field.
fn links_of(next: *mut Next) -> *mut Links {
    next.map_addr(|address| address & !1).cast::<u8>().wrapping_sub(size_of::<usize>()).cast()
}

fn next_of(links: *mut Links) -> *mut Next {
    links.cast::<u8>().wrapping_add(size_of::<usize>()).cast()
}

/// This thread, and the head of its list.
#[inline]
fn this() -> This {
    let this = THIS.get();
    if thread::is_now(this.epoch) { this } else { find() }
}

/// Asks for the head that the C library has registered for this thread, or registers one.
#[cold]
fn find() -> This {
    let mut head = registered().filter(|&head| {
        // SAFETY: the kernel has just told that this is the head of this thread's list.
        unsafe { (*head).distance == DISTANCE }
    });
    let head = *head.get_or_insert_with(|| {
        let own = OWN.with(UnsafeCell::get);
        // SAFETY: it is this thread's own, and no reference to it exists.
        let head = unsafe { &raw mut (*own).head };
        // Also after a fork: what the list held is the parent's.
        // SAFETY: as above.
        unsafe { (*head).first = Next(head.cast()) };
        // SAFETY: the head lives until the thread has ended.
        unsafe { libc::syscall(libc::SYS_set_robust_list, head, size_of::<Head>()) };
        head
    });
    let this = This { epoch: thread::epoch(), id: thread::id(), head };
    THIS.set(this);
    this
}

/// The head that is registered for this thread.
fn registered() -> Option<*mut Head> {
    let (mut head, mut len) = (ptr::null_mut::<Head>(), 0usize);
    // SAFETY: the kernel writes an address and a length to the places given; 0 is this thread.
    let result =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
    (result == 0 && !head.is_null()).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C, align(8))]
    struct Memory([u8; BYTES]);

    fn record(memory: &mut Memory) -> Record<'_> {
        // SAFETY: the memory has the size and alignment, and stays where it is.
        unsafe { Record::at(NonNull::from(&mut memory.0).cast()) }
    }

    /// A pthread mutex that tells of its holder's death.
    fn mutex() -> Box<UnsafeCell<libc::pthread_mutex_t>> {
        let mutex = Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
        // SAFETY: a zeroed attribute is made into one by the next call.
        let mut attributes = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        unsafe { libc::pthread_mutexattr_init(&raw mut attributes) };
        // SAFETY: the attribute is made.
        unsafe {
            libc::pthread_mutexattr_setrobust(&raw mut attributes, libc::PTHREAD_MUTEX_ROBUST)
        };
        // SAFETY: the attribute is made; nobody uses the mutex yet.
        unsafe { libc::pthread_mutex_init(mutex.get(), &raw const attributes) };
        mutex
    }

    fn take(record: Record<'_>) {
        let step = record.begin();
        record.word().store(step.me(), Ordering::SeqCst);
        step.enlist();
        step.end();
    }

    fn give_back(record: Record<'_>) {
        let step = record.begin();
        step.delist();
        record.word().store(0, Ordering::SeqCst);
        step.end();
    }

    #[test]
    fn a_thread_that_ends_marks_what_it_holds_and_nothing_else() {
        let mut memories = [const { Memory([0; BYTES]) }; 4];
        let [a, b, c, d] = &mut memories;
        let mutexes = [mutex(), mutex()];
        std::thread::scope(|scope| {
            let mutexes = mutexes.each_ref().map(|mutex| mutex.get() as usize);
            let records =
                [record(a), record(b), record(c), record(d)].map(|r| r.start.as_ptr() as usize);
            let holder = scope.spawn(move || {
                // SAFETY: the memory outlives the scope.
                let [a, b, c, d] =
                    records.map(|at| unsafe { Record::at(NonNull::new(at as *mut u8).unwrap()) });
                let [first, second] = mutexes.map(|at| at as *mut libc::pthread_mutex_t);
                // Ours and the C library's, taken and given back in no order.
                take(a);
                // SAFETY: the mutex was made and outlives the scope.
                unsafe { libc::pthread_mutex_lock(first) };
                take(b);
                take(c);
                // SAFETY: as above.
                unsafe { libc::pthread_mutex_lock(second) };
                take(d);
                give_back(b);
                // SAFETY: this thread holds it.
                unsafe { libc::pthread_mutex_unlock(first) };
                give_back(d);
            });
            // Until the kernel is done with the thread; the scope alone waits for its closure.
            holder.join().unwrap();
        });
        let words = memories.each_mut().map(|memory| record(memory).word().load(Ordering::SeqCst));
        assert_eq!(words, [DIED, 0, DIED, 0]);
        // SAFETY: the mutexes were made.
        let [first, second] =
            mutexes.map(|mutex| unsafe { libc::pthread_mutex_trylock(mutex.get()) });
        assert_eq!((first, second), (0, libc::EOWNERDEAD));
    }
}
