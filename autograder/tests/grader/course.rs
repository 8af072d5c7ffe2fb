//! A small course in a folder of its own, and the grader run on it.
//!
//! Every process of a run knows the folder, which stands in its environment or is its working
//! directory, or shares a sandbox with one that does. That is how [`Course::processes`] finds what a run
//! has left.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const MANIFEST: &str = r#"
title = "Say hello"
lesson = "lesson00"
minutes = 5
limits = { wall_seconds = 4, output_bytes = 2000000 }
starter = { earns = 0 }

[[test]]
name = "greets"
title = "It greets whom it is told to greet"
points = 60
visibility = "public"
hint = "The name is the first argument."

[[test]]
name = "copies"
title = "It copies what it reads"
points = 40
visibility = "hidden"
hint = "std::io::copy does it."

[[mutant]]
file = "rude.rs"
verdict = "WA"
earns = 0
summary = "greets nobody"
"#;

pub(crate) const PUBLIC: &str = r#"
use autograder::prelude::*;

autograder::tests! { greets }

fn greets(program: &Program) {
    program.run(["Ada"]).assert().success().stdout("hello, Ada\n");
}
"#;

const HIDDEN: &str = r#"
use autograder::prelude::*;

autograder::tests! { copies }

fn copies(program: &Program) {
    let much = "0123456789".repeat(100_000);
    let run = program.run_with_input(["copy"], &much);
    run.assert().success().stdout(predicate::function(|out: &str| out == much));
}
"#;

const ANNOTATED: &str = r#"
fn main() {
    // solution {
    let name = std::env::args().nth(1).unwrap_or_default();
    if name == "copy" {
        std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).unwrap();
    } else {
        println!("hello, {name}");
    }
    // }
    //~ // Say hello.
}
"#;

/// What earns all points.
pub(crate) const GOOD: &str = r#"
fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    if name == "copy" {
        std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).unwrap();
    } else {
        println!("hello, {name}");
    }
}
"#;

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(180);

pub(crate) struct Course {
    folder: TempDir,
    /// The namespaces of processes that runs had, by number: as long as one is open, no other gets it.
    sandboxes: RefCell<BTreeMap<u64, File>>,
}

/// What a run of the grader came to.
pub(crate) struct Graded {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) result: Option<Value>,
}

impl Course {
    /// A course with one assignment, `hello`.
    pub(crate) fn new() -> Course {
        let course = Course {
            folder: tempfile::Builder::new().prefix("course-").tempdir().unwrap(),
            sandboxes: RefCell::default(),
        };
        fs::create_dir(course.at("temporary")).unwrap();
        course.write("Cargo.toml", "[workspace]\n");
        course.add_assignment("hello");
        course
    }

    pub(crate) fn add_assignment(&self, name: &str) {
        let file = |file: &str| format!("assignments/{name}/{file}");
        self.write(&file("assignment.toml"), MANIFEST);
        self.write(&file("tests/public.rs"), PUBLIC);
        self.write(&file("tests/hidden.rs"), HIDDEN);
        self.write(&file("solution.rs"), ANNOTATED);
        self.write(&file("src/main.rs"), "\nfn main() {\n    // Say hello.\n}\n");
        self.write(&file("mutants/rude.rs"), "fn main() { println!(\"what?\"); }\n");
    }

    pub(crate) fn at(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.at(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// `cargo grade` with these arguments, inside the course.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autograder"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TMPDIR", self.at("temporary"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the grader to its end, and checks that nothing is left of it.
    pub(crate) fn grade(&self, arguments: &[&str]) -> Graded {
        let output = self.command(arguments).output().unwrap();
        let graded = Graded {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            result: self.result(),
        };
        let left = self.processes();
        assert!(left.is_empty(), "left: {left:?}\n{}", graded.stderr);
        let files: Vec<_> = fs::read_dir(self.at("temporary")).unwrap().collect();
        assert!(files.is_empty(), "left: {files:?}");
        graded
    }

    /// Grades one submission to `hello`, given as text.
    pub(crate) fn submit(&self, source: &str) -> Graded {
        self.write("upload.rs", source);
        self.grade(&["run", "hello", "upload.rs"])
    }

    /// The same with the public test alone.
    pub(crate) fn check(&self, source: &str) -> Graded {
        self.write("upload.rs", source);
        self.grade(&["check", "hello", "upload.rs"])
    }

    pub(crate) fn result(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.at("result.json")).ok()?).ok()
    }

    /// The running processes that belong to a run in this course, by id and program.
    pub(crate) fn processes(&self) -> Vec<(i32, PathBuf)> {
        let mark = self.folder.path().as_os_str().as_bytes();
        let has_mark = |bytes: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
        let space_of = |folder: &Path| File::open(folder.join("ns/pid")).ok();
        let number = |space: &File| space.metadata().map(|metadata| metadata.ino()).ok();
        let own = space_of(Path::new("/proc/self")).and_then(|space| number(&space));
        let mut sandboxes = self.sandboxes.borrow_mut();
        let mut all = vec![];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let link = |name: &str| fs::read_link(entry.path().join(name)).unwrap_or_default();
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let is_marked = has_mark(link("cwd").as_os_str().as_bytes()) || has_mark(&environment);
            let space = space_of(&entry.path());
            let sandbox = space.as_ref().and_then(number).filter(|number| Some(*number) != own);
            if let (true, Some(number), Some(space)) = (is_marked, sandbox, space) {
                sandboxes.entry(number).or_insert(space);
            }
            all.push((pid, link("exe"), is_marked, sandbox));
        }
        let is_of_a_run = |sandbox: &u64| sandboxes.contains_key(sandbox);
        let found = all.into_iter().filter(|(.., is_marked, sandbox)| {
            *is_marked || sandbox.as_ref().is_some_and(is_of_a_run)
        });
        found.map(|(pid, program, ..)| (pid, program)).collect()
    }
}

impl Graded {
    /// The verdict of the submission, as the result states it.
    pub(crate) fn verdict(&self) -> &str {
        let result = self.result.as_ref().unwrap_or_else(|| panic!("no result\n{}", self.stderr));
        result["verdict"].as_str().unwrap()
    }

    pub(crate) fn points(&self) -> u64 {
        self.result.as_ref().unwrap()["points"].as_u64().unwrap()
    }
}

/// Whether this is the program that a submission was built to.
pub(crate) fn is_submission(program: &Path) -> bool {
    program.ends_with("build/program") || program.ends_with("sub/program")
}

/// Looks again and again, until it is so.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LONG, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a child has ended.
pub(crate) fn has_ended(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_some()
}
