//! A model: a few threads, and what must hold in every order of their steps.
//!
//! [`Model::check`] lets loom run it in every order, and in every order again for each step of a mortal
//! thread, which then dies before that step.

pub(crate) use crate::mutants::table::Failure;

use crate::machine::{self, Conditions, Kernel};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;

/// A model's name and what runs it.
pub(crate) type Entry = (&'static str, fn());

/// The models of a file, under the names of their functions; all of them, and each alone.
macro_rules! models {
    ($($name:ident),* $(,)?) => {
        pub(crate) const MODELS: &[crate::explore::Entry] = &[$(each::$name),*];

        #[allow(non_upper_case_globals, reason = "they have the names of their functions")]
        pub(crate) mod each {
            $(pub(crate) const $name: crate::explore::Entry = (stringify!($name), super::$name);)*
        }
    };
}
pub(crate) use models;

/// How many steps an order may have; one with more does not end.
const STEPS: usize = 2_000;

thread_local! {
    static SEEN: RefCell<BTreeSet<&'static str>> = RefCell::default();
    static ORDERS: Cell<u64> = const { Cell::new(0) };
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// How a model is run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    conditions: Conditions,
    preemptions: Option<usize>,
    deaths: Option<usize>,
    sees: &'static [&'static str],
}

impl Model {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Tries only those orders in which a thread that could go on has to stand aside at most so many
    /// times. What is wrong nearly always shows with two or three.
    pub(crate) fn preemptions(mut self, most: usize) -> Self {
        self.preemptions = Some(most);
        self
    }

    /// Lets all sleeps end when no thread can go on. Without it that is a deadlock.
    pub(crate) fn slices(mut self) -> Self {
        self.conditions.slices = true;
        self
    }

    /// Lets it be time to look for the dead whenever one asks. Without it, it is so once after a slice.
    pub(crate) fn always_due(mut self) -> Self {
        self.conditions.always_due = true;
        self
    }

    /// Lets so many sleeps of each thread end at any moment, as any sleep may.
    pub(crate) fn spurious(mut self, sleeps: u32) -> Self {
        self.conditions.spurious = sleeps;
        self
    }

    pub(crate) fn kernel(mut self, kernel: Kernel) -> Self {
        self.conditions.kernel = kernel;
        self
    }

    /// Lets so many of the mortal threads die in one order; one, if nothing is said.
    pub(crate) fn deaths(mut self, most: usize) -> Self {
        self.deaths = Some(most);
        self
    }

    /// What must happen in some order ([`saw`]); else the model shows less than it seems to.
    pub(crate) fn sees(mut self, events: &'static [&'static str]) -> Self {
        self.sees = events;
        self
    }

    /// Runs it in every order.
    ///
    /// # Panics
    ///
    /// Where an order fails, after printing its steps.
    pub(crate) fn check(&self, scenario: fn()) {
        SEEN.take();
        let before = ORDERS.get();
        let mut run = self.clone();
        let (mortals, _) = run.explore(scenario);
        run.conditions.deaths = vec![None; mortals];
        run.let_die(scenario, 0, self.deaths.unwrap_or(1));
        assert!(ORDERS.get() - before > 1, "there is only one order");
        for event in self.sees {
            assert!(SEEN.with_borrow(|seen| seen.contains(event)), "in no order: {event}");
        }
    }

    /// Lets each mortal from `first` on die before each of its steps, and `deaths - 1` later ones too.
    fn let_die(&mut self, scenario: fn(), first: usize, deaths: usize) {
        if deaths == 0 {
            return;
        }
        for mortal in first..self.conditions.deaths.len() {
            for step in 0.. {
                self.conditions.deaths[mortal] = Some(step);
                let (_, killed) = self.explore(scenario);
                // It was through with it all before that step, in whatever order.
                if !killed.contains(&mortal) {
                    break;
                }
                self.let_die(scenario, mortal + 1, deaths - 1);
            }
            self.conditions.deaths[mortal] = None;
        }
    }

    /// All orders under these conditions; how many threads are mortal, and who died in some order.
    fn explore(&self, scenario: fn()) -> (usize, BTreeSet<usize>) {
        thread_local! {
            static TALLY: RefCell<(usize, BTreeSet<usize>)> = RefCell::default();
        }
        TALLY.take();
        let mut loom = loom::model::Builder::new();
        loom.max_branches = STEPS;
        loom.preemption_bound = self.preemptions;
        // All of them, whatever the environment says.
        (loom.max_permutations, loom.max_duration, loom.checkpoint_file) = (None, None, None);
        let conditions = self.conditions.clone();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            loom.check(move || {
                ORDERS.set(ORDERS.get() + 1);
                machine::boot(&conditions);
                scenario();
                let tally = machine::shut_down();
                TALLY.with_borrow_mut(|(mortals, killed)| {
                    *mortals = tally.mortals;
                    killed.extend(tally.killed);
                });
            });
        }));
        if let Err(payload) = outcome {
            if !IS_QUIET.get() {
                eprintln!(
                    "an order that fails, under {:?}:\n{}",
                    self.conditions,
                    machine::trace()
                );
            }
            panic::resume_unwind(payload);
        }
        TALLY.take()
    }
}

/// Notes that something has happened, for [`Model::sees`].
pub(crate) fn saw(event: &'static str) {
    machine::remark(event);
    SEEN.with_borrow_mut(|seen| seen.insert(event));
}

/// How many orders this thread has run.
pub(crate) fn orders() -> u64 {
    ORDERS.get()
}

/// Whether failures are expected, and not to be printed.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.get()
}

/// Runs what must fail, and in this way.
pub(crate) fn must_fail(failure: Failure, run: impl FnOnce()) {
    let was_quiet = IS_QUIET.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(was_quiet);
    let text = match &outcome {
        Ok(()) => panic!("no order fails, and one must by {failure:?}"),
        Err(payload) => text(&**payload),
    };
    let part = match failure {
        Failure::Deadlock => "deadlock; threads = ",
        Failure::Race => "Causality violation",
        Failure::Endless => "Model exceeded maximum number of branches",
        Failure::Assertion(part) => part,
    };
    let steps = machine::trace();
    assert!(text.contains(part), "it must fail by {failure:?}, and fails so: {text}\n{steps}");
}

/// The text of a panic.
pub(crate) fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no text)")
}

/// Memory that a primitive protects. Loom watches that no two threads touch it in no order.
pub(crate) struct Data<T = u32> {
    memory: loom::cell::UnsafeCell<()>,
    value: Cell<T>,
}

impl<T: Copy> Data<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { memory: loom::cell::UnsafeCell::new(()), value: Cell::new(value) }
    }

    pub(crate) fn get(&self) -> T {
        self.memory.with(|_| ());
        self.value.get()
    }

    pub(crate) fn set(&self, value: T) {
        self.memory.with_mut(|_| ());
        self.value.set(value);
    }
}

/// What the threads of a model share.
pub(crate) fn shared<T, const N: usize>(value: T) -> [Rc<T>; N] {
    let value = Rc::new(value);
    std::array::from_fn(|_| Rc::clone(&value))
}
