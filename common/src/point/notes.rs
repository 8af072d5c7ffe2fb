//! What each thread is about to do, left where somebody who watches from outside can read it.
//!
//! When a program hangs, the kernel tells that it sleeps on a word of memory, and not that the word is
//! `Lock-2`. So, where the environment has `COMMON_WAITS` (whatever it says), every thread notes the
//! point that it passes, and what it holds, before the operation begins. Nobody in the program reads it;
//! the grader does, through `/proc/PID/mem`, when the program's time is up.
//!
//! The notes are a variable of the program, and no file: there is nothing to open, to fill a disk, or to
//! remove, and a forked child has its own by being a copy. It begins at a page, so that whoever looks for
//! its first words need look at the beginning of each page of the program's variables only.
//!
//! # Layout
//!
//! Words of 64 bits; a text fills words and ends with zeros or the last of them.
//!
//! | words | content |
//! | --- | --- |
//! | 0 to 1 | [`MAGIC`] |
//! | 2 to 4 | how many slots there are, of how many words, with how many things held |
//! | 8 and on | the slots |
//!
//! | words of a slot | content |
//! | --- | --- |
//! | 0 | the thread's id; 0 where the slot is free |
//! | 1 | even, and another number after each change; odd meanwhile |
//! | 2 | the operation's number and one, [`QUIET`] in addition; 0 before the first |
//! | 3 to 4 | the operation's name |
//! | 5 to 11 | the object's |
//! | 12 to 14 | the address and length of the file's name, the line |
//! | 16 and on | what it holds, 10 words each: object, file and line as above |
//!
//! The line of a thing held has in its upper half how often it is held, and [`PERHAPS`].
//!
//! # What is held
//!
//! A point comes before its operation, so nobody says that a lock was taken. But a thread that has passed
//! `acquire Lock-1` and passes another point holds it since. One that has passed `try_acquire` or
//! `acquire_timeout` holds it perhaps; only the word of the lock tells. `release` ends it either way.

use super::{Name, Operation, Point};
use crate::sys::thread;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The environment variable that asks for notes.
pub(super) const VARIABLE: &str = "COMMON_WAITS";

/// How the notes begin. The number is that of the layout.
const MAGIC: [u8; 16] = *b"common: waits 1\n";
/// What is done is this crate's own: the operation that was noted has begun long ago, or was the start of it.
const QUIET: u64 = 1 << 32;
/// Nobody knows whether it was taken.
const PERHAPS: u64 = 1 << 63;
/// Once more, in the line of a thing held.
const ONCE: u64 = 1 << 32;

/// How many threads of a process can note something; more have to do without.
const SLOTS: usize = 64;
/// How many things a thread can hold and note.
const HOLDS: usize = 6;

const HEAD: usize = 8;
const THREAD: usize = 0;
const SEQUENCE: usize = 1;
const NUMBER: usize = 2;
const OPERATION: usize = 3;
const OBJECT: usize = 5;
const FILE: usize = 12;
const HELD: usize = 16;
/// Words of an object's name.
const NAME: usize = FILE - OBJECT;
/// Words of a thing held: a name, and what begins with [`FILE`].
const HOLD: usize = NAME + 3;
/// Words of a slot.
const SLOT: usize = 80;

const _: () = assert!(HELD + HOLDS * HOLD <= SLOT);

#[repr(C, align(4096))]
struct Notes([AtomicU64; HEAD + SLOTS * SLOT]);

static NOTES: Notes = Notes([const { AtomicU64::new(0) }; HEAD + SLOTS * SLOT]);

thread_local! {
    /// The epoch in which the rest is right, 0 for none, and which slot is this thread's, if any.
    static MINE: Cell<(u32, Option<usize>)> = const { Cell::new((0, None)) };
}

/// Makes the notes such that they can be found.
pub(super) fn open() {
    let numbers = [SLOTS, SLOT, HOLDS].map(|number| number as u64);
    let words = words::<2>(&MAGIC).into_iter().chain(numbers);
    NOTES.0.iter().zip(words).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
}

/// Notes the point, and what this thread holds now.
pub(super) fn note(point: &Point<'_>) {
    let Some(slot) = mine() else { return };
    slot.change(|slot| {
        slot.keep_accounts(point);
        let file = point.location.file();
        let place = [file.as_ptr().addr(), file.len(), point.location.line() as usize];
        let words = std::iter::once(number(point.operation))
            .chain(words::<{ OBJECT - OPERATION }>(text::<16>(point.operation).as_slice()))
            .chain(name(point.object))
            .chain(place.map(|word| word as u64));
        slot.put(NUMBER, words);
    });
}

/// Notes that this thread does something of this crate's own from here on.
pub(super) fn go_quiet() {
    let Some(slot) = mine() else { return };
    slot.change(|slot| {
        let number = slot.get(NUMBER);
        slot.put(NUMBER, [number | QUIET]);
    });
}

#[derive(Clone, Copy)]
struct Slot(&'static [AtomicU64]);

impl Slot {
    fn get(self, at: usize) -> u64 {
        self.0[at].load(Ordering::Relaxed)
    }

    fn put(self, at: usize, words: impl IntoIterator<Item = u64>) {
        for (word, value) in self.0[at..].iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Whoever reads sees that it has changed meanwhile.
    fn change(self, change: impl FnOnce(Self)) {
        let odd = self.get(SEQUENCE) | 1;
        self.put(SEQUENCE, [odd]);
        fence(Ordering::Release);
        change(self);
        self.0[SEQUENCE].store(odd.wrapping_add(1), Ordering::Release);
    }

    /// What is held, now that the operation that was noted before has come to its end.
    fn keep_accounts(self, point: &Point<'_>) {
        let before = self.get(NUMBER) & !QUIET;
        if before == number(Operation::Acquire) {
            self.take(0);
        } else if before == number(Operation::TryAcquire)
            || before == number(Operation::AcquireTimeout)
        {
            self.take(PERHAPS);
        }
        if point.operation == Operation::Release {
            self.give_back(name(point.object));
        }
    }

    /// Enters what was noted among what is held. What there is no room for is left out.
    fn take(self, perhaps: u64) {
        let object: [u64; NAME] = std::array::from_fn(|word| self.get(OBJECT + word));
        let Some(at) = self.held(object).or_else(|| self.held([0; NAME])) else { return };
        let line = self.get(at + HOLD - 1);
        if line == 0 {
            self.put(at, object);
            self.put(at + NAME, [self.get(FILE), self.get(FILE + 1)]);
            self.put(at + HOLD - 1, [self.get(FILE + 2) | ONCE | perhaps]);
        } else if perhaps == 0 {
            self.put(at + HOLD - 1, [line.wrapping_add(ONCE)]);
        }
    }

    fn give_back(self, object: [u64; NAME]) {
        let Some(at) = self.held(object) else { return };
        let line = self.get(at + HOLD - 1);
        let times = (line & !PERHAPS) / ONCE;
        let left = if times > 1 { line - ONCE } else { 0 };
        self.put(at + HOLD - 1, [left]);
        if left == 0 {
            self.put(at, [0; HOLD]);
        }
    }

    /// Where this object stands among what is held; the first free place for that of no name.
    fn held(self, object: [u64; NAME]) -> Option<usize> {
        let places = (0..HOLDS).map(|hold| HELD + hold * HOLD);
        places.into_iter().find(|&at| (0..NAME).all(|word| self.get(at + word) == object[word]))
    }
}

/// The slot of this thread; `None` where all are taken.
fn mine() -> Option<Slot> {
    let now = thread::epoch();
    let (epoch, slot) = MINE.get();
    let slot = if epoch == now { slot } else { claim() };
    MINE.set((now, slot));
    slot.map(slot_at)
}

fn slot_at(slot: usize) -> Slot {
    let start = HEAD + slot * SLOT;
    Slot(&NOTES.0[start..start + SLOT])
}

/// Takes a slot: one that bears this thread's id, one that is free, or one whose thread is gone. In a
/// forked child that are all those of its parent.
fn claim() -> Option<usize> {
    let me = u64::from(thread::id());
    let owner = |slot: usize| slot_at(slot).get(THREAD);
    let free = |slot: &usize| owner(*slot) == 0;
    let left = |slot: &usize| u32::try_from(owner(*slot)).is_ok_and(|id| !thread::is_here(id));
    let mut candidates = (0..SLOTS)
        .filter(|slot| owner(*slot) == me)
        .chain((0..SLOTS).filter(free))
        .chain((0..SLOTS).filter(left));
    let claimed = candidates.find(|&slot| {
        let word = &slot_at(slot).0[THREAD];
        let before = word.load(Ordering::Relaxed);
        let (order, otherwise) = (Ordering::Relaxed, Ordering::Relaxed);
        (before == me || before == 0 || left(&slot))
            && word.compare_exchange(before, me, order, otherwise).is_ok()
    })?;
    slot_at(claimed).change(|slot| slot.put(NUMBER, [0; SLOT - NUMBER]));
    Some(claimed)
}

fn number(operation: Operation) -> u64 {
    operation as u64 + 1
}

fn name(name: &Name) -> [u64; NAME] {
    words(&text::<{ NAME * 8 }>(name))
}

/// The text, cut where it is too long.
fn text<const LEN: usize>(shown: impl fmt::Display) -> [u8; LEN] {
    struct Text<const LEN: usize>([u8; LEN], usize);
    impl<const LEN: usize> fmt::Write for Text<LEN> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = &mut self.0[self.1..];
            let fits = room.len().min(text.len());
            room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
            self.1 += fits;
            Ok(())
        }
    }
    let mut text = Text([0; LEN], 0);
    // It takes whatever it is given.
    let _ = write!(text, "{shown}");
    text.0
}

fn words<const COUNT: usize>(bytes: &[u8]) -> [u64; COUNT] {
    std::array::from_fn(|word| {
        let mut eight = [0; 8];
        let rest = bytes.get(word * 8..).unwrap_or_default();
        let some = rest.len().min(8);
        eight[..some].copy_from_slice(&rest[..some]);
        u64::from_ne_bytes(eight)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;
    use std::panic::Location;

    fn shown(words: impl Iterator<Item = u64>) -> String {
        let bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
        String::from_utf8(bytes).unwrap().trim_end_matches('\0').to_string()
    }

    /// The point as noted, and what is held: name, how often, whether perhaps.
    fn noted() -> (String, Vec<(String, u64, bool)>) {
        let slot = mine().unwrap();
        assert_eq!(slot.get(THREAD), u64::from(thread::id()));
        assert_eq!(slot.get(SEQUENCE) % 2, 0);
        let text = |range: std::ops::Range<usize>| shown(range.map(|word| slot.get(word)));
        let held = (0..HOLDS).map(|hold| HELD + hold * HOLD).filter(|&at| slot.get(at) != 0);
        let held = held.map(|at| {
            let line = slot.get(at + HOLD - 1);
            (text(at..at + NAME), (line & !PERHAPS) / ONCE, line & PERHAPS != 0)
        });
        (format!("{} {}", text(OPERATION..OBJECT), text(OBJECT..FILE)), held.collect())
    }

    #[track_caller]
    fn pass(operation: Operation, object: &Name) {
        note(&Point { operation, object, location: Location::caller() });
    }

    fn given(name: &str) -> Name {
        Name::given(Kind::Lock, name)
    }

    fn held(name: &str, times: u64, perhaps: bool) -> (String, u64, bool) {
        (format!("Lock {name:?}"), times, perhaps)
    }

    #[test]
    fn a_lock_is_held_from_the_next_point_on_until_it_is_released() {
        let (one, two) = (given("1"), given("2"));
        pass(Operation::Acquire, &one);
        assert_eq!(noted(), ("acquire Lock \"1\"".to_string(), vec![]));
        pass(Operation::Acquire, &two);
        assert_eq!(noted(), ("acquire Lock \"2\"".to_string(), vec![held("1", 1, false)]));
        pass(Operation::Release, &two);
        assert_eq!(noted().1, [held("1", 1, false)]);
        pass(Operation::TryAcquire, &two);
        pass(Operation::Release, &one);
        assert_eq!(noted().1, [held("2", 1, true)]);
        pass(Operation::Release, &two);
        assert_eq!(noted(), ("release Lock \"2\"".to_string(), vec![]));
    }

    #[test]
    fn what_is_taken_several_times_is_held_until_the_last_release() {
        let lock = given("r");
        for _ in 0..3 {
            pass(Operation::Acquire, &lock);
        }
        pass(Operation::State, &lock);
        assert_eq!(noted().1, [held("r", 3, false)]);
        for left in [2, 1] {
            pass(Operation::Release, &lock);
            assert_eq!(noted().1, [held("r", left, false)]);
        }
        pass(Operation::Release, &lock);
        assert_eq!(noted().1, []);
    }

    #[test]
    fn more_than_there_is_room_for_is_left_out() {
        let locks: Vec<Name> =
            (0..HOLDS + 3).map(|number| given(&number.to_string().repeat(99))).collect();
        for lock in &locks {
            pass(Operation::Acquire, lock);
        }
        assert_eq!(noted().1.len(), HOLDS);
        for lock in &locks {
            pass(Operation::Release, lock);
        }
        assert_eq!(noted().1, []);
    }

    #[test]
    fn each_thread_has_a_slot_and_those_of_the_ended_are_used_again() {
        let lock = given("t");
        for _ in 0..2 * SLOTS {
            let name = lock.clone();
            std::thread::spawn(move || {
                pass(Operation::Get, &name);
                assert_eq!(noted(), ("get Lock \"t\"".to_string(), vec![]));
            })
            .join()
            .unwrap();
        }
    }

    #[test]
    fn a_file_and_a_line_stand_where_the_layout_says() {
        let (object, location) = (given("f"), Location::caller());
        note(&Point { operation: Operation::Acquire, object: &object, location });
        go_quiet();
        let slot = mine().unwrap();
        assert_eq!(slot.get(NUMBER), number(Operation::Acquire) | QUIET);
        assert_eq!(slot.get(FILE), location.file().as_ptr().addr() as u64);
        assert_eq!(slot.get(FILE + 1), location.file().len() as u64);
        assert_eq!(slot.get(FILE + 2), u64::from(location.line()));
        assert_eq!((&raw const NOTES).addr() % 4096, 0);
    }
}
