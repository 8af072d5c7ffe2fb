//! A lock: one holder at a time, who sees what the one before did, and is told if that one died.

use super::super::algorithm::lock::{HOLDER_DIED, HOLDER_PANICKED, Lock, NOTHING, Refused};
use crate::explore::{Data, Failure, Model, models, must_fail, saw, shared};
use crate::machine::{self, Handle, Kernel, join_all, rest, spawn, spawn_mortal};
use crate::word::{Deadline, Record, Word};
use std::cell::Cell;

models![
    one_holds_it_at_a_time,
    two_take_turns,
    who_tries_gets_it_or_does_not,
    who_waits_with_a_limit_gets_it_or_gives_up,
    a_sleep_that_ends_for_nothing_is_no_end,
    who_holds_it_does_not_wait_for_itself,
    a_panic_is_told_to_the_next_alone,
    a_holder_that_dies_gives_it_to_the_next_who_is_told,
    two_holders_may_die_one_after_the_other,
    one_that_dies_while_it_waits_passes_the_wake_up_on,
    one_that_dies_while_it_gives_up_or_tries_keeps_nothing,
    a_slice_finds_a_wake_up_that_died_while_another_came_first,
    on_an_older_kernel_a_slice_finds_a_lost_wake_up,
];

/// The words of a lock.
pub(crate) struct Words {
    word: Word,
    core: Word,
    news: Word,
}

impl Words {
    pub(crate) fn new() -> Self {
        Self {
            word: Word::new("lock", 0),
            core: Word::new("core", 0),
            news: Word::new("news", NOTHING),
        }
    }

    pub(crate) fn lock(&self) -> Lock<'_> {
        Lock { record: Record::of(&self.word), core: &self.core, news: &self.news }
    }
}

struct Shared {
    words: Words,
    /// How often the lock was held to its end.
    count: Data,
    /// 1 while a holder is half through.
    half: Data,
    /// How many were told that the holder before died.
    told: Cell<u32>,
}

impl Shared {
    fn new() -> Self {
        Self { words: Words::new(), count: Data::new(0), half: Data::new(0), told: Cell::new(0) }
    }

    fn take(&self) {
        assert_eq!(self.words.lock().take(Deadline::NEVER), Ok(()), "it waits without a limit");
    }

    /// What a holder does, from the news to the end.
    fn hold(&self) {
        let news = self.words.lock().take_news();
        if news == HOLDER_DIED {
            saw("told");
            self.told.set(self.told.get() + 1);
        }
        assert!(self.half.get() == 0 || news == HOLDER_DIED, "half done, and nobody says so");
        self.half.set(1);
        machine::moment();
        self.count.set(self.count.get() + 1);
        self.half.set(0);
        self.words.lock().give_back();
    }

    fn take_and_hold(&self) {
        self.take();
        self.hold();
    }

    /// After all have ended: how many were told, and how many died with the lock.
    fn told_and_died(&self) -> (u32, u32) {
        self.take();
        self.hold();
        (self.told.get(), machine::marks())
    }

    /// The same, where one at most can die.
    fn check_that_a_death_was_told(&self) {
        let (told, died) = self.told_and_died();
        assert_eq!(told, died, "told once for each holder that died");
        saw(if died > 0 { "a holder died" } else { "no holder died" });
    }
}

fn one_holds_it_at_a_time() {
    Model::new().preemptions(3).check(|| {
        let [one, two, main] = shared(Shared::new());
        let others = [one, two].map(|shared| spawn(move || shared.take_and_hold()));
        main.take_and_hold();
        join_all(others);
        assert_eq!(main.count.get(), 3, "each held it to its end");
        assert_eq!(main.told.get(), 0, "nobody died");
        assert_eq!(main.words.lock().holder(), 0, "it is free");
    });
}

fn two_take_turns() {
    Model::new().preemptions(3).check(|| {
        let [other, main] = shared(Shared::new());
        let other = spawn(move || {
            other.take_and_hold();
            other.take_and_hold();
        });
        main.take_and_hold();
        main.take_and_hold();
        other.join();
        assert_eq!(main.count.get(), 4, "each held it twice");
    });
}

fn who_tries_gets_it_or_does_not() {
    Model::new().preemptions(3).sees(&["got it", "did not"]).check(|| {
        let [one, two, main] = shared(Shared::new());
        let tries = spawn(move || {
            let taken = one.words.lock().try_take();
            if taken {
                one.hold();
            }
            saw(if taken { "got it" } else { "did not" });
            u32::from(taken)
        });
        let waits = spawn(move || two.take_and_hold());
        main.take_and_hold();
        waits.join();
        let more = tries.join();
        assert_eq!(main.count.get(), 2 + more, "who did not get it did not hold it");
    });
}

fn who_waits_with_a_limit_gets_it_or_gives_up() {
    Model::new().preemptions(3).sees(&["got it", "gave up"]).check(|| {
        let [one, two, main] = shared(Shared::new());
        let limited = spawn(move || match one.words.lock().take(Deadline::sleeps(1)) {
            Ok(()) => {
                saw("got it");
                one.hold();
            }
            Err(refused) => {
                assert_eq!(refused, Refused::Held, "another holds it");
                saw("gave up");
            }
        });
        // What one that gave up has left behind keeps nobody.
        let waits = spawn(move || two.take_and_hold());
        main.take_and_hold();
        join_all([limited, waits]);
    });
}

fn a_sleep_that_ends_for_nothing_is_no_end() {
    Model::new().preemptions(2).spurious(1).check(|| {
        let [one, two, main] = shared(Shared::new());
        let others = [one, two].map(|shared| spawn(move || shared.take_and_hold()));
        main.take_and_hold();
        join_all(others);
        assert_eq!(main.count.get(), 3, "each held it to its end");
    });
}

fn who_holds_it_does_not_wait_for_itself() {
    Model::new().preemptions(3).check(|| {
        let [other, main] = shared(Shared::new());
        let other = spawn(move || other.take_and_hold());
        main.take();
        assert_eq!(main.words.lock().take(Deadline::NEVER), Err(Refused::Mine));
        assert!(!main.words.lock().try_take());
        assert_eq!(main.words.lock().take(Deadline::sleeps(0)), Err(Refused::Held));
        main.hold();
        other.join();
    });
}

fn a_panic_is_told_to_the_next_alone() {
    Model::new().sees(&["before the panic", "told of the panic"]).check(|| {
        let [other, main] = shared(Shared::new());
        let other = spawn(move || {
            other.take();
            let news = other.words.lock().take_news();
            other.words.lock().give_back();
            news
        });
        main.take();
        main.words.lock().tell(HOLDER_PANICKED);
        main.words.lock().give_back();
        main.take();
        let mine = main.words.lock().take_news();
        main.words.lock().give_back();
        let others = other.join();
        assert_eq!(mine + others, HOLDER_PANICKED, "one of the two is told");
        saw(if others == NOTHING { "before the panic" } else { "told of the panic" });
    });
}

fn a_holder_that_dies_gives_it_to_the_next_who_is_told() {
    Model::new().preemptions(2).sees(&["told", "a holder died", "no holder died"]).check(|| {
        let [mortal, other, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || mortal.take_and_hold());
        let other = spawn(move || other.take_and_hold());
        main.take_and_hold();
        other.join();
        mortal.join_mortal();
        main.check_that_a_death_was_told();
    });
}

fn two_holders_may_die_one_after_the_other() {
    let model = Model::new().preemptions(1).deaths(2);
    model.sees(&["two died, one was told", "two died, two were told", "none died"]).check(|| {
        let [one, two, three, main] = shared(Shared::new());
        let mortals = [one, two].map(|shared| spawn_mortal(move || shared.take_and_hold()));
        let other = spawn(move || three.take_and_hold());
        let _ = mortals.map(Handle::join_mortal);
        other.join();
        match main.told_and_died() {
            (0, 0) => saw("none died"),
            (1, 1) => {}
            // The second had no time to hear of the first.
            (1, 2) => saw("two died, one was told"),
            (2, 2) => saw("two died, two were told"),
            (told, died) => panic!("{died} died, {told} were told"),
        }
    });
}

fn one_that_dies_while_it_waits_passes_the_wake_up_on() {
    Model::new().preemptions(2).sees(&["killed", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new());
        main.take();
        let mortal = spawn_mortal(move || mortal.take());
        let other = spawn(move || other.take_and_hold());
        main.hold();
        other.join();
        saw(if mortal.join_mortal().is_none() { "killed" } else { "not killed" });
    });
}

fn one_that_dies_while_it_gives_up_or_tries_keeps_nothing() {
    Model::new().preemptions(2).sees(&["killed", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || {
            if mortal.words.lock().take(Deadline::sleeps(1)).is_ok() {
                mortal.words.lock().give_back();
            }
            if mortal.words.lock().try_take() {
                mortal.words.lock().give_back();
            }
        });
        let other = spawn(move || other.take_and_hold());
        main.take_and_hold();
        other.join();
        saw(if mortal.join_mortal().is_none() { "killed" } else { "not killed" });
        main.check_that_a_death_was_told();
    });
}

fn on_an_older_kernel_a_slice_finds_a_lost_wake_up() {
    fn scenario() {
        let [one, two, three] = shared(Shared::new());
        // All end with the lock; who is woken then may be killed.
        let ends = spawn(move || one.take());
        let mortal = spawn_mortal(move || two.take());
        let other = spawn(move || three.take());
        ends.join();
        other.join();
        mortal.join_mortal();
    }
    let older = Model::new().preemptions(2).kernel(Kernel::Before62);
    older.clone().slices().check(scenario);
    must_fail(Failure::Deadlock, || older.check(scenario));
    // The kernels of today wake another.
    Model::new().preemptions(2).check(scenario);
}

fn a_slice_finds_a_wake_up_that_died_while_another_came_first() {
    fn scenario() {
        let [mortal, other, main] = shared(Shared::new());
        main.take();
        let mortal = spawn_mortal(move || mortal.take());
        let other = spawn(move || other.take());
        rest();
        main.hold();
        // If it comes before the one that was woken, the word does not say that others sleep. If that
        // one dies now, the kernel finds the word held, and wakes nobody.
        main.take_and_hold();
        other.join();
        mortal.join_mortal();
    }
    let model = Model::new().preemptions(1);
    model.clone().slices().check(scenario);
    must_fail(Failure::Deadlock, || model.check(scenario));
}
