//! What an assignment can get wrong, and that it is alone with it.

use std::fs;
use std::path::Path;

use autograder::assignment::{Assignment, Course as Real};
use autograder::solution;

use crate::course::{Course, GOOD, MANIFEST, PUBLIC};

#[test]
fn the_assignments_of_this_course_are_sound() {
    let course = Course::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let graded = course.grade(&["--root", root.to_str().unwrap(), "verify"]);
    assert_eq!(graded.code, 0, "{}\n{}", graded.stdout, graded.stderr);
    assert!(graded.stdout.contains("a05-primes"), "{}", graded.stdout);
    assert!(!graded.stdout.contains("note:"), "{}", graded.stdout);
}

#[test]
fn every_starter_is_the_one_in_its_solution() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let course = Real::at(root);
    for name in course.names().unwrap() {
        let assignment: Assignment = course.assignment(&name).unwrap();
        let annotated = fs::read_to_string(assignment.folder.join("solution.rs")).unwrap();
        let starter = fs::read_to_string(assignment.students_file()).unwrap();
        assert_eq!(starter, solution::cut(&annotated).unwrap().starter, "{name}");
    }
}

#[test]
fn a_sound_assignment_is_proved() {
    let course = Course::new();
    let graded = course.grade(&["verify", "hello"]);
    assert_eq!(graded.code, 0, "{}\n{}", graded.stdout, graded.stderr);
    for program in ["starter", "solution", "rude.rs"] {
        assert!(graded.stdout.contains(program), "{}", graded.stdout);
    }
}

#[test]
fn a_mutant_with_another_verdict_is_no_proof() {
    let course = Course::new();
    course.write("assignments/hello/mutants/rude.rs", "fn main() { panic!() }");
    let graded = course.grade(&["verify"]);
    assert_eq!(graded.code, 1, "{}", graded.stderr);
    assert!(graded.stdout.contains("FAILS"), "{}", graded.stdout);
}

#[test]
fn tests_that_do_not_compile_are_a_fault_of_the_grader_for_that_assignment_alone() {
    let course = Course::new();
    course.add_assignment("broken");
    course.write(
        "assignments/broken/tests/public.rs",
        &PUBLIC.replace("program.run", "program.march"),
    );
    course.write("upload.rs", GOOD);

    let graded = course.grade(&["run", "broken", "upload.rs"]);
    assert_eq!(graded.code, 3, "{}", graded.stdout);
    assert!(graded.stderr.contains("assignments/broken/tests/public.rs"), "{}", graded.stderr);
    assert!(graded.stderr.contains("no method named `march`"), "{}", graded.stderr);

    assert_eq!(course.grade(&["run", "hello", "upload.rs"]).code, 0);
    let graded = course.grade(&["verify"]);
    assert_eq!(graded.code, 3);
    assert!(graded.stdout.contains("rude.rs"), "{}", graded.stdout);
}

#[test]
fn a_wrong_manifest_is_named_with_its_field_and_stops_no_other() {
    let course = Course::new();
    course.add_assignment("broken");
    course.write(
        "assignments/broken/assignment.toml",
        &MANIFEST.replace("points = 60", "points = 61"),
    );
    course.write("upload.rs", GOOD);

    let graded = course.grade(&["run", "broken", "upload.rs"]);
    assert_eq!(graded.code, 3);
    assert!(
        graded.stderr.contains("assignments/broken/assignment.toml: [[test]] points add up to 101"),
        "{}",
        graded.stderr
    );
    assert_eq!(course.grade(&["run", "hello", "upload.rs"]).code, 0);
    let graded = course.grade(&["list"]);
    assert_eq!(graded.code, 0);
    assert!(graded.stdout.contains("broken:"), "{}", graded.stdout);
}

#[test]
fn without_the_hidden_tests_the_public_ones_are_graded() {
    let course = Course::new();
    fs::remove_file(course.at("assignments/hello/tests/hidden.rs")).unwrap();
    fs::remove_dir_all(course.at("assignments/hello/mutants")).unwrap();
    let graded = course.submit(GOOD);
    assert_eq!((graded.code, graded.points()), (0, 60), "{}", graded.stderr);
    assert_eq!(course.grade(&["verify"]).code, 3);
}

#[test]
fn a_test_that_fails_before_it_runs_the_program_is_at_fault_itself() {
    let course = Course::new();
    course.write(
        "assignments/hello/tests/public.rs",
        &PUBLIC
            .replace("program.run", "panic!(\"no data\"); #[allow(unreachable_code)] program.run"),
    );
    let graded = course.submit(GOOD);
    assert_eq!(graded.code, 3, "{}", graded.stdout);
    assert!(graded.stderr.contains("fails in greets: no data"), "{}", graded.stderr);
}
