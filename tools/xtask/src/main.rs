//! Every chore of the workspace, as `cargo xtask NAME`.
//!
//! `cargo xtask` alone prints the list. It is made from the comments below, and `ci` runs the steps of
//! one table, so that no check is written down twice.

mod bench;
mod book;
mod conformance;
mod grow;
mod points;
mod soak;
mod steps;
mod tidy;
mod workspace;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use conformance::Form;

/// Every chore of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Option<Chore>,
}

#[derive(Subcommand)]
enum Chore {
    /// Everything that a reviewer would run, in order, up to the first failure
    Ci,
    /// The lock file of each workspace knows what the manifests ask for
    Locks,
    /// The layout of the code
    Fmt {
        /// Change the files instead of reporting them
        #[arg(long)]
        fix: bool,
    },
    /// Clippy over everything; a warning is an error
    Lint,
    /// All tests, as the README says
    Test,
    /// The documentation of every crate; a warning is an error
    Docs,
    /// The readings: includes, links, anchors, commands, concepts; as HTML where mdBook is installed
    Book {
        /// Write the pages into this folder, every include in its place, for readers without mdBook
        #[arg(long, value_name = "DIR")]
        readings: Option<PathBuf>,
    },
    /// Every lesson many times on a busy machine
    Soak {
        /// How often
        #[arg(long, default_value_t = 50)]
        rounds: u32,
        /// Only those whose names contain this
        filter: Option<String>,
    },
    /// Makes the crate of a new lesson, with a first program, a README and a reading
    #[command(after_help = "Example: cargo xtask new-lesson 08 networking")]
    NewLesson {
        /// Its number, two digits
        number: String,
        /// Its name, such as networking
        name: String,
    },
    /// Makes a program in a lesson, as the last of a section
    #[command(after_help = "Example: cargo xtask new-example 07 pipe_peek --section 7_2_pipes")]
    NewExample {
        /// The number of the lesson, two digits
        number: String,
        /// The name of the program, which no other has
        name: String,
        /// The folder of its section; the last one where it is not named
        #[arg(long)]
        section: Option<String>,
    },
    /// A lesson 08 and an example are added to a copy of the workspace, tried, and removed again
    Grow,
    /// Licences, sources and duplicates of the dependencies
    Deny {
        /// Ask the database of known weaknesses as well, over the network
        #[arg(long)]
        advisories: bool,
    },
    /// Every assignment: starter, solution and mutants earn what they should
    Verify,
    /// Which behaviours of Python hold, by the tests that show them
    Conformance {
        /// List the rows that no test shows
        #[arg(long)]
        open: bool,
        /// Print every row and count as JSON
        #[arg(long, conflicts_with = "open")]
        json: bool,
    },
    /// What a point costs while nobody listens, in instructions
    Points,
    /// The algorithms of `common::sync` and the queue in every order of their steps, and with planted bugs
    Model,
    /// Processes killed at random instants, some thousand times
    Torture,
    /// Every attack on the grader, between honest submissions; the tests have a short form of it
    Attacks,
    /// Requests and frames of strangers, a million at random; the tests have a short form of it
    Fuzz,
    /// A program of somebody else that uses `common`, as its README shows
    Outside,
    /// `common` beside its peers and the bare machine, and which goals it reaches
    Bench(bench::Arguments),
    /// Layout, headers, tables and bans
    Tidy {
        /// Write what is generated again (the lessons in manifests and READMEs)
        #[arg(long)]
        fix: bool,
    },
}

fn main() -> ExitCode {
    let Some(chore) = Arguments::parse().chore else {
        return match Arguments::command().print_help() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().unwrap_or(root);
    match run(&chore, &root) {
        Ok(code) => code,
        Err(problem) => {
            let _ = writeln!(io::stderr(), "{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Does one chore in the workspace at `root`. An error is a text for the reader.
fn run(chore: &Chore, root: &Path) -> Result<ExitCode, String> {
    let done = match chore {
        Chore::Ci => steps::ci(root),
        Chore::Locks => steps::locks(root),
        Chore::Fmt { fix: false } => steps::fmt(root),
        Chore::Fmt { fix: true } => steps::cargo(root, &["fmt", "--all"])
            .and_then(|()| steps::cargo(root, &["fmt", steps::BENCH]))
            .and_then(|()| steps::cargo(root, &["fmt", steps::MODEL])),
        Chore::Lint => steps::lint(root),
        Chore::Test => steps::test(root),
        Chore::Docs => steps::docs(root),
        Chore::Book { readings: None } => book::book(root),
        Chore::Book { readings: Some(to) } => book::resolve(root, to),
        Chore::Soak { rounds, filter } => soak::soak(root, *rounds, filter.as_deref()),
        Chore::NewLesson { number, name } => grow::new_lesson(root, number, name),
        Chore::NewExample { number, name, section } => {
            grow::new_example(root, number, name, section.as_deref())
        }
        Chore::Grow => grow::grow(root),
        Chore::Deny { advisories } => steps::deny(root, *advisories),
        Chore::Verify => steps::verify(root),
        Chore::Conformance { open: false, json: false } => steps::conformance(root),
        Chore::Conformance { open: true, .. } => conformance::print(root, Form::Open),
        Chore::Conformance { json: true, .. } => conformance::print(root, Form::Json),
        Chore::Points => points::points(root),
        Chore::Model => steps::model(root),
        Chore::Torture => steps::torture(root),
        Chore::Attacks => steps::attacks(root),
        Chore::Fuzz => steps::fuzz(root),
        Chore::Outside => steps::outside(root),
        Chore::Bench(arguments) => return bench::run(root, arguments),
        Chore::Tidy { fix: false } => steps::tidy(root),
        Chore::Tidy { fix: true } => tidy::fix(root).and_then(|()| steps::tidy(root)),
    };
    done.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn contributing_names_chores_that_exist() {
        let text = include_str!("../../../CONTRIBUTING.md");
        let commands =
            text.split("`cargo xtask ").skip(1).filter_map(|rest| rest.split('`').next());
        let mut count = 0;
        for command in commands {
            let words = ["cargo xtask"].into_iter().chain(command.split(' '));
            assert!(Arguments::try_parse_from(words).is_ok(), "cargo xtask {command}");
            count += 1;
        }
        assert!(count > 2, "{count} commands; this test has lost its text");
    }

    #[test]
    fn every_step_of_ci_is_a_chore_of_its_own() {
        let arguments = Arguments::command();
        for (name, _) in steps::CI {
            assert!(arguments.get_subcommands().any(|chore| chore.get_name() == *name), "{name}");
        }
        let chores = arguments.get_subcommands().map(clap::Command::get_name);
        let missing: Vec<_> = chores
            // What is no check: all of it, what makes something, and figures, which a busy machine spoils; and
            // the long forms of what the tests do.
            .filter(|name| {
                !["ci", "bench", "fuzz", "soak", "new-lesson", "new-example"].contains(name)
                    && steps::CI.iter().all(|(n, _)| n != name)
            })
            .collect();
        assert_eq!(missing, [""; 0], "a chore that `ci` leaves out");
    }
}
