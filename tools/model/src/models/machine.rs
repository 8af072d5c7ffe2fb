//! The machine itself: what it stands for must hold in it, or the other models show nothing.

use crate::explore::{Data, Failure, Model, models, must_fail, saw, shared};
use crate::machine::{Kernel, join_all, rest, spawn, spawn_mortal};
use crate::word::{
    DIED, Deadline, HOLDER, Ordering, Record, WAITERS, Word, is_alive, requeue, sleep,
    that_with_id, this_process, wake,
};

models![
    a_sleep_that_nobody_ends_is_a_deadlock,
    a_changed_word_does_not_sleep,
    a_slice_ends_by_itself,
    who_rests_goes_on_when_nobody_else_can,
    a_limited_sleep_ends_before_or_after_what_others_do,
    memory_that_nothing_orders_is_a_race,
    who_is_moved_is_woken_by_the_other_word,
    a_word_that_has_changed_moves_nobody,
    the_kernel_marks_what_the_dead_held,
    the_kernel_wakes_for_a_pending_word_that_is_free,
    one_that_is_killed_is_seen_to_be_gone,
];

fn word() -> Word {
    Word::new("word", 0)
}

/// A waker that changes the word only after it has looked for sleepers.
fn wake_too_early() {
    let [sleeper, main] = shared(word());
    let sleeper = spawn(move || {
        while sleeper.load(Ordering::Relaxed) == 0 {
            sleep(&sleeper, 0, Deadline::NEVER);
        }
    });
    wake(&main, 1);
    main.store(1, Ordering::Relaxed);
    sleeper.join();
}

fn a_sleep_that_nobody_ends_is_a_deadlock() {
    must_fail(Failure::Deadlock, || Model::new().check(wake_too_early));
}

fn a_slice_ends_by_itself() {
    Model::new().slices().check(wake_too_early);
    let never = || {
        let word = word();
        let other = spawn(|| {});
        while word.load(Ordering::Relaxed) == 0 {
            sleep(&word, 0, Deadline::NEVER);
        }
        other.join();
    };
    must_fail(Failure::Endless, || Model::new().slices().check(never));
}

fn who_rests_goes_on_when_nobody_else_can() {
    Model::new().check(|| {
        let [one, two, main] = shared(word());
        let sleepers = [one, two].map(|word| spawn(move || sleep(&word, 0, Deadline::NEVER)));
        rest();
        assert_eq!(wake(&main, 2), 2, "both sleep");
        join_all(sleepers);
    });
}

fn a_changed_word_does_not_sleep() {
    Model::new().sees(&["slept", "did not"]).check(|| {
        let [sleeper, main] = shared(word());
        let sleeper = spawn(move || sleep(&sleeper, 0, Deadline::NEVER));
        main.store(1, Ordering::Relaxed);
        saw(if wake(&main, 1) == 1 { "slept" } else { "did not" });
        assert!(sleeper.join(), "there was no limit");
    });
}

fn a_limited_sleep_ends_before_or_after_what_others_do() {
    Model::new().sees(&["before", "after", "woken", "nobody slept"]).check(|| {
        let [sleeper, main] = shared(word());
        let sleeper = spawn(move || {
            let deadline = Deadline::sleeps(1);
            assert!(sleep(&sleeper, 0, deadline), "there is time");
            assert!(!sleep(&sleeper, 0, deadline), "the time is up");
            saw(if sleeper.load(Ordering::Relaxed) == 0 { "before" } else { "after" });
        });
        main.store(1, Ordering::Relaxed);
        saw(if wake(&main, 1) == 1 { "woken" } else { "nobody slept" });
        sleeper.join();
    });
}

/// One leaves something for another and says so by a word.
fn pass_on(order: Ordering) {
    let [other, main] = shared((word(), Data::new(0)));
    let other = spawn(move || {
        other.1.set(1);
        other.0.store(1, order);
        wake(&other.0, 1);
    });
    while main.0.load(Ordering::Acquire) == 0 {
        sleep(&main.0, 0, Deadline::NEVER);
    }
    assert_eq!(main.1.get(), 1, "what was left");
    other.join();
}

fn memory_that_nothing_orders_is_a_race() {
    Model::new().check(|| pass_on(Ordering::Release));
    must_fail(Failure::Race, || Model::new().check(|| pass_on(Ordering::Relaxed)));
}

fn who_is_moved_is_woken_by_the_other_word() {
    Model::new().sees(&["moved", "not moved"]).check(|| {
        let [sleeper, main] = shared((word(), Word::new("other", 0)));
        let sleeper = spawn(move || sleep(&sleeper.0, 0, Deadline::NEVER));
        let moved = requeue(&main.0, 0, &main.1, 1).expect("nobody has changed the word");
        saw(if moved == 1 { "moved" } else { "not moved" });
        main.0.store(1, Ordering::Relaxed);
        assert_eq!(wake(&main.1, 1), moved, "who was moved, and nobody else");
        if wake(&main.0, 1) == 1 {
            assert_eq!(moved, 0, "who was moved is here no more");
        }
        sleeper.join();
    });
}

fn a_word_that_has_changed_moves_nobody() {
    Model::new().check(|| {
        let [sleeper, main] = shared((word(), Word::new("other", 0)));
        let sleeper = spawn(move || sleep(&sleeper.0, 0, Deadline::NEVER));
        main.0.store(1, Ordering::Relaxed);
        assert_eq!(requeue(&main.0, 0, &main.1, 1), None);
        assert_eq!(wake(&main.1, 1), 0);
        wake(&main.0, 1);
        sleeper.join();
    });
}

fn the_kernel_marks_what_the_dead_held() {
    Model::new().sees(&["nothing to mark", "marked", "slept"]).check(|| {
        let [mortal, sleeper, main] = shared(word());
        // Where it is not killed, it ends with the word, and that is the same.
        let mortal = spawn_mortal(move || {
            let step = Record::of(&mortal).begin();
            let order = Ordering::Relaxed;
            let _ = mortal.compare_exchange(0, step.me(), order, order);
            step.enlist();
            step.end();
        });
        let sleeper = spawn(move || {
            let mut seen = sleeper.load(Ordering::Relaxed);
            while seen & HOLDER != 0 {
                let (waited, order) = (seen | WAITERS, Ordering::Relaxed);
                if sleeper.compare_exchange(seen, waited, order, order).is_ok() {
                    sleep(&sleeper, waited, Deadline::NEVER);
                    saw("slept");
                }
                seen = sleeper.load(Ordering::Relaxed);
            }
        });
        mortal.join_mortal();
        sleeper.join();
        match main.load(Ordering::Relaxed) & !WAITERS {
            0 => saw("nothing to mark"),
            DIED => saw("marked"),
            other => panic!("{other}"),
        }
    });
}

/// One sleeps on a free word, and one who has said that it wants that word may be killed.
fn die_beside_a_sleeper(value: u32) {
    let [mortal, sleeper, main] = shared(Word::new("word", value));
    let mortal = spawn_mortal(move || Record::of(&mortal).begin().end());
    let sleeper = spawn(move || {
        sleep(&sleeper, value, Deadline::NEVER);
        if sleeper.load(Ordering::Relaxed) == value {
            saw("woken by the kernel");
        }
    });
    mortal.join_mortal();
    main.store(value + 1, Ordering::Relaxed);
    wake(&main, 1);
    sleeper.join();
}

fn the_kernel_wakes_for_a_pending_word_that_is_free() {
    let model = |kernel| Model::new().kernel(kernel).sees(&["woken by the kernel"]);
    for kernel in [Kernel::Today, Kernel::Before62] {
        model(kernel).check(|| die_beside_a_sleeper(0));
    }
    model(Kernel::Today).check(|| die_beside_a_sleeper(DIED));
    must_fail(Failure::Assertion("in no order: woken by the kernel"), || {
        model(Kernel::Before62).check(|| die_beside_a_sleeper(DIED));
    });
}

fn one_that_is_killed_is_seen_to_be_gone() {
    Model::new().sees(&["alive", "gone", "killed"]).check(|| {
        let [mortal, main] = shared(word());
        let mortal = spawn_mortal(move || {
            mortal.store(this_process().pid, Ordering::Release);
            mortal.load(Ordering::Relaxed)
        });
        let pid = main.load(Ordering::Acquire);
        let process = that_with_id(pid);
        if pid != 0 {
            saw(if is_alive(process) { "alive" } else { "gone" });
        }
        assert!(is_alive(this_process()), "who asks is alive");
        if mortal.join_mortal().is_none() {
            saw("killed");
        }
        assert!(pid == 0 || !is_alive(process), "it has ended");
    });
}
