//! The result of grading one submission, and how it is written.
//!
//! Everything but `seconds` and `machine` is the same wherever the same submission is graded.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use serde::Serialize;

use crate::assignment::{Assignment, FULL_POINTS, Test, TestsFile, Visibility};
use crate::error::{Error, Result};
use crate::evidence::Source;
use crate::intake::{Refusal, Submission};
use crate::sandbox::{Accounting, Detection, Tier};
use crate::verdict::Verdict;

/// The version of the format: it grows when a reader of the old one would be misled.
pub const SCHEMA: u32 = 2;

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The name of the assignment.
    pub assignment: String,
    /// Its title.
    pub title: String,
    /// The name of the submitted file, folder or archive, without its folder.
    pub submission: String,
    /// The gravest verdict of all that was graded.
    pub verdict: Verdict,
    /// The points earned.
    pub points: u32,
    /// The points that could be earned in what was graded here.
    pub out_of: u32,
    /// The points of what is graded after submission.
    pub to_come: u32,
    /// Why the submission was refused, if it was.
    pub refused: Option<Refused>,
    /// What of it was not taken in, the first names.
    pub ignored: Vec<String>,
    /// How many more names there are.
    pub ignored_more: usize,
    /// What a reader of its sources should know.
    pub notes: Vec<String>,
    /// What the compiler said, shortened.
    pub build_messages: String,
    /// Every test, in the order of the assignment.
    pub tests: Vec<TestReport>,
    /// Where it was graded.
    pub machine: Machine,
}

/// Why a submission was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// In one word, for programs: see [`Refusal::reason`].
    pub reason: &'static str,
    /// In a sentence, for its author.
    pub message: String,
}

/// The result of one test.
#[derive(Clone, Debug, Serialize)]
pub struct TestReport {
    /// Its name.
    pub name: String,
    /// What it wants.
    pub title: String,
    /// Who may see it.
    pub visibility: Visibility,
    /// Whether it was graded.
    pub state: State,
    /// What came of it, if it was.
    pub verdict: Option<Verdict>,
    /// The points earned.
    pub points: u32,
    /// The points that it is worth.
    pub out_of: u32,
    /// What went wrong, shortened.
    pub message: Option<String>,
    /// What to think about, when it failed.
    pub hint: Option<String>,
    /// How long it took.
    pub seconds: Option<f64>,
}

/// Whether a test was graded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    /// It was.
    #[serde(rename = "graded")]
    Graded,
    /// There was no program to run it on.
    #[serde(rename = "not run")]
    NotRun,
    /// It was, and the solution has failed it once: it scores nothing.
    #[serde(rename = "in quarantine")]
    Quarantined,
    /// It is hidden, and this was a student's own check.
    #[serde(rename = "graded after submission")]
    AfterSubmission,
}

/// The machine that graded, and what it gave.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The operating system.
    pub os: &'static str,
    /// The processor's architecture.
    pub arch: &'static str,
    /// How many processors the grader may use; 0 if unknown.
    pub processors: usize,
    /// In how much of a sandbox the submission was built and run.
    pub tier: Tier,
    /// Who counted what it took; nobody without a sandbox.
    pub accounting: Option<Accounting>,
    /// How its processes were observed; none before a program has run.
    pub evidence: Option<Source>,
}

impl Machine {
    pub(crate) fn new(detection: &Detection) -> Machine {
        Machine {
            os: env::consts::OS,
            arch: env::consts::ARCH,
            processors: thread::available_parallelism().map_or(0, usize::from),
            tier: detection.tier,
            accounting: detection.accounting,
            evidence: None,
        }
    }
}

impl Report {
    /// A report in which nothing has been graded yet.
    pub(crate) fn new(assignment: &Assignment, submission: String, machine: Machine) -> Report {
        let tests = assignment.manifest.tests.iter().map(TestReport::new).collect();
        Report {
            schema: SCHEMA,
            assignment: assignment.name.clone(),
            title: assignment.manifest.title.clone(),
            submission,
            verdict: Verdict::Ok,
            points: 0,
            out_of: FULL_POINTS,
            to_come: 0,
            refused: None,
            ignored: Vec::new(),
            ignored_more: 0,
            notes: Vec::new(),
            build_messages: String::new(),
            tests,
            machine,
        }
    }

    /// Sets the hidden tests aside: they are not graded here.
    pub(crate) fn set_hidden_aside(&mut self) {
        for test in self.tests.iter_mut().filter(|test| test.visibility.file() == TestsFile::Hidden)
        {
            test.state = State::AfterSubmission;
            self.to_come += test.out_of;
            self.out_of -= test.out_of;
        }
    }

    /// What these tests say counts for nothing.
    pub(crate) fn set_quarantine(&mut self, tests: &BTreeSet<String>) {
        for test in self.tests.iter_mut().filter(|test| tests.contains(&test.name)) {
            test.state = State::Quarantined;
            self.out_of -= test.out_of;
        }
    }

    /// Enters what was left out of a submission, and what was noticed in it.
    pub(crate) fn take_in(&mut self, submission: &Submission) {
        self.ignored.clone_from(&submission.ignored);
        self.ignored_more = submission.ignored_more;
        self.notes.clone_from(&submission.notes);
    }

    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        self.verdict = Verdict::Rej;
        self.refused = Some(Refused { reason: refusal.reason(), message: refusal.to_string() });
    }

    pub(crate) fn fail_to_build(&mut self, messages: String) {
        self.verdict = Verdict::Ce;
        self.build_messages = messages;
    }

    /// Enters what came of one test.
    pub(crate) fn enter(
        &mut self,
        test: &Test,
        verdict: Verdict,
        message: Option<String>,
        seconds: f64,
    ) {
        let Some(entry) = self.tests.iter_mut().find(|entry| entry.name == test.name) else {
            return;
        };
        entry.verdict = Some(verdict);
        entry.seconds = Some(seconds);
        entry.message = message;
        if entry.state == State::Quarantined {
            return;
        }
        entry.state = State::Graded;
        if verdict == Verdict::Ok {
            entry.points = entry.out_of;
            self.points += entry.out_of;
        } else {
            entry.hint = Some(test.hint.clone());
        }
        self.verdict = self.verdict.max(verdict);
    }

    /// 0 all passed, 1 some failed, 2 refused or does not build.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Ok => 0,
            Verdict::Ce | Verdict::Rej => 2,
            _ => 1,
        }
    }

    /// The report as JSON, with a line break at its end.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be put into JSON, which would be a fault of the grader.
    pub fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self).map_err(|error| Error::Io {
            action: "cannot put into JSON",
            path: Path::new("the result").to_path_buf(),
            source: error.into(),
        })?;
        Ok(json + "\n")
    }

    /// Writes the report as JSON: whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Open to others as far as the umask allows, like any new file.
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(Error::io("cannot write", path))?;
        file.write_all(self.to_json()?.as_bytes()).map_err(Error::io("cannot write", path))?;
        file.persist(path).map(drop).map_err(|error| Error::io("cannot write", path)(error.error))
    }
}

impl TestReport {
    fn new(test: &Test) -> TestReport {
        TestReport {
            name: test.name.clone(),
            title: test.title.clone(),
            visibility: test.visibility,
            state: State::NotRun,
            verdict: None,
            points: 0,
            out_of: test.points,
            message: None,
            hint: None,
            seconds: None,
        }
    }
}

/// Removes an earlier result, so that nobody takes it for this one if grading breaks off.
///
/// # Errors
///
/// [`Error::Io`] if it is there and cannot be removed.
pub fn remove_old(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            fs::remove_file(path).map_err(Error::io("cannot remove", path))
        }
        _ => Ok(()),
    }
}
