//! Events of `tracing` in children, and the parent's subscriber.

use common::{Pool, Process, logging};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::Command;

/// A subscriber is for a whole program, so the trial is one: this test's again.
const PROGRAM: &str = "COMMON_TEST_TRACING";

fn main() {
    common::init();
    if std::env::var_os(PROGRAM).is_some() {
        return program();
    }
    let trials = vec![Trial::test("events_of_children_arrive_at_the_parents_subscriber", arrive)];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn program() {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stdout).init();
    logging::gather().expect("a thread");
    tracing::info!("in the parent");
    let target = |()| {
        tracing::info!(number = 7, "in a child");
        tracing::debug!("which the level silences");
        log::warn!("by the other crate");
    };
    let child = Process::new(target, ()).name("Ada").start().expect("a child");
    assert!(child.join().expect("its end").is_success());
    println!("pid {}", child.pid());
    let pool = Pool::new(1).expect("a pool");
    pool.map(|number: u32| tracing::info!("task {number}"), 0..3).expect("a map");
}

fn arrive() -> Result<(), Failed> {
    let output = Command::new(std::env::current_exe()?).env(PROGRAM, "").output()?;
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{text}");
    let pid = text.lines().find_map(|line| line.strip_prefix("pid ")).ok_or("it prints its pid")?;
    let line = |end: &str| {
        let line = text.lines().find(|line| line.ends_with(end));
        line.ok_or_else(|| format!("no line ends with {end:?}: {text}"))
    };
    assert!(!line("in the parent")?.contains("process{"), "{text}");
    for (level, end) in [("INFO", "in a child number=7"), ("WARN", "by the other crate")] {
        let line = line(end)?;
        assert!(line.contains(&format!("{level} process{{name=Ada pid={pid} time=2")), "{text}");
    }
    let tasks: Vec<_> = text.lines().filter(|line| line.contains("name=PoolWorker-1 ")).collect();
    assert!((0..3).zip(&tasks).all(|(n, line)| line.ends_with(&format!("task {n}"))), "{text}");
    assert_eq!((tasks.len(), text.contains("silences")), (3, false), "{text}");
    Ok(())
}
