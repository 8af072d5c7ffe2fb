//! How far the calls of a pool are: as a bar on a terminal, and as lines elsewhere.

use common::Pool;
use common::pool::MapError;
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

type Outcome = Result<(), Failed>;

/// The program that a trial runs: this test's again.
const PROGRAM: &str = "COMMON_TEST_PROGRESS";

fn main() {
    common::init();
    if let Ok(name) = std::env::var(PROGRAM) {
        return program(&name);
    }
    let trials = vec![
        Trial::test("elsewhere_there_are_lines", lines),
        Trial::test("a_terminal_shows_a_bar", terminal),
        Trial::test("a_dumb_terminal_shows_lines", dumb_terminal),
        Trial::test("a_map_whose_tasks_fail_has_made_them_all", failing),
        Trial::test("iterators_count_what_is_taken", iterators),
        Trial::test("tasks_of_one_chunk_are_seen_one_by_one", one_chunk),
        Trial::test("a_closed_standard_error_ends_nothing", closed),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn nap(millis: u64) -> u64 {
    sleep(Duration::from_millis(millis));
    millis
}

fn program(name: &str) {
    let pool = Pool::new(2).expect("a pool");
    match name {
        "map" => {
            let naps = pool.with_progress("naps").map(nap, vec![60; 50]).expect("the naps");
            assert_eq!(naps.len(), 50);
            println!("done");
        }
        "fails" => {
            let task = |x: u32| assert_ne!(x, 3, "a panic that the test expects");
            let failed = pool.with_progress("tasks").map(task, 0..10);
            assert!(matches!(failed, Err(MapError::Tasks(_))), "{failed:?}");
        }
        "iterators" => {
            let squares = pool.with_progress("in order").imap(|x: u32| x * x, 0..5);
            assert_eq!(squares.expect("the calls").flatten().sum::<u32>(), 30);
            let endless = pool.with_progress("endless").imap_unordered(|x: u32| x, 0..);
            assert_eq!(endless.expect("the calls").take(7).count(), 7);
            let sums =
                pool.with_progress("pairs").starmap(|x: u32, y: u32| x + y, [(1, 2), (3, 4)]);
            assert_eq!(sums.expect("the sums"), [3, 7]);
        }
        "chunk" => {
            let chunk = pool.chunk_size(40).expect("a size").with_progress("naps");
            assert_eq!(chunk.map(nap, vec![100; 40]).expect("the naps").len(), 40);
        }
        other => panic!("there is no program {other:?}"),
    }
}

fn command(name: &str) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(PROGRAM, name).env("RUST_BACKTRACE", "0").env("TERM", "xterm");
    command.stdin(Stdio::null());
    Ok(command)
}

/// What a program writes to its standard error, which is a pipe.
fn run(name: &str) -> Result<String, Failed> {
    let output = command(name)?.output()?;
    let text = String::from_utf8(output.stderr)?;
    if output.status.success() { Ok(text) } else { Err(text.into()) }
}

/// The same, where it is a terminal.
fn on_terminal(mut command: Command) -> Result<String, Failed> {
    let size = nix::pty::Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(&size, None)?;
    let mut child = command.stdout(Stdio::null()).stderr(pty.slave).spawn()?;
    drop(command);
    let (mut seen, mut some) = (Vec::new(), [0; 4096]);
    let mut terminal = File::from(pty.master);
    // An error is its end: nobody has the other side any more.
    while let Ok(len @ 1..) = terminal.read(&mut some) {
        seen.extend_from_slice(&some[..len]);
    }
    assert!(child.wait()?.success());
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

/// How many of how many, in each line of that form.
fn counts(text: &str, name: &str) -> Vec<u32> {
    let head = format!("{name}: ");
    let rest = text.lines().filter_map(|line| line.strip_prefix(&head));
    rest.filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect()
}

fn lines() -> Outcome {
    let text = run("map")?;
    let counts = counts(&text, "naps");
    assert!(counts.is_sorted() && counts.last() == Some(&50), "{text}");
    assert!((2..=11).contains(&counts.len()), "{text}");
    let (first, last) = (text.lines().next().unwrap_or_default(), text.lines().last());
    assert!(first.contains(" of 50, ") && first.ends_with(" s left"), "{text}");
    assert!(last.is_some_and(|last| last.contains("50 in ") && last.ends_with("/s")), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "nothing for a terminal: {text:?}");
    Ok(())
}

fn terminal() -> Outcome {
    let text = on_terminal(command("map")?)?;
    assert!(text.contains("naps [") && text.contains("50/50"), "{text:?}");
    let part = (1..50).filter(|count| text.contains(&format!(" {count}/50, "))).count();
    assert!(part >= 5, "it moves: {text:?}");
    assert!(text.contains("/s, ") && text.contains(" left"), "{text:?}");
    Ok(())
}

fn dumb_terminal() -> Outcome {
    let mut command = command("map")?;
    command.env("TERM", "dumb");
    let text = on_terminal(command)?;
    assert!(!text.contains('\u{1b}') && text.contains("naps: 50 in "), "{text:?}");
    Ok(())
}

fn failing() -> Outcome {
    let text = run("fails")?;
    assert_eq!(counts(&text, "tasks"), [10], "{text}");
    Ok(())
}

fn iterators() -> Outcome {
    let text = run("iterators")?;
    assert_eq!(counts(&text, "in order").last(), Some(&5), "{text}");
    assert_eq!(counts(&text, "endless").last(), Some(&7), "{text}");
    assert_eq!(counts(&text, "pairs").last(), Some(&2), "{text}");
    Ok(())
}

fn one_chunk() -> Outcome {
    // The worker that has the chunk gives a part of it to the other one; what each has done is seen at once.
    let text = run("chunk")?;
    let counts = counts(&text, "naps");
    assert!(counts.len() >= 2 && counts[0] < 40, "{text}");
    Ok(())
}

fn closed() -> Outcome {
    let mut child = command("map")?.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    drop(child.stderr.take());
    let output = child.wait_with_output()?;
    assert!(output.status.success());
    assert_eq!(output.stdout, b"done\n");
    Ok(())
}
