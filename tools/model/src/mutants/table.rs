//! What is planted where, and how a model must fail. Read by the build as well.

/// From here to the algorithms.
pub(crate) const FOLDER: &str = "../../common/src/sync/algorithm";

/// All of them.
pub(crate) const ALGORITHMS: &[&str] =
    &["barrier", "condition", "event", "event_count", "lock", "members", "rlock", "semaphore"];

/// Those of them that no model tries yet.
pub(crate) const UNTRIED: &[&str] =
    &["barrier", "condition", "event_count", "members", "rlock", "semaphore"];

/// How a model fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// All threads wait.
    Deadlock,
    /// Memory is touched by two threads in no order.
    Race,
    /// A thread looks again and again at what does not change.
    Endless,
    /// What must hold does not: an assertion of the model or the machine, whose text has this part.
    Assertion(&'static str),
}

/// An algorithm with a planted bug.
#[derive(Debug)]
pub(crate) struct Mutant {
    /// What the bug does.
    pub(crate) name: &'static str,
    pub(crate) algorithm: &'static str,
    /// Stands once in the algorithm's file.
    pub(crate) snippet: &'static str,
    pub(crate) replacement: &'static str,
    /// The model that must fail: file and function.
    pub(crate) model: &'static str,
    pub(crate) fails: Failure,
}

/// In the order of the files.
pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "event_set_publishes_nothing",
        algorithm: "event",
        snippet: "swap(SET, Ordering::Release)",
        replacement: "swap(SET, Ordering::Relaxed)",
        model: "event::all_who_wait_go_on_and_see_what_was_done_before",
        fails: Failure::Race,
    },
    Mutant {
        name: "event_is_set_acquires_nothing",
        algorithm: "event",
        snippet: "load(Ordering::Acquire) == SET",
        replacement: "load(Ordering::Relaxed) == SET",
        model: "event::all_who_wait_go_on_and_see_what_was_done_before",
        fails: Failure::Race,
    },
    Mutant {
        name: "event_wait_acquires_nothing_when_it_comes_too_late_to_sleep",
        algorithm: "event",
        snippet: "WAITED, Ordering::Relaxed, Ordering::Acquire",
        replacement: "WAITED, Ordering::Relaxed, Ordering::Relaxed",
        model: "event::all_who_wait_go_on_and_see_what_was_done_before",
        fails: Failure::Race,
    },
    Mutant {
        name: "event_set_does_not_wake",
        algorithm: "event",
        snippet: "            wake(self.state, u32::MAX);\n",
        replacement: "",
        model: "event::all_who_wait_go_on_and_see_what_was_done_before",
        fails: Failure::Deadlock,
    },
    Mutant {
        name: "event_set_wakes_only_one",
        algorithm: "event",
        snippet: "wake(self.state, u32::MAX)",
        replacement: "wake(self.state, 1)",
        model: "event::all_who_wait_go_on_and_see_what_was_done_before",
        fails: Failure::Deadlock,
    },
    Mutant {
        name: "event_set_looks_for_sleepers_first",
        algorithm: "event",
        snippet: "if self.state.swap(SET, Ordering::Release) == WAITED {",
        replacement: "let seen = self.state.load(Ordering::Relaxed);
        self.state.store(SET, Ordering::Release);
        if seen == WAITED {",
        model: "event::all_who_wait_go_on_and_see_what_was_done_before",
        fails: Failure::Deadlock,
    },
    Mutant {
        name: "event_clear_forgets_the_sleepers",
        algorithm: "event",
        snippet: "let _ = self.state.compare_exchange(SET, CLEAR, Ordering::AcqRel, Ordering::Relaxed);",
        replacement: "self.state.store(CLEAR, Ordering::Release);",
        model: "event::a_clear_before_the_last_set_takes_nobody_s_wake_up",
        fails: Failure::Deadlock,
    },
    Mutant {
        name: "lock_give_back_publishes_nothing",
        algorithm: "lock",
        snippet: "swap(0, Ordering::Release)",
        replacement: "swap(0, Ordering::Relaxed)",
        model: "lock::two_take_turns",
        fails: Failure::Race,
    },
    Mutant {
        name: "lock_take_acquires_nothing",
        algorithm: "lock",
        snippet: "compare_exchange(0, held, Ordering::Acquire,",
        replacement: "compare_exchange(0, held, Ordering::Relaxed,",
        model: "lock::two_take_turns",
        fails: Failure::Race,
    },
    Mutant {
        name: "lock_take_from_the_dead_acquires_nothing",
        algorithm: "lock",
        snippet: "compare_exchange_weak(seen, held, Ordering::Acquire,",
        replacement: "compare_exchange_weak(seen, held, Ordering::Relaxed,",
        model: "lock::a_holder_that_dies_gives_it_to_the_next_who_is_told",
        fails: Failure::Race,
    },
    Mutant {
        name: "lock_give_back_does_not_wake",
        algorithm: "lock",
        snippet: "            self.wake_one();\n",
        replacement: "",
        model: "lock::two_take_turns",
        fails: Failure::Deadlock,
    },
    Mutant {
        name: "lock_one_that_slept_forgets_the_other_sleepers",
        algorithm: "lock",
        snippet: "            held = me | WAITERS;\n",
        replacement: "",
        model: "lock::one_holds_it_at_a_time",
        fails: Failure::Deadlock,
    },
    Mutant {
        name: "lock_take_sleeps_without_saying_so",
        algorithm: "lock",
        snippet: "let waited = seen | WAITERS;",
        replacement: "let waited = seen;",
        model: "lock::two_take_turns",
        fails: Failure::Deadlock,
    },
    Mutant {
        name: "lock_take_is_not_pending",
        algorithm: "lock",
        snippet: "if taken.is_ok() {\n            step.enlist();\n        }",
        replacement: "step.end();\n        if taken.is_ok() {\n            step.enlist();\n        }",
        model: "lock::a_holder_that_dies_gives_it_to_the_next_who_is_told",
        fails: Failure::Deadlock,
    },
    Mutant {
        name: "lock_take_does_not_enlist",
        algorithm: "lock",
        snippet: "if taken.is_ok() {\n            step.enlist();\n        }",
        replacement: "",
        model: "lock::a_holder_that_dies_gives_it_to_the_next_who_is_told",
        fails: Failure::Assertion("is delisted twice"),
    },
    Mutant {
        name: "lock_give_back_is_not_pending",
        algorithm: "lock",
        snippet: "step.delist();",
        replacement: "step.delist();\n        step.end();",
        model: "lock::a_holder_that_dies_gives_it_to_the_next_who_is_told",
        fails: Failure::Deadlock,
    },
    Mutant {
        name: "lock_give_back_delists_what_is_another_s_already",
        algorithm: "lock",
        snippet: "        step.delist();
        if self.record.word().swap(0, Ordering::Release) & WAITERS != 0 {
            self.wake_one();
        }",
        replacement: "        let seen = self.record.word().swap(0, Ordering::Release);
        step.delist();
        if seen & WAITERS != 0 {
            self.wake_one();
        }",
        model: "lock::two_take_turns",
        fails: Failure::Race,
    },
    Mutant {
        name: "lock_does_not_tell",
        algorithm: "lock",
        snippet: "store(HOLDER_DIED, ",
        replacement: "store(NOTHING, ",
        model: "lock::a_holder_that_dies_gives_it_to_the_next_who_is_told",
        fails: Failure::Assertion("told once for each holder that died"),
    },
    Mutant {
        name: "lock_tells_again_and_again",
        algorithm: "lock",
        snippet: "self.news.store(NOTHING, Ordering::Relaxed);",
        replacement: "",
        model: "lock::a_holder_that_dies_gives_it_to_the_next_who_is_told",
        fails: Failure::Assertion("told once for each holder that died"),
    },
];
