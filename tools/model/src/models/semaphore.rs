//! A semaphore: never more holders than permits, and the dead's permits return.

use super::super::algorithm::event_count::EventCount;
use super::super::algorithm::semaphore::{Full, Permit, Semaphore};
use super::lock::Words;
use super::members::Table;
use crate::explore::{Data, Failure, Model, models, must_fail, saw, shared};
use crate::machine::{self, join_all, spawn, spawn_mortal};
use crate::word::{Deadline, Ordering, Word};
use std::cell::Cell;

models![
    one_permit_has_one_holder_at_a_time,
    two_permits_have_two_holders_at_most,
    what_one_gives_another_takes,
    who_waits_with_a_limit_gets_one_or_gives_up,
    who_gives_up_passes_the_wake_up_on,
    one_more_than_there_may_be_is_refused,
    without_room_a_permit_is_nobody_s,
    the_permit_of_a_holder_that_dies_returns,
    what_was_nobody_s_is_lost_with_who_had_it,
    one_that_dies_while_it_lets_go_makes_no_permit,
    one_that_dies_while_it_gives_delays_others_by_a_slice,
    a_slice_finds_a_wake_up_that_died,
];

/// More permits than any model has.
const UNBOUNDED: u32 = 100;

struct Shared {
    words: Words,
    total: Word,
    free: Word,
    table: Table,
    sleepers: Word,
    looked: Word,
    given: Word,
    core: Word,
    data: Data,
    /// How many are inside, where several may be.
    inside: Word,
    /// Who was inside last, where one may be, and has not come out.
    holder: Cell<u32>,
    /// How often one came out.
    through: Cell<u32>,
}

impl Shared {
    /// With so many permits, and room for so many processes.
    fn new(permits: u32, room: usize) -> Self {
        Self {
            words: Words::new(),
            total: Word::new("total", permits),
            free: Word::new("free", permits),
            table: Table::new(room),
            sleepers: Word::new("sleepers", 0),
            looked: Word::new("looked", 0),
            given: Word::new("given", 0),
            core: Word::new("core", 0),
            data: Data::new(0),
            inside: Word::new("inside", 0),
            holder: Cell::new(0),
            through: Cell::new(0),
        }
    }

    fn semaphore(&self) -> Semaphore<'_> {
        Semaphore {
            lock: self.words.lock(),
            total: &self.total,
            free: &self.free,
            members: self.table.members(),
            sleepers: EventCount { word: &self.sleepers },
            looked: &self.looked,
            given: &self.given,
            core: &self.core,
        }
    }

    fn take(&self, wanted: Permit) -> Permit {
        self.semaphore().take(wanted, Deadline::NEVER).expect("it waits without a limit")
    }

    fn give(&self, permit: Permit) {
        assert_eq!(self.semaphore().give_back(permit, UNBOUNDED), Ok(()), "there is no bound");
    }

    /// What one does with its permit where there are several.
    fn hold_one_of(&self, permits: u32, permit: Permit) {
        let inside = self.inside.fetch_add(1, Ordering::Relaxed);
        assert!(inside < permits, "more holders than permits");
        saw(if inside == 0 { "alone" } else { "together" });
        self.inside.fetch_add(u32::MAX, Ordering::Relaxed);
        self.through.set(self.through.get() + 1);
        self.give(permit);
    }

    /// What one does with its permit where there is no other.
    fn hold(&self, permit: Permit) {
        let before = self.holder.replace(machine::me());
        if before != 0 {
            assert!(!machine::is_alive(before), "more holders than permits");
            saw("killed inside");
        }
        self.data.set(self.data.get() + 1);
        machine::moment();
        self.holder.set(0);
        self.through.set(self.through.get() + 1);
        self.give(permit);
    }

    /// Total and free, after all have ended.
    fn check(&self, total: u32, free: u32) {
        let all = [&self.total, &self.free].map(|word| word.load(Ordering::Relaxed));
        assert_eq!(all, [total, free], "how many there are, and how many are free");
        assert_eq!(self.table.members().sum(), total - free, "the rest is held");
    }

    /// Lets this thread, which waits in vain, find what the dead held; the total.
    fn settle(&self) -> u32 {
        for _ in 0..2 {
            if let Some(permit) = self.semaphore().take(Permit::Held, Deadline::sleeps(1)) {
                self.give(permit);
                break;
            }
        }
        let total = self.total.load(Ordering::Relaxed);
        self.check(total, total);
        total
    }
}

fn one_permit_has_one_holder_at_a_time() {
    Model::new().preemptions(2).check(|| {
        let [one, two, main] = shared(Shared::new(1, 3));
        let others = [one, two];
        let others = others.map(|shared| spawn(move || shared.hold(shared.take(Permit::Held))));
        main.hold(main.take(Permit::Held));
        join_all(others);
        assert_eq!((main.data.get(), main.through.get()), (3, 3), "all got through");
        main.check(1, 1);
    });
}

fn two_permits_have_two_holders_at_most() {
    Model::new().preemptions(2).sees(&["alone", "together"]).check(|| {
        let [one, two, main] = shared(Shared::new(2, 3));
        let others = [(one, Permit::Held), (two, Permit::Loose)].map(|(shared, wanted)| {
            spawn(move || {
                let permit = shared.take(wanted);
                assert_eq!(permit, wanted, "there is room");
                shared.hold_one_of(2, permit);
            })
        });
        main.hold_one_of(2, main.take(Permit::Held));
        join_all(others);
        assert_eq!(main.through.get(), 3, "all got through");
        main.check(2, 2);
    });
}

fn what_one_gives_another_takes() {
    Model::new().preemptions(2).check(|| {
        let [one, two, main] = shared(Shared::new(0, 1));
        let takers = [one, two].map(|shared| {
            spawn(move || {
                assert_eq!(shared.take(Permit::Loose), Permit::Loose);
                assert_eq!(shared.data.get(), 1, "what was done before");
            })
        });
        main.data.set(1);
        main.give(Permit::Loose);
        main.give(Permit::Loose);
        join_all(takers);
        main.check(0, 0);
    });
}

fn who_waits_with_a_limit_gets_one_or_gives_up() {
    Model::new().preemptions(2).sees(&["got one", "gave up"]).check(|| {
        let [limited, other, main] = shared(Shared::new(0, 2));
        let limited =
            spawn(move || match limited.semaphore().take(Permit::Held, Deadline::sleeps(1)) {
                Some(permit) => {
                    saw("got one");
                    limited.hold(permit);
                }
                None => saw("gave up"),
            });
        let other = spawn(move || other.hold(other.take(Permit::Held)));
        main.give(Permit::Loose);
        join_all([limited, other]);
        main.check(1, 1);
    });
}

fn who_gives_up_passes_the_wake_up_on() {
    Model::new().preemptions(2).sees(&["got one", "gave up"]).check(|| {
        let [other, giver, main] = shared(Shared::new(0, 1));
        let other = spawn(move || other.take(Permit::Loose));
        let giver = spawn(move || {
            giver.give(Permit::Loose);
            // It has none, and holds the lock to find out.
            giver.semaphore().let_go();
        });
        // When its time is up, it may have been woken for a permit, and not get the lock.
        let mine = main.semaphore().take(Permit::Loose, Deadline::sleeps(1));
        saw(if mine.is_some() { "got one" } else { "gave up" });
        if let Some(permit) = mine {
            main.give(permit);
        }
        giver.join();
        other.join();
        main.check(0, 0);
    });
}

fn one_more_than_there_may_be_is_refused() {
    Model::new().preemptions(3).check(|| {
        let [one, two, main] = shared(Shared::new(0, 1));
        let give = |shared: &Shared| shared.semaphore().give_back(Permit::Loose, 1);
        let others = [one, two].map(|shared| spawn(move || give(&shared)));
        let results = join_all(others);
        assert!(results == [Ok(()), Err(Full)] || results == [Err(Full), Ok(())], "one of two");
        assert_eq!(give(&main), Err(Full), "it is full");
        main.check(1, 1);
    });
}

fn without_room_a_permit_is_nobody_s() {
    Model::new().preemptions(2).sees(&["both held", "one is nobody's"]).check(|| {
        let [one, two, main] = shared(Shared::new(2, 1));
        let takers = [one, two].map(|shared| {
            spawn(move || {
                let permit = shared.take(Permit::Held);
                shared.hold_one_of(2, permit);
                permit
            })
        });
        let is_held = |permit: &Permit| *permit == Permit::Held;
        match join_all(takers).iter().filter(|permit| is_held(permit)).count() {
            2 => saw("both held"),
            1 => saw("one is nobody's"),
            _ => panic!("there is room for one"),
        }
        main.check(2, 2);
    });
}

fn the_permit_of_a_holder_that_dies_returns() {
    let model = Model::new().preemptions(1).slices();
    model.sees(&["killed inside", "killed elsewhere", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new(1, 2));
        let mortal = spawn_mortal(move || mortal.hold(mortal.take(Permit::Held)));
        let other = spawn(move || {
            other.hold(other.take(Permit::Held));
        });
        let is_killed = mortal.join_mortal().is_none();
        saw(if is_killed { "killed elsewhere" } else { "not killed" });
        other.join();
        main.hold(main.take(Permit::Held));
        assert_eq!(main.settle(), 1, "no permit is lost, and none is made");
    });
}

fn what_was_nobody_s_is_lost_with_who_had_it() {
    let model = Model::new().preemptions(2).always_due();
    model.sees(&["lost", "killed before", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new(1, 2));
        let mortal = spawn_mortal(move || mortal.hold(mortal.take(Permit::Loose)));
        let other = spawn(move || {
            if let Some(permit) = other.semaphore().try_take(Permit::Held) {
                other.hold(permit);
            }
        });
        let is_killed = mortal.join_mortal().is_none();
        other.join();
        saw(match (is_killed, main.settle()) {
            (true, 0) => "lost",
            (true, 1) => "killed before",
            (false, 1) => "not killed",
            (_, total) => panic!("{total} permits of one"),
        });
    });
}

fn one_that_dies_while_it_lets_go_makes_no_permit() {
    let model = Model::new().preemptions(2).always_due();
    model.sees(&["gone", "still there", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new(1, 1));
        let mortal = spawn_mortal(move || {
            let permit = mortal.take(Permit::Held);
            if permit == Permit::Held {
                mortal.semaphore().let_go();
            }
            mortal.hold(Permit::Loose);
        });
        let other = spawn(move || {
            if let Some(permit) = other.semaphore().try_take(Permit::Loose) {
                other.hold(permit);
            }
        });
        let is_killed = mortal.join_mortal().is_none();
        other.join();
        saw(match (is_killed, main.settle()) {
            (true, 0) => "gone",
            (true, 1) => "still there",
            (false, 1) => "not killed",
            (_, total) => panic!("{total} permits of one"),
        });
    });
}

fn one_that_dies_while_it_gives_delays_others_by_a_slice() {
    fn scenario() {
        let [mortal, other, main] = shared(Shared::new(0, 1));
        let mortal = spawn_mortal(move || mortal.give(Permit::Loose));
        let other = spawn(move || other.take(Permit::Loose));
        if mortal.join_mortal().is_none() && main.total.load(Ordering::Relaxed) == 0 {
            // It was killed before; or there was one, and it is taken.
            main.give(Permit::Loose);
        }
        other.join();
        main.settle();
    }
    let model = Model::new().preemptions(2);
    model.clone().slices().check(scenario);
    must_fail(Failure::Deadlock, || model.check(scenario));
}

fn a_slice_finds_a_wake_up_that_died() {
    fn scenario() {
        let [mortal, other, main] = shared(Shared::new(0, 2));
        let mortal = spawn_mortal(move || mortal.hold(mortal.take(Permit::Held)));
        let other = spawn(move || {
            other.hold(other.take(Permit::Held));
        });
        main.give(Permit::Loose);
        other.join();
        mortal.join_mortal();
    }
    let model = Model::new().preemptions(1);
    model.clone().slices().check(scenario);
    must_fail(Failure::Deadlock, || model.check(scenario));
}
