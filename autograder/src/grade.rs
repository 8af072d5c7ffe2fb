//! One submission from file to report.
//!
//! Intake, build, judge. A refused submission and one that does not compile end there, with a
//! report; what is not the student's fault ends with an [`Error`].

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::assignment::{Assignment, Test, TestsFile};
use crate::build::{self, Built};
use crate::error::{Error, Result};
use crate::intake::{self, Refusal, Submission};
use crate::judge::{Errand, Event, Task};
use crate::kit::Kit;
use crate::order;
use crate::reference;
use crate::report::{Machine, Report};
use crate::runner::Limits;
use crate::sandbox;
use crate::seed::seed;
use crate::tree;

/// How many runs at their limit the judge is given time for, per test.
const RUNS_PER_TEST: u32 = 4;

/// And what it may need besides.
const JUDGE_OVERHEAD: Duration = Duration::from_secs(30);

/// When a folder whose process has ended is taken to be nobody's: the process may be one of another
/// namespace.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Which tests are graded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The public ones: a student's own check.
    Public,
    /// All that are there.
    All,
}

/// What the grader is about to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Ask Cargo for the libraries.
    Libraries,
    /// See whether the solution passes.
    Reference,
    /// Build the submission.
    Building,
    /// Build a judge.
    Judge(&'static str),
    /// Run a test.
    Test {
        /// The how-manieth it is.
        number: usize,
        /// Of how many.
        of: usize,
        /// What it wants.
        title: String,
    },
}

impl std::fmt::Display for Step {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Libraries => write!(out, "making the libraries ready"),
            Step::Reference => write!(out, "trying the tests with the solution, once"),
            Step::Building => write!(out, "building the submission"),
            Step::Judge(file) => write!(out, "making {file} ready"),
            Step::Test { number, of, title } => write!(out, "test {number} of {of}: {title}"),
        }
    }
}

/// What is to be graded.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What submissions are built with.
    pub kit: &'a Kit,
    /// The assignment.
    pub assignment: &'a Assignment,
    /// The submission.
    pub submitted: Submitted<'a>,
    /// With which tests.
    pub scope: Scope,
    /// Whose it is, by any name that is always the same: inputs come from it. Empty for nobody in particular.
    pub student: &'a str,
}

/// What was handed in.
#[derive(Clone, Copy, Debug)]
pub enum Submitted<'a> {
    /// A file, a folder or an archive at this path.
    At(&'a Path),
    /// A program of the course itself, which lies in no file of its own.
    Text {
        /// What it is called in the report.
        name: &'a str,
        /// Its only source.
        source: &'a str,
    },
}

impl Submitted<'_> {
    fn name(self) -> String {
        match self {
            Submitted::At(path) => intake::display_name(path),
            Submitted::Text { name, .. } => name.to_string(),
        }
    }

    fn take(self) -> std::result::Result<Submission, Refusal> {
        match self {
            Submitted::At(path) => intake::take(path),
            Submitted::Text { name, source } => Ok(Submission::of_text(name, source)),
        }
    }
}

/// Grades one submission.
///
/// # Errors
///
/// If the grader or the assignment is at fault: the libraries cannot be built, a tests file does
/// not compile, a judge does not behave, or the operating system refuses something.
pub fn grade(job: &Job<'_>, progress: &mut dyn FnMut(Step)) -> Result<Report> {
    let quarantine = match job.scope {
        Scope::All => reference::quarantine(job.kit, job.assignment, progress)?,
        Scope::Public => BTreeSet::new(),
    };
    grade_all(job, &quarantine, progress)
}

/// The same, where it is known which tests score nothing.
pub(crate) fn grade_all(
    job: &Job<'_>,
    quarantine: &BTreeSet<String>,
    progress: &mut dyn FnMut(Step),
) -> Result<Report> {
    let Job { kit, assignment, submitted, scope, student } = *job;
    let machine = Machine::new(kit.detection());
    let mut report = Report::new(assignment, submitted.name(), machine);
    report.set_quarantine(quarantine);
    let files: &[TestsFile] = match scope {
        Scope::All if assignment.has_hidden => &[TestsFile::Public, TestsFile::Hidden],
        _ => {
            report.set_hidden_aside();
            &[TestsFile::Public]
        }
    };

    let submission = match submitted.take() {
        Ok(submission) => {
            report.take_in(&submission);
            submission
        }
        Err(refusal) => {
            report.refuse(&refusal);
            return Ok(report);
        }
    };

    if !kit.is_ready() {
        progress(Step::Libraries);
    }
    let libraries = kit.libraries()?;

    let mut judges = vec![];
    for &file in files {
        progress(Step::Judge(file.path()));
        judges.push((file, libraries.judge(assignment, file)?));
    }

    progress(Step::Building);
    // From here on, keeper or judge removes it if this process is killed.
    let folder =
        work_folder().map_err(Error::io("cannot create a folder in", &std::env::temp_dir()))?;
    let manifest = &assignment.manifest;
    let program = match build::build(kit, kit.sandbox(), manifest, &submission, folder.path())? {
        Built::Program { program, messages } => {
            report.build_messages = messages;
            program
        }
        Built::Failed { messages } => {
            report.fail_to_build(messages);
            return Ok(report);
        }
    };

    let of = files.iter().map(|&file| assignment.tests(file).count()).sum();
    let mut number = 0;
    for (file, judge) in judges {
        let limits: Limits = assignment.manifest.limits.into();
        let task = Task {
            program: program.clone(),
            folder: subfolder(folder.path(), &format!("{file:?}"))?,
            work: folder.path().to_path_buf(),
            limits,
            sandbox: kit.sandbox(),
            tests: errands(assignment, file, student)?,
        };
        let times: u32 = task.tests.iter().map(|errand| errand.seeds.len() as u32).sum();
        let patience = limits.wall * RUNS_PER_TEST * times + JUDGE_OVERHEAD;
        let mut graded = 0;
        order::place(&mut Command::new(judge), &task, patience, |line| {
            let event =
                serde_json::from_str(line).map_err(|error| format!("speaks gibberish: {error}"))?;
            let named = |name: &str| {
                assignment
                    .tests(file)
                    .find(|test| test.name == name)
                    .ok_or_else(|| format!("speaks of an unknown test {name:?}"))
            };
            match event {
                Event::Started { test } => {
                    number += 1;
                    progress(Step::Test { number, of, title: named(&test)?.title.clone() });
                }
                Event::Finished { test, verdict, message, seconds, source } => {
                    graded += 1;
                    report.machine.evidence = report.machine.evidence.or(source);
                    report.enter(named(&test)?, verdict, message, seconds);
                }
                Event::Fault { message } => return Err(message),
            }
            Ok(())
        })
        .and_then(|()| {
            if graded == task.tests.len() {
                Ok(())
            } else {
                Err(format!("graded {graded} of {} tests", task.tests.len()))
            }
        })
        .map_err(|message| Error::Judge {
            file: format!("assignments/{}/{}", assignment.name, file.path()),
            message,
        })?;
    }
    Ok(report)
}

/// The tests of one file, with the seeds of their inputs.
fn errands(assignment: &Assignment, file: TestsFile, student: &str) -> Result<Vec<Errand>> {
    let secret = match file {
        TestsFile::Public => vec![],
        TestsFile::Hidden => {
            let path = assignment.folder.join(file.path());
            fs::read(&path).map_err(Error::io("cannot read", &path))?
        }
    };
    let errand = |test: &Test| {
        let seed = |repeat| seed(student, &assignment.name, &test.name, repeat, &secret);
        let seeds = (0..test.repeats).map(seed).collect();
        Errand { name: test.name.clone(), seeds, passes: test.passes() }
    };
    Ok(assignment.tests(file).map(errand).collect())
}

/// A folder for one submission. It bears the number of this process: those of graders that were killed in
/// the wrong moment are removed.
fn work_folder() -> io::Result<TempDir> {
    const PREFIX: &str = "grade-";
    for entry in fs::read_dir(std::env::temp_dir())?.flatten() {
        let is_old = || {
            let changed = entry.metadata().and_then(|metadata| metadata.modified());
            changed.ok().and_then(|moment| moment.elapsed().ok()).is_some_and(|age| age > ABANDONED)
        };
        if tree::owner_has_ended(&entry.file_name(), PREFIX) && is_old() {
            sandbox::remove_own(&entry.path());
        }
    }
    tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir()
}

fn subfolder(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = folder.join(name);
    fs::create_dir(&path).map_err(Error::io("cannot create", &path))?;
    Ok(path)
}
