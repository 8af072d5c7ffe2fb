//! The programs that are observed, in one file: the first argument says which one to be.
//!
//! They stand for submissions, so they are built by `rustc` alone and know nothing of the grader. Work
//! is measured in time on a processor, not on the clock: it is the same on a busy machine.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, hint, process, thread};

/// How much work a worker does.
const WORK: Duration = Duration::from_millis(60);

/// How many workers there are.
const WORKERS: usize = 4;

fn main() {
    let mode = env::args().nth(1).expect("which program to be");
    match mode.as_str() {
        "parallel" => join_all((0..WORKERS).map(|_| start("worker")).collect()),
        "sequential" => (0..WORKERS).for_each(|_| join_all(vec![start("worker")])),
        "decoy" => {
            let children = (0..WORKERS).map(|_| start("sleeper")).collect();
            work(WORK * WORKERS as u32);
            join_all(children);
        }
        "threads" => {
            let threads: Vec<_> = (0..WORKERS).map(|_| thread::spawn(|| work(WORK))).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("a thread that works"));
        }
        "one-does-all" => {
            let mut children = vec![start("busy-worker")];
            children.extend((1..WORKERS).map(|_| start("nothing")));
            join_all(children);
        }
        "alone" => work(WORK),
        "nested" => {
            let children = (0..2).map(|_| start("nested-parent")).collect();
            join_all(children);
        }
        "nested-parent" => join_all((0..2).map(|_| start("worker")).collect()),
        "orphans" => {
            join_all(vec![start("orphan-parent")]);
            // The orphan has this process's stdout.
        }
        "orphan-parent" => {
            start("worker");
        }
        "short-lived" => (0..50).for_each(|_| join_all(vec![start("nothing")])),
        "exits" => {
            let mut children = vec![start("code-7"), start("abort"), start("nothing-later")];
            for child in &mut children {
                child.wait().expect("a child that can be joined");
            }
        }
        "ping-pong" => ping_pong(env::args().nth(2).map_or(20_000, |n| n.parse().unwrap())),
        "forks" => {
            let count = env::args().nth(2).map_or(1000, |n| n.parse().unwrap());
            (0..count).for_each(|_| join_all(vec![start("nothing")]));
        }
        "echo" => {
            let mut byte = [0];
            let (mut stdin, mut stdout) = (std::io::stdin(), std::io::stdout());
            while stdin.read(&mut byte).is_ok_and(|count| count == 1) {
                stdout.write_all(&byte).expect("a parent that reads");
                stdout.flush().expect("a parent that reads");
            }
        }
        "worker" => work(WORK),
        "busy-worker" => work(WORK * WORKERS as u32),
        "sleeper" => thread::sleep(Duration::from_millis(250)),
        "nothing" => {}
        "nothing-later" => thread::sleep(Duration::from_millis(100)),
        "code-7" => {
            thread::sleep(Duration::from_millis(100));
            process::exit(7);
        }
        "abort" => {
            thread::sleep(Duration::from_millis(100));
            process::abort();
        }
        _ => panic!("there is no program {mode:?}"),
    }
}

/// Starts this program once more, as another.
fn start(mode: &str) -> Child {
    let own = env::current_exe().expect("a program that knows where it lies");
    Command::new(own).arg(mode).spawn().expect("a child")
}

fn join_all(children: Vec<Child>) {
    for mut child in children {
        let status = child.wait().expect("a child that can be joined");
        assert!(status.success(), "a child failed: {status}");
    }
}

/// Keeps a processor busy until this thread has had it for so long.
fn work(time: Duration) {
    let began = time_on_processor();
    let mut number = 1u64;
    while time_on_processor() - began < time {
        for _ in 0..100_000 {
            number = hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005) + 1);
        }
    }
}

fn time_on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("a kernel that counts");
    let nanoseconds = text.split_whitespace().next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

/// Sends a byte to and fro.
fn ping_pong(rounds: usize) {
    let own = env::current_exe().expect("a program that knows where it lies");
    let mut child = Command::new(own)
        .arg("echo")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut to = child.stdin.take().expect("a pipe");
    let mut from = child.stdout.take().expect("a pipe");
    let mut byte = [1];
    for _ in 0..rounds {
        to.write_all(&byte).expect("a child that reads");
        from.read_exact(&mut byte).expect("a child that answers");
    }
    drop(to);
    child.wait().expect("a child that can be joined");
}
