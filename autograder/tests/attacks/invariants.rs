//! What holds after every submission, whatever it tried.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::course::{self, Graded, HIDDEN_TEXTS, PATIENCE, TOKEN, USER};

/// More bytes than this stand in no result.
const LONGEST: usize = 60_000;

/// No test runs longer: its last run may take all four seconds, after others that went well, and a busy
/// machine needs a lot more than a quiet one.
const SLOWEST: f64 = 80.0;

/// Files and folders: mode and content.
type Files = BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>;

/// What stands in files and folders other than the ones that a grading makes.
pub(crate) fn files(course: &Path) -> Files {
    let mut found = files_below(course);
    let passing = [course.join("temporary"), course.join("result.json")];
    found.retain(|path, _| !passing.iter().any(|passing| path.starts_with(passing)));
    // And what other submissions are built with.
    let grader = course::grader();
    for path in libraries().into_iter().chain([grader]) {
        let kind = fs::metadata(&path).expect("a file");
        let moment = format!("{} {}", kind.len(), kind.mtime());
        found.insert(path, (kind.mode(), Some(moment.into_bytes())));
    }
    found
}

/// The copies of `common` that programs may be linked with.
fn libraries() -> Vec<PathBuf> {
    let folder = course::grader().with_file_name("deps");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_common = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        stem.starts_with("libcommon-") && path.extension().is_some_and(|end| end == "rlib")
    };
    entries.map(|entry| entry.path()).filter(is_common).collect()
}

fn files_below(folder: &Path) -> Files {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let kind = entry.metadata().expect("a file");
            let content = (kind.is_file() && kind.len() < 1 << 20)
                .then(|| fs::read(&path).expect("a file of one's own"));
            found.insert(path.clone(), (kind.mode(), content));
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

/// What has a name on this machine and is no process.
pub(crate) struct Host {
    names: BTreeSet<String>,
}

impl Host {
    pub(crate) fn look() -> Host {
        let mut names = BTreeSet::new();
        for folder in ["/dev/shm", "/dev/mqueue"] {
            names.extend(listed(Path::new(folder)).map(|name| format!("{folder}/{name}")));
        }
        // What an attack leaves there is called so.
        for folder in [env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/".into()] {
            let attacks = listed(&folder).filter(|name| name.starts_with("attack-"));
            names.extend(attacks.map(|name| format!("{}/{name}", folder.display())));
        }
        for kind in ["shm", "sem", "msg"] {
            let table = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
            for line in table.lines().skip(1) {
                let key: Vec<_> = line.split_whitespace().take(2).collect();
                names.insert(format!("{kind} {}", key.join(" ")));
            }
        }
        let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let abstracts = sockets.lines().filter_map(|line| line.split_once(" @"));
        // Five digits: the kernel chose the name, and it goes with its process.
        names.extend(abstracts.map(|(_, name)| format!("@{name}")).filter(|name| name.len() != 6));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        names.extend(mounts.lines().map(|line| format!("mount {line}")));
        names.extend(groups().map(|group| format!("group {}", group.display())));
        Host { names }
    }

    /// There is nothing new. Others may work on the same machine, so what is new may go by itself.
    pub(crate) fn is_the_same(&self, course: &Path) {
        let began = Instant::now();
        loop {
            let now = Host::look();
            let new: Vec<_> = now.names.difference(&self.names).collect();
            if new.is_empty() {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "there is on this machine, and was not: {new:?}");
            thread::sleep(Duration::from_millis(50));
        }
        let inodes: BTreeSet<String> = files(course)
            .keys()
            .filter_map(|path| fs::symlink_metadata(path).ok())
            .map(|kind| kind.ino().to_string())
            .collect();
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let held = locks.split_whitespace().filter_map(|word| word.rsplit_once(':'));
        let ours: Vec<_> = held.filter(|(_, inode)| inodes.contains(*inode)).collect();
        assert!(ours.is_empty(), "files of the course are locked: {ours:?}");
    }
}

/// The control groups of graders that are no more; others may be at work.
fn groups() -> impl Iterator<Item = PathBuf> {
    let mut found = vec![];
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                let owner = name.strip_prefix("autograder-").and_then(|rest| rest.split_once('-'));
                if owner.is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists()) {
                    found.push(entry.path());
                }
                folders.push(entry.path());
            }
        }
    }
    found.into_iter()
}

fn listed(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

/// The result is whole, bounded, harmless and tells no secrets.
pub(crate) fn of_result(graded: &Graded, course: &Path, submission: &Path) {
    let Graded { code, stdout, stderr, result } = graded;
    let expected = match result["verdict"].as_str() {
        Some("OK") => 0,
        Some("CE" | "REJ") => 2,
        _ => 1,
    };
    assert_eq!(*code, Some(expected), "the exit code\n{stdout}{stderr}");

    let tests = result["tests"].as_array().expect("tests");
    let points: u64 = tests.iter().filter_map(|test| test["points"].as_u64()).sum();
    assert_eq!(result["points"].as_u64(), Some(points));
    for test in tests {
        let seconds = test["seconds"].as_f64().unwrap_or(0.0);
        assert!(seconds < SLOWEST, "{test} took {seconds} seconds");
    }

    let said = texts(result);
    assert!(said.iter().map(String::len).sum::<usize>() < LONGEST, "a result of that length");
    for text in said.iter().chain([stdout, stderr]) {
        let control = text.chars().find(|c| c.is_control() && !"\n\t".contains(*c));
        assert_eq!(control, None, "in {text:?}");
    }
    for line in stdout.lines().chain(stderr.lines()) {
        assert!(!line.starts_with("::") && !line.starts_with("##["), "a command to CI: {line}");
    }

    let home = env::var("HOME").ok().filter(|home| home.len() > 1);
    let folder = course::grader().with_file_name("").to_string_lossy().into_owned();
    // A lower tier shows files where they are. And whoever knows the folder of the course may be told of it.
    let is_full = result["machine"]["tier"] == "full";
    let build = course.join("temporary").to_string_lossy().into_owned();
    let place = course.to_string_lossy().into_owned();
    let place = Some(place).filter(|place| !stands_in(place, submission));
    let paths = [Some(build), place].into_iter().flatten().filter(|_| is_full);
    let secrets = [TOKEN.1.into(), USER.into(), folder];
    let secrets = secrets.into_iter().chain(home).chain(paths);
    for secret in secrets {
        for text in said.iter().chain([stdout, stderr]) {
            assert!(!text.contains(&secret), "{secret:?} stands in\n{text}");
        }
    }
    for text in texts(&as_a_student_sees_it(result)) {
        for secret in HIDDEN_TEXTS {
            assert!(!text.contains(secret), "{secret:?} stands in\n{text}");
        }
    }
}

/// Whether a text stands in a file or a folder.
fn stands_in(text: &str, path: &Path) -> bool {
    let has_text = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    if path.is_dir() {
        files_below(path).values().any(|(_, content)| content.as_deref().is_some_and(has_text))
    } else {
        // What is no file cannot be read to its end, and is not taken in.
        path.is_file() && fs::read(path).is_ok_and(|bytes| has_text(&bytes))
    }
}

/// The result without what was said about tests that only the instructor sees.
pub(crate) fn as_a_student_sees_it(result: &Value) -> Value {
    let mut result = result.clone();
    for test in result["tests"].as_array_mut().into_iter().flatten() {
        if test["visibility"] != "public" {
            test["message"] = Value::Null;
        }
    }
    result
}

/// All texts in it.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(values) => values.values().flat_map(texts).collect(),
        _ => vec![],
    }
}
