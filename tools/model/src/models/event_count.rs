//! An event count: who announces itself sees what it waits for, or is woken.

use super::super::algorithm::event_count::EventCount;
use crate::explore::{Failure, Model, models, must_fail, saw, shared};
use crate::machine::{join_all, spawn, spawn_mortal};
use crate::word::{Deadline, Ordering, Word, wake};

models![
    a_change_is_seen_or_the_sleeper_is,
    changes_of_two_are_seen,
    who_sleeps_again_is_marked_again,
    who_is_left_asleep_stays_marked,
    who_is_moved_is_woken_there_and_others_here,
    who_gives_up_takes_nobody_s_wake_up,
    a_mark_that_nobody_needs_is_taken_away,
    one_that_is_killed_while_it_waits_keeps_nobody,
    a_slice_finds_a_wake_up_that_died,
    a_slice_finds_a_change_whose_maker_died,
];

struct Shared {
    word: Word,
    /// What is waited for: a number that only grows. All order it by the event count alone.
    number: Word,
    /// Where sleepers are moved to.
    other: Word,
}

impl Shared {
    fn new() -> Self {
        let (word, number) = (Word::new("event count", 0), Word::new("number", 0));
        Self { word, number, other: Word::new("other", 0) }
    }

    fn count(&self) -> EventCount<'_> {
        EventCount { word: &self.word }
    }

    /// Whether the number reached `least` before the time was up.
    fn wait_for(&self, least: u32, deadline: Deadline) -> bool {
        loop {
            let announced = self.count().announce();
            if self.number.load(Ordering::Relaxed) >= least {
                return true;
            }
            if !self.count().sleep(announced, deadline) {
                return false;
            }
        }
    }

    fn wait(&self, least: u32) {
        assert!(self.wait_for(least, Deadline::NEVER), "it waits without a limit");
    }

    /// Makes the number larger by 1 and wakes `count` who wait.
    fn raise(&self, count: u32) {
        self.number.fetch_add(1, Ordering::Relaxed);
        self.count().wake(self.count().advance(), count);
    }

    /// The same, but moves them, and then wakes whom it has moved.
    fn raise_and_move(&self, count: u32) {
        self.number.fetch_add(1, Ordering::Relaxed);
        let moved = self.count().move_to(self.count().advance(), &self.other, count);
        saw(if moved == 0 { "none moved" } else { "moved" });
        assert_eq!(wake(&self.other, u32::MAX), moved, "who was moved, and nobody else");
    }
}

fn a_change_is_seen_or_the_sleeper_is() {
    Model::new().preemptions(3).check(|| {
        let [one, two, main] = shared(Shared::new());
        let waiters = [one, two].map(|shared| spawn(move || shared.wait(1)));
        main.raise(u32::MAX);
        join_all(waiters);
    });
}

fn changes_of_two_are_seen() {
    Model::new().preemptions(2).check(|| {
        let [first, both, other, main] = shared(Shared::new());
        let waiters = [(first, 1), (both, 2)];
        let waiters = waiters.map(|(shared, least)| spawn(move || shared.wait(least)));
        let other = spawn(move || other.raise(u32::MAX));
        main.raise(u32::MAX);
        other.join();
        join_all(waiters);
    });
}

fn who_sleeps_again_is_marked_again() {
    Model::new().preemptions(2).spurious(1).check(|| {
        let [again, late, main] = shared(Shared::new());
        let again = spawn(move || {
            again.wait(1);
            again.wait(2);
        });
        let late = spawn(move || late.wait(2));
        main.raise(u32::MAX);
        main.raise(u32::MAX);
        join_all([again, late]);
    });
}

fn who_is_left_asleep_stays_marked() {
    Model::new().preemptions(3).check(|| {
        let [one, two, main] = shared(Shared::new());
        let waiters = [one, two].map(|shared| spawn(move || shared.wait(1)));
        main.raise(1);
        main.raise(1);
        join_all(waiters);
    });
}

fn who_is_moved_is_woken_there_and_others_here() {
    fn scenario(count: u32, times: usize) {
        let [one, two, main] = shared(Shared::new());
        let waiters = [one, two].map(|shared| spawn(move || shared.wait(1)));
        (0..times).for_each(|_| main.raise_and_move(count));
        join_all(waiters);
    }
    let model = Model::new().preemptions(3).sees(&["moved", "none moved"]);
    model.check(|| scenario(u32::MAX, 1));
    model.check(|| scenario(1, 2));
}

fn who_gives_up_takes_nobody_s_wake_up() {
    Model::new().preemptions(3).sees(&["in time", "too late"]).check(|| {
        let [limited, other, main] = shared(Shared::new());
        let limited = spawn(move || {
            let is_in_time = limited.wait_for(1, Deadline::sleeps(1));
            saw(if is_in_time { "in time" } else { "too late" });
        });
        let other = spawn(move || other.wait(1));
        main.raise(u32::MAX);
        join_all([limited, other]);
    });
}

fn a_mark_that_nobody_needs_is_taken_away() {
    Model::new().preemptions(3).sees(&["killed", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || mortal.wait(1));
        let other = spawn(move || other.raise(1));
        saw(if mortal.join_mortal().is_none() { "killed" } else { "not killed" });
        other.join();
        main.raise(u32::MAX);
        assert_eq!(main.word.load(Ordering::Relaxed) % 2, 0, "nobody sleeps, and nobody is marked");
    });
}

fn one_that_is_killed_while_it_waits_keeps_nobody() {
    Model::new().preemptions(2).sees(&["killed", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || mortal.wait(1));
        let other = spawn(move || other.wait(2));
        main.raise(u32::MAX);
        main.raise(u32::MAX);
        other.join();
        saw(if mortal.join_mortal().is_none() { "killed" } else { "not killed" });
    });
}

fn a_slice_finds_a_wake_up_that_died() {
    fn scenario() {
        let [one, two, main] = shared(Shared::new());
        // The first that sees the number takes it, and wakes the next.
        let pass_on = |shared: &Shared| {
            shared.wait(1);
            shared.count().wake(shared.count().advance(), 1);
        };
        let mortal = spawn_mortal(move || pass_on(&one));
        let other = spawn(move || pass_on(&two));
        main.raise(1);
        other.join();
        mortal.join_mortal();
    }
    let model = Model::new().preemptions(2);
    model.clone().slices().check(scenario);
    must_fail(Failure::Deadlock, || model.check(scenario));
}

fn a_slice_finds_a_change_whose_maker_died() {
    fn scenario() {
        let [mortal, other, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || mortal.raise(u32::MAX));
        let other = spawn(move || other.wait(1));
        if mortal.join_mortal().is_none() {
            main.number.fetch_add(1, Ordering::Relaxed);
            // Sooner or later memory shows to all what it holds; in a model somebody has to say so.
            let _ = main.count().advance();
        }
        other.join();
    }
    let model = Model::new().preemptions(3);
    model.clone().slices().check(scenario);
    must_fail(Failure::Deadlock, || model.check(scenario));
}
