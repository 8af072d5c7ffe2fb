//! A course with one assignment that is worth attacking, and the grader run in it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use autograder::sandbox::Tier;
use serde_json::Value;
use tempfile::TempDir;

use crate::invariants::{self, Host};

/// In the environment where the grader lies elsewhere.
pub(crate) const GRADER: &str = "AUTOGRADER_ATTACKS_GRADER";

/// In the environment of the grader: what no student may ever read.
pub(crate) const TOKEN: (&str, &str) = ("GRADER_TOKEN", "secret-8c1f0b57e6d2");

/// And who grades.
pub(crate) const USER: &str = "professor-quillfeather";

/// The numbers of the hidden tests, and what must be printed for them.
pub(crate) const HIDDEN_TEXTS: [&str; 5] = [
    "hidden-tests-of-the-shares",
    "880301770177",
    "880301770179",
    "13579111315171921",
    "13579111315171923",
];

const MANIFEST: &str = r#"
title = "Share the work"
lesson = "lesson00"
minutes = 5
crates = ["common"]
starter = { earns = 0 }

[limits]
wall_seconds = 4
output_bytes = 200000
cpu_seconds = 8
memory_mib = 640
processes = 16
file_mib = 16
files = 64
build_seconds = 20

[[test]]
name = "one_number"
title = "It finds the digest of a number, among much that is none"
points = 20
visibility = "public"
hint = "Lines that are no numbers are skipped."

[[test]]
name = "four_processes"
title = "Four processes share the work"
points = 40
visibility = "public"
hint = "Give each worker one number."

[[test]]
name = "other_numbers"
title = "It finds the digests of other numbers, again and again"
points = 40
visibility = "hidden"
repeats = 12
hint = "Does it do the same in every run?"
"#;

/// What the tests have in common: what must be printed.
const DIGEST: &str = r#"
use autograder::evidence::{at_least, share_of_work};
use autograder::prelude::*;

fn digests(numbers: &[u64], rounds: u64) -> String {
    let digest = |number: u64| {
        (0..rounds).fold(number, |value, _| value.wrapping_mul(6364136223846793005).wrapping_add(number | 1))
    };
    numbers.iter().map(|&number| format!("{number}: {}\n", digest(number))).collect()
}
"#;

const PUBLIC: &str = r#"
autograder::tests! { one_number, four_processes }

fn one_number(program: &Program) {
    let input = "no number\n".repeat(200_000) + "5\n";
    program.run_with_input(["1000"], input).assert().success().stdout(digests(&[5], 1000));
}

fn four_processes(program: &Program) {
    let run = program.run_with_input(["60000000"], "1\n2\n3\n4\n");
    let right = [
        "1: 17339981161549801729\n2: 979052564743896834\n",
        "3: 15126455337230301955\n4: 17212270814133948676\n",
    ];
    run.assert().success().stdout(right.concat());
    run.processes()
        .created(at_least(4))
        .ran_together(4)
        .for_at_least(share_of_work(0.15))
        .worked_by_children(at_least(0.6));
}
"#;

const HIDDEN: &str = r#"
// hidden-tests-of-the-shares
autograder::tests! { other_numbers }

fn other_numbers(program: &Program) {
    let numbers = [880301770177, 880301770179, 13579111315171921, 13579111315171923];
    let rounds = program.random().u64(500..1000);
    let input: String = numbers.iter().map(|number| format!("{number}\n")).collect();
    let right = digests(&numbers, rounds);
    let run = program.run_with_input([rounds.to_string()], input);
    run.assert().success().stdout(predicate::function(|out: &str| out == right));
}
"#;

/// What earns all points.
pub(crate) const HONEST: &str = r#"//! Prints the digests of the numbers in its input, one per line.

use common::Pool;
use std::io::Read;

fn main() -> common::Result<()> {
    common::init();
    let rounds: u64 = std::env::args().nth(1).map_or(0, |rounds| rounds.parse().expect("a number"));
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("an input");
    let numbers: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let tasks: Vec<(u64, u64)> = numbers.iter().map(|&number| (number, rounds)).collect();
    let digests: Vec<u64> = Pool::new(4)?.map(digest, tasks)?;
    for (number, digest) in numbers.iter().zip(digests) {
        println!("{number}: {digest}");
    }
    Ok(())
}

fn digest((number, rounds): (u64, u64)) -> u64 {
    let step = |value: u64| value.wrapping_mul(6364136223846793005).wrapping_add(number | 1);
    (0..rounds).fold(number, |value, _| step(std::hint::black_box(value)))
}
"#;

/// Far more than any attack takes that the grader stops.
const LONG: Duration = Duration::from_secs(400);

/// Longer than any run of a submission.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The grader's own program.
pub(crate) fn grader() -> PathBuf {
    env::var_os(GRADER).map_or_else(|| env!("CARGO_BIN_EXE_autograder").into(), PathBuf::from)
}

/// A course in a folder of its own.
pub(crate) struct Course {
    folder: TempDir,
    /// The tier in which an honest submission was graded.
    pub(crate) tier: Tier,
    /// The namespaces of processes that runs had.
    sandboxes: RefCell<BTreeSet<PathBuf>>,
}

/// A running process.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    program: PathBuf,
    /// Whether it says itself that it belongs to the course.
    is_marked: bool,
}

/// What a run of the grader came to.
pub(crate) struct Graded {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) result: Value,
}

impl Course {
    /// A course whose grader has been seen to work.
    pub(crate) fn new() -> Course {
        let folder = tempfile::Builder::new().prefix("course-").tempdir().expect("a folder");
        let mut course = Course { folder, tier: Tier::None, sandboxes: RefCell::default() };
        fs::create_dir(course.at("temporary")).expect("a new folder");
        course.write("Cargo.toml", "[workspace]\n");
        course.write("honest.rs", HONEST);
        course.write("assignments/shares/assignment.toml", MANIFEST);
        course.write("assignments/shares/tests/public.rs", &[DIGEST, PUBLIC].concat());
        course.write("assignments/shares/tests/hidden.rs", &[DIGEST, HIDDEN].concat());
        course.write("assignments/shares/solution.rs", HONEST);
        course.write("assignments/shares/src/main.rs", "fn main() {}\n");
        if env::var_os(GRADER).is_some() {
            // The grader then asks for its libraries from here, which any user may.
            course.write("autograder/Cargo.toml", "");
        }
        // What is made once, libraries and judges, is made before anybody looks what has changed.
        static READY: Once = Once::new();
        READY.call_once(|| drop(course.run(Path::new("honest.rs"))));
        let result = course.honest("before any attack");
        course.tier = serde_json::from_value(result["machine"]["tier"].clone()).expect("a tier");
        course
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.at(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        fs::write(path, text).expect("written");
    }

    fn at(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Grades an honest submission, which must earn all points; gives its result.
    pub(crate) fn honest(&self, when: &str) -> Value {
        let graded = self.grade(Path::new("honest.rs"));
        assert_eq!(
            (graded.code, graded.result["points"].as_u64()),
            (Some(0), Some(100)),
            "honest, {when}:\n{}{}",
            graded.stdout,
            graded.stderr
        );
        graded.result
    }

    /// Grades a submission, and checks what holds for every submission.
    pub(crate) fn grade(&self, submission: &Path) -> Graded {
        self.sandboxes.borrow_mut().clear();
        let host = Host::look();
        let files = invariants::files(self.path());
        let graded = self.run(submission);
        self.nobody_is_left();
        let temporary: Vec<_> = fs::read_dir(self.at("temporary")).expect("a folder").collect();
        assert!(temporary.is_empty(), "these files are left: {temporary:?}");
        assert_eq!(invariants::files(self.path()), files, "the course is another one");
        host.is_the_same(self.path());
        invariants::of_result(&graded, self.path(), &self.path().join(submission));
        graded
    }

    fn run(&self, submission: &Path) -> Graded {
        let [stdout, stderr] = [(); 2].map(|()| tempfile::tempfile().expect("a file"));
        let result = self.at("result.json");
        let _ = fs::remove_file(&result);
        let mut command = Command::new(grader());
        command
            .args(["run", "shares"])
            .arg(submission)
            .current_dir(self.path())
            .env("TMPDIR", self.at("temporary"))
            .env(TOKEN.0, TOKEN.1)
            .env("USER", USER)
            .env("LOGNAME", USER)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().expect("a copy"))
            .stderr(stderr.try_clone().expect("a copy"));
        let mut grader = command.spawn().expect("the grader");
        let began = Instant::now();
        let mut looked = began;
        let status = loop {
            if let Some(status) = grader.try_wait().expect("a child") {
                break status;
            }
            if began.elapsed() > LONG {
                // It sees its pipe close, and ends everything.
                grader.kill().and_then(|()| grader.wait()).expect("a child");
                panic!("the grader was still at it after {LONG:?}");
            }
            // Whoever runs now is known by its sandbox later.
            if looked.elapsed() > Duration::from_millis(150) {
                self.processes();
                looked = Instant::now();
            }
            thread::sleep(Duration::from_millis(5));
        };
        let [stdout, stderr] = [stdout, stderr].map(whole);
        let written = fs::read(&result).unwrap_or_else(|_| panic!("no result\n{stderr}"));
        let result = serde_json::from_slice(&written).expect("a result in JSON");
        Graded { code: status.code(), stdout, stderr, result }
    }

    /// No process of a run has outlived it. Another course may have got the number of a sandbox that has
    /// ended, so what is known by that alone is given time to end.
    fn nobody_is_left(&self) {
        let mut left = self.processes();
        let began = Instant::now();
        while !left.is_empty() && began.elapsed() < PATIENCE {
            assert!(left.iter().all(|process| !process.is_marked), "still there: {left:?}");
            thread::sleep(Duration::from_millis(20));
            let now = self.processes();
            left.retain(|process| now.contains(process));
        }
        assert!(left.is_empty(), "still there: {left:?}");
    }

    /// The running processes of this course, by id and program. Each has its folder in its environment or
    /// as its working directory, or shares a sandbox with one that does.
    fn processes(&self) -> Vec<Process> {
        let mark = self.path().as_os_str().as_bytes();
        let has_mark = |bytes: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
        let own = fs::read_link("/proc/self/ns/pid").expect("this process");
        let mut sandboxes = self.sandboxes.borrow_mut();
        let mut all = vec![];
        for entry in fs::read_dir("/proc").expect("processes").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let link = |name: &str| fs::read_link(entry.path().join(name)).unwrap_or_default();
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let is_marked = has_mark(link("cwd").as_os_str().as_bytes()) || has_mark(&environment);
            let sandbox = link("ns/pid");
            if is_marked && sandbox != own && sandbox != Path::new("") {
                sandboxes.insert(sandbox.clone());
            }
            all.push((entry.path(), pid, is_marked, sandbox));
        }
        let found =
            all.into_iter().filter(|(.., marked, space)| *marked || sandboxes.contains(space));
        let process = |(path, pid, is_marked, _): (PathBuf, i32, bool, PathBuf)| {
            let program = fs::read_link(path.join("exe")).unwrap_or_default();
            Process { pid, program, is_marked }
        };
        found.map(process).collect()
    }
}

/// What was written to it.
fn whole(mut file: File) -> String {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("the grader prints UTF-8");
    text
}
