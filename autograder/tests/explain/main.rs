//! Programs that hang, each in its own way, and what is said about them.
//!
//! The test starts this executable again and asks it for one test, [`child`], which starts the program: a
//! function of `programs.rs`, as a process of `common`. That process and all below it are looked at, until
//! what is to be seen is there; then they are ended. As it is the first child of a main process, what it
//! makes is called `1/Lock-1`, and its own first child `Process-1:1`.

mod programs;

use std::env;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use autograder::explain::{self, Explanation, Standing, Waiting};
use common::ipc::MessageQueue;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

common::init_in_tests!();

/// Which program the executable is to be.
const PROGRAM: &str = "EXPLAIN_PROGRAM";
/// How long a program has to come where it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program that a test has asked for; nothing in the run of all tests.
#[test]
fn child() {
    if let Ok(name) = env::var(PROGRAM) {
        let program = programs::find(&name).unwrap();
        let process = common::Process::new(programs::run, program).name("main");
        process.start().unwrap().join().unwrap();
    }
}

/// A program that runs, in a folder of its own.
struct Running {
    root: Child,
    folder: tempfile::TempDir,
}

impl Running {
    fn start(program: &str) -> Running {
        Running::start_with(program, |_| {})
    }

    fn start_with(program: &str, change: impl FnOnce(&mut Command)) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["child", "--exact", "--nocapture"]).env(PROGRAM, program);
        command.current_dir(folder.path()).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).env(explain::NOTES, "1");
        change(&mut command);
        Running { root: command.spawn().unwrap(), folder }
    }

    fn look(&self) -> Explanation {
        explain::look_below(self.root.id() as i32, explain::PATIENCE).explain()
    }

    /// Looks until what is to be seen is there.
    #[track_caller]
    fn until(&self, seen: impl Fn(&Explanation) -> bool) -> Explanation {
        let begun = Instant::now();
        loop {
            let explanation = self.look();
            if explanation.is_complete && seen(&explanation) {
                assert!(explanation.lines(true).len() <= explain::LINES);
                return explanation;
            }
            assert!(begun.elapsed() < PATIENCE, "what is to be seen is not there:\n{explanation}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Looks until the heading begins so and a line has all of these words, and gives all lines.
    #[track_caller]
    fn until_said(&self, heading: &str, words: &[&str]) -> (Explanation, String) {
        let says = |explanation: &Explanation| {
            let lines = explanation.lines(true);
            let says_all = |line: &String| words.iter().all(|word| line.contains(word));
            lines[0].starts_with(heading) && lines.iter().any(says_all)
        };
        let explanation = self.until(says);
        let text = explanation.to_string();
        (explanation, text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let below = explain::look_below(self.root.id() as i32, explain::PATIENCE).processes;
        let _ = killpg(Pid::from_raw(self.root.id() as i32), Signal::SIGKILL);
        self.root.wait().unwrap();
        // Those below are the children of whoever takes them in; nothing of them stays.
        let begun = Instant::now();
        for process in below {
            let runs = || {
                let stat = std::fs::read(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
                let end = stat.iter().rposition(|byte| *byte == b')');
                end.is_some_and(|end| !matches!(stat.get(end + 2), Some(b'Z' | b'X')))
            };
            while runs() && begun.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// The wait of the main thread of a process.
fn of(explanation: &Explanation, process: usize) -> &Waiting {
    explanation.waits.iter().find(|wait| wait.process == process).unwrap()
}

fn standing(explanation: &Explanation, process: usize) -> Standing {
    of(explanation, process).standing
}

#[test]
fn its_own_write_end_is_open() {
    let running = Running::start("own_write_end");
    let (explanation, _) = running.until_said("process 2 waits for what only itself could do:", &[
        "process 2 (cat) [",
        "waits to read from its standard input, whose write end is still open in process 2 itself \
         (descriptor",
        "; close it there",
    ]);
    assert_eq!(standing(&explanation, 2), Standing::Itself);
    let (explanation, _) =
        running.until_said("process 2", &["process 1 (main) [", "waits for process 2 to end"]);
    assert_eq!(standing(&explanation, 1), Standing::Others);
}

#[test]
fn pipes_in_a_circle() {
    let running = Running::start("circle");
    let (explanation, text) = running.until_said(
        "processes 2 and 3 wait for one another",
        &[
            "process 3 (cat) [",
            "whose write end is open in process 2 (descriptor 1); write to it there, or close it",
        ],
    );
    assert!(text.contains("whose write end is open in process 3 (descriptor 1)"), "{text}");
    assert_eq!(explanation.cycles, [[2, 3]]);
    let (explanation, _) = running.until_said("processes 2 and 3", &["process 1 (main) ["]);
    assert_eq!(standing(&explanation, 1), Standing::Others);
}

#[test]
fn both_pipes_are_full() {
    let running = Running::start("full");
    let (explanation, _) = running.until_said("processes 2 and 3 wait for one another", &[
        "process 2 (yes) [",
        "waits to write to the pipe at descriptor 1, which is full and whose read end is open in process 3 \
         (descriptor 0); read from it there before waiting for anything else",
    ]);
    assert_eq!(explanation.cycles, [[2, 3]]);
}

#[test]
fn two_locks_of_common_in_both_orders() {
    let running = Running::start("locks");
    let (explanation, text) = running.until_said(
        "processes 1 and 2 wait for one another",
        &[
            "process 1 (main) [",
            "waits to acquire 1/Lock-2 (explain/programs.rs:",
            "which process 2 has taken (at explain/programs.rs:",
            "; take the locks in the same order in every process",
        ],
    );
    assert!(text.contains("process 2 (Process-1:1) ["), "{text}");
    assert!(text.contains("waits to acquire 1/Lock-1 (explain/programs.rs:"), "{text}");
    let point = of(&explanation, 2).point.as_ref().unwrap();
    let line = programs::line_of("// the child asks for the first");
    assert_eq!((point.operation.as_str(), point.place.line), ("acquire", line));
}

#[test]
fn without_notes_the_holder_is_known_all_the_same() {
    let running = Running::start_with("locks", |command| {
        command.env_remove(explain::NOTES);
    });
    let explanation = running.until(|explanation| explanation.cycles == [[1, 2]]);
    let text = explanation.to_string();
    assert!(
        text.contains("waits for a lock, which process 2 has taken and not released"),
        "{text}"
    );
}

#[test]
fn the_parent_waits_and_the_child_reads() {
    let running = Running::start("wait_and_read");
    let (_, text) = running.until_said(
        "processes 1 and 2 wait for one another",
        &[
            "process 2 (cat) [",
            "whose write end is open in process 1 (descriptor",
            "; write to it there, or close it",
        ],
    );
    assert!(text.contains("waits for process 2 to end; give it what it waits for first"), "{text}");
}

#[test]
fn two_file_locks_in_both_orders() {
    for (program, file) in [("flocks", "two"), ("byte_locks", "two")] {
        let running = Running::start(program);
        let (_, text) = running.until_said(
            "processes 1 and 2 wait for one another",
            &[
                "process 1 (main) [",
                &format!("waits to lock the file {file:?}, which process 2 has locked"),
                "; take the locks in the same order in every process",
            ],
        );
        assert!(!text.contains(running.folder.path().to_str().unwrap()), "{text}");
    }
}

#[test]
fn a_message_that_does_not_come() {
    // Made here, so that it is removed again.
    let queue = MessageQueue::create().unwrap();
    let running = Running::start_with("message", |command| {
        command.env("EXPLAIN_QUEUE", queue.id().to_string());
    });
    let (explanation, _) = running.until_said(
        "the program waits for what does not happen:",
        &[
            "process 1 (main) [",
            &format!(
                "waits for a message from MessageQueue \"{}\" (explain/programs.rs:",
                queue.id()
            ),
            "; send one",
        ],
    );
    assert_eq!(standing(&explanation, 1), Standing::Outside);
}

#[test]
fn both_ends_of_a_connection_receive() {
    let running = Running::start("connection");
    let (explanation, _) = running.until_said(
        "processes 1 and 2 wait for one another",
        &[
            "process 1 (main) [",
            "waits to receive from 1/Connection-1 (explain/programs.rs:",
            "whose other end is open in process 2 (descriptor",
            "; send something there, or close it",
        ],
    );
    assert_eq!(explanation.cycles, [[1, 2]]);
}

#[test]
fn both_ends_of_a_connection_over_tcp_are_its_own() {
    let running = Running::start("tcp");
    running.until_said(
        "process 1 waits for what only itself could do:",
        &[
            "process 1 (main) [",
            "waits to receive from the socket at descriptor",
            "whose other end is still open in process 1 itself (descriptor",
            "; close it there",
        ],
    );
}

#[test]
fn a_client_that_does_not_come() {
    Running::start("accept").until_said(
        "the program waits for what does not happen:",
        &[
            "process 1 (main) [",
            "waits for a client to connect to descriptor",
            "; connect to it from another process",
        ],
    );
}

#[test]
fn a_poll_without_a_limit() {
    let running = Running::start("poll");
    let (explanation, _) = running.until_said(
        "process 1 waits for what only itself could do:",
        &[
            "process 1 (main) [",
            "waits without a limit until one of its descriptors",
            "is ready (explain/programs.rs:",
            "with their other ends in process 1 itself",
            "; send something to one of them",
        ],
    );
    assert_eq!(standing(&explanation, 1), Standing::Itself);
}

#[test]
fn a_signal_that_nobody_sends() {
    Running::start("pause").until_said(
        "the program waits for what does not happen:",
        &["process 1 (main) [", "waits for a signal, without a limit; send it one"],
    );
}

#[test]
fn an_input_that_is_never_closed() {
    let running = Running::start("input");
    let (explanation, _) = running.until_said("the program waits for what does not happen:", &[
        "process 1 (main) [",
        "waits to read from its standard input, which whoever has started the program keeps open",
        "; do not read more than the task says",
    ]);
    assert_eq!(standing(&explanation, 1), Standing::Outside);
}

#[test]
fn a_fifo_whose_other_end_nobody_opens() {
    Running::start("fifo").until_said("the program waits for what does not happen:", &[
        "process 1 (main) [",
        "waits to open the FIFO \"fifo\" for reading until another opens it for writing; open it for writing in \
         another process",
    ]);
}

#[test]
fn two_that_ask_one_another_again_and_again() {
    let running = Running::start("livelock");
    let (explanation, _) = running.until_said(
        "process 1 computes, and does not come to an end:",
        &["process 1 (main) [", "computes without a pause; look at how its loop ends"],
    );
    assert_eq!(standing(&explanation, 1), Standing::Busy);
}

#[test]
fn one_that_sleeps() {
    let running = Running::start("sleep");
    let (explanation, _) = running.until_said(
        "nothing is stuck; the program takes its time:",
        &["process 1 (main) [", "sleeps for a time", "; this is no deadlock"],
    );
    assert_eq!(standing(&explanation, 1), Standing::Limited);
}

#[test]
fn one_that_waits_for_a_limited_time() {
    let running = Running::start("limited");
    let (explanation, _) = running.until_said(
        "nothing is stuck; the program takes its time:",
        &[
            "process 1 (main) [",
            "waits for 1/Event-1 to be set (explain/programs.rs:",
            "but for a limited time; this is no deadlock",
        ],
    );
    assert_eq!(standing(&explanation, 1), Standing::Limited);
}

#[test]
fn one_that_is_stopped() {
    Running::start("stop").until_said(
        "process 1 was stopped",
        &["process 1 (main) [", "was stopped by a signal; let it go on by SIGCONT"],
    );
}

#[test]
fn an_item_that_nobody_puts_and_a_permit_that_nobody_gives_back() {
    let running = Running::start("queue");
    let (_, text) = running.until_said(
        "the program waits for what does not happen:",
        &[
            "process 1 (main) [",
            "waits for an item from 1/Queue-1 (explain/programs.rs:",
            "; put one, or say by shutdown() that no more will come",
        ],
    );
    assert!(!text.contains("which process"), "{text}");
    let running = Running::start("permit");
    running.until_said(
        "the program waits for what does not happen:",
        &[
            "process 2 (Process-1:1) [",
            "waits for a permit of 1/Semaphore-1 (explain/programs.rs:",
            "of which process 1 has taken one; release one",
        ],
    );
}

#[test]
fn a_lock_inside_a_process() {
    let running = Running::start("mutex");
    let (explanation, _) = running.until_said(
        "process 1 waits for what only itself could do:",
        &[
            "process 1 (main) [",
            "waits for another of its own threads, or for a lock inside the process",
        ],
    );
    assert_eq!(standing(&explanation, 1), Standing::Itself);
}

#[test]
fn a_forked_child_has_notes_of_its_own() {
    let running = Running::start("fork");
    let (_, text) = running.until_said(
        "processes 1 and 2 wait for one another",
        &[
            "process 2 (Process-1:1) [",
            "waits to acquire 1/Lock-1 (explain/programs.rs:",
            "which process 1 has taken (at explain/programs.rs:",
        ],
    );
    assert!(text.contains("waits for process 2 to end (explain/programs.rs:"), "{text}");
}

#[test]
fn a_name_cannot_colour_the_report() {
    let running = Running::start("name");
    running.until_said(
        "the program waits for what does not happen:",
        &["process 1 (\\u{1b}[31mred", "waits for a signal"],
    );
}

#[test]
fn processes_that_come_and_go_are_no_error() {
    let running = Running::start("come_and_go");
    running.until(|explanation| explanation.processes.len() > 2);
    for _ in 0..20 {
        let begun = Instant::now();
        let lines = running.look().lines(true);
        assert!(!lines.is_empty() && lines.len() <= explain::LINES);
        // Its own limit is a fifth of a second; the rest is for a machine that is busy.
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

/// In namespaces of its own, in which processes have other ids and the kernel does not tell which sockets
/// belong together.
#[test]
fn a_sandbox_is_looked_into_from_outside() {
    let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--net"];
    if !Command::new("unshare").args(unshare).arg("true").status().is_ok_and(|end| end.success()) {
        println!("not run: no user namespaces here (unshare)");
        return;
    }
    let inside = |program: &str| {
        Running::start_with(program, |command| {
            let mut outer = Command::new("unshare");
            outer.args(unshare).arg(command.get_program()).args(command.get_args());
            outer.current_dir(command.get_current_dir().unwrap()).process_group(0);
            outer.stdin(Stdio::piped()).stdout(Stdio::null()).env(PROGRAM, program);
            outer.env(explain::NOTES, "1");
            *command = outer;
        })
    };
    // The first process is the one that starts the program, from its second thread.
    let running = inside("locks");
    let (explanation, _) = running.until_said(
        "processes 2 and 3 wait for one another",
        &[
            "process 2 (main) [3]",
            "waits to acquire 1/Lock-2 (explain/programs.rs:",
            "which process 3 has taken (at explain/programs.rs:",
        ],
    );
    assert_eq!(explanation.cycles, [[2, 3]]);
    let running = inside("connection");
    running.until_said(
        "the program waits for what does not happen:",
        &[
            "process 2 (main) [3]",
            "waits to receive from 1/Connection-1 (explain/programs.rs:",
            "whose other end is probably open in process 3 (descriptor",
        ],
    );
}

#[test]
fn two_that_take_turns_are_no_circle() {
    let running = Running::start("turns");
    running.until(|explanation| explanation.processes.len() == 2);
    for _ in 0..20 {
        let explanation = running.look();
        assert!(explanation.cycles.is_empty(), "{explanation}");
    }
}

#[test]
fn what_is_too_much_is_left_out() {
    let running = Running::start("many");
    let explanation = running.until(|explanation| explanation.processes.len() > 30);
    let lines = explanation.lines(true);
    assert_eq!(lines.len(), explain::LINES);
    assert!(lines[explain::LINES - 1].ends_with("more threads wait or compute"), "{lines:?}");
}

/// The text of the programs, for their lines.
fn source() -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain/programs.rs");
    let mut text = String::new();
    std::fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}
