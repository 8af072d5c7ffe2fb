//! The command line of the autograder; `cargo grade` is short for it.
//!
//! The exit code is part of the interface: 0 all passed, 1 some failed, 2 does not build or is
//! refused or is not there, 3 the grader is at fault, 64 wrong use.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autograder::assignment::{Course, TestsFile};
use autograder::doctor::Checkup;
use autograder::grade::{Job, Scope, Step, Submitted, grade};
use autograder::kit::Kit;
use autograder::show::{self, Look};
use autograder::verify::{Proof, verify};
use autograder::{Error, build, report, sandbox, tree};
use clap::{Args, Parser, Subcommand};

/// Some did not pass.
const SOME_FAILED: u8 = 1;

/// The grader itself is at fault.
const AT_FAULT: u8 = 3;

/// The command line was wrong.
const WRONG_USE: u8 = 64;

/// Grades submissions of the course.
#[derive(Parser)]
#[command(
    name = "cargo grade",
    bin_name = "cargo grade",
    version,
    after_help = "Examples:
  cargo grade list                          the assignments that there are
  cargo grade check a05-primes              your own program, with the public tests
  cargo grade run a05-primes upload.zip     any submission, with all tests
  cargo grade verify                        prove that every assignment is sound
  cargo grade doctor                        what this machine gives for grading

Exit codes: 0 all passed, 1 some failed, 2 does not build or is refused or is not there,
3 the grader is at fault, 64 wrong use."
)]
struct Cli {
    /// The course, if it is not around the current directory
    #[arg(long, global = true, hide = true, value_name = "FOLDER")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Grade a submission with all tests of an assignment
    #[command(after_help = "Examples:
  cargo grade run a05-primes upload.rs
  cargo grade run a05-primes upload.zip
  cargo grade run a05-primes students/ada/
  cargo grade run a05-primes upload.rs --result results/ada.json
  cargo grade run a05-primes upload.rs --json > ada.json")]
    Run {
        /// The assignment, as `cargo grade list` names it
        assignment: String,
        /// The submission: one .rs file, a folder with src/main.rs or main.rs, or a .zip, .tar or
        /// .tar.gz of that
        submission: PathBuf,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        whose: Whose,
    },
    /// Grade your own program with the public tests
    #[command(after_help = "Examples:
  cargo grade check a05-primes
  cargo grade check a05-primes --json
  cargo grade check a05-primes upload.zip   what you are about to hand in

Your program is assignments/NAME/src/main.rs with its modules. The hidden tests run after
submission.")]
    Check {
        /// The assignment, as `cargo grade list` names it
        assignment: String,
        /// Another submission than your own program
        submission: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        whose: Whose,
    },
    /// Prove assignments: the starter earns what it should, the solution everything, each mutant
    /// its verdict
    #[command(after_help = "Examples:
  cargo grade verify                        all assignments
  cargo grade verify a05-primes             one of them")]
    Verify {
        /// The assignments; all of them if none is named
        assignments: Vec<String>,
    },
    /// List the assignments
    #[command(after_help = "Examples:
  cargo grade list")]
    List,
    /// Say what this machine gives for grading, and how to get more
    #[command(after_help = "Examples:
  cargo grade doctor
  cargo grade doctor --json")]
    Doctor {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Watch over the compiler (the grader calls this itself)
    #[command(hide = true)]
    Keep,
    /// Build a sandbox and run a program in it (the grader calls this itself)
    #[command(hide = true)]
    Launch,
    /// Become a program when told to (the grader calls this itself)
    #[command(hide = true)]
    Hold {
        /// The program
        program: PathBuf,
        /// On how many processors
        #[arg(long)]
        processors: Option<u32>,
        /// Its arguments
        #[arg(last = true)]
        args: Vec<OsString>,
    },
}

#[derive(Args)]
struct Whose {
    /// Whose it is: tests make their inputs from this name
    #[arg(long, value_name = "NAME", default_value = "")]
    student: String,
}

#[derive(Args)]
struct Output {
    /// Where to write the result
    #[arg(long, value_name = "FILE", default_value = "result.json")]
    result: PathBuf,
    /// Print the result as JSON instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        eprintln!("the grader is at fault, please report this: {panic}");
    }));
    let code = panic::catch_unwind(|| match Cli::try_parse() {
        Ok(cli) => execute(cli).unwrap_or_else(|error| {
            eprintln!("error: {error}");
            error.exit_code()
        }),
        Err(error) => {
            // Nobody to tell, if it cannot be printed.
            let _ = error.print();
            if error.use_stderr() { WRONG_USE } else { 0 }
        }
    });
    ExitCode::from(code.unwrap_or(AT_FAULT))
}

fn execute(cli: Cli) -> Result<u8, Error> {
    match &cli.command {
        Verb::Keep => return Ok(if build::keep().is_ok() { 0 } else { AT_FAULT }),
        Verb::Launch => return Ok(if sandbox::launch() { 0 } else { AT_FAULT }),
        Verb::Hold { program, processors, args } => {
            let error = sandbox::hold(program, args, *processors);
            eprintln!("error: {}: {error}", program.display());
            return Ok(AT_FAULT);
        }
        Verb::Doctor { json } => return doctor(*json),
        _ => {}
    }
    let here = env::current_dir().map_err(|source| Error::Io {
        action: "cannot find",
        path: PathBuf::from("the current directory"),
        source,
    })?;
    let course = match cli.root {
        Some(root) => Course::at(root),
        None => Course::around(&here)?,
    };
    match cli.command {
        Verb::List => list(&course),
        Verb::Run { assignment, submission, output, whose } => {
            examine(&course, &assignment, Some(&submission), Scope::All, &whose, &output)
        }
        Verb::Check { assignment, submission, output, whose } => {
            examine(&course, &assignment, submission.as_deref(), Scope::Public, &whose, &output)
        }
        Verb::Verify { assignments } => prove(&course, assignments),
        Verb::Keep | Verb::Launch | Verb::Hold { .. } | Verb::Doctor { .. } => Ok(0),
    }
}

fn examine(
    course: &Course,
    name: &str,
    submission: Option<&Path>,
    scope: Scope,
    whose: &Whose,
    output: &Output,
) -> Result<u8, Error> {
    let assignment = course.assignment(name)?;
    report::remove_old(&output.result)?;
    let kit = ready_kit(course)?;
    let submission = submission.map_or_else(|| assignment.folder.join("src"), Path::to_path_buf);
    let job = Job {
        kit: &kit,
        assignment: &assignment,
        submitted: Submitted::At(&submission),
        scope,
        student: &whose.student,
    };
    let report = grade(&job, &mut |step| eprintln!("{step}"))?;
    report.write(&output.result)?;
    if output.json {
        print(&report.to_json()?);
    } else {
        print(&show::report(&report, look()));
        let tier = report.machine.tier;
        print(&format!("tier {tier}: {}\n", tier.meaning()));
    }
    Ok(report.exit_code())
}

fn prove(course: &Course, mut names: Vec<String>) -> Result<u8, Error> {
    let existing = course.names()?;
    if let Some(name) = names.iter().find(|name| !existing.contains(name)) {
        return Err(Error::UnknownAssignment { name: name.clone(), existing });
    }
    if names.is_empty() {
        names = existing;
    }
    let kit = ready_kit(course)?;
    let mut code = 0;
    let mut all = Proof::default();
    for name in &names {
        let proof = course.assignment(name).and_then(|assignment| {
            let mut progress = |program: &str, step: Step| eprintln!("{name}, {program}: {step}");
            verify(&kit, &assignment, &mut progress)
        });
        match proof {
            Ok(proof) => {
                all.rows.extend(proof.rows);
                all.notes.extend(proof.notes);
            }
            // One broken assignment is no reason to leave the others unproved.
            Err(error) => {
                eprintln!("error: {error}");
                code = error.exit_code();
            }
        }
    }
    print(&show::proof(&all.rows, look()));
    for note in &all.notes {
        print(&format!("note: {note}\n"));
    }
    if code == 0 && !all.rows.iter().all(|row| row.holds) {
        code = SOME_FAILED;
    }
    Ok(code)
}

fn list(course: &Course) -> Result<u8, Error> {
    let mut table = show::new_table(look(), ["assignment", "title", "lesson", "minutes", "tests"]);
    for name in course.names()? {
        match course.assignment(&name) {
            Ok(assignment) => {
                let public = assignment.tests(TestsFile::Public).count();
                let hidden = assignment.tests(TestsFile::Hidden).count();
                table.add_row([
                    name,
                    assignment.manifest.title,
                    assignment.manifest.lesson,
                    assignment.manifest.minutes.to_string(),
                    format!("{public} public, {hidden} hidden"),
                ]);
            }
            Err(error) => {
                table.add_row([name, format!("broken: {error}")]);
            }
        }
    }
    print(&format!("{table}\n"));
    Ok(0)
}

fn doctor(json: bool) -> Result<u8, Error> {
    let checkup = Checkup::new(&own_program()?);
    if json {
        let text = serde_json::to_string_pretty(&checkup).map_err(|error| Error::Io {
            action: "cannot put into JSON",
            path: PathBuf::from("what was found"),
            source: error.into(),
        })?;
        print(&(text + "\n"));
    } else {
        print(&checkup.text());
    }
    Ok(0)
}

fn own_program() -> Result<PathBuf, Error> {
    env::current_exe().map_err(|source| Error::Io {
        action: "cannot find",
        path: PathBuf::from("the grader itself"),
        source,
    })
}

/// A kit, in a process that remains the ancestor of everything that it starts.
fn ready_kit(course: &Course) -> Result<Kit, Error> {
    tree::adopt_orphans().map_err(|source| Error::Io {
        action: "cannot adopt orphans of",
        path: PathBuf::from("the grader itself"),
        source,
    })?;
    Ok(Kit::new(course, own_program()?))
}

fn look() -> Look {
    let terminal = io::stdout().is_terminal();
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Look { terminal, colours: terminal && !unwanted }
}

/// To stdout; a reader that has gone away does not mind.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}
