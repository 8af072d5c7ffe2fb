//! A recursive lock: it is given back when its holder has given it back as often as it took it.

use super::super::algorithm::lock::{HOLDER_DIED, Refused};
use super::super::algorithm::rlock::RLock;
use super::lock::Words;
use crate::explore::{Data, Model, models, saw, shared};
use crate::machine::{self, join_all, spawn, spawn_mortal};
use crate::word::{Deadline, Word};

models![
    it_is_held_until_it_is_given_back_as_often,
    who_tries_goes_deeper_or_does_not_get_it,
    who_waits_with_a_limit_gets_it_or_gives_up,
    after_one_that_died_at_any_depth_the_next_begins_at_one,
];

struct Shared {
    words: Words,
    depth: Word,
    data: Data,
}

impl Shared {
    fn new() -> Self {
        Self { words: Words::new(), depth: Word::new("depth", 0), data: Data::new(0) }
    }

    fn rlock(&self) -> RLock<'_> {
        RLock { lock: self.words.lock(), depth: &self.depth }
    }

    fn take(&self) -> u32 {
        self.rlock().take(Deadline::NEVER).expect("it waits without a limit")
    }

    /// What one does who holds it once: it leaves its id, and is the only one to do so.
    fn hold(&self) {
        self.data.set(machine::me());
        assert_eq!(self.take(), 2, "it is held once more");
        self.rlock().give_back();
        assert_eq!(self.data.get(), machine::me(), "nobody else holds it");
        self.rlock().give_back();
    }
}

fn it_is_held_until_it_is_given_back_as_often() {
    Model::new().preemptions(2).check(|| {
        let [one, two, main] = shared(Shared::new());
        let others = [one, two].map(|shared| {
            spawn(move || {
                assert_eq!(shared.take(), 1, "it was free");
                shared.hold();
            })
        });
        assert_eq!(main.take(), 1, "it was free");
        main.hold();
        join_all(others);
        assert_eq!(main.words.lock().holder(), 0, "it is free");
    });
}

fn who_tries_goes_deeper_or_does_not_get_it() {
    Model::new().sees(&["got it", "did not"]).check(|| {
        let [other, main] = shared(Shared::new());
        let other = spawn(move || match other.rlock().try_take() {
            Some(depth) => {
                assert_eq!(depth, 1, "it was free");
                other.hold();
                saw("got it");
            }
            None => saw("did not"),
        });
        main.take();
        assert_eq!(main.rlock().try_take(), Some(2), "it is this thread's");
        main.rlock().give_back();
        main.hold();
        other.join();
    });
}

fn who_waits_with_a_limit_gets_it_or_gives_up() {
    Model::new().preemptions(2).sees(&["got it", "gave up"]).check(|| {
        let [limited, other, main] = shared(Shared::new());
        let limited = spawn(move || match limited.rlock().take(Deadline::sleeps(1)) {
            Ok(depth) => {
                assert_eq!(depth, 1, "it was free");
                limited.hold();
                saw("got it");
            }
            Err(refused) => {
                assert_eq!(refused, Refused::Held, "another holds it");
                saw("gave up");
            }
        });
        let other = spawn(move || {
            other.take();
            other.hold();
        });
        main.take();
        main.hold();
        join_all([limited, other]);
    });
}

fn after_one_that_died_at_any_depth_the_next_begins_at_one() {
    let model = Model::new().preemptions(2);
    model.sees(&["died at depth 1", "died at depth 3", "not killed"]).check(|| {
        let [mortal, other, main] = shared(Shared::new());
        let mortal = spawn_mortal(move || {
            for depth in 1..=3 {
                assert_eq!(mortal.take(), depth, "it begins at one");
            }
            for _ in 0..3 {
                mortal.rlock().give_back();
            }
        });
        let other = spawn(move || {
            let depth_before = other.rlock().depth();
            assert_eq!(other.take(), 1, "it begins at one");
            if other.words.lock().take_news() == HOLDER_DIED {
                saw(if depth_before == 3 { "died at depth 3" } else { "died at depth 1" });
            }
            other.hold();
        });
        if mortal.join_mortal().is_some() {
            saw("not killed");
        }
        other.join();
        assert_eq!(main.take(), 1, "it begins at one");
        main.hold();
    });
}
