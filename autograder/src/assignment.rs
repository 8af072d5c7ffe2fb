//! The folder of an assignment, read and checked.
//!
//! ```text
//! assignments/a05-primes/
//!   Cargo.toml         a small crate, so that a student can `cargo run` it
//!   assignment.toml    what this module reads
//!   README.md          the task
//!   src/main.rs        the starter, which the student edits
//!   solution.rs        annotated; starter and solution are cut from it
//!   mutants/*.rs       wrong programs, each with the verdict that it must get
//!   tests/public.rs    what the student may see
//!   tests/hidden.rs    what the student may not see; absent from a student's copy
//! ```
//!
//! A file that is wrong is named together with the field, and is an error of that assignment alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kit;
use crate::runner::Limits;
use crate::verdict::Verdict;

/// What every assignment's points add up to.
pub const FULL_POINTS: u32 = 100;

/// The course: where its assignments lie.
#[derive(Clone, Debug)]
pub struct Course {
    root: PathBuf,
}

impl Course {
    /// The course that lies in `root`.
    pub fn at(root: impl Into<PathBuf>) -> Course {
        Course { root: root.into() }
    }

    /// The course around `start`, else the one that this grader was compiled in.
    ///
    /// # Errors
    ///
    /// [`Error::NoCourse`] if there is neither.
    pub fn around(start: &Path) -> Result<Course> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        start
            .ancestors()
            .chain(own)
            .find(|folder| is_course(folder))
            .map(Course::at)
            .ok_or_else(|| Error::NoCourse(start.to_path_buf()))
    }

    /// The folder of the course.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The names of all assignments, sorted.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let folder = self.root.join("assignments");
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("cannot read", &folder))? {
            let entry = entry.map_err(Error::io("cannot read", &folder))?;
            if entry.path().join("assignment.toml").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Reads and checks one assignment.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownAssignment`] if there is none of that name, [`Error::Assignment`] if
    /// something in it is wrong.
    pub fn assignment(&self, name: &str) -> Result<Assignment> {
        let existing = self.names()?;
        if !existing.iter().any(|other| other == name) {
            return Err(Error::UnknownAssignment { name: name.to_string(), existing });
        }
        Assignment::read(&self.root, name)
    }
}

fn is_course(folder: &Path) -> bool {
    folder.join("assignments").is_dir()
        && fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|text| text.contains("[workspace]"))
}

/// One assignment: its folder and what `assignment.toml` says.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The name of the folder.
    pub name: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// What `assignment.toml` says.
    pub manifest: Manifest,
    /// Whether `tests/hidden.rs` is there.
    pub has_hidden: bool,
}

/// `assignment.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What the assignment is called.
    pub title: String,
    /// The lesson that it belongs to.
    pub lesson: String,
    /// How long a student should need.
    pub minutes: u32,
    /// The libraries that a submission may use beside `std`.
    #[serde(default)]
    pub crates: Vec<String>,
    /// What one run of the program may take.
    pub limits: RunLimits,
    /// What the starter earns as it is.
    pub starter: Starter,
    /// The tests, in the order in which they run.
    #[serde(rename = "test")]
    pub tests: Vec<Test>,
    /// The wrong programs.
    #[serde(rename = "mutant", default)]
    pub mutants: Vec<Mutant>,
}

/// What one run of the program may take.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunLimits {
    /// Seconds on the clock.
    pub wall_seconds: u64,
    /// Bytes on stdout and stderr together.
    pub output_bytes: usize,
    /// Seconds of processor time of all processes together.
    pub cpu_seconds: Option<u64>,
    /// MiB of memory of all processes together, files in memory included.
    pub memory_mib: Option<u64>,
    /// Processes and threads at the same time.
    pub processes: Option<u32>,
    /// MiB of one file.
    pub file_mib: Option<u64>,
    /// Open files of one process.
    pub files: Option<u32>,
    /// Seconds on the clock that the compiler may take.
    pub build_seconds: Option<u64>,
}

impl RunLimits {
    /// How long the compiler may take.
    pub fn build(self) -> Duration {
        Duration::from_secs(self.build_seconds.unwrap_or(60))
    }
}

impl From<RunLimits> for Limits {
    fn from(limits: RunLimits) -> Limits {
        let usual = Limits::default();
        Limits {
            wall: Duration::from_secs(limits.wall_seconds),
            output: limits.output_bytes,
            cpu: limits.cpu_seconds.map_or(usual.cpu, Duration::from_secs),
            memory: limits.memory_mib.map_or(usual.memory, |mib| mib << 20),
            processes: limits.processes.unwrap_or(usual.processes),
            file_size: limits.file_mib.map_or(usual.file_size, |mib| mib << 20),
            files: limits.files.unwrap_or(usual.files),
            processors: None,
        }
    }
}

/// What the starter must get.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Starter {
    /// Points that it earns as it is.
    pub earns: u32,
}

/// One test.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The function in the tests file.
    pub name: String,
    /// A sentence that says what is wanted.
    pub title: String,
    /// What it is worth.
    pub points: u32,
    /// Who may see it, and so which file it stands in.
    pub visibility: Visibility,
    /// What to think about when it fails.
    pub hint: String,
    /// How often it runs: with another seed each time, and every second time on a single processor. More
    /// than once for what depends on who comes first.
    #[serde(default = "once")]
    pub repeats: u32,
    /// How often it has to pass; every time, if it does not say.
    pub passes: Option<u32>,
}

fn once() -> u32 {
    1
}

impl Test {
    /// How often it has to pass.
    pub fn passes(&self) -> u32 {
        self.passes.unwrap_or(self.repeats)
    }
}

/// More repeats than this take too long.
const MOST_REPEATS: u32 = 100;

/// Who may see a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// The student, from the beginning.
    Public,
    /// Only the instructor.
    Hidden,
    /// The instructor, and the student when all have handed in.
    AfterDue,
}

impl Visibility {
    /// Where such a test stands.
    pub fn file(self) -> TestsFile {
        match self {
            Visibility::Public => TestsFile::Public,
            Visibility::Hidden | Visibility::AfterDue => TestsFile::Hidden,
        }
    }
}

/// The two files of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestsFile {
    /// What a student's copy has: `tests/public.rs`.
    Public,
    /// What it has not: `tests/hidden.rs`.
    Hidden,
}

impl TestsFile {
    /// Its path, from the folder of the assignment.
    pub fn path(self) -> &'static str {
        match self {
            TestsFile::Public => "tests/public.rs",
            TestsFile::Hidden => "tests/hidden.rs",
        }
    }
}

/// A wrong program, and what it must get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// Its file in `mutants/`.
    pub file: String,
    /// The verdict that it must get.
    pub verdict: Verdict,
    /// The points that it must get, exactly. One of this and `at_most`.
    pub earns: Option<u32>,
    /// The points that it may get at most.
    pub at_most: Option<u32>,
    /// What is wrong with it.
    pub summary: String,
}

impl Assignment {
    fn read(root: &Path, name: &str) -> Result<Assignment> {
        let short = Path::new("assignments").join(name);
        let folder = root.join(&short);
        let wrong =
            |file: &str, message: String| Error::Assignment { file: short.join(file), message };

        let path = folder.join("assignment.toml");
        let text = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
        let manifest: Manifest = toml::from_str(&text)
            .map_err(|error| wrong("assignment.toml", error.to_string().trim_end().to_string()))?;
        check_manifest(&manifest).map_err(|message| wrong("assignment.toml", message))?;

        let has_hidden = folder.join(TestsFile::Hidden.path()).exists();
        for file in [TestsFile::Public, TestsFile::Hidden] {
            if file == TestsFile::Hidden && !has_hidden {
                continue;
            }
            let path = folder.join(file.path());
            let source = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
            check_tests_file(&manifest, file, &source)
                .map_err(|message| wrong(file.path(), message))?;
        }

        let assignment = Assignment { name: name.to_string(), folder, manifest, has_hidden };
        assignment.check_mutants().map_err(|message| wrong("assignment.toml", message))?;
        Ok(assignment)
    }

    /// The file that the student edits.
    pub fn students_file(&self) -> PathBuf {
        self.folder.join("src/main.rs")
    }

    /// The tests of one file, in order.
    pub fn tests(&self, file: TestsFile) -> impl Iterator<Item = &Test> {
        self.manifest.tests.iter().filter(move |test| test.visibility.file() == file)
    }

    /// Mutants listed and not there, or there and not listed. A student's copy has no `mutants/`.
    fn check_mutants(&self) -> std::result::Result<(), String> {
        let folder = self.folder.join("mutants");
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
        let there: BTreeSet<String> = entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| name.ends_with(".rs"))
            .collect();
        let listed: BTreeSet<String> =
            self.manifest.mutants.iter().map(|m| m.file.clone()).collect();
        if let Some(name) = listed.difference(&there).next() {
            return Err(format!("[[mutant]] file = {name:?}: there is no such file in mutants/"));
        }
        if let Some(name) = there.difference(&listed).next() {
            return Err(format!("mutants/{name} has no [[mutant]] that states its verdict"));
        }
        Ok(())
    }
}

fn check_manifest(manifest: &Manifest) -> std::result::Result<(), String> {
    for (field, text) in [("title", &manifest.title), ("lesson", &manifest.lesson)] {
        if text.trim().is_empty() {
            return Err(format!("{field} is empty"));
        }
    }
    for name in &manifest.crates {
        if !kit::OFFERED.contains(&name.as_str()) {
            let offered = kit::OFFERED.join(", ");
            return Err(format!(
                "crates: {name:?} is not offered to submissions; offered: {offered}"
            ));
        }
    }
    check_limits(&manifest.limits)?;
    let mut names = BTreeSet::new();
    for test in &manifest.tests {
        let name = &test.name;
        if !names.insert(name) {
            return Err(format!("[[test]] name = {name:?} stands there twice"));
        }
        if test.title.trim().is_empty() {
            return Err(format!("[[test]] {name:?}: title is empty"));
        }
        if test.points == 0 {
            return Err(format!("[[test]] {name:?}: points must be more than 0"));
        }
        if !(1..=MOST_REPEATS).contains(&test.repeats) {
            return Err(format!(
                "[[test]] {name:?}: repeats must lie between 1 and {MOST_REPEATS}"
            ));
        }
        if !(1..=test.repeats).contains(&test.passes()) {
            return Err(format!("[[test]] {name:?}: passes must lie between 1 and repeats"));
        }
    }
    let total: u64 = manifest.tests.iter().map(|test| u64::from(test.points)).sum();
    if total != u64::from(FULL_POINTS) {
        return Err(format!(
            "[[test]] points add up to {total}; they must add up to {FULL_POINTS}"
        ));
    }
    if manifest.starter.earns >= FULL_POINTS {
        return Err(format!("starter.earns must be less than {FULL_POINTS}"));
    }
    let mut files = BTreeSet::new();
    for mutant in &manifest.mutants {
        let file = &mutant.file;
        if !files.insert(file) {
            return Err(format!("[[mutant]] file = {file:?} stands there twice"));
        }
        if file.contains('/') || !file.ends_with(".rs") {
            return Err(format!(
                "[[mutant]] file = {file:?} must be the name of a .rs file in mutants/"
            ));
        }
        if mutant.verdict == Verdict::Ok {
            return Err(format!("[[mutant]] {file:?}: a mutant that passes is no mutant"));
        }
        if mutant.earns.is_some() == mutant.at_most.is_some() {
            return Err(format!("[[mutant]] {file:?}: give one of `earns` and `at_most`"));
        }
    }
    Ok(())
}

/// What a process needs that uses `common`, in bytes.
const LEAST_EACH: u64 = 32 << 20;

/// Each limit has to leave room for a program, and to be one.
fn check_limits(limits: &RunLimits) -> std::result::Result<(), String> {
    let given = [
        ("wall_seconds", Some(limits.wall_seconds), 1, 600),
        ("output_bytes", Some(limits.output_bytes as u64), 1, 16 << 20),
        ("cpu_seconds", limits.cpu_seconds, 1, 3600),
        ("memory_mib", limits.memory_mib, 64, 1 << 16),
        ("processes", limits.processes.map(u64::from), 2, 1024),
        ("file_mib", limits.file_mib, 1, 1 << 12),
        ("files", limits.files.map(u64::from), 16, 4096),
        ("build_seconds", limits.build_seconds, 1, 600),
    ];
    for (name, value, least, most) in given {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            return Err(format!("limits.{name} must lie between {least} and {most}"));
        }
    }
    let limits = Limits::from(*limits);
    if limits.memory / u64::from(limits.processes) < LEAST_EACH {
        return Err(format!(
            "limits.memory_mib leaves less than {} MiB for each of limits.processes, and without a control \
             group that is all that one gets",
            LEAST_EACH >> 20
        ));
    }
    Ok(())
}

fn check_tests_file(
    manifest: &Manifest,
    file: TestsFile,
    source: &str,
) -> std::result::Result<(), String> {
    let there =
        tests_in(source).ok_or("it does not list its tests in `autograder::tests! { ... }`")?;
    for test in manifest.tests.iter().filter(|test| test.visibility.file() == file) {
        if !there.contains(&test.name) {
            return Err(format!(
                "assignment.toml lists the test {:?}, which is not here",
                test.name
            ));
        }
    }
    for name in &there {
        if !manifest.tests.iter().any(|test| test.visibility.file() == file && test.name == *name) {
            return Err(format!("the test {name:?} is not a {file:?} test in assignment.toml"));
        }
    }
    Ok(())
}

/// The names between the braces of `autograder::tests! { ... }`.
fn tests_in(source: &str) -> Option<Vec<String>> {
    let code: String = source
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .flat_map(|code| [code, "\n"])
        .collect();
    let (_, rest) = code.split_once("tests!")?;
    let (names, _) = rest.split_once('{')?.1.split_once('}')?;
    Some(
        names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_string)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        title = "Count"
        lesson = "lesson05-processes"
        minutes = 30
        crates = ["common"]
        limits = { wall_seconds = 5, output_bytes = 1000 }
        starter = { earns = 10 }

        [[test]]
        name = "counts"
        title = "It counts"
        points = 60
        visibility = "public"
        hint = "Begin at one."

        [[test]]
        name = "counts_more"
        title = "It counts more"
        points = 40
        visibility = "hidden"
        hint = "Go on."

        [[mutant]]
        file = "off_by_one.rs"
        verdict = "WA"
        earns = 40
        summary = "begins at zero"
    "#;

    fn check(text: &str) -> std::result::Result<(), String> {
        let manifest: Manifest = toml::from_str(text).map_err(|error| error.to_string())?;
        check_manifest(&manifest)
    }

    #[test]
    fn a_complete_manifest_is_taken() {
        check(GOOD).unwrap();
        check(&GOOD.replace("\"hidden\"", "\"after-due\"")).unwrap();
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        for (from, to, expected) in [
            ("minutes = 30", "minutes = 30\nhours = 1", "unknown field `hours`"),
            ("points = 60", "points = 50", "add up to 90; they must add up to 100"),
            ("\"counts_more\"", "\"counts\"", "\"counts\" stands there twice"),
            ("\"common\"", "\"rand\"", "crates: \"rand\" is not offered"),
            ("wall_seconds = 5", "wall_seconds = 0", "limits.wall_seconds"),
            ("output_bytes = 1000", "output_bytes = 0", "limits.output_bytes"),
            ("= 1000 }", "= 1000, processes = 1 }", "limits.processes must lie between 2"),
            ("= 1000 }", "= 1000, processes = 65 }", "less than 32 MiB for each"),
            ("earns = 10 }", "earns = 100 }", "starter.earns"),
            ("\"off_by_one.rs\"", "\"../x.rs\"", "must be the name of a .rs file"),
            ("verdict = \"WA\"", "verdict = \"OK\"", "no mutant"),
            ("earns = 40", "earns = 40\nat_most = 40", "one of `earns` and `at_most`"),
            ("points = 60", "points = 60\nrepeats = 0", "repeats must lie between 1 and 100"),
            ("points = 60", "points = 60\nrepeats = 3\npasses = 4", "passes must lie between"),
            ("\"Count\"", "\" \"", "title is empty"),
            ("\"hidden\"", "\"secret\"", "unknown variant `secret`"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let error = check(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(expected), "{to:?} gave {error:?}");
        }
    }

    #[test]
    fn a_tests_file_and_the_manifest_must_list_the_same_tests() {
        let manifest: Manifest = toml::from_str(GOOD).unwrap();
        let check = |source: &str| check_tests_file(&manifest, TestsFile::Public, source);
        check("autograder::tests! {\n    counts, // the only one\n}\n").unwrap();
        assert!(
            check("autograder::tests! {}").unwrap_err().contains("\"counts\", which is not here")
        );
        let error = check("autograder::tests! { counts, sings }").unwrap_err();
        assert!(error.contains("\"sings\" is not a Public test"), "{error}");
        assert!(check("fn main() {}").unwrap_err().contains("does not list its tests"));
    }
}
