//! Whoever is killed, at whatever moment: nothing is left.

use std::env;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use autograder::runner::{self, RunError, Stop, Watcher};
use autograder::sandbox::{Sandbox, Step, Tier};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, GRADER, groups, wait_until};

/// A program that does its best to stay.
const STAYS: &str = r#"
    for (int s = 1; s < 65; s++) signal(s, SIG_IGN);
    for (int i = 0; i < 3; i++) if (!fork()) { setsid(); if (fork()) _exit(0); }
    shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    for (;;) pause();"#;

/// How often each is killed; more often with `AUTOGRADER_ROUNDS` in the environment.
fn times() -> u64 {
    env::var("AUTOGRADER_ROUNDS").map_or(8, |rounds| rounds.parse().unwrap())
}

/// A moment of a run: the sandbox is built in some ten milliseconds.
fn moment(round: u64) -> Duration {
    Duration::from_micros(round * round * 211 % 60_000)
}

struct KillTheLauncher(Duration);

impl Watcher for KillTheLauncher {
    fn launched(&mut self, process: u32) {
        let wait = self.0;
        thread::spawn(move || {
            thread::sleep(wait);
            kill(Pid::from_raw(process as i32), Signal::SIGKILL).unwrap();
        });
    }
}

#[test]
fn nothing_is_left_when_the_launcher_is_killed() {
    let Some(bench) = Bench::full() else { return };
    let plan = bench.plan(&bench.c(STAYS));
    for round in 0..times() {
        let mut killer = KillTheLauncher(moment(round));
        match runner::run_watched(&plan, None, &mut killer) {
            Err(RunError::Sandbox(fault)) => assert_eq!(fault.step, Step::Launcher),
            other => panic!("{other:?}"),
        }
        wait_until("its processes are gone", || bench.processes().is_empty());
        wait_until("its groups are gone", || groups(std::process::id()).is_empty());
        bench.nothing_is_left();
    }
}

/// In the environment of a grader that is to be killed: the program that it runs.
const RUN_THIS: &str = "SANDBOX_TEST_RUN_THIS";

/// No test: what the next one starts and kills.
#[test]
fn a_grader_that_is_killed() {
    let Some(program) = env::var_os(RUN_THIS) else { return };
    let bench = Bench::new();
    let mut plan = bench.plan(Path::new(&program));
    plan.env.retain(|(name, _)| name != "SANDBOX_TEST");
    plan.env.push(("SANDBOX_TEST".into(), env::var_os("SANDBOX_TEST_MARK").unwrap()));
    runner::run(&plan, None).unwrap();
}

#[test]
fn nothing_is_left_when_the_grader_is_killed() {
    let Some(bench) = Bench::full() else { return };
    let program = bench.c(STAYS);
    for round in 0..times() {
        let mut grader = Command::new(env::current_exe().unwrap())
            .args(["--exact", "endings::a_grader_that_is_killed", "--nocapture"])
            .env(RUN_THIS, &program)
            .env("SANDBOX_TEST_MARK", bench.mark())
            .env("TMPDIR", bench.folder())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        if round % 4 == 0 {
            wait_until("the program runs", || bench.processes().len() >= 4);
        } else {
            thread::sleep(moment(round));
        }
        grader.kill().unwrap();
        grader.wait().unwrap();
        wait_until("its processes are gone", || bench.processes().is_empty());
        wait_until("its launcher is gone", || bench.launchers().is_empty());
        wait_until("its groups are gone", || groups(grader.id()).is_empty());
        bench.nothing_is_left();
    }
}

#[test]
fn groups_of_a_grader_that_is_no_more_are_removed_by_the_next() {
    let Some(bench) = Bench::full() else { return };
    let gone = Command::new("true").spawn().and_then(|mut child| {
        child.wait()?;
        Ok(child.id())
    });
    let name = format!("autograder-{}-0", gone.unwrap());
    let Some(parent) = memory_group() else {
        println!("did not run: no control group for memory can be made here");
        return;
    };
    fs::create_dir(parent.join(&name)).unwrap();
    bench.says("");
    assert!(!parent.join(&name).exists());
}

/// Where this process may make groups, in version 1.
fn memory_group() -> Option<std::path::PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = text.lines().find_map(|line| line.split_once(":memory:"))?.1;
    let folder = Path::new("/sys/fs/cgroup/memory").join(own.trim_start_matches('/'));
    let probe = folder.join("autograder-probe");
    fs::create_dir(&probe).ok()?;
    fs::remove_dir(&probe).ok()?;
    Some(folder)
}

#[test]
fn a_run_is_abandoned_when_nobody_wants_it_any_more() {
    let Some(bench) = Bench::full() else { return };
    let plan = bench.plan(&bench.c(STAYS));
    let (caller, ours) = io::pipe().unwrap();
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        drop(ours);
    });
    let result = runner::run(&plan, Some(caller.as_fd()));
    assert!(matches!(result, Err(RunError::Abandoned)), "{result:?}");
    killer.join().unwrap();
    bench.nothing_is_left();
}

#[derive(Default)]
struct Notes {
    launched: u32,
    below: Vec<String>,
}

impl Watcher for Notes {
    fn launched(&mut self, process: u32) {
        self.launched = process;
    }

    fn stopping(&mut self, root: i32, stop: &Stop) {
        assert_eq!(*stop, Stop::Time);
        let children = fs::read_to_string(format!("/proc/{root}/task/{root}/children")).unwrap();
        for child in children.split_whitespace() {
            self.below.push(fs::read_to_string(format!("/proc/{child}/comm")).unwrap());
            // How it waits can be read too.
            fs::read_to_string(format!("/proc/{child}/syscall")).unwrap();
            fs::read_dir(format!("/proc/{child}/fd")).unwrap();
        }
    }
}

#[test]
fn a_watcher_sees_the_processes_before_they_are_ended() {
    let Some(bench) = Bench::full() else { return };
    let mut plan = bench.plan(
        &bench.c("if (!fork()) pause(); char c; int ends[2]; pipe(ends); read(ends[0], &c, 1);"),
    );
    plan.limits.wall = Duration::from_secs(1);
    let mut notes = Notes::default();
    let outcome = runner::run_watched(&plan, None, &mut notes).unwrap();
    assert_eq!(outcome.stopped, Some(Stop::Time));
    assert_ne!(notes.launched, 0);
    assert_eq!(notes.below, ["program\n"]);
    bench.nothing_is_left();
}

#[test]
fn a_launcher_that_is_none_is_a_fault_and_no_verdict() {
    let bench = Bench::new();
    let program = bench.c("");
    for launcher in ["/bin/true", "/bin/false", "/nowhere"] {
        for tier in [Tier::Full, Tier::Reduced] {
            let mut plan = bench.plan(&program);
            plan.sandbox = Sandbox::new(tier, launcher);
            match runner::run(&plan, None) {
                Err(RunError::Sandbox(fault)) => assert_eq!(fault.step, Step::Launcher),
                other => panic!("{launcher}: {other:?}"),
            }
        }
    }
    let mut plan = bench.plan(Path::new("/nowhere/program"));
    plan.sandbox = Sandbox::new(Tier::Full, GRADER);
    if let Some(error) = runner::run(&plan, None).err() {
        assert!(error.to_string().contains("cannot read the program: No such file"), "{error}");
    } else {
        panic!("there is no program");
    }
    bench.nothing_is_left();
}
