//! Submissions of several files: folders and archives, what is taken of them, and what is refused.

use std::fs::File;
use std::io::{Cursor, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::course::{Course, GOOD, Graded};

/// A program of two modules, as `cargo new` lays it out, and what lies around it.
const PROJECT: &[(&str, &str)] = &[
    ("hello/src/main.rs", "mod words;\nfn main() { words::speak::speak(); }\n"),
    ("hello/src/words/mod.rs", "pub mod speak;\n"),
    ("hello/src/words/speak.rs", SPEAK),
    ("hello/Cargo.toml", "[package]\nname = \"hello\"\nbuild = \"build.rs\"\n"),
    ("hello/build.rs", "fn main() { panic!() }"),
    ("hello/.cargo/config.toml", "[build]\nrustc-wrapper = \"/bin/false\"\n"),
    ("hello/tests/hidden.rs", "the student's own"),
    ("hello/result.json", "{\"verdict\": \"OK\", \"points\": 100}"),
];

const SPEAK: &str = r#"
pub fn speak() {
    let name = std::env::args().nth(1).unwrap_or_default();
    if name == "copy" {
        std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).unwrap();
    } else {
        println!("hello, {name}");
    }
}
"#;

fn zipped<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn packed<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn put(course: &Course, name: &str, bytes: &[u8]) -> PathBuf {
    let path = course.at(name);
    File::create(&path).unwrap().write_all(bytes).unwrap();
    path
}

fn reason(graded: &Graded) -> &str {
    graded.result.as_ref().unwrap()["refused"]["reason"].as_str().unwrap_or_default()
}

#[test]
fn a_folder_a_zip_and_a_tar_of_a_project_earn_the_same() {
    let course = Course::new();
    for (name, text) in PROJECT {
        course.write(name, text);
    }
    put(&course, "hello.zip", &zipped(PROJECT.iter().copied()));
    put(&course, "hello.tar.gz", &packed(PROJECT.iter().copied()));
    let mut tests = vec![];
    for name in ["hello", "hello.zip", "hello.tar.gz"] {
        let graded = course.grade(&["run", "hello", name]);
        assert_eq!((graded.code, graded.points()), (0, 100), "{name}: {}", graded.stdout);
        let line =
            "not taken in, only sources are: .cargo/, Cargo.toml, build.rs, result.json, tests/";
        assert!(graded.stdout.contains(line), "{}", graded.stdout);
        let mut result = graded.result.unwrap();
        assert_eq!(result["submission"], name);
        let ignored = [".cargo/", "Cargo.toml", "build.rs", "result.json", "tests/"];
        assert_eq!(result["ignored"], serde_json::json!(ignored));
        assert_eq!(result["ignored_more"], 0);
        assert_eq!(result["notes"], serde_json::json!([]));
        for test in result["tests"].as_array_mut().unwrap() {
            test["seconds"] = serde_json::Value::Null;
        }
        tests.push(result["tests"].take());
    }
    assert!(tests.iter().all(|other| *other == tests[0]));
}

#[test]
fn a_check_takes_the_modules_of_ones_own_program_or_what_is_about_to_be_handed_in() {
    let course = Course::new();
    for (name, text) in PROJECT.iter().filter(|(name, _)| name.starts_with("hello/src/")) {
        course.write(&format!("assignments/{name}"), text);
    }
    let graded = course.grade(&["check", "hello"]);
    assert_eq!((graded.code, graded.points()), (0, 60), "{}", graded.stdout);
    assert!(!graded.stdout.contains("not taken in"), "{}", graded.stdout);

    put(&course, "hello.zip", &zipped(PROJECT.iter().copied()));
    let graded = course.grade(&["check", "hello", "hello.zip"]);
    assert_eq!((graded.code, graded.points()), (0, 60), "{}", graded.stdout);
    assert!(graded.stdout.contains("(hello.zip)"), "{}", graded.stdout);
}

#[test]
fn what_a_compiler_says_names_the_file_as_the_student_knows_it() {
    let course = Course::new();
    let files =
        [("src/main.rs", "mod a;\nfn main() {}\n"), ("src/a.rs", "\npub fn f() -> u32 { \"\" }\n")];
    put(&course, "hello.zip", &zipped(files));
    let graded = course.grade(&["run", "hello", "hello.zip"]);
    assert_eq!((graded.code, graded.verdict()), (2, "CE"));
    assert!(graded.stdout.contains("--> src/a.rs:2:21"), "{}", graded.stdout);
}

#[test]
fn a_module_that_was_left_out_is_explained() {
    let course = Course::new();
    let files = [("main.rs", "mod a;\nfn main() {}\n"), ("a.rs", "")];
    put(&course, "hello.zip", &zipped(files));
    let graded = course.grade(&["run", "hello", "hello.zip"]);
    assert_eq!((graded.code, graded.verdict()), (2, "CE"));
    assert!(graded.stdout.contains("only sources are: a.rs\n"), "{}", graded.stdout);
    assert!(graded.stdout.contains("note: main.rs lies beside src/"), "{}", graded.stdout);
}

#[test]
fn hidden_direction_marks_are_noted_whether_or_not_it_compiles() {
    let course = Course::new();
    let line = "/* \u{202e} } \u{2066}if admin \u{2069} \u{2066} begin admins only */";
    let allowed = "#![allow(text_direction_codepoint_in_comment)]\n";
    for (source, code) in [(format!("{GOOD}{line}"), 2), (format!("{allowed}{line}{GOOD}"), 0)] {
        let graded = course.submit(&source);
        assert_eq!(graded.code, code, "{}", graded.stdout);
        assert!(graded.stdout.contains("U+202E turns the direction"), "{}", graded.stdout);
        assert!(!graded.stdout.contains('\u{202e}'), "{}", graded.stdout);
        assert_eq!(graded.result.unwrap()["notes"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn between_two_honest_submissions_every_attack_on_intake_is_refused() {
    let course = Course::new();
    let honest = || {
        let graded = course.submit(GOOD);
        assert_eq!((graded.code, graded.points()), (0, 100), "{}", graded.stdout);
    };
    let manifest = std::fs::read(course.at("assignments/hello/assignment.toml")).unwrap();
    honest();

    let evil = "title = \"all points for me\"";
    let slip = [("src/main.rs", GOOD), ("../assignments/hello/assignment.toml", evil)];
    put(&course, "slip.zip", &zipped(slip));

    let mut tar = tar::Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "a", course.at("assignments")).unwrap();
    let mut header = Header::new_gnu();
    header.set_size(evil.len() as u64);
    tar.append_data(&mut header, "a/hello/assignment.toml", evil.as_bytes()).unwrap();
    put(&course, "link.tar", &tar.into_inner().unwrap());

    let solution = course.at("assignments/hello/solution.rs");
    std::fs::create_dir_all(course.at("ada/src")).unwrap();
    symlink(&solution, course.at("ada/src/main.rs")).unwrap();

    let zeros = "0".repeat(2 << 20);
    put(&course, "bomb.zip", &zipped([("src/main.rs", GOOD), ("zeros", &zeros)]));
    put(&course, "bomb.tgz", &packed([("src/main.rs", GOOD), ("zeros", &zeros)]));
    put(&course, "name.zip", &zipped([("src/main.rs", GOOD), ("src/\u{1b}[2J.rs", "")]));
    put(&course, "two.zip", &zipped([("src/main.rs", GOOD), ("main.rs", GOOD)]));
    put(&course, "none.zip", &zipped([("hello/main.py", "print()")]));
    put(&course, "cut.zip", &zipped(PROJECT.iter().copied())[..500]);
    put(&course, "other.zip", b"7z\xbc\xaf\x27\x1c");

    for (name, expected) in [
        ("slip.zip", "path"),
        ("link.tar", "link"),
        ("ada", "link"),
        ("bomb.zip", "size"),
        ("bomb.tgz", "size"),
        ("name.zip", "name"),
        ("two.zip", "main"),
        ("none.zip", "main"),
        ("cut.zip", "format"),
        ("other.zip", "format"),
        ("absent.zip", "missing"),
    ] {
        let graded = course.grade(&["run", "hello", name]);
        assert_eq!((graded.code, graded.verdict()), (2, "REJ"), "{name}: {}", graded.stdout);
        assert_eq!((reason(&graded), graded.points()), (expected, 0), "{}", graded.stdout);
        assert!(graded.stdout.contains(&format!("refused (REJ): {name}: ")), "{}", graded.stdout);
        assert!(!graded.stdout.contains('\u{1b}'), "{:?}", graded.stdout);
    }
    assert_eq!(std::fs::read(course.at("assignments/hello/assignment.toml")).unwrap(), manifest);
    honest();
}
