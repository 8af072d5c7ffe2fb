//! Lessons keep their word: runs the command in a lesson's header and compares what it prints.
//!
//! A lesson crate has one test file, `tests/transcripts.rs`, with `harness = false` in its `[[test]]`
//! entry. All that its `main` does is
//!
//! ```no_run
//! transcript::main(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"));
//! ```
//!
//! It reads the `[[bin]]` entries of the crate's `Cargo.toml`, and makes one test out of each header
//! (`pool_map: header`) and one out of each `console` block (`pool_map: run`). The tests run side by
//! side; `cargo test -p lesson05-processes --test transcripts pool_map` runs those of one lesson.
//!
//! In reading order:
//!
//! | part | what it knows |
//! | --- | --- |
//! | [`Header`] | the five parts of a header, and the words of a fence |
//! | [`Pattern`] | one promised line with its placeholders |
//! | [`Promise`] | all promised lines of a block, and the order they may come in |
//! | [`Run`] | a program that ran in a process group of its own, and has ended |
//! | [`Lesson`] | a file, its header, and the rules for the code below it |
//!
//! The notation itself stands in CONTRIBUTING.md.

mod header;
mod lesson;
mod pattern;
mod promise;
mod runner;

pub use header::{Block, Command, Header, HeaderError};
pub use lesson::{Lesson, LessonError, identifiers, lessons};
pub use pattern::{Kind, Name, Pattern, Reading};
pub use promise::{Mismatch, Order, Promise};
pub use runner::{Limits, Run, RunError, run};

use std::path::Path;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

/// Runs every promise of the lesson crate in `manifest_dir` as a test, and ends the program.
///
/// It is the whole `main` of a test file with `harness = false`, and understands the options of
/// `cargo test` (filters, `--list`, `--exact`, `--test-threads`).
pub fn main(manifest_dir: &str, package: &str) -> ! {
    let arguments = Arguments::from_args();
    let trials = match lessons(Path::new(manifest_dir)) {
        Ok(lessons) => lessons.into_iter().flat_map(|lesson| trials(lesson, package)).collect(),
        Err(error) => vec![Trial::test("lessons", move || Err(error.to_string().into()))],
    };
    libtest_mimic::run(&arguments, trials).exit()
}

/// One test for the header of a lesson, and one for each of its console blocks.
fn trials(lesson: Lesson, package: &str) -> Vec<Trial> {
    let package = package.to_owned();
    let lesson = Arc::new(lesson);
    let mut trials = Vec::new();

    let blocks = lesson.header.as_ref().map_or(0, |header| header.blocks.len());
    for index in 0..blocks {
        let name = match blocks {
            1 => format!("{}: run", lesson.bin),
            _ => format!("{}: run {}", lesson.bin, index + 1),
        };
        let lesson = Arc::clone(&lesson);
        trials.push(Trial::test(name, move || {
            lesson.keeps(index).map_err(|report| format!("{}\n{report}", lesson.file()).into())
        }));
    }

    let name = format!("{}: header", lesson.bin);
    trials.push(Trial::test(name, move || match lesson.problems(&package) {
        problems if problems.is_empty() => Ok(()),
        problems => Err(format!("{}\n{}", lesson.file(), problems.join("\n")).into()),
    }));
    trials
}
