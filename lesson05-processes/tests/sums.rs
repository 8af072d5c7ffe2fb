//! The one hundred sums of `pool_map`, all of them, and its log.

use assert_cmd::Command;
use predicates::prelude::*;

#[test]
fn pool_map_computes_every_sum_and_logs_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let sums: Vec<u64> = (100_000..100_100).map(|x: u64| x * (x + 1) / 2).collect();
    Command::new(env!("CARGO_BIN_EXE_pool_map"))
        .arg("100000")
        .current_dir(folder.path())
        .assert()
        .success()
        .stdout(predicate::str::ends_with(format!("\n{sums:?}\n")));
    let log = std::fs::read_to_string(folder.path().join("logs/map.log")).expect("a log");
    let line = predicate::str::is_match(r"^\d\d:\d\d:\d\d\| Finished:  = \d+\.\d{8}\n$");
    assert!(line.expect("a pattern").eval(&log), "{log:?}");
}
