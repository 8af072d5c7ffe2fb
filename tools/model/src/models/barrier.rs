//! A barrier: nobody passes before all are there; then all do, or all are told that it broke.

use super::super::algorithm::barrier::{Barrier, Broken, FILLING};
use super::super::algorithm::event_count::EventCount;
use super::lock::Words;
use super::members::Table;
use crate::explore::{Data, Model, models, saw, shared};
use crate::machine::{self, Handle, join_all, spawn, spawn_mortal};
use crate::word::{Deadline, Word};
use std::cell::Cell;

models![
    nobody_passes_before_all_are_there,
    a_next_generation_waits_again,
    the_action_runs_once_and_before_anyone_passes,
    an_action_that_fails_breaks_it_for_all,
    where_one_gives_up_all_are_told,
    where_it_is_broken_on_purpose_all_are_told,
    where_it_is_broken_while_the_action_runs_all_are_told,
    a_reset_sends_those_who_wait_away_and_lets_them_come_again,
    where_one_of_two_is_gone_the_other_is_told,
    where_one_of_three_is_killed_the_others_are_told,
    one_that_is_killed_in_the_action_keeps_nobody,
    one_that_is_killed_in_a_reset_keeps_nobody,
];

struct Shared {
    words: Words,
    state: Word,
    ends: Word,
    arrived: Word,
    crowded: Word,
    table: Table,
    sleepers: Word,
    looked: Word,
    came: Word,
    core: Word,
    parties: u32,
    /// How many have come so far.
    came_so_far: Cell<u32>,
    /// Left by each before it waits, and seen by all after it.
    left: [Data; 3],
    acted: Data,
}

type Waited = Result<u32, Broken>;

impl Shared {
    fn for_parties(parties: u32) -> Self {
        Self {
            words: Words::new(),
            state: Word::new("state", FILLING),
            ends: Word::new("ends", 0),
            arrived: Word::new("arrived", 0),
            crowded: Word::new("crowded", 0),
            table: Table::new(parties as usize),
            sleepers: Word::new("sleepers", 0),
            looked: Word::new("looked", 0),
            came: Word::new("came", 0),
            core: Word::new("core", 0),
            parties,
            came_so_far: Cell::new(0),
            left: std::array::from_fn(|_| Data::new(0)),
            acted: Data::new(0),
        }
    }

    fn barrier(&self) -> Barrier<'_> {
        Barrier {
            lock: self.words.lock(),
            state: &self.state,
            ends: &self.ends,
            arrived: &self.arrived,
            crowded: &self.crowded,
            members: self.table.members(),
            sleepers: EventCount { word: &self.sleepers },
            looked: &self.looked,
            came: &self.came,
            core: &self.core,
            parties: self.parties,
        }
    }

    fn wait_until(&self, deadline: Deadline) -> Waited {
        self.barrier().wait(deadline, None::<fn() -> bool>)
    }

    fn wait(&self) -> Waited {
        self.wait_until(Deadline::NEVER)
    }

    /// Leaves something, waits, and sees what the others have left.
    fn meet(&self, place: usize) -> u32 {
        self.left[place].set(1);
        self.came_so_far.set(self.came_so_far.get() + 1);
        let index = self.wait().expect("nobody breaks it");
        assert_eq!(self.came_so_far.get(), self.parties, "nobody passes before all are there");
        let left = &self.left[..self.parties as usize];
        assert!(left.iter().all(|left| left.get() == 1), "what was done before");
        index
    }

    /// Waits with an action.
    fn act(&self, succeeds: bool) -> Waited {
        let action = || {
            self.acted.set(self.acted.get() + 1);
            machine::moment();
            succeeds
        };
        self.barrier().wait(Deadline::NEVER, Some(action))
    }

    /// The state of one that is as it was at first, but for the members.
    fn check_empty(&self) {
        assert_eq!(self.barrier().arrived(), 0, "nobody waits");
        assert_eq!(self.table.members().sum(), 0, "nobody waits");
        assert_eq!(self.words.lock().holder(), 0, "it is free");
    }
}

/// All have passed, each at its own place, or all were told.
fn check_same<const N: usize>(waited: [Waited; N]) {
    let mut indices: Vec<_> = waited.iter().flatten().copied().collect();
    indices.sort_unstable();
    match indices.len() {
        0 => saw("broken"),
        _ => {
            assert_eq!(indices, (0..N as u32).collect::<Vec<_>>(), "all pass, or all are told");
            saw("passed");
        }
    }
}

fn nobody_passes_before_all_are_there() {
    Model::new().preemptions(3).check(|| {
        let [other, main] = shared(Shared::for_parties(2));
        let other = spawn(move || other.meet(1));
        let index = main.meet(0);
        assert_eq!(index + other.join(), 1, "one was the first");
        main.check_empty();
    });
    Model::new().preemptions(1).check(|| {
        let [one, two, main] = shared(Shared::for_parties(3));
        let others = [(one, 1), (two, 2)];
        let others = others.map(|(shared, place)| spawn(move || shared.meet(place)));
        let mine = main.meet(0);
        let [one, two] = join_all(others);
        check_same([Ok(mine), Ok(one), Ok(two)]);
        main.check_empty();
    });
}

fn a_next_generation_waits_again() {
    Model::new().preemptions(2).check(|| {
        let [other, main] = shared(Shared::for_parties(2));
        let come_and_wait = |shared: &Shared, round: u32| {
            shared.came_so_far.set(shared.came_so_far.get() + 1);
            shared.wait().expect("nobody breaks it");
            assert!(shared.came_so_far.get() >= 2 * round, "nobody passes before all are there");
        };
        let other = spawn(move || (1..=2).for_each(|round| come_and_wait(&other, round)));
        (1..=2).for_each(|round| come_and_wait(&main, round));
        other.join();
        main.check_empty();
    });
}

fn the_action_runs_once_and_before_anyone_passes() {
    Model::new().preemptions(2).check(|| {
        let [other, main] = shared(Shared::for_parties(2));
        let act = |shared: &Shared| {
            let index = shared.act(true).expect("nobody breaks it");
            assert_eq!(shared.acted.get(), 1, "once, and before anyone passes");
            index
        };
        let other = spawn(move || act(&other));
        let index = act(&main);
        assert_eq!(index + other.join(), 1, "one was the first");
        main.check_empty();
    });
}

fn an_action_that_fails_breaks_it_for_all() {
    Model::new().preemptions(2).check(|| {
        let [other, main] = shared(Shared::for_parties(2));
        let other = spawn(move || other.act(false));
        let mine = main.act(false);
        assert_eq!([mine, other.join()], [Err(Broken); 2]);
        assert_eq!(main.acted.get(), 1, "once");
        assert!(main.barrier().is_broken(), "until a reset");
        assert_eq!(main.wait(), Err(Broken), "until a reset");
        main.check_empty();
    });
}

fn where_one_gives_up_all_are_told() {
    Model::new().preemptions(2).sees(&["passed", "broken"]).check(|| {
        let [limited, main] = shared(Shared::for_parties(2));
        let limited = spawn(move || limited.wait_until(Deadline::sleeps(1)));
        let mine = main.wait();
        check_same([mine, limited.join()]);
        main.check_empty();
    });
}

fn where_it_is_broken_on_purpose_all_are_told() {
    Model::new().preemptions(2).sees(&["passed", "broken"]).check(|| {
        let [one, two, main] = shared(Shared::for_parties(2));
        let others = [one, two].map(|shared| spawn(move || shared.wait()));
        main.barrier().abort();
        check_same(join_all(others));
        assert!(main.barrier().is_broken(), "until a reset");
        main.check_empty();
    });
}

fn where_it_is_broken_while_the_action_runs_all_are_told() {
    Model::new().preemptions(2).sees(&["passed", "broken", "broken after the action"]).check(
        || {
            let [one, two, main] = shared(Shared::for_parties(2));
            let others = [one, two].map(|shared| spawn(move || shared.act(true)));
            main.barrier().abort();
            let waited = join_all(others);
            if waited[0].is_err() && main.acted.get() == 1 {
                saw("broken after the action");
            }
            check_same(waited);
            assert!(main.barrier().is_broken(), "until a reset");
            main.check_empty();
        },
    );
}

fn a_reset_sends_those_who_wait_away_and_lets_them_come_again() {
    Model::new().preemptions(2).sees(&["sent away", "passed at once"]).check(|| {
        let [one, two, main] = shared(Shared::for_parties(2));
        let others = [one, two].map(|shared| {
            spawn(move || {
                let first = shared.wait();
                if first.is_err() {
                    shared.wait().expect("it is reset once");
                }
                first.is_err()
            })
        });
        main.barrier().reset();
        match join_all(others) {
            [false, false] => saw("passed at once"),
            [true, true] => panic!("the second had nobody to wait with"),
            _ => saw("sent away"),
        }
        assert!(!main.barrier().is_broken(), "it is as it was at first");
        main.check_empty();
    });
}

/// Waits for the end of a mortal party, and breaks the barrier where it died before it came.
fn stand_in(mortal: Handle<Waited>, main: &Shared) -> Option<Waited> {
    let id = mortal.id();
    let waited = mortal.join_mortal();
    if waited.is_none() && !main.table.has(id) && machine::marks() == 0 {
        saw("killed before it came");
        main.barrier().abort();
    } else if waited.is_none() {
        saw("killed");
    }
    waited
}

fn where_one_of_two_is_gone_the_other_is_told() {
    let model = Model::new().preemptions(2).slices();
    model.sees(&["killed before it came", "killed", "not killed", "passed", "told"]).check(|| {
        let [mortal, other, main] = shared(Shared::for_parties(2));
        let mortal = spawn_mortal(move || {
            mortal.came_so_far.set(1);
            mortal.wait()
        });
        let other = spawn(move || {
            let first = other.wait();
            assert!(first.is_err() || other.came_so_far.get() == 1, "it passes alone");
            // Now the other one comes no more, killed or not.
            assert_eq!(other.wait(), Err(Broken), "it passes alone");
            first
        });
        match (stand_in(mortal, &main), other.join()) {
            (Some(mortals), others) => {
                saw("not killed");
                check_same([mortals, others]);
            }
            (None, Ok(_)) => {}
            (None, Err(_)) => saw("told"),
        }
    });
}

fn where_one_of_three_is_killed_the_others_are_told() {
    let model = Model::new().preemptions(1).slices();
    model.sees(&["killed before it came", "killed", "passed", "told"]).check(|| {
        let [mortal, one, two, main] = shared(Shared::for_parties(3));
        let mortal = spawn_mortal(move || mortal.wait());
        let others = [one, two].map(|shared| spawn(move || shared.wait()));
        let id = mortal.id();
        let mortals = stand_in(mortal, &main);
        match (mortals, join_all(others)) {
            (Some(mine), [one, two]) => check_same([mine, one, two]),
            (None, [Ok(_), Ok(_)]) => saw("the others passed"),
            (None, [Err(_), Err(_)]) => saw("told"),
            (None, one_of_two) => panic!("all pass, or all are told: {one_of_two:?}"),
        }
        // What is left behind is no hindrance.
        main.barrier().reset();
        assert!(!main.table.has(id), "those who are gone are no parties any more");
        main.check_empty();
    });
}

fn one_that_is_killed_in_the_action_keeps_nobody() {
    let model = Model::new().preemptions(1).slices();
    model.sees(&["killed after the action", "passed"]).check(|| {
        let [mortal, other, main] = shared(Shared::for_parties(2));
        let mortal = spawn_mortal(move || mortal.act(true));
        let other = spawn(move || other.act(true));
        match (stand_in(mortal, &main), other.join()) {
            (Some(mortals), others) => check_same([mortals, others]),
            (None, others) => {
                if others.is_err() && main.acted.get() == 1 {
                    saw("killed after the action");
                }
            }
        }
    });
}

fn one_that_is_killed_in_a_reset_keeps_nobody() {
    let model = Model::new().preemptions(1).slices();
    model.sees(&["killed", "not killed", "sent away", "passed", "broken"]).check(|| {
        let [mortal, other, again, main] = shared(Shared::for_parties(2));
        let mortal = spawn_mortal(move || mortal.barrier().reset());
        let other = spawn(move || {
            let waited = other.wait();
            if waited.is_err() {
                saw("sent away");
                return other.wait();
            }
            waited
        });
        let is_killed = mortal.join_mortal().is_none();
        saw(if is_killed { "killed" } else { "not killed" });
        let waited = [main.wait(), other.join()];
        assert!(is_killed || waited[0].is_ok(), "nobody breaks it");
        check_same(waited);
        // Another reset makes it as it was at first.
        main.barrier().reset();
        let again = spawn(move || again.wait());
        let mine = main.wait().expect("nobody breaks it");
        assert_eq!(again.join(), Ok(1 - mine));
        main.check_empty();
    });
}
