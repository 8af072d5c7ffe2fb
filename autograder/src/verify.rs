//! Proves an assignment.
//!
//! The starter builds and earns what `assignment.toml` says, the solution earns everything, and
//! every mutant gets the verdict and the points that are stated for it. That the points add up and
//! every test exists was checked when the folder was read.

use std::fs;
use std::path::Path;

use crate::assignment::{Assignment, FULL_POINTS, Mutant, TestsFile};
use crate::error::{Error, Result};
use crate::grade::{Job, Scope, Step, Submitted, grade};
use crate::kit::Kit;
use crate::reference;
use crate::report::Report;
use crate::solution;
use crate::text;
use crate::verdict::Verdict;

/// What was found out about an assignment.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// One row per program.
    pub rows: Vec<Row>,
    /// What is worth knowing and proves nothing.
    pub notes: Vec<String>,
}

/// One program, what it must get and what it got.
#[derive(Clone, Debug)]
pub struct Row {
    /// The assignment.
    pub assignment: String,
    /// The starter, the solution, or a mutant.
    pub program: String,
    /// Verdict and points as stated.
    pub wanted: String,
    /// Verdict and points as graded.
    pub got: String,
    /// Whether they agree.
    pub holds: bool,
}

/// Grades starter, solution and mutants of one assignment.
///
/// # Errors
///
/// If one of these files is missing, or as in [`grade`].
pub fn verify(
    kit: &Kit,
    assignment: &Assignment,
    progress: &mut dyn FnMut(&str, Step),
) -> Result<Proof> {
    let short = Path::new("assignments").join(&assignment.name);
    if !assignment.has_hidden {
        return Err(Error::Assignment {
            file: short.join(TestsFile::Hidden.path()),
            message: "it is not here, and without it nothing can be proved".to_string(),
        });
    }
    let path = assignment.folder.join("solution.rs");
    let annotated = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
    let cut = solution::cut(&annotated)
        .map_err(|message| Error::Assignment { file: short.join("solution.rs"), message })?;

    let mut proof = Proof::default();
    let students = assignment.students_file();
    if fs::read_to_string(&students).map_err(Error::io("cannot read", &students))? != cut.starter {
        proof.notes.push(format!(
            "{} differs from the starter in solution.rs; that is fine once someone has worked on it",
            short.join("src/main.rs").display()
        ));
    }

    let mut examine = |program: &str,
                       submitted: Submitted<'_>,
                       wanted: String,
                       holds: &dyn Fn(&Report) -> bool| {
        let job = Job { kit, assignment, submitted, scope: Scope::All, student: "" };
        let report = grade(&job, &mut |step| progress(program, step))?;
        let holds = holds(&report);
        if !holds && !report.build_messages.is_empty() {
            proof.notes.push(format!(
                "{}, {program}: the compiler says\n{}",
                assignment.name,
                text::quote(&report.build_messages)
            ));
        }
        proof.rows.push(Row {
            assignment: assignment.name.clone(),
            program: program.to_string(),
            wanted,
            got: format!("{}, {} points", report.verdict, report.points),
            holds,
        });
        Ok::<Report, Error>(report)
    };

    let starter = Submitted::Text { name: "starter.rs", source: &cut.starter };
    let earns = assignment.manifest.starter.earns;
    examine("starter", starter, format!("builds, {earns} points"), &|report| {
        report.exit_code() == 1 && report.build_messages.is_empty() && report.points == earns
    })?;
    let solution = Submitted::Text { name: "solution.rs", source: &cut.solution };
    let report = examine("solution", solution, format!("OK, {FULL_POINTS} points"), &|report| {
        report.verdict == Verdict::Ok && report.points == FULL_POINTS
    })?;
    reference::note(kit, assignment, &report)?;
    for mutant in &assignment.manifest.mutants {
        let file = assignment.folder.join("mutants").join(&mutant.file);
        examine(&mutant.file, Submitted::At(&file), stated(mutant), &|report| {
            agrees(mutant, report)
        })?;
    }
    Ok(proof)
}

fn stated(mutant: &Mutant) -> String {
    match (mutant.earns, mutant.at_most) {
        (Some(points), _) => format!("{}, {points} points", mutant.verdict),
        (None, Some(points)) => format!("{}, at most {points} points", mutant.verdict),
        (None, None) => mutant.verdict.to_string(),
    }
}

fn agrees(mutant: &Mutant, report: &Report) -> bool {
    report.verdict == mutant.verdict
        && mutant.earns.is_none_or(|points| report.points == points)
        && mutant.at_most.is_none_or(|points| report.points <= points)
}
