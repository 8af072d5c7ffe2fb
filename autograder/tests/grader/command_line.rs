//! Exit codes, options, and what is refused.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::course::{Course, GOOD};

#[test]
fn help_is_no_failure_and_shows_examples() {
    let course = Course::new();
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["verify", "--help"],
        &["list", "--help"],
    ] {
        let graded = course.grade(arguments);
        assert_eq!(graded.code, 0, "{arguments:?}");
        assert!(graded.stdout.contains("Examples:"), "{arguments:?}: {}", graded.stdout);
    }
    assert_eq!(course.grade(&["--version"]).code, 0);
}

#[test]
fn wrong_use_ends_with_64() {
    let course = Course::new();
    for arguments in [
        &["run", "hello", "upload.rs", "--fast"][..],
        &["run", "hello"],
        &["grade"],
        &[],
        &["run", "goodbye", "upload.rs"],
        &["check", "../hello"],
        &["verify", "goodbye"],
    ] {
        let graded = course.grade(arguments);
        assert_eq!(graded.code, 64, "{arguments:?}: {}", graded.stderr);
    }
}

#[test]
fn an_unknown_assignment_is_answered_with_those_that_exist() {
    let course = Course::new();
    course.add_assignment("more");
    let graded = course.grade(&["check", "goodbye"]);
    assert!(graded.stderr.contains("there are: hello, more"), "{}", graded.stderr);
}

#[test]
fn outside_a_course_the_one_of_the_grader_is_taken() {
    let elsewhere = tempfile::tempdir().unwrap();
    let course = Course::new();
    let output = course.command(&["list"]).current_dir(elsewhere.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("a05-primes"), "{stdout}");
}

#[test]
fn what_is_no_submission_is_refused_with_2() {
    let course = Course::new();
    let good = course.write("upload.rs", GOOD);
    symlink(good, course.at("link.rs")).unwrap();
    fs::create_dir(course.at("folder.rs")).unwrap();
    course.write("large.rs", &" ".repeat((1 << 20) + 1));
    for (file, reason) in [
        ("absent.rs", "there is no such file"),
        ("link.rs", "symbolic link"),
        ("folder.rs", "there is no main.rs in it"),
        ("large.rs", "larger than 1 MiB"),
        ("Cargo.toml", "does not end in .rs"),
    ] {
        let graded = course.grade(&["run", "hello", file]);
        assert_eq!((graded.code, graded.verdict()), (2, "REJ"), "{file}");
        assert!(graded.stdout.contains(reason), "{file}: {}", graded.stdout);
        assert_eq!(graded.points(), 0);
    }
}

#[test]
fn what_does_not_compile_ends_with_2_and_shows_why() {
    let course = Course::new();
    let graded = course.submit("fn main() { let x: u32 = \"\u{1b}[31mred\"; }");
    assert_eq!((graded.code, graded.verdict()), (2, "CE"));
    assert!(graded.stdout.contains("error[E0308]: mismatched types"), "{}", graded.stdout);
    assert!(!graded.stdout.contains('\u{1b}'), "{}", graded.stdout);
}

#[test]
fn full_points_end_with_0_and_less_with_1() {
    let course = Course::new();
    let graded = course.submit(GOOD);
    assert_eq!(
        (graded.code, graded.verdict(), graded.points()),
        (0, "OK", 100),
        "{}",
        graded.stdout
    );
    assert!(graded.stderr.contains("test 2 of 2: It copies what it reads"), "{}", graded.stderr);

    let graded = course.submit("fn main() { println!(\"hello, Ada\"); }");
    assert_eq!(
        (graded.code, graded.verdict(), graded.points()),
        (1, "WA", 60),
        "{}",
        graded.stdout
    );
    assert!(graded.stdout.contains("hint: std::io::copy does it."), "{}", graded.stdout);

    let graded = course.submit("fn main() { println!(\"hello, Eve\"); }");
    assert_eq!((graded.code, graded.verdict(), graded.points()), (1, "WA", 0), "{}", graded.stdout);
    for line in ["-hello, Ada", "+hello, Eve", "run=`program Ada`"] {
        assert!(graded.stdout.contains(line), "{}", graded.stdout);
    }
}

#[test]
fn a_panic_and_a_signal_are_run_time_errors() {
    let course = Course::new();
    for source in ["fn main() { panic!(\"oh\") }", "fn main() { std::process::abort() }"] {
        let graded = course.submit(source);
        assert_eq!((graded.code, graded.verdict()), (1, "RE"), "{}", graded.stdout);
    }
}

#[test]
fn numbers_overflow_as_they_do_in_a_students_own_run() {
    let course = Course::new();
    let source = "fn main() { let n = std::env::args().count() as u8; println!(\"{}\", n - 200); }";
    let graded = course.submit(source);
    assert_eq!(graded.verdict(), "RE");
    assert!(graded.stdout.contains("attempt to subtract with overflow"), "{}", graded.stdout);
}

#[test]
fn a_check_grades_the_students_own_file_with_the_public_tests() {
    let course = Course::new();
    let graded = course.grade(&["check", "hello"]);
    assert_eq!((graded.code, graded.verdict()), (1, "WA"));
    course.write("assignments/hello/src/main.rs", "fn main() { println!(\"hello, Ada\"); }");
    let graded = course.grade(&["check", "hello"]);
    assert_eq!(
        (graded.code, graded.verdict(), graded.points()),
        (0, "OK", 60),
        "{}",
        graded.stdout
    );
    assert!(graded.stdout.contains("40 more are graded after submission"), "{}", graded.stdout);
    assert_eq!(graded.result.unwrap()["tests"][1]["state"], "graded after submission");
}

#[test]
fn the_result_can_be_printed_and_put_elsewhere() {
    let course = Course::new();
    course.write("upload.rs", GOOD);
    let graded = course.grade(&["run", "hello", "upload.rs", "--json", "--result", "ada.json"]);
    assert!(graded.result.is_none(), "result.json was written as well");
    let written = fs::read_to_string(course.at("ada.json")).unwrap();
    assert_eq!(graded.stdout, written);
    let result: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(result["submission"], "upload.rs");
    assert_eq!(result["machine"]["tier"], "full");
}

#[test]
fn the_same_submission_gets_the_same_result() {
    let course = Course::new();
    let mut results =
        [(); 2].map(|()| course.submit("fn main() { std::process::exit(7) }").result.unwrap());
    for result in &mut results {
        result["machine"] = Value::Null;
        for test in result["tests"].as_array_mut().unwrap() {
            test["seconds"] = Value::Null;
        }
    }
    assert_eq!(results[0], results[1]);
}

#[test]
fn an_old_result_does_not_survive_a_fault_of_the_grader() {
    let course = Course::new();
    course.write("result.json", "{\"verdict\": \"OK\"}");
    course.write("assignments/hello/tests/public.rs", "autograder::tests! { greets }");
    let graded = course.submit(GOOD);
    assert_eq!(graded.code, 3);
    assert!(graded.result.is_none());
}

#[test]
fn what_a_program_prints_cannot_reach_the_terminal() {
    let course = Course::new();
    let graded = course.submit("fn main() { println!(\"\\x1b[2J\\u{202e}\\rpassed (OK)\"); }");
    assert_eq!(graded.verdict(), "WA");
    for byte in ['\u{1b}', '\u{202e}', '\r'] {
        assert!(!graded.stdout.contains(byte), "{:?}", graded.stdout);
        assert!(!graded.stderr.contains(byte), "{:?}", graded.stderr);
    }
}
