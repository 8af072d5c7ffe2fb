//! An event: who waits goes on, and sees what was done before it was set.

use super::super::algorithm::event::{CLEAR, Event};
use crate::explore::{Data, Failure, Model, models, must_fail, saw, shared};
use crate::machine::{join_all, spawn, spawn_mortal};
use crate::word::{Deadline, Word};

models![
    all_who_wait_go_on_and_see_what_was_done_before,
    a_clear_before_the_last_set_takes_nobody_s_wake_up,
    a_wait_with_a_limit_says_whether_it_was_set,
    what_one_sets_twice_around_a_clear_is_seen,
    a_sleep_that_ends_for_nothing_is_no_end,
    one_that_is_killed_while_it_waits_keeps_nobody,
    one_that_is_killed_in_set_delays_others_by_a_slice,
];

struct Shared {
    state: Word,
    core: Word,
    data: Data,
}

impl Shared {
    fn new() -> Self {
        Self { state: Word::new("state", CLEAR), core: Word::new("core", 0), data: Data::new(0) }
    }

    fn event(&self) -> Event<'_> {
        Event { state: &self.state, core: &self.core }
    }

    fn wait(&self) {
        assert!(self.event().wait(Deadline::NEVER), "it waits without a limit");
    }
}

fn all_who_wait_go_on_and_see_what_was_done_before() {
    Model::new().preemptions(3).check(|| {
        let [one, two, main] = shared(Shared::new());
        let waiters = [one, two].map(|shared| {
            spawn(move || {
                shared.wait();
                assert_eq!(shared.data.get(), 1, "what was done before");
            })
        });
        main.data.set(1);
        main.event().set();
        join_all(waiters);
    });
}

fn a_clear_before_the_last_set_takes_nobody_s_wake_up() {
    Model::new().preemptions(3).check(|| {
        let [waiter, clearer, main] = shared(Shared::new());
        let waiter = spawn(move || waiter.wait());
        let clearer = spawn(move || clearer.event().clear());
        main.event().set();
        clearer.join();
        main.event().set();
        waiter.join();
    });
}

fn what_one_sets_twice_around_a_clear_is_seen() {
    Model::new().sees(&["set", "cleared meanwhile"]).check(|| {
        let [waiter, main] = shared(Shared::new());
        let waiter = spawn(move || {
            waiter.wait();
            assert_eq!(waiter.data.get(), 1, "what was done before");
            saw(if waiter.event().is_set() { "set" } else { "cleared meanwhile" });
        });
        main.data.set(1);
        main.event().set();
        main.event().clear();
        main.event().set();
        waiter.join();
    });
}

fn a_wait_with_a_limit_says_whether_it_was_set() {
    Model::new().preemptions(3).sees(&["in time", "too late"]).check(|| {
        let [waiter, other, main] = shared(Shared::new());
        let waiter = spawn(move || {
            if waiter.event().wait(Deadline::sleeps(1)) {
                assert_eq!(waiter.data.get(), 1, "what was done before");
                saw("in time");
            } else {
                saw("too late");
            }
        });
        // One that gave up takes nothing away from one that did not.
        let other = spawn(move || other.wait());
        main.data.set(1);
        main.event().set();
        other.join();
        waiter.join();
    });
}

fn a_sleep_that_ends_for_nothing_is_no_end() {
    Model::new().preemptions(3).spurious(1).check(|| {
        let [one, two, main] = shared(Shared::new());
        let waiters = [one, two].map(|shared| {
            spawn(move || {
                shared.wait();
                assert_eq!(shared.data.get(), 1, "what was done before");
            })
        });
        main.data.set(1);
        main.event().set();
        join_all(waiters);
    });
}

fn one_that_is_killed_while_it_waits_keeps_nobody() {
    Model::new().preemptions(3).sees(&["killed", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || mortal.wait());
        let other = spawn(move || other.wait());
        main.event().set();
        other.join();
        saw(if mortal.join_mortal().is_none() { "killed" } else { "not killed" });
    });
}

fn one_that_is_killed_in_set_delays_others_by_a_slice() {
    fn scenario() {
        let [mortal, waiter, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || mortal.event().set());
        let waiter = spawn(move || waiter.wait());
        if mortal.join_mortal().is_none() {
            if !main.event().is_set() {
                saw("killed before");
                main.event().set();
            } else {
                saw("killed after");
            }
        }
        waiter.join();
    }
    let model = Model::new().sees(&["killed before", "killed after"]);
    model.clone().slices().check(scenario);
    // It is the slice that helps.
    must_fail(Failure::Deadlock, || model.check(scenario));
}
