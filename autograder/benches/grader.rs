//! How quick the grader is: `cargo bench -p autograder`, or only the first figure with `-- starts` behind it.
//!
//! | figure | beside | aim |
//! | --- | --- | --- |
//! | a run of `true` in the full tier, from order to end | `bwrap` with the same namespaces, in turns | at most 1.3 times |
//! | small submissions in a minute, each built once and run ten times | | at least 120 on two processors |
//!
//! Times say little, and only on a machine that does nothing else; of a ratio both sides were measured here, in
//! turns.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use autograder::assignment::Course;
use autograder::evidence::Observer;
use autograder::grade::{Job, Scope, Submitted, grade};
use autograder::kit::Kit;
use autograder::runner::{self, Limits, Plan, Watcher};
use autograder::sandbox::{Sandbox, Tier, detect};
use autograder::verdict::Verdict;

const GRADER: &str = env!("CARGO_BIN_EXE_autograder");

/// How often a sandbox is started.
const STARTS: usize = 300;

/// How many submissions each worker grades.
const SUBMISSIONS: u32 = 40;

/// In the environment of a worker: the course that it grades for.
const COURSE: &str = "GRADER_BENCH_COURSE";

fn main() {
    if let Some(course) = env::var_os(COURSE) {
        work(Path::new(&course));
        return;
    }
    let tier = detect(Path::new(GRADER)).tier;
    println!("tier {tier}");
    if tier == Tier::Full {
        starts();
    } else {
        println!("start of a sandbox: not measured, there is no full tier here");
    }
    if !env::args().any(|argument| argument == "starts") {
        submissions();
    }
}

fn starts() {
    let plan = Plan {
        program: "/bin/true".into(),
        args: vec![],
        env: vec![],
        folder: env::temp_dir(),
        input: None,
        limits: Limits::default(),
        sandbox: Sandbox::new(Tier::Full, GRADER),
    };
    let ours = || {
        let outcome = runner::run(&plan, None).expect("a sandbox");
        assert!(outcome.status.success(), "{outcome:?}");
    };
    let mut ungrouped = plan.clone();
    ungrouped.sandbox.use_groups = false;
    let alone = || {
        let outcome = runner::run(&ungrouped, None).expect("a sandbox");
        assert!(outcome.status.success(), "{outcome:?}");
    };
    let observed = || {
        let mut witness = Witness(None);
        let outcome = runner::run_watched(&plan, None, &mut witness).expect("a sandbox");
        assert!(outcome.status.success(), "{outcome:?}");
        witness.0.map(Observer::finish);
    };
    let theirs = || {
        let status = bubblewrap().status().expect("bwrap");
        assert!(status.success(), "bwrap ended with {status}");
    };
    let has_peer = bubblewrap().status().is_ok_and(|status| status.success());
    let (mut own, mut without, mut watched, mut other) = (vec![], vec![], vec![], vec![]);
    for _ in 0..STARTS {
        own.push(time(ours));
        without.push(time(alone));
        watched.push(time(observed));
        if has_peer {
            other.push(time(theirs));
        }
    }
    let (own, without, watched) = (median(own), median(without), median(watched));
    println!("a run of `true`             {:.2} ms", milliseconds(own));
    println!("  without control groups    {:.2} ms", milliseconds(without));
    println!("  with an observer beside   {:.2} ms", milliseconds(watched));
    if has_peer {
        let other = median(other);
        let ratio = own.as_secs_f64() / other.as_secs_f64();
        println!(
            "  in bwrap                  {:.2} ms: ours takes {ratio:.2} times",
            milliseconds(other)
        );
    } else {
        println!("  in bwrap                  not measured, it cannot be started here");
    }
}

/// Beside the run, as a judge has it.
struct Witness(Option<Observer>);

impl Watcher for Witness {
    fn launched(&mut self, process: u32) {
        self.0 = Observer::attach(process).ok();
    }
}

/// The same namespaces and about the same files; no Landlock, no filter, no limits, no account.
fn bubblewrap() -> Command {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--die-with-parent", "--as-pid-1", "--clearenv"]);
    for folder in ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives"] {
        command.args(["--ro-bind-try", folder, folder]);
    }
    command.args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/box"]);
    command.args(["--tmpfs", "/dev/shm", "--chdir", "/box", "/bin/true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn time(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// As many workers as processors, each a grader that goes through its submissions.
fn submissions() {
    let course = tempfile::tempdir().expect("a folder");
    make_course(course.path());
    // What is made once is made before.
    worker(course.path(), 1).wait().expect("a worker");
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    let running: Vec<Child> = (0..workers).map(|_| worker(course.path(), SUBMISSIONS)).collect();
    for mut worker in running {
        assert!(worker.wait().expect("a worker").success());
    }
    let took = began.elapsed().as_secs_f64();
    let all = f64::from(SUBMISSIONS) * workers as f64;
    println!("submissions a minute        {:.0}, on {workers} processors", all / took * 60.0);
}

fn worker(course: &Path, count: u32) -> Child {
    Command::new(env::current_exe().expect("a program that knows where it lies"))
        .env(COURSE, course)
        .env("GRADER_BENCH_COUNT", count.to_string())
        .spawn()
        .expect("a worker")
}

fn work(root: &Path) {
    let count: u32 =
        env::var("GRADER_BENCH_COUNT").map_or(1, |text| text.parse().expect("a number"));
    autograder::tree::adopt_orphans().expect("a kernel that allows it");
    let course = Course::at(root);
    let kit = Kit::new(&course, GRADER);
    let assignment = course.assignment("ten").expect("an assignment");
    let submitted: PathBuf = root.join("upload.rs");
    for _ in 0..count {
        let job = Job {
            kit: &kit,
            assignment: &assignment,
            submitted: Submitted::At(&submitted),
            scope: Scope::All,
            student: "",
        };
        let report = grade(&job, &mut |_| {}).expect("a report");
        assert_eq!(report.verdict, Verdict::Ok, "{report:?}");
    }
}

/// A course with one assignment of ten tests, each of which runs the program once.
fn make_course(root: &Path) {
    let folder = root.join("assignments/ten");
    fs::create_dir_all(folder.join("tests")).expect("a folder");
    let write = |path: PathBuf, text: &str| fs::write(path, text).expect("a file");
    write(root.join("Cargo.toml"), "[workspace]\n");
    let program = "fn main() {
    let child = std::process::Command::new(\"echo\").args(std::env::args().skip(1)).status();
    assert!(child.unwrap().success());
}\n";
    write(root.join("upload.rs"), program);
    let mut manifest = "title = \"Ten\"\nlesson = \"none\"\nminutes = 1\n\
                        limits = { wall_seconds = 60, output_bytes = 10000 }\n\
                        starter = { earns = 0 }\n"
        .to_string();
    let mut names = vec![];
    let mut tests = String::new();
    for number in 0..10 {
        let name = format!("says_{number}");
        manifest += &format!(
            "[[test]]\nname = \"{name}\"\ntitle = \"It says {number}\"\npoints = 10\n\
             visibility = \"public\"\nhint = \"\"\n"
        );
        tests += &format!(
            "fn {name}(program: &Program) {{ program.run([\"{number}\"]).assert().stdout(\"{number}\\n\"); }}\n"
        );
        names.push(name);
    }
    write(folder.join("assignment.toml"), &manifest);
    let head =
        format!("use autograder::prelude::*;\nautograder::tests! {{ {} }}\n", names.join(", "));
    write(folder.join("tests/public.rs"), &(head + &tests));
}
