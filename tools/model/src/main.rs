//! Loom models of `common`'s synchronisation algorithms; README.md says how they work.
//!
//! A program of tests: it takes the arguments of any test program, and with `--nocapture` says how many
//! orders each model has.
//!
//! Each model runs in a process of its own, but where it is the only one (`--exact`) or one runs after the
//! other (`--test-threads=1`). Loom maps memory for each thread of each order and unmaps it again, and there
//! the threads of a process wait for one another: two took twice as long as two processes.

#[allow(dead_code, reason = "an algorithm may offer what no model needs")]
mod algorithm;
mod explore;
mod machine;
mod models;
mod mutants;
#[allow(dead_code, reason = "it offers what common's does, whether an algorithm uses it or not")]
mod word;

use explore::Entry;
use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::process::Command;
use std::time::Instant;

/// The models by the name of their file.
const FILES: &[(&str, &[Entry])] = &[
    ("machine", models::machine::MODELS),
    ("barrier", models::barrier::MODELS),
    ("condition", models::condition::MODELS),
    ("event", models::event::MODELS),
    ("event_count", models::event_count::MODELS),
    ("lock", models::lock::MODELS),
    ("members", models::members::MODELS),
    ("ring", models::ring::MODELS),
    ("rlock", models::rlock::MODELS),
    ("semaphore", models::semaphore::MODELS),
];

fn main() {
    let arguments = Arguments::from_args();
    let how = How {
        talks: arguments.nocapture,
        is_alone: arguments.exact || arguments.test_threads == Some(1),
    };
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !explore::is_quiet() {
            print(panic);
        }
    }));
    let models = FILES.iter().flat_map(|(file, models)| {
        models.iter().map(move |(name, model)| trial(format!("{file}::{name}"), how, model))
    });
    let mutants = mutants::all().map(|(mutant, model)| {
        let name = format!("mutant::{}", mutant.name);
        trial(name, how, move || mutants::must_be_caught(mutant, model))
    });
    let own = [Trial::test("every_algorithm_is_tried", every_algorithm_is_tried)];
    let trials = models.chain(mutants).chain(own).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// How the tests are run.
#[derive(Clone, Copy)]
struct How {
    /// Whether each says how many orders it has tried.
    talks: bool,
    /// Whether no other runs in this process at the same time.
    is_alone: bool,
}

fn trial(name: String, how: How, run: impl FnOnce() + Send + 'static) -> Trial {
    let title = name.clone();
    Trial::test(name, move || {
        if !how.is_alone {
            return in_a_process_of_its_own(&title, how.talks);
        }
        let (start, before) = (Instant::now(), explore::orders());
        panic::catch_unwind(AssertUnwindSafe(run))
            .map_err(|payload| Failed::from(explore::text(&*payload)))?;
        if how.talks {
            let orders = explore::orders() - before;
            println!("{title}{SAYS}{orders} orders in {:.1} s", start.elapsed().as_secs_f64());
        }
        Ok(())
    })
}

/// What stands between the name of a test and how many orders it has tried.
const SAYS: &str = ": ";

fn in_a_process_of_its_own(name: &str, talks: bool) -> Result<(), Failed> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--exact", name]).args(talks.then_some("--nocapture"));
    let output = command.output()?;
    let [text, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    if !output.status.success() {
        return Err(format!("{errors}{text}").into());
    }
    let says = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(SAYS));
    text.lines().filter(says).for_each(|line| println!("{line}"));
    Ok(())
}

/// What `common` has, what the table lists, and what is tried is the same.
fn every_algorithm_is_tried() -> Result<(), Failed> {
    use mutants::table::{ALGORITHMS, FOLDER, mutants};
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    for file in std::fs::read_dir(folder)? {
        let file = file?.file_name();
        let Some(name) = file.to_str().and_then(|name| name.strip_suffix(".rs")) else { continue };
        if name != "mod" && !ALGORITHMS.contains(&name) {
            return Err(format!("{name} is not listed; see README.md, \"A new algorithm\"").into());
        }
    }
    for name in ALGORITHMS {
        let has_model = FILES.iter().any(|(file, models)| file == name && !models.is_empty());
        let has_mutant = mutants().any(|mutant| mutant.algorithm == *name);
        if !(has_model && has_mutant) {
            return Err(format!(
                "{name}: model {has_model}, mutant {has_mutant}; see README.md, \"A new algorithm\""
            )
            .into());
        }
    }
    Ok(())
}
