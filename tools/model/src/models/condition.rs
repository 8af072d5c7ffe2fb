//! A condition: no notification is lost, none lets two go on, and none goes with one that is killed.

use super::super::algorithm::condition::Condition;
use super::super::algorithm::event_count::EventCount;
use super::super::algorithm::lock::HOLDER_DIED;
use super::lock::Words;
use super::members::Table;
use crate::explore::{Data, Failure, Model, models, must_fail, saw, shared};
use crate::machine::{join_all, rest, spawn, spawn_mortal};
use crate::word::{Deadline, Ordering, Word};
use std::cell::Cell;

models![
    each_of_two_notifications_lets_one_go_on,
    a_notification_of_all_lets_all_go_on,
    a_sleep_that_ends_for_nothing_is_no_end,
    one_notification_lets_one_go_on_and_no_more,
    a_wait_with_a_limit_says_whether_it_was_notified,
    who_waits_for_the_lock_is_not_forgotten_beside_one_who_was_moved,
    one_that_is_killed_while_it_waits_takes_no_notification_along,
    one_that_was_notified_and_is_killed_takes_none_of_a_later_one_s,
    one_that_is_killed_while_it_notifies_keeps_nobody,
    one_that_is_killed_while_it_notifies_takes_no_notification_away,
];

struct Shared {
    words: Words,
    next: Word,
    waiting: Word,
    others: Word,
    owed: Word,
    until: Word,
    table: Table,
    sleepers: Word,
    looked: Word,
    notified: Word,
    core: Word,
    /// What those who wait want to have, each one.
    tokens: Data,
    /// How many were taken.
    taken: Data,
    /// How many waits have ended.
    went_on: Cell<u32>,
    /// Whether one was told that a holder of the lock died.
    told: Cell<bool>,
}

impl Shared {
    fn new() -> Self {
        Self::with_room_for(2)
    }

    fn with_room_for(room: usize) -> Self {
        Self {
            words: Words::new(),
            next: Word::new("next", 0),
            waiting: Word::new("waiting", 0),
            others: Word::new("others", 0),
            owed: Word::new("owed", 0),
            until: Word::new("until", 0),
            table: Table::new(room),
            sleepers: Word::new("sleepers", 0),
            looked: Word::new("looked", 0),
            notified: Word::new("notified", 0),
            core: Word::new("core", 0),
            tokens: Data::new(0),
            taken: Data::new(0),
            went_on: Cell::new(0),
            told: Cell::new(false),
        }
    }

    fn condition(&self) -> Condition<'_> {
        Condition {
            lock: self.words.lock(),
            next: &self.next,
            waiting: &self.waiting,
            others: &self.others,
            owed: &self.owed,
            until: &self.until,
            members: self.table.members(),
            sleepers: EventCount { word: &self.sleepers },
            looked: &self.looked,
            notified: &self.notified,
            core: &self.core,
        }
    }

    /// Does something under the lock.
    fn locked<T>(&self, act: impl FnOnce(&Self) -> T) -> T {
        assert_eq!(self.words.lock().take(Deadline::NEVER), Ok(()), "it waits without a limit");
        if self.words.lock().take_news() == HOLDER_DIED {
            self.told.set(true);
        }
        let result = act(self);
        self.words.lock().give_back();
        result
    }

    /// Takes the lock and gives it back.
    fn pass(&self) {
        assert_eq!(self.words.lock().take(Deadline::NEVER), Ok(()), "it waits without a limit");
        self.words.lock().give_back();
    }

    fn notify(&self, count: u32) {
        self.locked(|shared| shared.condition().notify(count));
    }

    /// Waits once; whether it was notified.
    fn wait(&self, deadline: Deadline) -> bool {
        self.locked(|shared| shared.condition().wait(deadline))
    }

    /// Waits until there is a token, and takes it.
    fn take_token(&self) {
        self.locked(|shared| {
            while shared.tokens.get() == 0 {
                assert!(shared.condition().wait(Deadline::NEVER), "it waits without a limit");
            }
            shared.tokens.set(shared.tokens.get() - 1);
            shared.taken.set(shared.taken.get() + 1);
        });
    }

    /// Puts tokens there, and notifies so many.
    fn put(&self, tokens: u32, count: u32) {
        self.locked(|shared| {
            shared.tokens.set(shared.tokens.get() + tokens);
            shared.condition().notify(count);
        });
    }

    /// After all have ended: nobody waits, and nobody is owed anything.
    fn check(&self) {
        for word in [&self.waiting, &self.others, &self.owed] {
            assert_eq!(word.load(Ordering::Relaxed), 0, "nobody waits: {word:?}");
        }
        assert_eq!(self.table.members().sum(), 0, "nobody waits");
        assert_eq!(self.words.lock().holder(), 0, "it is free");
    }
}

fn each_of_two_notifications_lets_one_go_on() {
    Model::new().preemptions(2).check(|| {
        let [one, two, main] = shared(Shared::new());
        let takers = [one, two].map(|shared| spawn(move || shared.take_token()));
        main.put(1, 1);
        main.put(1, 1);
        join_all(takers);
        main.check();
    });
}

fn a_notification_of_all_lets_all_go_on() {
    Model::new().preemptions(2).check(|| {
        // For the second there is no room.
        let [one, two, main] = shared(Shared::with_room_for(1));
        let takers = [one, two].map(|shared| spawn(move || shared.take_token()));
        main.put(2, u32::MAX);
        join_all(takers);
        main.check();
    });
}

fn a_sleep_that_ends_for_nothing_is_no_end() {
    Model::new().preemptions(2).spurious(1).check(|| {
        let [one, two, main] = shared(Shared::new());
        let takers = [one, two].map(|shared| spawn(move || shared.take_token()));
        main.put(2, u32::MAX);
        join_all(takers);
        main.check();
    });
}

fn one_notification_lets_one_go_on_and_no_more() {
    Model::new().preemptions(2).check(|| {
        let [one, two, main] = shared(Shared::new());
        let waiters = [one, two].map(|shared| {
            spawn(move || {
                assert!(shared.wait(Deadline::NEVER), "it waits without a limit");
                shared.went_on.set(shared.went_on.get() + 1);
            })
        });
        for notified in 0..2 {
            rest();
            assert_eq!(main.went_on.get(), notified, "as many as were notified");
            assert_eq!(main.waiting.load(Ordering::Relaxed), 2 - notified, "the others wait");
            main.notify(1);
        }
        join_all(waiters);
        main.check();
    });
}

fn a_wait_with_a_limit_says_whether_it_was_notified() {
    let model = Model::new().preemptions(2);
    model.sees(&["none waited", "one waited", "in time", "too late"]).check(|| {
        let [one, two, main] = shared(Shared::new());
        let waiters = [one, two];
        let waiters = waiters.map(|shared| spawn(move || shared.wait(Deadline::sleeps(1))));
        let waited = main.locked(|main| {
            main.condition().notify(1);
            main.waiting.load(Ordering::Relaxed)
        });
        saw(if waited == 0 { "none waited" } else { "one waited" });
        let notified = join_all(waiters).map(u32::from).iter().sum();
        saw(if notified == 1 { "in time" } else { "too late" });
        assert_eq!(waited.min(1), notified, "how many went on");
        main.check();
    });
}

fn who_waits_for_the_lock_is_not_forgotten_beside_one_who_was_moved() {
    Model::new().preemptions(2).check(|| {
        let [moved, other, notifier, main] = shared(Shared::with_room_for(1));
        let moved = spawn(move || {
            assert!(moved.wait(Deadline::NEVER), "it waits without a limit");
            moved.notify(1);
        });
        rest();
        // This one may take what the other was moved for.
        let others = main.locked(|main| {
            let notifier = spawn(move || notifier.notify(1));
            let other = spawn(move || other.pass());
            assert!(main.condition().wait(Deadline::NEVER), "it waits without a limit");
            [notifier, other]
        });
        // It is not the next notification that helps.
        join_all(others);
        main.notify(1);
        moved.join();
        main.check();
    });
}

fn one_that_is_killed_while_it_waits_takes_no_notification_along() {
    fn scenario() {
        let [mortal, other, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || mortal.take_token());
        let other = spawn(move || {
            other.take_token();
            other.put(1, 1);
        });
        rest();
        main.put(1, 1);
        let is_killed = mortal.join_mortal().is_none();
        main.locked(|main| {
            saw(match (is_killed, main.tokens.get()) {
                (true, 1) => "killed before",
                (true, _) => "killed later",
                (false, _) => "not killed",
            });
            // What one took that was killed, the other cannot have; nor a notification that it took, but
            // then it died with the lock.
            if main.tokens.get() == 0 || main.told.get() {
                main.tokens.set(1);
                main.condition().notify(1);
            }
        });
        other.join();
    }
    let model = Model::new().preemptions(1).sees(&["killed before", "killed later", "not killed"]);
    model.clone().slices().check(scenario);
    must_fail(Failure::Deadlock, || model.check(scenario));
}

fn one_that_was_notified_and_is_killed_takes_none_of_a_later_one_s() {
    let model = Model::new().preemptions(1).slices().spurious(1).always_due();
    model.sees(&["killed", "not killed"]).check(|| {
        let [mortal, later, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || mortal.wait(Deadline::NEVER));
        rest();
        main.notify(1);
        // Who looks for the dead forgets that this one waited.
        let later = spawn(move || later.take_token());
        saw(if mortal.join_mortal().is_none() { "killed" } else { "not killed" });
        main.put(1, u32::MAX);
        later.join();
    });
}

fn one_that_is_killed_while_it_notifies_keeps_nobody() {
    let model = Model::new().preemptions(2).slices();
    model.sees(&["killed before", "killed later", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || mortal.put(1, 1));
        let other = spawn(move || other.take_token());
        if mortal.join_mortal().is_some() {
            saw("not killed");
        } else {
            main.locked(|main| {
                let is_there = main.tokens.get() + main.taken.get() > 0;
                saw(if is_there { "killed later" } else { "killed before" });
                if !is_there {
                    main.tokens.set(1);
                }
                main.condition().notify(1);
            });
        }
        other.join();
    });
}

fn one_that_is_killed_while_it_notifies_takes_no_notification_away() {
    Model::new().preemptions(1).slices().sees(&["killed", "not killed"]).check(|| {
        let [earlier, mortal, main] = shared(Shared::new());
        let earlier = spawn(move || earlier.wait(Deadline::NEVER));
        rest();
        let mortal = spawn_mortal(move || mortal.notify(1));
        main.locked(|main| {
            main.condition().notify(1);
            // This one waits later than what it has just notified.
            main.condition().wait(Deadline::sleeps(1));
        });
        assert!(earlier.join(), "it waits without a limit");
        saw(if mortal.join_mortal().is_none() { "killed" } else { "not killed" });
    });
}
