//! A process, from its making to its end.

use crate::trial::{LONG, NOT_RUN, Outcome, Trial, each, once, under};
use common::connection::{Connection, Receiver, Sender, one_way_pipe, pipe, wait};
use common::process::{self, Run, StartError};
use common::sync::Event;
use common::{Exit, Pool, Process, StartMethod};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{self, Pid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    use StartMethod::{Fork, ForkServer};
    [
        once("c001_the_main_process_describes_itself", main_process),
        each("c003_an_argument_of_any_type_arrives_unchanged", any_argument),
        each("c004_a_process_is_a_daemon_as_its_creator_unless_told", daemon_flag),
        each("c005_a_child_knows_pid_and_name_of_its_parent", knows_parent),
        each("c006_a_process_sees_its_parent_end", sees_parent_end),
        each("c007_both_sides_see_a_process_from_start_to_join", from_start_to_join),
        each("c008_the_main_thread_of_a_child_is_another", main_thread),
        each("c010_interrupt_gives_minus_2", interrupt),
        each("c011_terminate_gives_minus_15", terminate),
        each("c012_kill_gives_minus_9", kill_gives),
        once("c013_there_is_at_least_one_processor", processors),
        each("c014_active_children_are_started_and_not_ended", active_children),
        each("c016_the_sentinel_is_ready_when_the_child_has_ended", sentinel),
        each("c017_only_a_process_that_has_ended_can_be_closed", close),
        each("c018_many_children_end_well_and_many_are_terminated", many),
        each("c019_nothing_keeps_the_argument_alive_after_the_join", argument_is_dropped),
        each("c021_a_child_waits_for_its_scoped_threads_alone", threads),
        each("c022_a_parent_without_standard_streams_starts_children", parent_without_streams),
        each("c023_a_child_may_close_its_standard_streams", child_without_streams),
        under(ForkServer, "c024_an_interrupted_server_goes_on", interrupted_server),
        under(ForkServer, "c025_a_killed_server_is_replaced_by_the_next_start", killed_server),
        each("c028_a_value_runs_in_a_child_and_answers", value_that_runs),
        each("c029_the_report_of_a_panic_is_whole_in_a_file", panic_report),
        each("c030_what_a_target_returns_is_the_exit_code", exit_code),
        each("c032_a_child_has_a_daemon_child_that_looks_for_a_message", daemon_of_a_child),
        each("c033_a_child_uses_a_pool", pool_of_a_child),
        each("c035_an_exit_hook_runs_when_the_child_ends", exit_hook),
        each("c036_a_descriptor_that_was_not_given_is_open_under_fork_only", not_given),
        under(Fork, "c040_fork_beside_threads_is_refused_unless_forced", fork_beside_threads),
    ]
    .concat()
}

fn nothing((): ()) {}

fn waits(event: Event) {
    event.wait();
}

fn sleeps(begun: Event) {
    begun.set();
    thread::sleep(LONG);
}

fn listed() -> Vec<u32> {
    process::active_children().iter().map(|child| child.pid()).collect()
}

fn main_process() -> Outcome {
    let current = process::current();
    assert_eq!((current.name(), current.pid()), ("MainProcess", std::process::id()));
    assert!(current.is_alive() && !current.is_daemon());
    assert_eq!(current.exitcode(), None);
    assert!(!current.authkey()?.as_bytes().is_empty());
    Ok(())
}

fn any_argument(method: StartMethod) -> Outcome {
    fn returns<T: Serialize + DeserializeOwned>((value, back): (T, Sender<T>)) {
        back.send(&value).expect("the parent receives");
    }
    fn goes_and_returns<T>(method: StartMethod, value: T) -> Outcome
    where
        T: Clone + Debug + PartialEq + Serialize + DeserializeOwned,
    {
        let (answer, back) = one_way_pipe()?;
        let argument = (value.clone(), back);
        let child = Process::new(returns::<T>, argument).start_method(method).start()?;
        assert_eq!(answer.recv()?, value);
        assert_eq!(child.join()?, Exit::Code(0));
        Ok(())
    }
    goes_and_returns(method, 1i64)?;
    goes_and_returns(method, "str".to_string())?;
    goes_and_returns(method, vec![1u8])?;
    goes_and_returns(method, (1.5f64,))
}

fn daemon_flag(method: StartMethod) -> Outcome {
    fn child(answer: Sender<[bool; 4]>) {
        let made = || Process::new(nothing, ());
        let told = (made().daemon(), made().no_daemon());
        let current = process::current().is_daemon();
        let made = [current, made().is_daemon(), told.0.is_daemon(), told.1.is_daemon()];
        answer.send(&made).expect("the parent receives");
    }
    for daemon in [false, true] {
        let (answer, end) = one_way_pipe()?;
        let made = Process::new(child, end).start_method(method);
        assert!(!made.is_daemon());
        let made = if daemon { made.daemon() } else { made.no_daemon() };
        assert_eq!(made.is_daemon(), daemon);
        let child = made.start()?;
        assert_eq!(child.is_daemon(), daemon);
        assert_eq!(answer.recv()?, [daemon, daemon, true, false]);
        child.join()?;
    }
    Ok(())
}

type Starter = Option<(u32, String)>;

fn knows_parent(method: StartMethod) -> Outcome {
    fn tells(answer: Sender<Starter>) {
        let parent = process::parent().map(|parent| (parent.pid(), parent.name().to_string()));
        answer.send(&parent).expect("the parent receives");
    }
    fn starts(answer: Sender<Starter>) -> common::Result<()> {
        Process::new(tells, answer).start()?.join()?;
        Ok(())
    }
    assert!(process::parent().is_none());
    let (answer, end) = one_way_pipe()?;
    let child = Process::new(tells, end).start_method(method).start()?;
    assert_eq!(answer.recv()?, Some((std::process::id(), "MainProcess".to_string())));
    child.join()?;

    let (answer, end) = one_way_pipe()?;
    let child = Process::new(starts, end).name("starter").start_method(method).start()?;
    assert_eq!(answer.recv()?, Some((child.pid(), "starter".to_string())));
    child.join()?;
    Ok(())
}

fn sees_parent_end(method: StartMethod) -> Outcome {
    fn grandchild(answer: Sender<(bool, bool)>) -> common::Result<()> {
        let parent = process::parent().expect("a child has a parent");
        answer.send(&(parent.is_alive(), false))?;
        let ended = parent.join_timeout(LONG)?;
        answer.send(&(parent.is_alive(), ended))?;
        Ok(())
    }
    fn child(answer: Sender<(bool, bool)>) -> common::Result<()> {
        Process::new(grandchild, answer).start()?.join()?;
        Ok(())
    }
    let (answer, end) = one_way_pipe()?;
    let child = Process::new(child, end).start_method(method).start()?;
    assert_eq!(answer.recv()?, (true, false));
    child.terminate()?;
    assert_eq!(answer.recv()?, (false, true));
    assert_eq!(child.join()?, Exit::Signal(common::Signal::TERM));
    Ok(())
}

/// Named fields stand for Python's keyword arguments.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Keywords {
    question: String,
    answer: u64,
}

/// What a child tells of itself: arguments, name, key, pid.
type Told = (u8, Keywords, String, Vec<u8>, u32);

fn from_start_to_join(method: StartMethod) -> Outcome {
    fn child((number, keywords, parent): (u8, Keywords, Connection<Told, ()>)) {
        let current = process::current();
        let key = current.authkey().expect("a key").as_bytes().to_vec();
        let told = (number, keywords, current.name().to_string(), key, current.pid());
        parent.send(&told).expect("the parent receives");
        let _ = parent.recv();
    }
    let keywords = || Keywords { question: "all".to_string(), answer: 42 };
    let (parent, end) = pipe()?;
    let made = Process::new(child, (7, keywords(), end)).name("Adam").daemon();
    assert!(made.is_daemon());
    assert_eq!(listed(), []);

    let child = made.start_method(method).start()?;
    assert!(child.is_alive());
    assert_eq!(child.exitcode(), None);
    assert_eq!((child.name(), listed()), ("Adam", vec![child.pid()]));
    let key = process::current().authkey()?.as_bytes().to_vec();
    assert_eq!(parent.recv()?, (7, keywords(), "Adam".to_string(), key, child.pid()));

    parent.send(&())?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!((child.exitcode(), child.is_alive(), listed()), (Some(0), false, vec![]));
    Ok(())
}

fn main_thread(method: StartMethod) -> Outcome {
    fn child(answer: Sender<i32>) {
        answer.send(&unistd::gettid().as_raw()).expect("the parent receives");
    }
    let (answer, end) = one_way_pipe()?;
    let child = Process::new(child, end).start_method(method).start()?;
    let thread = answer.recv()?;
    assert_ne!(thread, unistd::gettid().as_raw());
    assert_eq!(thread.cast_unsigned(), child.pid());
    child.join()?;
    Ok(())
}

/// Whether this process was started with SIGINT ignored, as a shell starts what runs in the
/// background. A child would ignore it as well.
fn interrupts_are_ignored() -> io::Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let mask = u64::from_str_radix(mask.trim(), 16).unwrap_or(0);
    Ok(mask >> (Signal::SIGINT as i32 - 1) & 1 == 1)
}

fn interrupt(method: StartMethod) -> Outcome {
    if interrupts_are_ignored()? {
        println!("\n{NOT_RUN}SIGINT is ignored here, and so by every child");
        return Ok(());
    }
    let begun = Event::new()?;
    let child = Process::new(sleeps, begun.clone()).start_method(method).start()?;
    begun.wait();
    child.interrupt()?;
    assert_eq!(child.join()?, Exit::Signal(common::Signal::INT));
    assert_eq!(child.exitcode(), Some(-2));
    Ok(())
}

fn ends_with(
    method: StartMethod,
    end: fn(&common::Child) -> io::Result<()>,
) -> Result<i32, libtest_mimic::Failed> {
    let begun = Event::new()?;
    let child = Process::new(sleeps, begun.clone()).start_method(method).start()?;
    begun.wait();
    assert_eq!(child.join_timeout(Duration::ZERO)?, None);
    assert_eq!((child.is_alive(), listed()), (true, vec![child.pid()]));
    end(&child)?;
    let code = child.join()?.exitcode();
    assert_eq!((child.is_alive(), child.exitcode(), listed()), (false, Some(code), vec![]));
    Ok(code)
}

fn terminate(method: StartMethod) -> Outcome {
    assert_eq!(ends_with(method, common::Child::terminate)?, -15);
    Ok(())
}

fn kill_gives(method: StartMethod) -> Outcome {
    assert_eq!(ends_with(method, common::Child::kill)?, -9);
    Ok(())
}

fn processors() -> Outcome {
    assert!(common::cpu::count() >= 1);
    Ok(())
}

fn active_children(method: StartMethod) -> Outcome {
    let event = Event::new()?;
    let made = Process::new(waits, event.clone()).start_method(method);
    assert_eq!(listed(), []);
    let child = made.start()?;
    assert_eq!(listed(), [child.pid()]);
    event.set();
    child.join()?;
    assert_eq!(listed(), []);
    Ok(())
}

fn sentinel(method: StartMethod) -> Outcome {
    let event = Event::new()?;
    let child = Process::new(waits, event.clone()).start_method(method).start()?;
    assert_eq!(wait(&[&child], Some(Duration::from_millis(50)))?, []);
    event.set();
    assert_eq!(wait(&[&child], Some(LONG))?, [0]);
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn close(method: StartMethod) -> Outcome {
    let event = Event::new()?;
    let child = Process::new(waits, event.clone()).start_method(method).start()?;
    assert!(child.clone().close().is_err());
    assert!(child.is_alive());
    event.set();
    assert_eq!(child.join()?, Exit::Code(0));
    child.clone().close()?;
    child.close()?;
    Ok(())
}

fn many(method: StartMethod) -> Outcome {
    fn naps((): ()) {
        thread::sleep(Duration::from_millis(10));
    }
    let count = if method == StartMethod::Spawn { 5 } else { 100 };
    let children: Vec<_> = (0..count)
        .map(|_| Process::new(naps, ()).start_method(method).start())
        .collect::<Result<_, _>>()?;
    for child in &children {
        assert_eq!(child.join()?, Exit::Code(0));
    }
    let begun = Event::new()?;
    let children: Vec<_> = (0..count)
        .map(|_| Process::new(sleeps, begun.clone()).start_method(method).start())
        .collect::<Result<_, _>>()?;
    for child in &children {
        child.terminate()?;
    }
    for child in &children {
        assert_eq!(child.join()?, Exit::Signal(common::Signal::TERM));
    }
    Ok(())
}

/// An argument that tells whether a copy of it is left.
struct Held(Arc<Sender<u32>>);

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Arc::new(Sender::deserialize(deserializer)?)))
    }
}

fn argument_is_dropped(method: StartMethod) -> Outcome {
    fn child(held: Held) {
        held.0.send(&5).expect("the parent receives");
    }
    let (answer, end) = one_way_pipe()?;
    let held = Held(Arc::new(end));
    let watch = Arc::downgrade(&held.0);
    let child = Process::new(child, held).start_method(method).start()?;
    child.join()?;
    assert!(watch.upgrade().is_none());
    assert_eq!(answer.recv()?, 5);
    Ok(())
}

fn threads(method: StartMethod) -> Outcome {
    fn child(done: Event) {
        // Nobody waits for this one.
        thread::spawn(|| thread::sleep(LONG * 10));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(100));
                done.set();
            });
        });
    }
    let done = Event::new()?;
    let start = Instant::now();
    let child = Process::new(child, done.clone()).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert!(done.is_set());
    assert!(start.elapsed() < LONG);
    Ok(())
}

fn sets(event: Event) {
    event.set();
}

fn parent_without_streams(method: StartMethod) -> Outcome {
    let (stdout, stderr) = (unistd::dup(io::stdout())?, unistd::dup(io::stderr())?);
    for streams in [&[1][..], &[2], &[1, 2]] {
        let event = Event::new()?;
        for &stream in streams {
            unistd::close(stream)?;
        }
        let exit = || -> common::Result<_> {
            Ok(Process::new(sets, event.clone()).start_method(method).start()?.join()?)
        };
        let exit = exit();
        unistd::dup2_stdout(&stdout)?;
        unistd::dup2_stderr(&stderr)?;
        assert_eq!(exit?, Exit::Code(0));
        assert!(event.is_set());
    }
    Ok(())
}

fn child_without_streams(method: StartMethod) -> Outcome {
    fn closes(streams: Vec<i32>) -> io::Result<()> {
        for stream in streams {
            unistd::close(stream)?;
        }
        // What cannot be printed is lost, and no more than that.
        let _ = writeln!(io::stdout(), "nobody reads this");
        let _ = writeln!(io::stderr(), "nor this");
        Ok(())
    }
    for streams in [vec![1], vec![2], vec![1, 2]] {
        let child = Process::new(closes, streams).start_method(method).start()?;
        assert_eq!(child.join()?, Exit::Code(0));
    }
    Ok(())
}

/// The fork server: it is a child of this process, and none that the program has started.
fn server() -> io::Result<Pid> {
    let (own, listed) = (std::process::id(), listed());
    for entry in fs::read_dir("/proc")? {
        let stat = fs::read_to_string(entry?.path().join("stat")).unwrap_or_default();
        // `pid (name) state ppid ...`; a name may hold anything.
        let Some((head, tail)) = stat.split_once(" (").zip(stat.rsplit_once(") ")) else {
            continue;
        };
        let mut fields = tail.1.split(' ').skip(1);
        let parent: u32 = fields.next().unwrap_or_default().parse().unwrap_or(0);
        let pid: u32 = head.0.parse().unwrap_or(0);
        if parent == own && !listed.contains(&pid) {
            return Ok(Pid::from_raw(pid.cast_signed()));
        }
    }
    Err(io::Error::other("this process has no fork server"))
}

fn server_is_hit_by(signal: Signal, method: StartMethod) -> Outcome {
    fn child((begun, go, done): (Event, Event, Event)) {
        begun.set();
        go.wait();
        done.set();
    }
    let (begun, go, done) = (Event::new()?, Event::new()?, Event::new()?);
    let argument = (begun.clone(), go.clone(), done.clone());
    let first = Process::new(child, argument).start_method(method).start()?;
    begun.wait();
    kill(server()?, signal)?;
    let second = Process::new(nothing, ()).start_method(method).start()?;
    assert_eq!(second.join()?, Exit::Code(0));
    go.set();
    // 255 says that its exit was lost together with the server.
    let exit = first.join()?;
    assert!(exit == Exit::Code(0) || exit == Exit::Code(255), "{exit}");
    assert!(done.is_set());
    Ok(())
}

fn interrupted_server(method: StartMethod) -> Outcome {
    server_is_hit_by(Signal::SIGINT, method)
}

fn killed_server(method: StartMethod) -> Outcome {
    server_is_hit_by(Signal::SIGKILL, method)
}

/// Makes upper case of what is sent to it, until nothing is.
#[derive(Serialize, Deserialize)]
struct UpperCaser {
    parent: Connection<String, Option<String>>,
}

impl Run for UpperCaser {
    fn run(self) {
        while let Ok(Some(text)) = self.parent.recv() {
            self.parent.send(&text.to_uppercase()).expect("the parent receives");
        }
    }
}

fn value_that_runs(method: StartMethod) -> Outcome {
    let (requests, parent) = pipe::<Option<String>, String>()?;
    let child = Process::of(UpperCaser { parent }).start_method(method).start()?;
    for (text, answer) in [("hello", "HELLO"), ("world", "WORLD")] {
        requests.send(&Some(text.to_string()))?;
        assert_eq!(requests.recv()?, answer);
    }
    requests.send(&None)?;
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

/// Sends this process's standard error to a file in the working directory.
fn stderr_to(file: &str) {
    let file = File::create(file).expect("the working directory can be written to");
    unistd::dup2_stderr(&file).expect("a descriptor");
}

fn panic_report(method: StartMethod) -> Outcome {
    fn panics((): ()) {
        stderr_to("report");
        panic!("the reason of the panic");
    }
    let child = Process::new(panics, ()).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(101));
    let report = fs::read_to_string("report")?;
    for part in ["panicked at", "conformance/process.rs:", "the reason of the panic"] {
        assert!(report.contains(part), "{report}");
    }
    Ok(())
}

fn exit_code(method: StartMethod) -> Outcome {
    fn fails((): ()) -> Result<(), &'static str> {
        stderr_to("error");
        Err("the reason of the error")
    }
    fn exits(code: i32) {
        std::process::exit(code);
    }
    let child = Process::new(nothing, ()).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    for code in [0, 8] {
        let child = Process::new(|code: i32| code, code).start_method(method).start()?;
        assert_eq!(child.join()?, Exit::Code(code));
        let child = Process::new(exits, code).start_method(method).start()?;
        assert_eq!(child.join()?, Exit::Code(code));
    }
    let child = Process::new(fails, ()).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(1));
    let error = fs::read_to_string("error")?;
    assert!(error.contains("the reason of the error"), "{error}");
    Ok(())
}

fn daemon_of_a_child(method: StartMethod) -> Outcome {
    fn looks(messages: Receiver<u8>) -> io::Result<()> {
        messages.poll().map(drop)
    }
    fn child((): ()) -> common::Result<()> {
        let (messages, _sender) = one_way_pipe()?;
        let exit = Process::new(looks, messages).daemon().start()?.join()?;
        assert_eq!(exit, Exit::Code(0));
        Ok(())
    }
    let child = Process::new(child, ()).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn pool_of_a_child(method: StartMethod) -> Outcome {
    fn square(x: u32) -> u32 {
        x * x
    }
    fn child((): ()) -> common::Result<()> {
        assert_eq!(Pool::new(4)?.map(square, 1..=7)?, [1, 4, 9, 16, 25, 36, 49]);
        Ok(())
    }
    let child = Process::new(child, ()).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn exit_hook(method: StartMethod) -> Outcome {
    fn child((): ()) {
        process::at_exit(|| fs::write("hook", "deadbeef").expect("a file can be written"));
    }
    let child = Process::new(child, ()).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(fs::read_to_string("hook")?, "deadbeef");
    Ok(())
}

fn not_given(method: StartMethod) -> Outcome {
    fn child((number, answer): (i32, Sender<Option<String>>)) {
        let text = fs::read_to_string(format!("/proc/self/fd/{number}"));
        answer.send(&text.ok()).expect("the parent receives");
    }
    fs::write("text", "some text")?;
    let mut lower = Vec::new();
    let file = loop {
        match File::open("text")? {
            file if file.as_raw_fd() < 50 => lower.push(file),
            file => break file,
        }
    };
    // As open as a descriptor can be: a new program would inherit it.
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let (answer, end) = one_way_pipe()?;
    let argument = (file.as_raw_fd(), end);
    let child = Process::new(child, argument).start_method(method).start()?;
    let expected = (method == StartMethod::Fork).then(|| "some text".to_string());
    assert_eq!(answer.recv()?, expected);
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn fork_beside_threads(method: StartMethod) -> Outcome {
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| -> Outcome {
        scope.spawn(move || stopped.recv());
        let refused = Process::new(nothing, ()).start_method(method).start();
        assert!(matches!(refused, Err(StartError::Threads { .. })), "{refused:?}");
        let child = Process::new(nothing, ()).start_method(method).even_with_threads().start()?;
        assert_eq!(child.join()?, Exit::Code(0));
        drop(stop);
        Ok(())
    })
}
