//! Logs of several processes, of processes that are killed, and where nothing can be written.

use common::{Connection, Log, Process, pipe};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::{Command, Stdio};

type Outcome = Result<(), Failed>;

/// The program is this test's again, and logs where somebody has closed its output.
const VARIABLE: &str = "COMMON_TEST_LOG";

fn main() {
    common::init();
    if std::env::var_os(VARIABLE).is_some() {
        return log_a_lot();
    }
    let mut arguments = Arguments::from_args();
    // They change the working folder.
    arguments.test_threads = Some(1);
    let trials = vec![
        Trial::test("lines_of_many_processes_never_tear", many),
        Trial::test("what_a_killed_process_has_logged_is_in_the_file", killed),
        Trial::test("a_closed_terminal_ends_nothing", closed_terminal),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn many() -> Outcome {
    const LINES: usize = 1000;
    fn work((mut log, number): (Log, usize)) {
        for line in 0..LINES {
            log.write(format_args!("{number} {line} {}", "x".repeat(line % 300)));
        }
    }
    let folder = tempfile::tempdir()?;
    std::env::set_current_dir(folder.path())?;
    let mut log = Log::named("many.log").without_clock().open()?;
    log.write("begin");
    let start = |log, number| Process::new(work, (log, number)).start();
    let another = || Log::named("many.log").without_clock().append().open();
    // Three have opened it beside each other, and one gets it from here.
    let mut children = vec![start(log, 0)?];
    for number in 1..4 {
        children.push(start(another()?, number)?);
    }
    for child in children {
        assert!(child.join()?.is_success());
    }
    let text = std::fs::read_to_string("logs/many.log")?;
    assert_eq!(text.lines().count(), 1 + 4 * LINES);
    for number in 0..4 {
        let head = format!("{number} ");
        let mine = text.lines().filter_map(|line| line.strip_prefix(&head));
        for (expected, line) in mine.enumerate() {
            assert_eq!(line, format!("{expected} {}", "x".repeat(expected % 300)));
        }
    }
    Ok(())
}

fn killed() -> Outcome {
    fn work((mut log, report): (Log, Connection<u32, ()>)) {
        for number in 0.. {
            log.write(number);
            report.send(&number).expect("the test receives");
        }
    }
    let folder = tempfile::tempdir()?;
    std::env::set_current_dir(folder.path())?;
    let log = Log::named("killed.log").without_clock().open()?;
    let path = log.path().to_path_buf();
    let (ours, theirs) = pipe::<(), u32>()?;
    let child = Process::new(work, (log, theirs)).start()?;
    for _ in 0..500 {
        ours.recv()?;
    }
    child.kill()?;
    child.join()?;
    let last = std::iter::from_fn(|| ours.recv().ok()).last().unwrap_or(499);
    let text = std::fs::read_to_string(path)?;
    assert!(text.ends_with('\n'), "the last line is whole");
    assert!(text.lines().count() > last as usize, "what it had said it had logged is there");
    Ok(())
}

fn log_a_lot() {
    let mut log = Log::named("closed.log").without_clock().show_terminal().open().expect("a log");
    for number in 0..10_000 {
        log.write(number);
    }
}

fn closed_terminal() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(std::env::current_exe()?)
        .env(VARIABLE, "1")
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()?;
    // Nobody reads what it prints.
    drop(child.stdout.take());
    assert!(child.wait()?.success());
    let text = std::fs::read_to_string(folder.path().join("logs/closed.log"))?;
    assert_eq!(text.lines().count(), 10_000);
    Ok(())
}
