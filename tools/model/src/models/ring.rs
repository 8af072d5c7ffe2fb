//! A ring: every item comes once and whole, in the order of who put it, whoever is killed.

use super::super::algorithm::event_count::EventCount;
use super::super::algorithm::ring::{KEPT, MOST, Memory, NotGot, NotPut, Ring, UNIT};
use super::lock::Words;
use crate::explore::{Data, Failure, Model, models, must_fail, saw, shared};
use crate::machine::{self, join_all, rest, spawn, spawn_mortal};
use crate::word::{Deadline, Ordering, Wide, Word};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;

models![
    items_of_two_come_once_and_in_their_order,
    two_who_get_share_what_is_there,
    who_puts_into_a_full_ring_waits_for_room,
    who_cannot_use_the_room_leaves_it_to_the_next,
    who_gives_up_leaves_the_item_to_the_next,
    who_looks_sees_the_next_item_and_leaves_it_there,
    when_it_is_shut_what_was_put_is_got_and_all_go_on,
    who_gets_follows_into_the_next_segment,
    a_large_ring_that_is_empty_goes_on_in_a_small_segment,
    one_that_is_killed_while_it_puts_leaves_nothing_half,
    one_that_is_killed_while_it_gets_takes_one_along_at_most,
    a_slice_finds_the_item_of_one_that_died,
    a_slice_finds_the_room_of_one_that_died,
    one_that_is_killed_while_it_grows_leaves_no_segment_behind,
    one_that_is_killed_while_it_leaves_a_segment_gives_no_other_back,
    one_that_is_killed_while_it_shrinks_leaves_all_in_order,
];

/// How many units a short segment has: two items of a unit, each behind its header, and a unit to lead on.
const SHORT: usize = 5;
/// How many a large one has that are used.
const USED: usize = 14;
/// An item that nobody puts but the last.
const LAST: u64 = 99;
/// How many segments there can be in a model.
const ROOM: usize = 3;

/// A segment of the memory.
struct Segment {
    /// Not 0 while somebody has it.
    taken: Word,
    /// What `taken` says, and how many bytes it has then.
    len: Cell<usize>,
    units: [Data<u64>; USED],
}

struct Segments {
    all: [Segment; ROOM],
    /// How many bytes the next ones have that are taken.
    lens: RefCell<Vec<usize>>,
}

impl Segments {
    /// The first one is taken already.
    fn new(lens: &[usize]) -> Self {
        let segment = |number| Segment {
            taken: Word::new("segment", u32::from(number == 0)),
            len: Cell::new(if number == 0 { lens[0] } else { 0 }),
            units: std::array::from_fn(|_| Data::new(0)),
        };
        Self { all: std::array::from_fn(segment), lens: RefCell::new(lens[1..].to_vec()) }
    }

    fn taken(&self) -> usize {
        self.all.iter().filter(|segment| segment.len.get() != 0).count()
    }
}

impl Memory for Segments {
    type Error = Infallible;

    fn len(&self, segment: u32) -> usize {
        self.all[segment as usize].len.get()
    }

    fn lend<R>(
        &self,
        segment: u32,
        offset: usize,
        len: usize,
        work: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, Infallible> {
        let segment = &self.all[segment as usize];
        assert!(offset + len <= segment.len.get(), "a segment is used that nobody has");
        let units = &segment.units[offset / UNIT..][..len.div_ceil(UNIT)];
        let before: Vec<_> = units.iter().map(Data::get).collect();
        let mut bytes: Vec<_> = before.iter().copied().flat_map(u64::to_ne_bytes).collect();
        let result = work(&mut bytes[..len]);
        for ((unit, before), bytes) in units.iter().zip(before).zip(bytes.chunks_exact(UNIT)) {
            let after = u64::from_ne_bytes(bytes.try_into().expect("a unit"));
            if before != after {
                // Who is killed leaves the first half.
                machine::moment();
                unit.set(after);
            }
        }
        Ok(result)
    }

    /// Where more bytes are asked for than the model has, it has more than are used.
    fn allocate(&self, _len: usize, claim: impl Fn(u32) -> bool) -> Result<u32, Infallible> {
        let is_free = |segment: &Segment| segment.taken.load(Ordering::Acquire) == 0;
        let free =
            (0..).zip(&self.all).find(|(number, segment)| is_free(segment) && claim(*number));
        let (number, segment) = free.expect("a model has room");
        saw("grew");
        segment.taken.store(1, Ordering::Relaxed);
        let mut lens = self.lens.borrow_mut();
        segment.len.set(if lens.is_empty() { SHORT * UNIT } else { lens.remove(0) });
        Ok(number)
    }

    fn free(&self, segment: u32) {
        let segment = &self.all[segment as usize];
        if segment.len.get() != 0 {
            segment.taken.store(0, Ordering::Release);
            segment.len.set(0);
        }
    }
}

struct Shared {
    memory: Segments,
    put: Words,
    tail: Wide,
    seen_head: Wide,
    spare: Word,
    get: Words,
    head: Wide,
    seen_tail: Wide,
    doomed: Word,
    shut: Word,
    getters: Word,
    putters: Word,
    core: Word,
    most: u32,
    /// The items whose putting has ended.
    done: RefCell<Vec<u64>>,
}

impl Shared {
    /// One of which so many items may wait, in segments of so many bytes.
    fn new(most: u32, lens: &[usize]) -> Self {
        let word = |name| Word::new(name, 0);
        let wide = |name| Wide::new(name, 0);
        Self {
            memory: Segments::new(lens),
            put: Words::new(),
            tail: wide("tail"),
            seen_head: wide("seen head"),
            spare: word("spare"),
            get: Words::new(),
            head: wide("head"),
            seen_tail: wide("seen tail"),
            doomed: word("doomed"),
            shut: word("shut"),
            getters: word("getters"),
            putters: word("putters"),
            core: word("core"),
            most,
            done: RefCell::default(),
        }
    }

    fn unbounded() -> Self {
        Self::new(MOST, &[SHORT * UNIT])
    }

    fn ring(&self) -> Ring<'_> {
        Ring {
            put: self.put.lock(),
            tail: &self.tail,
            seen_head: &self.seen_head,
            spare: &self.spare,
            get: self.get.lock(),
            head: &self.head,
            seen_tail: &self.seen_tail,
            doomed: &self.doomed,
            shut: &self.shut,
            getters: EventCount { word: &self.getters },
            putters: EventCount { word: &self.putters },
            put_core: &self.core,
            get_core: &self.core,
            most: self.most,
        }
    }

    /// Puts an item of so many units, all of them the same.
    fn put_long(
        &self,
        item: u64,
        units: usize,
        deadline: Deadline,
    ) -> Result<(), NotPut<Infallible, Infallible>> {
        let write = |bytes: &mut [u8]| {
            bytes.chunks_exact_mut(UNIT).for_each(|unit| unit.copy_from_slice(&item.to_ne_bytes()));
            Ok(())
        };
        self.ring().put(&self.memory, units * UNIT, deadline, write)?;
        self.done.borrow_mut().push(item);
        Ok(())
    }

    fn put(&self, item: u64) {
        self.put_long(item, 1, Deadline::NEVER).expect("it waits without a limit");
    }

    fn put_all(&self, items: &[u64]) {
        items.iter().for_each(|item| self.put(*item));
    }

    fn get_until(&self, deadline: Deadline) -> Result<u64, NotGot<Infallible>> {
        self.ring().get(&self.memory, deadline, |bytes| {
            let mut units = bytes.chunks_exact(UNIT);
            let first = units.next().expect("an item has a unit");
            assert!(units.all(|unit| unit == first), "half an item");
            u64::from_ne_bytes(first.try_into().expect("a unit"))
        })
    }

    fn peek(&self) -> Option<u64> {
        let look = |bytes: Option<&[u8]>| {
            bytes.map(|bytes| u64::from_ne_bytes(bytes.try_into().expect("a unit")))
        };
        self.ring().peek(&self.memory, look).expect("the memory is whole")
    }

    fn get(&self) -> u64 {
        self.get_until(Deadline::NEVER).expect("it waits without a limit")
    }

    /// Whether so many items were taken, of those that were put first.
    fn is_taken(&self, items: u64) -> bool {
        // The lowest bits of a place are how many lie before it.
        self.head.load(Ordering::Acquire) & u64::from(MOST) >= items
    }

    /// What is left, after all others have ended.
    fn drain(&self) -> Vec<u64> {
        std::iter::from_fn(|| self.get_until(Deadline::sleeps(0)).ok()).collect()
    }

    /// The same, and one more that is put last; no segment must be lost.
    fn drain_to_one_segment(&self) -> Vec<u64> {
        self.put(LAST);
        let mut left = self.drain();
        assert_eq!(left.pop(), Some(LAST), "the last comes last");
        assert_eq!(self.memory.taken(), 1, "one segment is left");
        left
    }
}

fn items_of_two_come_once_and_in_their_order() {
    Model::new().preemptions(1).check(|| {
        let [one, two, main] = shared(Shared::unbounded());
        let one = spawn(move || one.put_all(&[10, 11]));
        let two = spawn(move || two.put(20));
        let got = [(); 3].map(|()| main.get());
        assert!([[10, 11, 20], [10, 20, 11], [20, 10, 11]].contains(&got), "{got:?}");
        one.join();
        two.join();
    });
}

fn two_who_get_share_what_is_there() {
    Model::new().preemptions(2).check(|| {
        let [one, two, main] = shared(Shared::unbounded());
        let getters = [one, two].map(|shared| spawn(move || shared.get()));
        main.put_all(&[1, 2]);
        let got = join_all(getters);
        assert!(got == [1, 2] || got == [2, 1], "each comes once");
    });
}

fn who_puts_into_a_full_ring_waits_for_room() {
    Model::new().preemptions(2).check(|| {
        let [one, two, main] = shared(Shared::new(1, &[SHORT * UNIT]));
        let putters = [(one, 1), (two, 2)];
        let putters = putters.map(|(shared, item)| spawn(move || shared.put(item)));
        let got = [(); 2].map(|()| main.get());
        assert!(got == [1, 2] || got == [2, 1], "each comes once");
        join_all(putters);
    });
}

fn who_cannot_use_the_room_leaves_it_to_the_next() {
    Model::new().preemptions(2).check(|| {
        let [refuses, other, main] = shared(Shared::new(1, &[SHORT * UNIT]));
        main.put(1);
        let refuses = spawn(move || {
            let write = |_: &mut [u8]| Err("no");
            refuses.ring().put(&refuses.memory, UNIT, Deadline::NEVER, write)
        });
        let other = spawn(move || other.put(2));
        assert_eq!([main.get(), main.get()], [1, 2], "what was refused is not there");
        assert_eq!(refuses.join(), Err(NotPut::Writer("no")), "it waits without a limit");
        other.join();
    });
}

fn who_gives_up_leaves_the_item_to_the_next() {
    Model::new().preemptions(2).check(|| {
        let [limited, other, main] = shared(Shared::unbounded());
        let limited = spawn(move || limited.get_until(Deadline::sleeps(1)));
        let other = spawn(move || other.get());
        // Meanwhile both may fall asleep.
        spawn(|| ()).join();
        let get = main.get.lock();
        assert_eq!(get.take(Deadline::NEVER), Ok(()), "it waits without a limit");
        main.put(1);
        // The one that is woken does not get the lock in time.
        rest();
        get.give_back();
        assert_eq!(limited.join(), Err(NotGot::Empty), "it has ended before");
        assert_eq!(other.join(), 1, "it comes once");
    });
}

fn who_looks_sees_the_next_item_and_leaves_it_there() {
    Model::new().preemptions(2).sees(&["none", "first", "second", "third"]).check(|| {
        let [putter, getter, main] = shared(Shared::new(2, &[SHORT * UNIT]));
        // The third lies where the first was.
        let putter = spawn(move || putter.put_all(&[1, 2, 3]));
        let getter = spawn(move || [(); 2].map(|()| getter.get()));
        saw(match main.peek() {
            None => "none",
            Some(1) => "first",
            Some(2) => "second",
            Some(3) => "third",
            Some(other) => panic!("{other} was not put"),
        });
        assert_eq!(getter.join(), [1, 2], "in their order");
        putter.join();
        assert_eq!(main.drain_to_one_segment(), [3], "none was taken");
    });
}

fn when_it_is_shut_what_was_put_is_got_and_all_go_on() {
    Model::new().preemptions(2).sees(&["both", "one", "none"]).check(|| {
        let [putter, getter, main] = shared(Shared::new(1, &[SHORT * UNIT]));
        let putter = spawn(move || {
            let refused = [1, 2].map(|item| putter.put_long(item, 1, Deadline::NEVER).err());
            let count = refused.iter().filter(|refused| **refused == Some(NotPut::Shut)).count();
            saw(["both", "one", "none"][count]);
        });
        let getter = spawn(move || {
            let mut got = Vec::new();
            loop {
                match getter.get_until(Deadline::NEVER) {
                    Ok(item) => got.push(item),
                    Err(end) => {
                        assert_eq!(end, NotGot::Shut, "it waits without a limit");
                        break got;
                    }
                }
            }
        });
        main.ring().shut(&main.memory);
        putter.join();
        assert_eq!(getter.join(), *main.done.borrow(), "what was put, and no more");
    });
}

fn who_gets_follows_into_the_next_segment() {
    Model::new().preemptions(2).sees(&["grew", "went round"]).check(|| {
        let [putter, main] = shared(Shared::unbounded());
        let putter = spawn(move || putter.put_all(&[1, 2, 3, 4]));
        assert_eq!([(); 4].map(|()| main.get()), [1, 2, 3, 4], "each comes once");
        putter.join();
        if main.memory.len(0) != 0 {
            saw("went round");
        }
        assert_eq!(main.drain_to_one_segment(), [], "there is no more");
    });
}

fn a_large_ring_that_is_empty_goes_on_in_a_small_segment() {
    Model::new().preemptions(2).sees(&["grew", "stays"]).check(|| {
        let [putter, main] = shared(Shared::new(MOST, &[KEPT + UNIT]));
        main.put(1);
        let putter = spawn(move || putter.put(2));
        assert_eq!(main.get(), 1);
        let got = main.get_until(Deadline::sleeps(0));
        putter.join();
        assert_eq!(got.unwrap_or_else(|_| main.get()), 2, "it comes once");
        if main.memory.len(0) > KEPT {
            saw("stays");
        }
        assert_eq!(main.drain_to_one_segment(), [], "there is no more");
        assert!(main.memory.len(0) <= KEPT, "what is empty is small");
    });
}

fn one_that_is_killed_while_it_puts_leaves_nothing_half() {
    let model = Model::new().preemptions(1).slices();
    model.sees(&["killed before", "killed after", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::unbounded());
        let mortal = spawn_mortal(move || mortal.put_long(1, 2, Deadline::NEVER));
        let other = spawn(move || other.put_all(&[2, 3]));
        let mut got = vec![main.get()];
        let is_killed = mortal.join_mortal().is_none();
        other.join();
        got.extend(main.drain_to_one_segment());
        let its_own = got.extract_if(.., |item| *item == 1).count();
        assert_eq!(got, [2, 3], "the other's come once and in their order");
        saw(match (is_killed, its_own) {
            (true, 1) => "killed after",
            (true, 0) => "killed before",
            (false, 1) => "not killed",
            _ => panic!("it comes {its_own} times"),
        });
    });
}

fn one_that_is_killed_while_it_gets_takes_one_along_at_most() {
    let model = Model::new().preemptions(2);
    model.sees(&["took one along", "took none along", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::unbounded());
        main.put_all(&[1, 2]);
        let mortal = spawn_mortal(move || mortal.get());
        let other = spawn(move || other.get());
        let mut got = vec![other.join()];
        match mortal.join_mortal() {
            Some(item) => {
                saw("not killed");
                got.push(item);
                got.extend(main.drain());
                got.sort_unstable();
                assert_eq!(got, [1, 2], "each comes once");
            }
            None => {
                got.extend(main.drain());
                match got[..] {
                    [1, 2] => saw("took none along"),
                    [1 | 2] => saw("took one along"),
                    _ => panic!("{got:?} is left of 1 and 2"),
                }
            }
        }
    });
}

fn a_slice_finds_the_item_of_one_that_died() {
    fn scenario() {
        let [mortal, other, main] = shared(Shared::unbounded());
        let mortal = spawn_mortal(move || mortal.put(1));
        let other = spawn(move || other.get());
        if mortal.join_mortal().is_none() {
            if main.ring().len() == 0 && !main.is_taken(1) {
                main.put(2);
            }
            // Sooner or later memory shows to all what it holds; in a model somebody has to say so.
            let _ = main.ring().getters.advance();
        }
        other.join();
    }
    let model = Model::new().preemptions(2);
    model.clone().slices().check(scenario);
    must_fail(Failure::Deadlock, || model.check(scenario));
}

fn a_slice_finds_the_room_of_one_that_died() {
    fn scenario() {
        let [mortal, other, main] = shared(Shared::new(1, &[SHORT * UNIT]));
        main.put(1);
        let mortal = spawn_mortal(move || mortal.get());
        let other = spawn(move || other.put(2));
        if mortal.join_mortal().is_none() {
            if !main.is_taken(1) {
                assert_eq!(main.get(), 1, "it is still there");
            }
            // As above.
            let _ = main.ring().putters.advance();
        }
        other.join();
        assert_eq!(main.drain(), [2], "it comes once");
    }
    let model = Model::new().preemptions(2);
    model.clone().slices().check(scenario);
    must_fail(Failure::Deadlock, || model.check(scenario));
}

fn one_that_is_killed_while_it_grows_leaves_no_segment_behind() {
    let model = Model::new().preemptions(1);
    model.sees(&["grew", "killed before", "killed after", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::unbounded());
        main.put_all(&[1, 2]);
        let mortal = spawn_mortal(move || mortal.put(3));
        let other = spawn(move || other.put(4));
        assert_eq!(main.get(), 1, "it was there");
        let is_killed = mortal.join_mortal().is_none();
        let mut got = main.drain();
        other.join();
        got.extend(main.drain_to_one_segment());
        assert_eq!(got.remove(0), 2, "it was there");
        got.sort_unstable();
        saw(match (is_killed, &got[..]) {
            (true, [3, 4]) => "killed after",
            (true, [4]) => "killed before",
            (false, [3, 4]) => "not killed",
            _ => panic!("{got:?} is left of 3 and 4"),
        });
    });
}

fn one_that_is_killed_while_it_leaves_a_segment_gives_no_other_back() {
    let model = Model::new().preemptions(2);
    model.sees(&["took one along", "took none along", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::unbounded());
        // Two in each segment.
        main.put_all(&[1, 2, 3, 4]);
        assert_eq!([main.get(), main.get()], [1, 2], "in their order");
        let mortal = spawn_mortal(move || mortal.get());
        // It needs a segment, and may get the number of the one that is left.
        let other = spawn(move || other.put(5));
        let got = mortal.join_mortal();
        other.join();
        let rest = main.drain_to_one_segment();
        saw(match (got, &rest[..]) {
            (None, [4, 5]) => "took one along",
            (None, [3, 4, 5]) => "took none along",
            (Some(3), [4, 5]) => "not killed",
            _ => panic!("{rest:?} is left of 3, 4 and 5"),
        });
    });
}

fn one_that_is_killed_while_it_shrinks_leaves_all_in_order() {
    let model = Model::new().preemptions(2).sees(&["killed", "not killed"]);
    model.check(|| {
        let [mortal, other, main] = shared(Shared::new(MOST, &[SHORT * UNIT, KEPT + UNIT]));
        main.put_all(&[1, 2]);
        assert_eq!([main.get(), main.get()], [1, 2], "in their order");
        // Too long for what is free there: the ring goes on in a large segment.
        main.put_long(3, 3, Deadline::NEVER).expect("it waits without a limit");
        let mortal = spawn_mortal(move || mortal.get());
        let other = spawn(move || other.put(4));
        let got = mortal.join_mortal();
        other.join();
        saw(if got.is_none() { "killed" } else { "not killed" });
        main.put_all(&[5, 6]);
        let rest = main.drain_to_one_segment();
        match (got, &rest[..]) {
            (Some(3) | None, [4, 5, 6]) | (None, [3, 4, 5, 6]) => {}
            _ => panic!("{rest:?} is left of 3, 4, 5 and 6"),
        }
    });
}
