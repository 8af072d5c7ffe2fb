//! Inputs from seeds, tests that are repeated, and tests that the solution fails.

use serde_json::Value;

use crate::course::{Course, GOOD, MANIFEST, PUBLIC};

/// What the public test had to say.
fn message(result: Option<&Value>) -> String {
    result.unwrap()["tests"][0]["message"].as_str().unwrap_or_default().to_string()
}

#[test]
fn a_student_always_gets_the_same_inputs_and_another_gets_others() {
    let course = Course::new();
    course.write(
        "assignments/hello/tests/public.rs",
        r#"
use autograder::prelude::*;

autograder::tests! { greets }

fn greets(program: &Program) {
    let name = program.random().u64(..).to_string();
    program.run([&name]).assert().success().stdout(format!("hello, {name}\n"));
}
"#,
    );
    course.write("upload.rs", "fn main() {}");
    let run = |student: &str| {
        let graded = course.grade(&["run", "hello", "upload.rs", "--student", student]);
        assert_eq!(graded.code, 1, "{}", graded.stderr);
        message(graded.result.as_ref())
    };
    let first = run("ada");
    assert!(first.contains("run=`program "), "{first}");
    assert_eq!(run("ada"), first);
    assert_ne!(run("bob"), first);

    // What a student's own check asks is what is asked in the end.
    let graded = course.grade(&["check", "hello", "upload.rs", "--student", "ada"]);
    assert_eq!(message(graded.result.as_ref()), first);

    course.write("upload.rs", GOOD);
    assert_eq!(course.grade(&["run", "hello", "upload.rs", "--student", "ada"]).code, 0);
}

/// Right, unless it has a single processor.
const ONLY_WITH_MANY: &str = r#"
fn main() {
    if std::thread::available_parallelism().unwrap().get() > 1 {
        println!("hello, Ada");
    }
}
"#;

#[test]
fn a_test_that_is_repeated_passes_as_often_as_it_has_to() {
    if std::thread::available_parallelism().unwrap().get() == 1 {
        println!("did not run: this machine has one processor");
        return;
    }
    let course = Course::new();
    let with = |policy: &str| {
        let manifest = MANIFEST.replacen("points = 60", &format!("points = 60\n{policy}"), 1);
        course.write("assignments/hello/assignment.toml", &manifest);
        course.submit(ONLY_WITH_MANY).result
    };
    let strict = with("repeats = 4");
    assert_eq!(strict.as_ref().unwrap()["tests"][0]["verdict"], "WA");
    let said = message(strict.as_ref());
    let expected = "it passed 1 of 2 times, and has to pass 4 of 4; it failed first at time 2, on a \
                    single processor:";
    assert!(said.starts_with(expected), "{said}");

    let lenient = with("repeats = 4\npasses = 2");
    assert_eq!(lenient.unwrap()["tests"][0]["verdict"], "OK");
}

#[test]
fn a_test_that_the_solution_fails_scores_nothing() {
    let course = Course::new();
    course.write(
        "assignments/hello/tests/public.rs",
        &PUBLIC.replace("hello, Ada", "hello, Ada Lovelace"),
    );
    let graded = course.submit(GOOD);
    let result = graded.result.unwrap();
    assert_eq!((&result["points"], &result["out_of"]), (&Value::from(40), &Value::from(40)));
    assert_eq!(result["verdict"], "OK");
    assert_eq!(result["tests"][0]["state"], "in quarantine");
    assert_eq!(result["tests"][0]["verdict"], "WA");
    assert!(graded.stdout.contains("counts for nothing"), "{}", graded.stdout);
    assert!(graded.stderr.contains("trying the tests with the solution"), "{}", graded.stderr);
    // It is known from now on.
    let again = course.submit(GOOD);
    assert!(!again.stderr.contains("trying the tests"), "{}", again.stderr);
    assert_eq!(again.result.unwrap()["points"], 40);
    // And nobody takes it for sound.
    assert_eq!(course.grade(&["verify"]).code, 1);
}

#[test]
fn a_test_of_parallelism_looks_at_processes_and_not_at_the_clock() {
    let course = Course::new();
    course.write(
        "assignments/hello/tests/public.rs",
        r#"
use autograder::prelude::*;

autograder::tests! { greets }

fn greets(program: &Program) {
    let run = program.run(["work"]);
    run.assert().success();
    run.processes()
        .created(at_least(3))
        .ran_together(3).for_at_least(share_of_work(0.25))
        .worked_by_children(at_least(0.8));
}
"#,
    );
    let program = |parent: &str, child: &str| {
        format!(
            r#"
fn work() {{
    // Time on a processor, which is the same on a busy machine.
    let worked = || std::fs::read_to_string("/proc/self/schedstat").unwrap()
        .split(' ').next().unwrap().parse::<u64>().unwrap();
    while worked() < 80_000_000 {{ std::hint::black_box((0..100_000).sum::<u64>()); }}
}}
fn sleep() {{ std::thread::sleep(std::time::Duration::from_millis(100)) }}
fn main() {{
    if std::env::args().nth(1).as_deref() == Some("child") {{ return {child}(); }}
    let own = std::env::current_exe().unwrap();
    let start = || std::process::Command::new(&own).arg("child").spawn().unwrap();
    let mut children = [start(), start(), start()];
    {parent};
    for child in &mut children {{ child.wait().unwrap(); }}
}}
"#
        )
    };
    let verdict = |source: &str| {
        let graded = course.submit(source);
        let verdict = graded.result.unwrap()["tests"][0]["verdict"].as_str().unwrap().to_string();
        (verdict, graded.stdout)
    };
    let (honest, said) = verdict(&program("", "work"));
    assert_eq!(honest, "OK", "{said}");
    let (decoy, said) = verdict(&program("work()", "sleep"));
    assert_eq!(decoy, "WA", "{said}");
    assert!(said.contains("3 processes run together for at least 25 % of the work"), "{said}");
}
