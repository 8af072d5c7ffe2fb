//! Tests that the reference fails are no measure of anybody.
//!
//! Before the first submission is graded with all tests, and whenever the assignment, the libraries or the
//! compiler have changed, the solution is graded in the same way, [`TIMES`] times. A test that it ever fails is
//! put in quarantine: it is still run and reported, and scores nothing, until the assignment changes. What was
//! found is kept beside the judges. Where there is no solution, as in a student's copy, nothing is known, and
//! nothing is in quarantine.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, TestsFile};
use crate::error::{Error, Result};
use crate::grade::{Job, Scope, Step, Submitted, grade_all};
use crate::kit::Kit;
use crate::report::Report;
use crate::solution;
use crate::verdict::Verdict;

/// How often the reference is graded.
pub const TIMES: u32 = 2;

/// What is known of a reference.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// The tests that it has failed.
    failed: BTreeSet<String>,
}

/// The tests of an assignment that are in quarantine.
pub(crate) fn quarantine(
    kit: &Kit,
    assignment: &Assignment,
    progress: &mut dyn FnMut(Step),
) -> Result<BTreeSet<String>> {
    let path = assignment.folder.join("solution.rs");
    if !path.is_file() {
        return Ok(BTreeSet::new());
    }
    let file = file(kit, assignment)?;
    if let Some(record) = recall(&file) {
        return Ok(record.failed);
    }

    progress(Step::Reference);
    let annotated = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
    let wrong = |message| Error::Assignment {
        file: Path::new("assignments").join(&assignment.name).join("solution.rs"),
        message,
    };
    let cut = solution::cut(&annotated).map_err(wrong)?;
    let submitted = Submitted::Text { name: "solution.rs", source: &cut.solution };
    let mut record = Record::default();
    for _ in 0..TIMES {
        let job = Job { kit, assignment, submitted, scope: Scope::All, student: "" };
        let report = grade_all(&job, &BTreeSet::new(), &mut |_| {})?;
        if report.verdict == Verdict::Ce {
            return Err(wrong(format!("it does not compile\n{}", report.build_messages)));
        }
        record.failed.extend(failed(&report));
    }
    keep(&file, &record).map_err(Error::io("cannot write", &file))?;
    Ok(record.failed)
}

/// Enters what a further grading of the solution has come to.
pub(crate) fn note(kit: &Kit, assignment: &Assignment, report: &Report) -> Result<()> {
    let file = file(kit, assignment)?;
    let mut record = recall(&file).unwrap_or_default();
    let known = record.failed.len();
    record.failed.extend(failed(report));
    match record.failed.len() > known {
        true => keep(&file, &record).map_err(Error::io("cannot write", &file)),
        false => Ok(()),
    }
}

/// Where it is kept what is known of the reference.
fn file(kit: &Kit, assignment: &Assignment) -> Result<PathBuf> {
    let name = format!("{}-{:016x}.json", assignment.name, fingerprint(kit, assignment)?);
    Ok(kit.libraries()?.kept("references").join(name))
}

fn recall(file: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

fn failed(report: &Report) -> impl Iterator<Item = String> {
    let is_failed = |verdict: Verdict| verdict != Verdict::Ok;
    let failed = report.tests.iter().filter(move |test| test.verdict.is_some_and(is_failed));
    failed.map(|test| test.name.clone())
}

/// Whole or not at all: another grader may read it.
fn keep(file: &Path, record: &Record) -> io::Result<()> {
    let place = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(place)?;
    let mut fresh = tempfile::NamedTempFile::new_in(place)?;
    fresh.write_all(&serde_json::to_vec(record)?)?;
    fresh.persist(file).map(drop).map_err(|error| error.error)
}

/// Changes with everything that the outcome hangs on.
fn fingerprint(kit: &Kit, assignment: &Assignment) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let [public, hidden] = [TestsFile::Public, TestsFile::Hidden].map(TestsFile::path);
    for name in ["assignment.toml", "solution.rs", public, hidden] {
        let path = assignment.folder.join(name);
        if path.is_file() {
            fs::read(&path).map_err(Error::io("cannot read", &path))?.hash(&mut hasher);
        }
    }
    kit.libraries()?.folder.hash(&mut hasher);
    kit.detection().tier.hash(&mut hasher);
    Ok(hasher.finish())
}
