//! Loom models of `common`'s synchronisation algorithms; README.md says how they work.
//!
//! A program of tests: it takes the arguments of any test program, and with `--nocapture` says how many
//! orders each model has.

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
use std::panic::{self, AssertUnwindSafe};
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
    let talks = arguments.nocapture;
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !explore::is_quiet() {
            print(panic);
        }
    }));
    let models = FILES.iter().flat_map(|(file, models)| {
        models.iter().map(move |(name, model)| trial(format!("{file}::{name}"), talks, model))
    });
    let mutants = mutants::all().map(|(mutant, model)| {
        let name = format!("mutant::{}", mutant.name);
        trial(name, talks, move || mutants::must_be_caught(mutant, model))
    });
    let own = [Trial::test("every_algorithm_is_tried", every_algorithm_is_tried)];
    let trials = models.chain(mutants).chain(own).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: String, talks: bool, run: impl FnOnce() + Send + 'static) -> Trial {
    let title = name.clone();
    Trial::test(name, move || {
        let (start, before) = (Instant::now(), explore::orders());
        panic::catch_unwind(AssertUnwindSafe(run))
            .map_err(|payload| Failed::from(explore::text(&*payload)))?;
        if talks {
            let orders = explore::orders() - before;
            println!("{title}: {orders} orders in {:.1} s", start.elapsed().as_secs_f64());
        }
        Ok(())
    })
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
