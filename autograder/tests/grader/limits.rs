//! Submissions that do not end, do not stop printing, or leave something behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::course::{Course, GOOD, Graded, MANIFEST, has_ended, is_submission, wait_until};

/// What each test got, in order.
fn verdicts(graded: &Graded) -> Vec<String> {
    let tests = &graded.result.as_ref().unwrap()["tests"];
    let verdict =
        |test: &serde_json::Value| test["verdict"].as_str().unwrap_or_default().to_string();
    tests.as_array().unwrap().iter().map(verdict).collect()
}

#[test]
fn a_program_that_loops_is_ended_at_the_limit_of_time() {
    let course = Course::new();
    let graded = course.submit("fn main() { loop { std::hint::spin_loop() } }");
    assert_eq!(graded.code, 1);
    assert_eq!(verdicts(&graded), ["TLE", "TLE"]);
    for test in graded.result.as_ref().unwrap()["tests"].as_array().unwrap() {
        assert!(test["seconds"].as_f64().unwrap() >= 4.0, "{test}");
    }
}

#[test]
fn a_program_that_waits_for_children_that_never_end_is_ended_with_them() {
    let course = Course::new();
    let graded = course.check(
        r#"fn main() {
            let sleeper = || std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            for mut child in [sleeper(), sleeper(), sleeper()] { child.wait().unwrap(); }
        }"#,
    );
    assert_eq!(graded.verdict(), "TLE");
    let said = "process 1 (program) waits for process 2 to end";
    assert!(graded.stdout.contains(said), "{}", graded.stdout);
}

#[test]
fn a_program_that_prints_without_end_is_ended_at_once_and_fills_no_memory() {
    let course = Course::new();
    course.write(
        "upload.rs",
        r#"use std::io::Write;
        fn main() {
            let much = [b'x'; 1 << 16];
            while std::io::stdout().write_all(&much).and_then(|()| std::io::stderr().write_all(&much)).is_ok() {}
        }"#,
    );
    let mut grader = course.command(&["run", "hello", "upload.rs"]).spawn().unwrap();
    let mut peak = 0;
    wait_until("the grader has ended", || {
        for (pid, program) in course.processes() {
            if is_grader(&program) {
                peak = peak.max(peak_memory(pid));
            }
        }
        has_ended(&mut grader)
    });
    let output = grader.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let result = course.result().unwrap();
    assert_eq!(result["verdict"], "OLE");
    assert_eq!(result["tests"][1]["verdict"], "OLE");
    assert!(course.processes().is_empty());
    assert!(peak > 0, "no sample was taken");
    assert!(peak < 100 << 20, "the grader held {peak} bytes");
}

#[test]
fn a_child_that_holds_the_output_is_not_waited_for() {
    let course = Course::new();
    let graded = course.submit(
        r#"fn main() {
            println!("hello, Ada");
            std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        }"#,
    );
    assert_eq!(graded.code, 1);
    assert_eq!(verdicts(&graded), ["POL", "POL"]);
    assert!(graded.stdout.contains("(sleep)"), "{}", graded.stdout);
}

#[test]
fn a_daemon_in_a_session_of_its_own_is_found_and_ended() {
    let course = Course::new();
    let graded = course.submit(
        r#"use std::process::{Command, Stdio};
        fn main() {
            println!("hello, Ada");
            let mut daemon = Command::new("setsid");
            daemon.args(["--fork", "sh", "-c", "trap '' TERM HUP INT; sleep 1000 & sleep 1000"]);
            daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(daemon.status().unwrap().success());
        }"#,
    );
    assert_eq!(verdicts(&graded), ["POL", "POL"], "{}", graded.stdout);
}

#[test]
fn a_chain_of_processes_each_of_which_starts_the_next_is_caught() {
    let course = Course::new();
    let graded = course.submit(
        r#"use std::process::{Command, Stdio};
        fn main() {
            println!("hello, Ada");
            let own = std::env::current_exe().unwrap();
            let mut next = Command::new(own);
            next.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            next.spawn().unwrap();
        }"#,
    );
    assert_eq!(verdicts(&graded), ["POL", "POL"], "{}", graded.stdout);
}

#[test]
fn children_that_end_with_the_program_are_no_leftovers() {
    let course = Course::new();
    let graded = course.submit(
        r#"use std::process::{Command, Stdio};
        fn main() {
            if std::env::args().nth(1).as_deref() == Some("copy") {
                let mut cat = Command::new("cat").spawn().unwrap();
                assert!(cat.wait().unwrap().success());
            } else {
                let echo = Command::new("echo").arg("hello, Ada").stdout(Stdio::piped()).output().unwrap();
                print!("{}", String::from_utf8(echo.stdout).unwrap());
            }
        }"#,
    );
    assert_eq!(verdicts(&graded), ["OK", "OK"], "{}", graded.stdout);
}

#[test]
fn a_program_that_closes_its_input_unread_blocks_nobody() {
    let course = Course::new();
    let graded = course.submit("fn main() { println!(\"hello, Ada\"); }");
    assert_eq!(verdicts(&graded), ["OK", "WA"], "{}", graded.stdout);
}

#[test]
fn a_program_that_kills_its_parent_harms_nobody() {
    let course = Course::new();
    let graded = course.check(
        r#"fn main() {
            std::process::Command::new("setsid").args(["--fork", "sleep", "1000"]).status().unwrap();
            let parent = std::os::unix::process::parent_id().to_string();
            std::process::Command::new("kill").args(["-KILL", &parent]).status().unwrap();
            loop { std::thread::park() }
        }"#,
    );
    assert_eq!(graded.verdict(), "TLE", "{}", graded.stdout);
}

#[test]
fn nothing_is_left_when_the_grader_is_killed_in_the_middle_of_a_run() {
    let source = r#"fn main() {
        std::process::Command::new("setsid").args(["sleep", "1000"]).status().unwrap();
    }"#;
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let course = Course::new();
        let patient = MANIFEST.replace("wall_seconds = 4", "wall_seconds = 600");
        course.write("assignments/hello/assignment.toml", &patient);
        nothing_is_left_after(signal, &course, source, |programs| {
            programs.iter().any(|program| is_submission(program))
                && programs.iter().any(|program| program.ends_with("sleep"))
        });
    }
}

#[test]
fn nothing_is_left_when_the_grader_is_killed_while_the_compiler_runs() {
    let source =
        "#![allow(long_running_const_eval)]\nconst NEVER: () = loop {};\nfn main() { NEVER }";
    nothing_is_left_after(Signal::SIGKILL, &Course::new(), source, |programs| {
        programs.iter().any(|program| program.ends_with("rustc"))
    });
}

#[test]
fn nothing_is_left_when_the_grader_is_killed_at_the_solution() {
    let course = Course::new();
    // The solution waits for ever, in an assignment that nobody has graded yet.
    let patient = MANIFEST.replace("wall_seconds = 4", "wall_seconds = 599");
    course.write("assignments/hello/assignment.toml", &patient);
    course.write("assignments/hello/solution.rs", "fn main() { loop { std::thread::park() } }");
    nothing_is_left_after(Signal::SIGKILL, &course, GOOD, |programs| {
        programs.iter().any(|program| is_submission(program))
    });
}

#[test]
fn what_a_killed_grader_has_left_is_removed_by_the_next() {
    let course = Course::new();
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let left = course.at(&format!("temporary/grade-{}-x", gone.id()));
    fs::create_dir(&left).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(7200);
    fs::File::open(&left).unwrap().set_modified(long_ago).unwrap();
    // Which looks whether anything is left.
    assert_eq!(course.submit(GOOD).code, 0);
}

/// A grader that does not outlive its test.
struct Grader(Child);

impl Drop for Grader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Grades the source until all `expected` programs run, then sends the signal to the grader alone.
fn nothing_is_left_after(
    signal: Signal,
    course: &Course,
    source: &str,
    expected: impl Fn(&[PathBuf]) -> bool,
) {
    course.write("upload.rs", source);
    let mut grader = Grader(course.command(&["run", "hello", "upload.rs"]).spawn().unwrap());
    wait_until("everything runs", || {
        assert!(!has_ended(&mut grader.0), "the grader ended too early");
        let processes = course.processes().into_iter();
        expected(&processes.map(|(_, program)| program).collect::<Vec<_>>())
    });
    kill(Pid::from_raw(grader.0.id() as i32), signal).unwrap();
    grader.0.wait().unwrap();
    wait_until("every process is gone", || course.processes().is_empty());
    wait_until("every file is gone", || {
        fs::read_dir(course.at("temporary")).unwrap().next().is_none()
    });
}

fn is_grader(program: &Path) -> bool {
    program.ends_with("autograder") || program.to_string_lossy().contains("/grade/judges/")
}

/// The most memory that a process has ever held, in bytes; 0 if it has ended.
fn peak_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
