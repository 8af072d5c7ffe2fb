//! The three ways to start a process, and the hooks that a fork server runs.

use crate::trial::{Outcome, Trial, each, once, under};
use common::connection::{Connection, Receiver, Sender, one_way_pipe, pipe};
use common::process::{self, Context, OnError, StartError, set_forkserver_preload};
use common::sync::Event;
use common::{Exit, Process, StartMethod};
use nix::unistd;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

pub(crate) fn trials() -> Vec<Trial> {
    type Body = fn(StartMethod) -> Outcome;
    let hooks: [(&str, Body); 14] = [
        ("c048_a_hook_makes_handles_and_children_use_them_in_silence", hook_makes_handles),
        ("c055_hooks_run_once_in_the_server_for_all_children", hooks_run_once),
        ("c056_hooks_and_targets_see_the_arguments_of_the_program", arguments),
        (MANY_ARGUMENTS, many_arguments),
        ("c060_a_hook_that_fails_changes_nothing_by_default", failing_by_default),
        ("c061_a_hook_that_fails_changes_nothing_where_that_is_asked_for", failing_ignored),
        ("c062_a_hook_that_fails_is_reported_where_that_is_asked_for", failing_with_warning),
        ("c064_the_strict_policy_does_not_disturb_hooks_that_work", strict_and_good),
        ("c068_a_hook_that_panics_is_ignored_where_failures_are", panicking_ignored),
        ("c069_a_hook_that_works_has_run_before_the_child", hook_has_run),
        ("c070_the_strict_policy_makes_the_start_fail", strict_and_failing),
        ("c072_a_hook_that_fails_is_ignored_and_the_next_one_runs", failing_and_next),
        ("c073_several_hooks_run_in_their_order", several_hooks),
        ("edge_a_hook_that_panics_fails_the_start_under_the_strict_policy", strict_and_panicking),
    ];
    let hooks = hooks.map(|(name, body)| under(StartMethod::ForkServer, name, body));
    [
        each("c043_a_context_leaves_the_default_unset", context),
        once("c044_init_leaves_the_default_unset", unset),
        each("c046_the_forced_method_is_what_everybody_sees", forced),
        once("c047_the_methods_are_listed_and_spawn_is_the_default", all_methods),
        each("c049_a_handle_goes_to_a_process_of_any_other_method", mixed),
        each("c050_a_handle_passes_on_to_a_grandchild", nested),
        once("c059_everything_on_the_front_page_can_be_named", names),
        hooks.concat(),
    ]
    .concat()
}

fn nothing((): ()) {}

fn context(method: StartMethod) -> Outcome {
    assert_eq!(process::start_method_if_set(), None);
    let context = Context::new(method);
    assert_eq!(context.process(nothing, ()).start()?.join()?, Exit::Code(0));
    assert_eq!(process::start_method_if_set(), None);
    Ok(())
}

fn unset() -> Outcome {
    assert_eq!(process::start_method_if_set(), None);
    common::set_start_method(StartMethod::Spawn)?;
    assert_eq!(process::start_method_if_set(), Some(StartMethod::Spawn));
    assert!(common::set_start_method(StartMethod::Fork).is_err());
    assert_eq!(process::start_method(), StartMethod::Spawn);
    Ok(())
}

fn forced(method: StartMethod) -> Outcome {
    fn tells(answer: Sender<[Option<String>; 2]>) {
        let started = process::current().start_method();
        let seen = [started, Some(process::start_method())];
        let seen = seen.map(|method| method.map(|method| method.to_string()));
        answer.send(&seen).expect("the parent receives");
    }
    process::force_start_method(Some(method));
    assert_eq!(process::start_method(), method);
    assert_eq!(process::start_method_if_set(), Some(method));
    assert_eq!(Context::new(method).start_method(), method);
    let (answer, end) = one_way_pipe()?;
    let child = Process::new(tells, end).start()?;
    let name = Some(method.to_string());
    assert_eq!(answer.recv()?, [name.clone(), name]);
    assert_eq!(child.join()?, Exit::Code(0));
    process::force_start_method(None);
    assert_eq!(process::start_method_if_set(), None);
    Ok(())
}

fn all_methods() -> Outcome {
    let mut names = StartMethod::ALL.map(|method| method.to_string());
    assert_eq!(StartMethod::ALL[0], StartMethod::default());
    assert_eq!(StartMethod::default(), StartMethod::Spawn);
    assert_eq!(process::start_method(), StartMethod::Spawn);
    names.sort();
    assert_eq!(names, ["fork", "forkserver", "spawn"]);
    Ok(())
}

fn mixed(method: StartMethod) -> Outcome {
    type Handles = (Event, Receiver<u32>, Sender<u32>);
    fn makes(carrier: Sender<Handles>) -> common::Result<()> {
        let (receiver, sender) = one_way_pipe()?;
        carrier.send(&(Event::new()?, receiver, sender))?;
        Ok(())
    }
    fn uses((event, sender): (Event, Sender<u32>)) {
        sender.send(&7).expect("the parent receives");
        event.set();
    }
    for other in StartMethod::ALL {
        let (handles, carrier) = one_way_pipe()?;
        let maker = Process::new(makes, carrier).start_method(method).start()?;
        let (event, receiver, sender) = handles.recv()?;
        assert_eq!(maker.join()?, Exit::Code(0));
        let argument = (event.clone(), sender);
        let user = Process::new(uses, argument).start_method(other).start()?;
        assert_eq!(receiver.recv()?, 7);
        event.wait();
        assert_eq!(user.join()?, Exit::Code(0));
    }
    Ok(())
}

fn nested(method: StartMethod) -> Outcome {
    fn sends(sender: Sender<u32>) {
        sender.send(&2).expect("somebody receives");
    }
    fn child(sender: Sender<u32>) -> common::Result<()> {
        sender.send(&1)?;
        Process::new(sends, sender).start()?.join()?;
        Ok(())
    }
    let (receiver, sender) = one_way_pipe()?;
    let child = Process::new(child, sender).start_method(method).start()?;
    let mut numbers = [receiver.recv()?, receiver.recv()?];
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

/// That it compiles is the proof.
fn names() -> Outcome {
    #[expect(unused_imports, reason = "each is only named")]
    use common::{
        Child, Connection, Error, Exit, Log, Pool, Process, Receiver, Result, Sender, Signal,
        StartMethod,
        codec::{DecodeError, EncodeError},
        connection::{Handle, OneWay, RecvError, RecvIntoError, SendError, wait},
        cpu::{affinity, count, set_affinity, usable},
        init, is_child, one_way_pipe, pipe,
        pool::{MapError, PoolError, TaskError},
        process::{
            AuthKey, Context, Current, Finalizer, JoinError, OnError, Outcome, Parent, Preload,
            Run, StartError, StartMethodAlreadySet, StillRunning, UnknownSignal,
            UnknownStartMethod, active_children, args, at_exit, current, force_start_method,
            parent, set_authkey, set_forkserver_preload, start_method, start_method_if_set,
        },
        set_start_method,
        sync::{
            Barrier, BarrierWaitResult, BoundedSemaphore, BrokenBarrier, Condition, Event, Lock,
            LockGuard, NotOwner, OverRelease, Permit, RLock, RLockGuard, Semaphore,
        },
    };
    Ok(())
}

type Hook = fn() -> common::Result<()>;

fn fails() -> common::Result<()> {
    Err(io::Error::other("the hook has failed").into())
}

fn panics() -> common::Result<()> {
    panic!("panicked");
}

/// Which hooks have run in this process, in order.
static RUN: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn note(number: u32) -> common::Result<()> {
    RUN.lock().expect("nobody panics with it").push(number);
    Ok(())
}

/// What a child of the server sees of the hooks that have run; how it ended.
fn seen_by_child(answer: u32) -> common::Result<(Vec<u32>, u32)> {
    fn child((answer, end): (u32, Sender<(Vec<u32>, u32)>)) {
        let run = RUN.lock().expect("nobody panics with it").clone();
        end.send(&(run, answer)).expect("the parent receives");
    }
    let (receiver, end) = one_way_pipe()?;
    let made = Process::new(child, (answer, end)).start_method(StartMethod::ForkServer);
    let child = made.start()?;
    let seen = receiver.recv()?;
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(seen)
}

/// What `work` and the processes that it starts write on standard output and standard error.
fn printed(work: impl FnOnce() -> Outcome) -> Result<[String; 2], libtest_mimic::Failed> {
    let saved = (unistd::dup(io::stdout())?, unistd::dup(io::stderr())?);
    unistd::dup2_stdout(File::create("stdout")?)?;
    unistd::dup2_stderr(File::create("stderr")?)?;
    let result = work();
    unistd::dup2_stdout(saved.0)?;
    unistd::dup2_stderr(saved.1)?;
    result?;
    Ok([fs::read_to_string("stdout")?, fs::read_to_string("stderr")?])
}

static MADE: OnceLock<Event> = OnceLock::new();

fn hook_makes_handles(method: StartMethod) -> Outcome {
    fn makes() -> common::Result<()> {
        MADE.get_or_init(|| Event::new().expect("shared memory"));
        Ok(())
    }
    fn uses((): ()) {
        let event = MADE.get().expect("the server has made it");
        event.set();
        assert!(event.is_set());
        println!("ok");
    }
    let [stdout, stderr] = printed(|| {
        set_forkserver_preload(&[makes], OnError::Fail)?;
        let child = Process::new(uses, ()).start_method(method).start()?;
        assert_eq!(child.join()?, Exit::Code(0));
        Ok(())
    })?;
    assert_eq!((&stdout[..], &stderr[..]), ("ok\n", ""));
    Ok(())
}

static HOOK_PID: AtomicU32 = AtomicU32::new(0);

fn hooks_run_once(method: StartMethod) -> Outcome {
    fn notes() -> common::Result<()> {
        HOOK_PID.store(std::process::id(), Ordering::Relaxed);
        note(1)
    }
    fn child(answer: Sender<(u32, usize)>) {
        let run = RUN.lock().expect("nobody panics with it").len();
        answer.send(&(HOOK_PID.load(Ordering::Relaxed), run)).expect("the parent receives");
    }
    set_forkserver_preload(&[notes], OnError::Fail)?;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (answer, end) = one_way_pipe()?;
        let process = Process::new(child, end).start_method(method).start()?;
        let (pid, run) = answer.recv()?;
        assert_eq!(run, 1);
        assert!(pid != 0 && pid != std::process::id() && pid != process.pid());
        seen.push(pid);
        assert_eq!(process.join()?, Exit::Code(0));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(RUN.lock().expect("nobody panics with it").is_empty());
    Ok(())
}

static ARGUMENTS: OnceLock<Vec<OsString>> = OnceLock::new();

fn arguments(method: StartMethod) -> Outcome {
    fn hook() -> common::Result<()> {
        ARGUMENTS.get_or_init(process::args);
        Ok(())
    }
    fn child(parent: Connection<[Vec<OsString>; 2], ()>) {
        let seen = [ARGUMENTS.get().cloned().unwrap_or_default(), process::args()];
        parent.send(&seen).expect("the parent receives");
    }
    let own: Vec<OsString> = std::env::args_os().collect();
    assert!(own.len() > 2);
    assert_eq!(process::args(), own);
    set_forkserver_preload(&[hook], OnError::Fail)?;
    let (answer, end) = pipe()?;
    let child = Process::new(child, end).start_method(method).start()?;
    assert_eq!(answer.recv()?, [own.clone(), own]);
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

const MANY_ARGUMENTS: &str = "c057_128_kib_of_arguments_reach_hooks_and_targets";

fn many_arguments(method: StartMethod) -> Outcome {
    let len: usize = std::env::args_os().map(|argument| argument.len() + 1).sum();
    if len > 128 << 10 {
        return arguments(method);
    }
    // The same trial again, with arguments that skip trials that there are not.
    let status = Command::new(std::env::current_exe()?)
        .args([&format!("{MANY_ARGUMENTS}::{method}"), "--exact", "--test-threads=1"])
        .args((0..5000).map(|number| format!("--skip=no trial has the number {number:05}")))
        .status()?;
    assert!(status.success(), "{status}");
    Ok(())
}

fn failing_by_default(_: StartMethod) -> Outcome {
    set_forkserver_preload(&[fails], OnError::default())?;
    assert_eq!(seen_by_child(42)?, (vec![], 42));
    Ok(())
}

fn failing_ignored(_: StartMethod) -> Outcome {
    let [_, stderr] = printed(|| {
        set_forkserver_preload(&[fails], OnError::Ignore)?;
        assert_eq!(seen_by_child(99)?, (vec![], 99));
        Ok(())
    })?;
    assert_eq!(stderr, "");
    Ok(())
}

fn failing_with_warning(_: StartMethod) -> Outcome {
    let [stdout, stderr] = printed(|| {
        set_forkserver_preload(&[fails], OnError::Warn)?;
        assert_eq!(seen_by_child(123)?, (vec![], 123));
        Ok(())
    })?;
    assert_eq!(stdout, "");
    assert_eq!(stderr.matches("the hook has failed").count(), 1, "{stderr}");
    Ok(())
}

fn strict_and_good(_: StartMethod) -> Outcome {
    let hooks: [Hook; 2] = [|| note(1), || note(2)];
    set_forkserver_preload(&hooks, OnError::Fail)?;
    assert_eq!(seen_by_child(0)?, (vec![1, 2], 0));
    Ok(())
}

fn panicking_ignored(_: StartMethod) -> Outcome {
    set_forkserver_preload(&[panics], OnError::Ignore)?;
    assert_eq!(seen_by_child(1)?, (vec![], 1));
    Ok(())
}

fn hook_has_run(_: StartMethod) -> Outcome {
    let hooks: [Hook; 1] = [|| note(5)];
    set_forkserver_preload(&hooks, OnError::Ignore)?;
    assert_eq!(seen_by_child(1)?, (vec![5], 1));
    Ok(())
}

/// Under the strict policy every start fails, and says why.
fn start_fails_because_of(hook: Hook, reason: &str) -> Outcome {
    set_forkserver_preload(&[hook], OnError::Fail)?;
    for _ in 0..2 {
        let made = Process::new(nothing, ()).start_method(StartMethod::ForkServer);
        let error = made.start().err().ok_or("the process has started")?;
        assert!(matches!(error, StartError::Preload { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert_eq!(process::active_children().len(), 0);
    Ok(())
}

fn strict_and_failing(_: StartMethod) -> Outcome {
    start_fails_because_of(fails, "the hook has failed")
}

fn strict_and_panicking(_: StartMethod) -> Outcome {
    start_fails_because_of(panics, "panicked")
}

fn failing_and_next(_: StartMethod) -> Outcome {
    let hooks: [Hook; 3] = [fails, || note(1), panics];
    set_forkserver_preload(&hooks, OnError::Ignore)?;
    assert_eq!(seen_by_child(1)?, (vec![1], 1));
    Ok(())
}

fn several_hooks(_: StartMethod) -> Outcome {
    let hooks: [Hook; 3] = [|| note(3), || note(1), || note(2)];
    set_forkserver_preload(&hooks, OnError::Fail)?;
    assert_eq!(seen_by_child(1)?, (vec![3, 1, 2], 1));
    Ok(())
}
