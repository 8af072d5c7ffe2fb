//! Every attack of `autograder/attacks`, between two honest submissions.
//!
//! Each folder there is a trial. Its submissions are graded by the program `autograder`, in a course that
//! was made for this, and must get what `attack.toml` says; [`invariants`] must hold besides.
//!
//! | form | honest submissions | graded twice | how long |
//! | --- | --- | --- | --- |
//! | short | once before and after all attacks of a course | some | under a minute |
//! | long, with `AUTOGRADER_ATTACKS=long` | before and after each attack | all | some minutes |
//! | the same for both users, with `=all` | before and after each attack | all | twice that |
//!
//! As root, attacks are tried as an ordinary user as well: see [`ordinary_user`].

mod corpus;
mod course;
mod invariants;
mod ordinary_user;
mod pack;

use std::env;
use std::panic;
use std::process::ExitCode;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use autograder::sandbox::{self, Tier};
use autograder::verdict::Verdict;
use libtest_mimic::{Arguments, Completion, Trial};
use serde_json::Value;

use crate::corpus::Attack;
use crate::course::{Course, Graded, grader};

/// In the environment: which form.
pub(crate) const FORM: &str = "AUTOGRADER_ATTACKS";

/// What this machine gives.
static TIER: LazyLock<Tier> = LazyLock::new(|| sandbox::detect(&grader()).tier);

/// More than processors: who waits for a limit of time leaves them to others.
const AT_THE_SAME_TIME: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let form = env::var(FORM).unwrap_or_default();
    let is_sample = form == ordinary_user::SAMPLE_FORM;
    let threads = if is_sample { 1 } else { AT_THE_SAME_TIME };
    arguments.test_threads.get_or_insert(threads);
    let is_all = form == "all";
    let is_long = is_all || form == "long";
    let bench = Arc::new(Bench { is_long, courses: Mutex::default(), making: Mutex::default() });

    let mut attacks = corpus::read();
    let mut trials = vec![];
    if nix::unistd::geteuid().is_root() {
        trials.push(Trial::ignorable_test(ordinary_user::TRIAL, move || {
            ordinary_user::tries_them_too(is_all)
        }));
    }
    // Whoever only waits goes first: others can work meanwhile.
    attacks.sort_by_key(|attack| attack.manifest.verdict != [Verdict::Tle]);
    let is_sampled = |attack: &Attack| {
        !is_sample || ordinary_user::SAMPLE.iter().any(|number| attack.name.starts_with(number))
    };
    for attack in attacks.into_iter().filter(is_sampled) {
        let bench = Arc::clone(&bench);
        let stage = format!("{:?}", attack.manifest.stage).to_lowercase();
        let name = attack.name.clone();
        let trial = Trial::ignorable_test(name, move || Ok(bench.try_attack(&attack)));
        trials.push(trial.with_kind(stage));
    }
    trials.push(Trial::test("the_corpus_is_in_order", move || {
        corpus::is_in_order(&corpus::read());
        Ok(())
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if panic::catch_unwind(|| bench.end()).is_err() {
        println!(
            "after these attacks, an honest submission is not graded right any more; which of them it was, \
             {FORM}=long tells"
        );
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// The courses in which attacks take place, one after the other.
struct Bench {
    is_long: bool,
    courses: Mutex<Vec<Course>>,
    making: Mutex<()>,
}

impl Bench {
    fn try_attack(&self, attack: &Attack) -> Completion {
        let manifest = &attack.manifest;
        let tier = *TIER;
        if tier < manifest.tier {
            return not_run(
                &attack.name,
                &format!("it needs tier {}, and here is {tier}", manifest.tier),
            );
        }
        if manifest.long && !self.is_long {
            return not_run(&attack.name, &format!("it takes long, so only {FORM}=long has it"));
        }
        let course = self.courses.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // One that an attack has spoiled is not used again.
        let course = course.unwrap_or_else(|| {
            // In the first one the grader makes ready what the others then find.
            let _turn = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            Course::new()
        });
        assert_eq!(course.tier, tier, "the tier in the result");
        for submission in pack::hand_in(attack, course.path()) {
            let graded = course.grade(&submission);
            check(attack, &graded);
            if self.is_long || manifest.twice {
                let again = course.grade(&submission);
                check(attack, &again);
                assert_eq!(outcome(&graded.result), outcome(&again.result), "the second time");
            }
            if self.is_long {
                course.honest("after the attack");
            }
        }
        self.courses.lock().unwrap_or_else(PoisonError::into_inner).push(course);
        Completion::Completed
    }

    /// Grades an honest submission in every course, after all its attacks.
    fn end(&self) {
        let courses = self.courses.lock().unwrap_or_else(PoisonError::into_inner);
        for course in courses.iter() {
            course.honest("after all attacks");
        }
    }
}

/// A line that nobody overlooks.
pub(crate) fn not_run(name: &str, why: &str) -> Completion {
    println!("did not run: {name}: {why}");
    Completion::ignored_with(why)
}

/// The result is what `attack.toml` says.
fn check(attack: &Attack, graded: &Graded) {
    let Attack { manifest, .. } = attack;
    let Graded { stdout, stderr, result, .. } = graded;
    let whole = format!("{stdout}{stderr}");
    let verdict: Verdict = serde_json::from_value(result["verdict"].clone()).expect("a verdict");
    assert!(
        manifest.verdict.contains(&verdict),
        "{verdict}, and right would be {:?}\n{whole}",
        manifest.verdict
    );
    let points = result["points"].as_u64().expect("points");
    let at_most = if verdict == Verdict::Ok { 100 } else { manifest.points_at_most };
    assert!(points <= at_most, "{points} points\n{whole}");
    if let Some(reason) = &manifest.reason {
        assert_eq!(result["refused"]["reason"].as_str(), Some(reason.as_str()), "{whole}");
    }
    let texts = invariants::texts(result).join("\n");
    for text in &manifest.says {
        assert!(texts.contains(text), "nothing says {text:?}:\n{whole}");
    }
    for text in &manifest.hides {
        assert!(!texts.contains(text) && !whole.contains(text), "{text:?} stands in\n{whole}");
    }
}

/// What must be the same whenever the same is graded.
fn outcome(result: &Value) -> Vec<Value> {
    let tests = result["tests"].as_array().expect("tests").iter();
    let of_test = |test: &Value| [test["verdict"].clone(), test["points"].clone()];
    [result["verdict"].clone(), result["points"].clone()]
        .into_iter()
        .chain(tests.flat_map(of_test))
        .collect()
}
