//! What a test can ask about processes.
//!
//! Every question is a [`Predicate`] of [`Evidence`], so it goes together with those of the crate
//! `predicates` (`and`, `or`, `not`). [`Processes`] puts them in a sentence, as `Assert` of
//! the crate `assert_cmd` does for what a program prints.
//!
//! | question | what is compared |
//! | --- | --- |
//! | [`created`] | the number of processes created, the first one not counted |
//! | [`alive_together`] | the most processes that lived at one time, the first one counted |
//! | [`ran_together`] | how long, or for how much of the work, so many processes were runnable |
//! | [`threads_ran_together`] | the same for threads, of whatever process |
//! | [`worked_by_children`] | the share of the work that was not done by the first process |
//! | [`each_of`] | the share of the work of each of the busiest processes |
//! | [`children_succeeded`] | that no child is known to have ended badly |
//!
//! *Work* is time on a processor. Starting a process is some work too, of two or three milliseconds,
//! so a test needs input that keeps a child busy for fifty or more.
//!
//! # How much to ask for
//!
//! On a busy machine children begin and end at different times, however alike they are. Four that were
//! started together and work for 60 ms each have run together for half to nearly all of the work,
//! measured beside four busy loops on two processors. Those that only seem to, one after the other or
//! asleep or idle, have never done so for more than a fiftieth. So a quarter tells right from wrong.
//!
//! # What is not known for certain
//!
//! Where records were lost ([`Lost`](super::Lost)), a figure is only known to lie between two bounds,
//! and a question is answered yes when both bounds satisfy it. So a program that blinds the observer
//! gains nothing by it. What the source `Sampling` never saw is not in its figures.

use std::fmt;
use std::time::Duration;

use predicates::reflection::{Case, Parameter, PredicateReflection, Product};
use predicates::{Predicate, reflection};

use super::advice::{self, Question};
use super::{Evidence, Overlap, ratio};

/// At least so much.
pub fn at_least<T>(least: T) -> Bound<T> {
    Bound { least: Some(least), most: None }
}

/// At most so much.
pub fn at_most<T>(most: T) -> Bound<T> {
    Bound { least: None, most: Some(most) }
}

/// Neither more nor less.
pub fn exactly<T: Copy>(value: T) -> Bound<T> {
    between(value, value)
}

/// Both included.
pub fn between<T>(least: T, most: T) -> Bound<T> {
    Bound { least: Some(least), most: Some(most) }
}

/// A range of numbers, in words.
#[derive(Clone, Copy, Debug)]
pub struct Bound<T> {
    least: Option<T>,
    most: Option<T>,
}

impl<T: PartialOrd + fmt::Display> Predicate<T> for Bound<T> {
    fn eval(&self, value: &T) -> bool {
        self.least.as_ref().is_none_or(|least| value >= least)
            && self.most.as_ref().is_none_or(|most| value <= most)
    }
}

impl<T: PartialOrd + fmt::Display> PredicateReflection for Bound<T> {}

impl<T: PartialOrd + fmt::Display> fmt::Display for Bound<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.least, &self.most) {
            (Some(least), Some(most)) if least == most => write!(out, "exactly {least}"),
            (Some(least), Some(most)) => write!(out, "between {least} and {most}"),
            (Some(least), None) => write!(out, "at least {least}"),
            (None, Some(most)) => write!(out, "at most {most}"),
            (None, None) => write!(out, "any number"),
        }
    }
}

/// How much of a run: a time, or a share of the work.
#[derive(Clone, Copy, Debug)]
pub struct Amount(Measure);

#[derive(Clone, Copy, Debug)]
enum Measure {
    Time(Duration),
    Share(f64),
}

/// A share of the work, from 0 to 1.
///
/// # Panics
///
/// If it is none.
pub fn share_of_work(share: f64) -> Amount {
    assert!((0.0..=1.0).contains(&share), "a share lies between 0 and 1, and {share} does not");
    Amount(Measure::Share(share))
}

impl From<Duration> for Amount {
    fn from(time: Duration) -> Amount {
        Amount(Measure::Time(time))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Measure::Time(time) => write!(out, "{} of the time", advice::time(time.as_secs_f64())),
            Measure::Share(share) => write!(out, "{} of the work", advice::percent(share)),
        }
    }
}

/// What a question compares: a figure, or the two between which it lies.
#[derive(Clone, Copy, Debug)]
struct Figure<T> {
    low: T,
    high: T,
}

impl<T> Figure<T> {
    /// Bounds on both ends hold in between.
    fn satisfies(&self, bound: &impl Predicate<T>) -> bool {
        bound.eval(&self.low) && bound.eval(&self.high)
    }
}

/// A predicate that is a figure held against a bound.
macro_rules! question {
    ($name:ident, $figure:ty, $kind:expr, $words:literal) => {
        impl<P: Predicate<$figure>> Predicate<Evidence> for $name<P> {
            fn eval(&self, evidence: &Evidence) -> bool {
                self.figure(evidence).satisfies(&self.bound)
            }

            fn find_case<'a>(
                &'a self,
                expected: bool,
                evidence: &Evidence,
            ) -> Option<reflection::Case<'a>> {
                let result = self.eval(evidence);
                (result == expected).then(|| case(self, result, evidence, $kind(self)))
            }
        }

        impl<P: Predicate<$figure>> PredicateReflection for $name<P> {
            fn parameters<'a>(&'a self) -> Box<dyn Iterator<Item = Parameter<'a>> + 'a> {
                Box::new(std::iter::once(Parameter::new("bound", &self.bound)))
            }
        }

        impl<P: Predicate<$figure>> fmt::Display for $name<P> {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, $words, bound = self.bound)
            }
        }
    };
}

fn case<'a>(
    predicate: &'a dyn PredicateReflection,
    result: bool,
    evidence: &Evidence,
    question: Question,
) -> Case<'a> {
    let case = Case::new(Some(predicate), result);
    let case = case.add_product(Product::new("seen", advice::seen(evidence)));
    match advice::advice(evidence, question) {
        Some(advice) if !result => case.add_product(Product::new("advice", advice)),
        _ => case,
    }
}

/// So many processes were created by the program; the first one was not.
pub fn created<P: Predicate<usize>>(bound: P) -> Created<P> {
    Created { bound }
}

/// See [`created`].
#[derive(Clone, Copy, Debug)]
pub struct Created<P> {
    bound: P,
}

impl<P> Created<P> {
    fn figure(&self, evidence: &Evidence) -> Figure<usize> {
        let low = evidence.created.processes;
        let records = usize::try_from(evidence.lost.records).unwrap_or(usize::MAX);
        Figure { low, high: low.saturating_add(records) }
    }
}

question!(Created, usize, |_| Question::Created, "the program creates {bound} processes");

/// So many processes lived at one time, at most; the first one is among them.
pub fn alive_together<P: Predicate<usize>>(bound: P) -> AliveTogether<P> {
    AliveTogether { bound }
}

/// See [`alive_together`].
#[derive(Clone, Copy, Debug)]
pub struct AliveTogether<P> {
    bound: P,
}

impl<P> AliveTogether<P> {
    fn figure(&self, evidence: &Evidence) -> Figure<usize> {
        let low = evidence.alive_at_most.processes;
        let records = usize::try_from(evidence.lost.records).unwrap_or(usize::MAX);
        Figure { low, high: low.saturating_add(records) }
    }
}

question!(AliveTogether, usize, |_| Question::Alive, "at one time, {bound} processes are alive");

/// The processes other than the first did such a share of the work, from 0 to 1.
pub fn worked_by_children<P: Predicate<f64>>(bound: P) -> WorkedByChildren<P> {
    WorkedByChildren { bound }
}

/// See [`worked_by_children`].
#[derive(Clone, Copy, Debug)]
pub struct WorkedByChildren<P> {
    bound: P,
}

impl<P> WorkedByChildren<P> {
    fn figure(&self, evidence: &Evidence) -> Figure<f64> {
        let first = evidence.first().map_or(0.0, |first| first.work);
        let whole = evidence.work();
        let unseen = unseen_work(evidence);
        let children = whole - first;
        Figure {
            low: ratio(children, whole + unseen),
            high: ratio(children + unseen, whole + unseen),
        }
    }
}

question!(
    WorkedByChildren,
    f64,
    |_| Question::ByChildren,
    "the children do a share of {bound} of the work"
);

/// How much work can have been done while nothing was seen.
fn unseen_work(evidence: &Evidence) -> f64 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    evidence.lost.seconds * processors as f64
}

/// Begins: the `count` busiest processes, the first one perhaps among them, ...
pub fn each_of(count: usize) -> EachOf {
    EachOf { count }
}

/// See [`each_of`].
#[derive(Clone, Copy, Debug)]
pub struct EachOf {
    count: usize,
}

impl EachOf {
    /// ... did each such a share of the work, from 0 to 1.
    pub fn worked<P: Predicate<f64>>(self, bound: P) -> EachWorked<P> {
        EachWorked { count: self.count, bound }
    }
}

/// See [`each_of`].
#[derive(Clone, Copy, Debug)]
pub struct EachWorked<P> {
    count: usize,
    bound: P,
}

impl<P: Predicate<f64>> Predicate<Evidence> for EachWorked<P> {
    fn eval(&self, evidence: &Evidence) -> bool {
        let mut work: Vec<f64> = evidence.list.iter().map(|process| process.work).collect();
        work.sort_by(|a, b| b.total_cmp(a));
        let whole = evidence.work();
        let unseen = unseen_work(evidence);
        work.len() >= self.count
            && work.iter().take(self.count).all(|&work| {
                let low = ratio(work, whole + unseen);
                let high = ratio(work + unseen, whole + unseen);
                Figure { low, high }.satisfies(&self.bound)
            })
    }

    fn find_case<'a>(&'a self, expected: bool, evidence: &Evidence) -> Option<Case<'a>> {
        let result = self.eval(evidence);
        let question = Question::Each { count: self.count };
        (result == expected).then(|| case(self, result, evidence, question))
    }
}

impl<P: Predicate<f64>> PredicateReflection for EachWorked<P> {
    fn parameters<'a>(&'a self) -> Box<dyn Iterator<Item = Parameter<'a>> + 'a> {
        let count = Parameter::new("count", &self.count);
        Box::new([count, Parameter::new("bound", &self.bound)].into_iter())
    }
}

impl<P: Predicate<f64>> fmt::Display for EachWorked<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "each of {} processes does a share of {} of the work", self.count, self.bound)
    }
}

/// Begins: at least `count` processes were runnable at the same time, ...
pub fn ran_together(count: usize) -> Together {
    Together { count, of: Of::Processes }
}

/// Begins: at least `count` threads were runnable at the same time, of one process or of several, ...
pub fn threads_ran_together(count: usize) -> Together {
    Together { count, of: Of::Threads }
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Processes,
    Threads,
}

impl Of {
    fn overlap(self, evidence: &Evidence) -> &Overlap {
        match self {
            Of::Processes => &evidence.processes,
            Of::Threads => &evidence.threads,
        }
    }
}

impl fmt::Display for Of {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Of::Processes => "processes",
            Of::Threads => "threads",
        })
    }
}

/// See [`ran_together`].
#[derive(Clone, Copy, Debug)]
pub struct Together {
    count: usize,
    of: Of,
}

impl Together {
    /// ... for so long, or while so much of the work was done.
    ///
    /// A share of the work depends little on how busy the machine is; a time only gets longer.
    pub fn for_at_least(self, amount: impl Into<Amount>) -> RanTogether {
        RanTogether { together: self, amount: amount.into(), least: true }
    }

    /// ... for no longer, or while no more of the work was done.
    pub fn for_at_most(self, amount: impl Into<Amount>) -> RanTogether {
        RanTogether { together: self, amount: amount.into(), least: false }
    }
}

/// See [`ran_together`].
#[derive(Clone, Copy, Debug)]
pub struct RanTogether {
    together: Together,
    amount: Amount,
    least: bool,
}

impl RanTogether {
    fn figure(&self, evidence: &Evidence) -> Figure<f64> {
        let Together { count, of } = self.together;
        let overlap = of.overlap(evidence);
        match self.amount.0 {
            Measure::Time(_) => {
                let low = overlap.seconds_with(count);
                Figure { low, high: low + evidence.lost.seconds }
            }
            Measure::Share(_) => {
                let part = overlap.work_with(count);
                let whole = overlap.work_with(0);
                let unseen = unseen_work(evidence);
                Figure {
                    low: ratio(part, whole + unseen),
                    high: ratio(part + unseen, whole + unseen),
                }
            }
        }
    }
}

impl Predicate<Evidence> for RanTogether {
    fn eval(&self, evidence: &Evidence) -> bool {
        let bound = match self.amount.0 {
            Measure::Time(time) => time.as_secs_f64(),
            Measure::Share(share) => share,
        };
        let figure = self.figure(evidence);
        if self.least {
            // Nothing at all is never together, not even for no time.
            self.together.of.overlap(evidence).most() >= self.together.count
                && figure.satisfies(&at_least(bound))
        } else {
            figure.satisfies(&at_most(bound))
        }
    }

    fn find_case<'a>(&'a self, expected: bool, evidence: &Evidence) -> Option<Case<'a>> {
        let result = self.eval(evidence);
        let count = self.together.count;
        let question = match (self.together.of, self.least) {
            (Of::Processes, true) => Question::Together { count },
            _ => Question::Other,
        };
        (result == expected).then(|| {
            let figure = self.figure(evidence);
            let share = |value: f64| match self.amount.0 {
                Measure::Time(_) => advice::time(value),
                Measure::Share(_) => format!("{} of the work", advice::percent(value)),
            };
            let found =
                format!("{count} {} ran together for {}", self.together.of, share(figure.low));
            case(self, result, evidence, question).add_product(Product::new("found", found))
        })
    }
}

impl PredicateReflection for RanTogether {
    fn parameters<'a>(&'a self) -> Box<dyn Iterator<Item = Parameter<'a>> + 'a> {
        let count = Parameter::new("count", &self.together.count);
        Box::new([count, Parameter::new("amount", &self.amount)].into_iter())
    }
}

impl fmt::Display for RanTogether {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Together { count, of } = self.together;
        let bound = if self.least { "at least" } else { "at most" };
        write!(out, "{count} {of} run together for {bound} {}", self.amount)
    }
}

/// No child is known to have ended by a signal or with an exit code other than 0.
///
/// How a child ended is known on Linux 6.15 and later, unless it ended within a few milliseconds.
pub fn children_succeeded() -> ChildrenSucceeded {
    ChildrenSucceeded
}

/// See [`children_succeeded`].
#[derive(Clone, Copy, Debug)]
pub struct ChildrenSucceeded;

impl Predicate<Evidence> for ChildrenSucceeded {
    fn eval(&self, evidence: &Evidence) -> bool {
        !advice::ended_badly(evidence)
    }

    fn find_case<'a>(&'a self, expected: bool, evidence: &Evidence) -> Option<Case<'a>> {
        let result = self.eval(evidence);
        (result == expected).then(|| case(self, result, evidence, Question::Exits))
    }
}

impl PredicateReflection for ChildrenSucceeded {}

impl fmt::Display for ChildrenSucceeded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "every child ends with exit code 0")
    }
}

/// The processes of a run, held against questions one by one.
///
/// Each method returns the same processes when the answer is yes.
///
/// # Panics
///
/// Each method, when the answer is no, with a text for students.
#[derive(Clone, Copy, Debug)]
pub struct Processes<'a> {
    evidence: &'a Evidence,
}

impl<'a> Processes<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Processes<'a> {
        Processes { evidence }
    }

    /// Asks anything.
    #[track_caller]
    pub fn satisfy(self, question: impl Predicate<Evidence>) -> Self {
        if let Some(case) = question.find_case(false, self.evidence) {
            panic!("{}", advice::failure(&question, &case, self.evidence));
        }
        self
    }

    /// See [`created`](fn@created).
    #[track_caller]
    pub fn created(self, bound: impl Predicate<usize>) -> Self {
        self.satisfy(created(bound))
    }

    /// See [`alive_together`].
    #[track_caller]
    pub fn alive_together(self, bound: impl Predicate<usize>) -> Self {
        self.satisfy(alive_together(bound))
    }

    /// See [`worked_by_children`].
    #[track_caller]
    pub fn worked_by_children(self, bound: impl Predicate<f64>) -> Self {
        self.satisfy(worked_by_children(bound))
    }

    /// See [`children_succeeded`].
    #[track_caller]
    pub fn children_succeeded(self) -> Self {
        self.satisfy(children_succeeded())
    }

    /// See [`each_of`].
    pub fn each_of(self, count: usize) -> Asking<'a, EachOf> {
        Asking { processes: self, question: each_of(count) }
    }

    /// See [`ran_together`].
    pub fn ran_together(self, count: usize) -> Asking<'a, Together> {
        Asking { processes: self, question: ran_together(count) }
    }

    /// See [`threads_ran_together`].
    pub fn threads_ran_together(self, count: usize) -> Asking<'a, Together> {
        Asking { processes: self, question: threads_ran_together(count) }
    }
}

/// The first half of a question, whose second half is a method.
#[derive(Clone, Copy, Debug)]
#[must_use = "the question is not complete"]
pub struct Asking<'a, Q> {
    processes: Processes<'a>,
    question: Q,
}

impl<'a> Asking<'a, Together> {
    /// See [`Together::for_at_least`].
    #[track_caller]
    pub fn for_at_least(self, amount: impl Into<Amount>) -> Processes<'a> {
        self.processes.satisfy(self.question.for_at_least(amount))
    }

    /// See [`Together::for_at_most`].
    #[track_caller]
    pub fn for_at_most(self, amount: impl Into<Amount>) -> Processes<'a> {
        self.processes.satisfy(self.question.for_at_most(amount))
    }
}

impl<'a> Asking<'a, EachOf> {
    /// See [`EachOf::worked`].
    #[track_caller]
    pub fn worked(self, bound: impl Predicate<f64>) -> Processes<'a> {
        self.processes.satisfy(self.question.worked(bound))
    }
}
