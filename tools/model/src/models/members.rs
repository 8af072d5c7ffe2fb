//! Members: every process has an entry of its own, and its count goes with it.

use super::super::algorithm::members::{ENTRY, Entered, Members};
use super::lock::Words;
use crate::explore::{Model, models, saw, shared};
use crate::machine::{join_all, spawn, spawn_mortal};
use crate::word::{Deadline, Ordering, Word, this_process};
use std::cell::Cell;

models![
    each_process_has_an_entry_of_its_own,
    an_entry_with_a_count_is_given_to_nobody,
    one_that_has_the_id_of_another_is_another,
    one_that_is_killed_while_it_enters_leaves_no_wrong_count,
    one_that_is_killed_while_it_clears_leaves_no_wrong_count,
];

/// The words of a table.
pub(crate) struct Table(Vec<Word>);

impl Table {
    /// One for so many processes.
    pub(crate) fn new(room: usize) -> Self {
        let entry: [_; ENTRY] = ["process", "started", "count"];
        Self(entry.iter().cycle().take(room * ENTRY).map(|name| Word::new(name, 0)).collect())
    }

    pub(crate) fn members(&self) -> Members<'_> {
        Members { words: &self.0 }
    }

    /// Whether one with this id has an entry.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.0.chunks_exact(ENTRY).any(|words| words[0].load(Ordering::Relaxed) == id)
    }

    /// How many entries this process has.
    fn mine(&self) -> usize {
        let me = this_process();
        let is_mine = |words: &&[Word]| {
            words[0].load(Ordering::Relaxed) == me.pid
                && words[1].load(Ordering::Relaxed) == me.started
        };
        self.0.chunks_exact(ENTRY).filter(is_mine).count()
    }
}

struct Shared {
    words: Words,
    table: Table,
    /// What all have counted.
    counted: Cell<u32>,
}

/// What became of a try to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Own,
    Taken,
    No,
}

impl Shared {
    fn with_room_for(room: usize) -> Self {
        Self { words: Words::new(), table: Table::new(room), counted: Cell::new(0) }
    }

    fn members(&self) -> Members<'_> {
        self.table.members()
    }

    /// Does something under the lock.
    fn locked<T>(&self, act: impl FnOnce(&Self) -> T) -> T {
        assert_eq!(self.words.lock().take(Deadline::NEVER), Ok(()), "it waits without a limit");
        let result = act(self);
        self.words.lock().give_back();
        result
    }

    fn count_one(&self) -> Counted {
        let (count, counted) = match self.members().enter() {
            Entered::Own(member) => (member.counter(), Counted::Own),
            Entered::Taken(member) => (member.counter(), Counted::Taken),
            Entered::Full => return Counted::No,
        };
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.counted.set(self.counted.get() + 1);
        assert_eq!(self.table.mine(), 1, "one entry a process");
        counted
    }

    /// Forgets the counts of the dead; how much that was.
    fn forget_the_dead(&self) -> u32 {
        let counters = self.members().dead(1).map(|member| member.counter());
        counters.map(|counter| counter.swap(0, Ordering::Relaxed)).sum()
    }
}

fn each_process_has_an_entry_of_its_own() {
    Model::new().preemptions(2).check(|| {
        let [one, two, main] = shared(Shared::with_room_for(3));
        let others = [one, two].map(|shared| {
            spawn(move || {
                let count_one = |_| shared.locked(Shared::count_one);
                assert_eq!([(); 2].map(count_one), [Counted::Own; 2]);
                shared.locked(|shared| {
                    let own = shared.members().own().expect("it has counted");
                    assert_eq!(own.counter().load(Ordering::Relaxed), 2, "its own count");
                });
            })
        });
        main.locked(|main| {
            main.count_one();
            assert_eq!(main.members().sum(), main.counted.get());
        });
        join_all(others);
        assert_eq!((main.members().processes(), main.members().sum()), (3, 5));
        assert_eq!(main.forget_the_dead(), 4, "the count of the two that have ended");
        assert_eq!(main.members().sum(), 1, "its own count stays");
    });
}

fn an_entry_with_a_count_is_given_to_nobody() {
    Model::new().preemptions(3).sees(&["full", "taken over", "its own"]).check(|| {
        let [idle, other, third, main] = shared(Shared::with_room_for(2));
        // An entry without a count, of one that is gone.
        spawn(move || assert!(matches!(idle.members().enter(), Entered::Own(_)))).join();
        let other = spawn(move || {
            let counted = other.locked(Shared::count_one);
            saw(match counted {
                Counted::No => "full",
                Counted::Taken => "taken over",
                Counted::Own => "its own",
            });
            counted != Counted::No
        });
        let first = main.locked(Shared::count_one);
        main.locked(|main| assert_eq!(main.members().sum(), main.counted.get()));
        let third = spawn(move || third.locked(Shared::count_one));
        let counted = [first != Counted::No, other.join(), third.join() != Counted::No];
        let sum = counted.into_iter().map(u32::from).sum();
        assert_eq!((main.members().sum(), sum), (2, 2), "room for two, and no count is lost");
        if first != Counted::No {
            main.members().clear_counts();
            assert_eq!(main.count_one(), Counted::Own, "it has one already");
        }
    });
}

fn one_that_has_the_id_of_another_is_another() {
    Model::new().preemptions(2).check(|| {
        let [other, main] = shared(Shared::with_room_for(3));
        let other = spawn(move || {
            other.locked(|shared| {
                let me = this_process();
                // Its id was that of one that has died since.
                let before = &shared.table.0[me.pid as usize % 3 * ENTRY..][..ENTRY];
                let others = shared.members().sum();
                if before[0].load(Ordering::Relaxed) == 0 {
                    for (word, value) in before.iter().zip([me.pid, me.started + 1, 1]) {
                        word.store(value, Ordering::Relaxed);
                    }
                    assert!(shared.members().own().is_none(), "that was another");
                    assert_eq!(shared.count_one(), Counted::Own);
                    assert_eq!(shared.members().sum(), others + 2, "each has its own count");
                    assert_eq!(shared.forget_the_dead(), 1, "the other is gone, and nobody else");
                    assert_eq!(shared.members().sum(), others + 1);
                }
            });
        });
        main.locked(Shared::count_one);
        other.join();
    });
}

fn one_that_is_killed_while_it_enters_leaves_no_wrong_count() {
    let model = Model::new().preemptions(2);
    model.sees(&["killed before", "killed after", "not killed"]).check(|| {
        let [idle, mortal, other, main] = shared(Shared::with_room_for(2));
        // It has to take over the entry of one that is gone, or of the other.
        let idle = spawn(move || assert!(matches!(idle.members().enter(), Entered::Own(_))));
        idle.join();
        let other = spawn(move || {
            other.locked(Shared::count_one);
            other.locked(|other| {
                let own = other.members().own().expect("an entry with a count is given to nobody");
                own.counter().store(0, Ordering::Relaxed);
                other.counted.set(other.counted.get() - 1);
            });
        });
        let mortal = spawn_mortal(move || {
            mortal.locked(Shared::count_one);
        });
        let is_killed = mortal.join_mortal().is_none();
        other.join();
        let died_with = main.counted.get();
        saw(match (is_killed, died_with) {
            (true, 0) => "killed before",
            (true, _) => "killed after",
            (false, _) => "not killed",
        });
        main.locked(|main| {
            assert_eq!(main.members().sum(), died_with, "what was counted, and no more");
            assert_eq!(main.forget_the_dead(), died_with, "all of it was the dead one's");
            assert_ne!(main.count_one(), Counted::No, "there is room");
            assert_eq!(main.members().sum(), 1, "its own count");
        });
    });
}

fn one_that_is_killed_while_it_clears_leaves_no_wrong_count() {
    Model::new().preemptions(2).sees(&["killed", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::with_room_for(2));
        let other = spawn(move || {
            other.locked(Shared::count_one);
        });
        let mortal = spawn_mortal(move || mortal.locked(|mortal| mortal.members().clear()));
        saw(if mortal.join_mortal().is_none() { "killed" } else { "not killed" });
        other.join();
        main.locked(|main| {
            main.forget_the_dead();
            assert_eq!(main.members().sum(), 0, "all that have counted are gone");
            main.count_one();
            assert_eq!(main.members().sum(), 1, "its own count");
        });
    });
}
