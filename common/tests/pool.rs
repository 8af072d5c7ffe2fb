//! What a pool does with tasks, with panics and with workers that are killed.

use common::pool::{CallError, MapError, PoolError, TaskError};
use common::sync::Lock;
use common::{AtomicValue, Connection, Exit, Pool, Process, Queue, Signal, StartMethod};
use libtest_mimic::{Arguments, Failed, Trial};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

type Outcome = Result<(), Failed>;

/// Set for a program that has a thread before `init`.
const WITH_A_THREAD: &str = "POOL_TEST_WITH_A_THREAD";

fn main() {
    let has_a_thread = std::env::var_os(WITH_A_THREAD).is_some();
    if has_a_thread {
        thread::spawn(|| {
            loop {
                thread::park();
            }
        });
    }
    common::init();
    if has_a_thread {
        return replace_twice();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let trials = vec![
        Trial::test("results_stand_in_the_order_of_the_inputs", results_in_order),
        Trial::test("many_and_large_results_come_back", many_and_large),
        Trial::test("two_workers_work_at_the_same_time", two_workers),
        Trial::test("a_panic_is_an_error_with_message_and_place", a_panic),
        Trial::test("a_killed_worker_is_named_and_the_rest_is_done", a_killed_worker),
        Trial::test("a_worker_killed_between_two_maps_costs_no_task", killed_while_idle),
        Trial::test("a_task_that_exits_loses_itself_alone", a_task_that_exits),
        Trial::test("many_kills_lose_only_what_was_at_work", many_kills),
        Trial::test("an_input_that_ends_its_worker_is_lost_and_the_pool_goes_on", workers_that_end),
        Trial::test("a_handle_in_an_input_is_refused", a_handle),
        Trial::test("a_pool_of_nobody_is_refused", pool_of_nobody),
        Trial::test("dropping_a_pool_ends_its_workers", dropping),
        Trial::test("workers_end_with_a_parent_that_is_killed", killed_parent),
        Trial::test("an_endless_input_is_read_no_further_than_results_are_taken", endless),
        Trial::test("workers_get_handles_from_the_initializer", handles),
        Trial::test("an_initializer_that_fails_breaks_the_pool", failing_initializer),
        Trial::test("a_worker_may_have_a_pool_of_its_own", pool_in_a_worker),
        Trial::test("a_task_may_start_processes", processes_in_a_task),
        Trial::test("what_panics_costs_its_own_task_alone", panicking_types),
        Trial::test("threads_share_a_pool_whose_workers_die", shared_by_threads),
        Trial::test("a_pool_goes_on_without_its_fork_server", killed_server),
        Trial::test("a_pool_goes_on_without_its_zygote", killed_zygote),
        Trial::test("a_program_with_threads_before_init_replaces_workers", thread_before_init),
        Trial::test("a_forked_copy_of_a_pool_is_refused", forked_copy),
        Trial::test("however_a_program_ends_its_workers_end", program_ends),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn square(x: u64) -> u64 {
    x * x
}

fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn gone(pids: &[u32]) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while pids.iter().any(|&pid| alive(pid)) {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Waits until it holds.
fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "it never holds");
        thread::sleep(Duration::from_millis(2));
    }
}

fn kill(pid: u32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -9 {pid}");
}

fn results_in_order() -> Outcome {
    let pool = Pool::new(3)?;
    assert_eq!(pool.map(square, 0..1000)?, (0..1000).map(square).collect::<Vec<_>>());
    assert_eq!(pool.map(square, 5..6)?, [25]);
    assert_eq!(pool.map(square, [])?, []);
    // A capture-free closure, other types, the same workers.
    assert_eq!(
        pool.map(|(a, b): (String, u8)| a.repeat(b.into()), [("x".to_string(), 3)])?,
        ["xxx"]
    );
    Ok(())
}

fn many_and_large() -> Outcome {
    let pool = Pool::new(2)?;
    assert_eq!(pool.map(|x: u32| x + 1, 0..50_000)?.len(), 50_000);
    let large = pool.map(|n: usize| vec![n; 200_000], 0..8)?;
    assert!(large.iter().enumerate().all(|(n, list)| list.len() == 200_000 && list[199_999] == n));
    Ok(())
}

fn two_workers() -> Outcome {
    fn slow(_: u32) -> u32 {
        thread::sleep(Duration::from_millis(200));
        std::process::id()
    }
    let pool = Pool::new(2)?;
    let pids: HashSet<u32> = pool.map(slow, 0..6)?.into_iter().collect();
    assert_eq!(pids, pool.pids().into_iter().collect());
    Ok(())
}

fn a_panic() -> Outcome {
    let pool = Pool::new(2)?;
    let pids = pool.pids();
    let error = pool.map(|x: u64| if x == 3 { panic!("three is bad") } else { x }, 0..6);
    let Err(MapError::Tasks(results)) = error else { return Err("no error".into()) };
    for (x, result) in (0..6).zip(results) {
        match result {
            Ok(value) => assert_eq!(value, x),
            Err(TaskError::Panicked { message, place }) => {
                assert_eq!((x, &message[..]), (3, "three is bad"));
                assert!(place.contains("tests/pool.rs:"), "{place}");
            }
            Err(other) => return Err(other.to_string().into()),
        }
    }
    assert_eq!(pool.pids(), pids, "the worker goes on");
    Ok(())
}

/// Says in a file that it has begun, and waits for ever if it is the victim.
fn wait_to_be_killed((folder, task): (String, u32)) -> u32 {
    if task == 2 {
        let path = Path::new(&folder).join("victim");
        let draft = Path::new(&folder).join("draft");
        std::fs::write(&draft, std::process::id().to_string()).expect("the folder is there");
        std::fs::rename(draft, path).expect("the folder is there");
        loop {
            thread::park();
        }
    }
    task * 10
}

fn a_killed_worker() -> Outcome {
    let folder = tempfile::tempdir()?;
    let name = folder.path().to_str().expect("a plain path").to_string();
    let victim = folder.path().join("victim");
    let killer = thread::spawn(move || {
        loop {
            if let Ok(pid) = std::fs::read_to_string(&victim) {
                let pid = pid.parse().expect("a pid");
                kill(pid);
                return pid;
            }
            thread::sleep(Duration::from_millis(2));
        }
    });
    let pool = Pool::new(2)?;
    let result = pool.map(wait_to_be_killed, (0..20).map(|task| (name.clone(), task)));
    let pid_killed = killer.join().expect("the killer ends");
    let Err(MapError::Tasks(results)) = result else { return Err("no error".into()) };
    for (task, result) in results.iter().enumerate() {
        match result {
            Ok(value) => assert_eq!(*value as usize, task * 10),
            Err(error @ TaskError::Lost { worker, pid, exit }) => {
                assert_eq!((task, *pid, *exit), (2, pid_killed, Exit::Signal(Signal::KILL)));
                assert!(worker.starts_with("PoolWorker-"));
                assert!(error.to_string().contains("was killed by SIGKILL"), "{error}");
            }
            Err(other) => return Err(other.to_string().into()),
        }
    }
    let text = common::Error::from(MapError::Tasks(results)).to_string();
    assert!(text.starts_with("1 of 20 tasks failed; task 2: worker \"PoolWorker-"), "{text}");
    // The pool is whole again, or soon will be.
    eventually(|| pool.pids().len() == 2);
    assert_eq!(pool.map(square, 0..10)?.len(), 10);
    Ok(())
}

fn killed_while_idle() -> Outcome {
    let pool = Pool::new(2)?;
    pool.map(square, 0..10)?;
    let pids = pool.pids();
    pids.iter().copied().for_each(kill);
    assert_eq!(pool.map(square, 0..10)?, (0..10).map(square).collect::<Vec<_>>());
    eventually(|| pool.pids().len() == 2 && pool.pids().iter().all(|pid| !pids.contains(pid)));
    Ok(())
}

fn a_task_that_exits() -> Outcome {
    let pool = Pool::new(2)?;
    let result = pool.map(|x: i32| if x == 1 { std::process::exit(7) } else { x }, 0..10);
    let Err(MapError::Tasks(results)) = result else { return Err("no error".into()) };
    let lost: Vec<_> = results.iter().enumerate().filter(|(_, result)| result.is_err()).collect();
    assert!(
        matches!(lost[..], [(1, Err(TaskError::Lost { exit: Exit::Code(7), .. }))]),
        "{lost:?}"
    );
    Ok(())
}

/// Every tenth task kills its own worker; each of the others has its own result, also where workers
/// that had finished were called back to what a dead one left.
fn many_kills() -> Outcome {
    let pool = Pool::new(3)?;
    for _ in 0..10 {
        let result = pool.map(|x: u32| if x % 10 == 9 { std::process::abort() } else { x }, 0..300);
        let Err(MapError::Tasks(results)) = result else { return Err("no error".into()) };
        for (x, result) in (0..300).zip(results) {
            match result {
                Ok(value) => assert_eq!(value, x),
                Err(TaskError::Lost { exit: Exit::Signal(Signal::ABRT), .. }) => {
                    assert_eq!(x % 10, 9);
                }
                Err(other) => return Err(format!("task {x}: {other}").into()),
            }
        }
    }
    Ok(())
}

/// An input whose decoding ends the worker.
struct Deadly;

impl Serialize for Deadly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Deadly {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        std::process::abort()
    }
}

fn workers_that_end() -> Outcome {
    let pool = Pool::new(2)?;
    let result = pool.map(|_: Deadly| 0, (0..5).map(|_| Deadly));
    let Err(MapError::Tasks(results)) = result else { return Err("no error".into()) };
    assert!(results.iter().all(|result| matches!(result, Err(TaskError::Lost { .. }))));
    assert_eq!(pool.map(square, 0..10)?.len(), 10);
    Ok(())
}

fn a_handle() -> Outcome {
    let pool = Pool::new(1)?;
    let event = common::sync::Event::new()?;
    let error = pool.map(|event: common::sync::Event| event.is_set(), [event]).unwrap_err();
    assert!(matches!(error, MapError::Pool(PoolError::Input { index: 0, .. })));
    assert!(error.to_string().contains("a handle cannot go to a pool's worker"), "{error}");
    Ok(())
}

fn pool_of_nobody() -> Outcome {
    assert!(matches!(Pool::new(0), Err(PoolError::NoWorkers)));
    Ok(())
}

fn dropping() -> Outcome {
    let pool = Pool::new(2)?;
    let pids = pool.pids();
    assert!(pids.iter().all(|&pid| alive(pid)));
    drop(pool);
    assert!(pids.iter().all(|&pid| !alive(pid)), "workers are collected before drop returns");
    Ok(())
}

fn for_ever(_: u8) {
    loop {
        thread::park();
    }
}

fn killed_parent() -> Outcome {
    fn parent(answer: Connection<Vec<u32>, ()>) {
        let pool = Pool::builder().workers(2).start_method(StartMethod::Spawn).build();
        let pool = pool.expect("a pool");
        // Then there is a zygote as well, and copies of it.
        replace_all(&pool);
        let children = children(std::process::id());
        assert!(pool.pids().iter().all(|pid| children.contains(pid)) && children.len() > 2);
        answer.send(&children.into_iter().collect()).expect("the test receives");
        let _ = pool.map(for_ever, 0..2);
    }
    let (ours, theirs) = common::pipe::<(), Vec<u32>>()?;
    let child = Process::new(parent, theirs).start()?;
    let pids = ours.recv()?;
    // Whether they are busy already or still idle, they must go.
    kill(child.pid());
    child.join()?;
    assert!(gone(&pids), "{pids:?} outlive their parent");
    Ok(())
}

fn endless() -> Outcome {
    let pool = Pool::new(2)?;
    let read = Cell::new(0);
    let inputs = || (0u64..).inspect(|_| read.set(read.get() + 1));
    let mut squares = pool.imap(square, inputs())?;
    for x in 0..1000 {
        assert_eq!(squares.next().ok_or("a result")??, square(x));
        assert!(read.get() <= x + 1 + 2 * 8, "{} were read for {x}", read.get());
    }
    drop(squares);
    read.set(0);
    let squares = pool.chunk_size(10)?.imap_unordered(square, inputs())?;
    let taken: Result<HashSet<u64>, _> = squares.take(1000).collect();
    assert!(taken?.len() == 1000 && read.get() <= 1000 + 2 * 8 * 10, "{} were read", read.get());
    // The first results come while the input is not read to its end.
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut doubled = pool.imap(|x: u64| 2 * x, receiver.into_iter().take(17))?;
    (0..16).try_for_each(|x| sender.send(x))?;
    assert_eq!(doubled.next().ok_or("a result")??, 0);
    sender.send(16)?;
    for x in 1..17 {
        assert_eq!(doubled.next().ok_or("a result")??, 2 * x);
    }
    assert!(doubled.next().is_none());
    Ok(())
}

type Tools = (Lock, AtomicValue<u32>, Queue<u32>, Connection<(), String>);

static TOOLS: OnceLock<Tools> = OnceLock::new();

fn remember(tools: Tools) {
    tools.3.recv().expect("one message for each worker");
    assert!(TOOLS.set(tools).is_ok(), "a worker begins once");
}

fn count_under_the_lock(number: u32) {
    let (lock, counter, queue, _) = TOOLS.get().expect("the initializer has run");
    let _guard = lock.acquire();
    let before = counter.get();
    thread::yield_now();
    counter.set(before + 1);
    queue.put(number).expect("room");
}

fn handles() -> Outcome {
    let (lock, counter, queue) = (Lock::new()?, AtomicValue::new(0)?, Queue::new()?);
    let (ours, theirs) = common::pipe::<String, ()>()?;
    for worker in 0..3 {
        ours.send(&format!("worker {worker}"))?;
    }
    let tools = (lock, counter.clone(), queue.clone(), theirs);
    let pool = Pool::builder().workers(3).initializer(remember, tools).build()?;
    pool.map(count_under_the_lock, 0..500)?;
    assert_eq!(counter.get(), 500);
    let numbers: Result<HashSet<_>, _> = (0..500).map(|_| queue.get()).collect();
    assert_eq!(numbers?, (0..500).collect());
    Ok(())
}

fn failing_initializer() -> Outcome {
    let pool = Pool::builder()
        .workers(2)
        .initializer(|_: u8| -> Result<(), String> { Err("no".into()) }, 1);
    let pool = pool.build()?;
    match pool.apply(square, 1) {
        Err(CallError::Task(TaskError::WorkersEnd { exit: Exit::Code(1), .. })) => {}
        Err(CallError::Pool(PoolError::Broken(TaskError::WorkersEnd { .. }))) => {}
        other => return Err(format!("{other:?}").into()),
    }
    eventually(|| matches!(pool.apply(square, 1), Err(CallError::Pool(PoolError::Broken(_)))));
    eventually(|| pool.pids().is_empty());
    Ok(())
}

/// The sum of squares, by a pool of its own, and who its workers were.
fn sum_in_a_pool(numbers: u64) -> (u64, Vec<u32>) {
    let pool = Pool::new(2).expect("a pool");
    let sum = pool.map(square, 0..numbers).expect("the squares").into_iter().sum();
    (sum, pool.pids())
}

fn pool_in_a_worker() -> Outcome {
    let pool = Pool::new(2)?;
    for (sum, pids) in pool.map(sum_in_a_pool, [100; 4])? {
        assert_eq!(sum, 328_350);
        assert!(gone(&pids), "{pids:?} outlive their pool");
    }
    Ok(())
}

/// Starts processes, of which one waits for ever, and says which.
fn start_processes(pids: &Connection<u32, ()>) {
    let done = Process::new(|x: u64| assert_eq!(square(x), 9), 3).start().expect("a process");
    assert!(done.join().expect("its end").is_success());
    let lasting = Process::new(for_ever, 0).daemon().start().expect("a process");
    pids.send(&lasting.pid()).expect("the test receives");
}

static PIDS: OnceLock<Connection<u32, ()>> = OnceLock::new();

fn processes_in_a_task() -> Outcome {
    let (ours, theirs) = common::pipe::<(), u32>()?;
    let keep = |pids: Connection<u32, ()>| assert!(PIDS.set(pids).is_ok());
    let pool = Pool::builder().workers(1).initializer(keep, theirs).build()?;
    pool.apply(|()| start_processes(PIDS.get().expect("the initializer has run")), ())?;
    let pid = ours.recv()?;
    assert!(alive(pid), "it was started by a worker that lives");
    drop(pool);
    assert!(gone(&[pid]), "a daemon outlives its worker");
    Ok(())
}

/// Where a value panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Panics {
    Encoding,
    Decoding,
    Dropping,
    Never,
}

/// A value that panics, in another process than the one that made it or in any.
struct Touchy {
    when: Panics,
    home: u32,
}

impl Touchy {
    fn new(when: Panics) -> Self {
        Self { when, home: std::process::id() }
    }

    fn panic(&self, when: Panics) {
        assert!(self.when != when || self.home == std::process::id(), "{when:?}");
    }
}

impl Serialize for Touchy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.panic(Panics::Encoding);
        (self.when, self.home).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (when, home) = Deserialize::deserialize(deserializer)?;
        let touchy = Self { when, home };
        if when == Panics::Decoding && home != std::process::id() {
            std::mem::forget(touchy);
            panic!("Decoding");
        }
        Ok(touchy)
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        self.panic(Panics::Dropping);
    }
}

fn panicking_types() -> Outcome {
    let pool = Pool::new(1)?;
    let pids = pool.pids();
    let panicked = |result: Result<u32, CallError>| match result {
        Err(CallError::Task(TaskError::Panicked { message, .. })) => message,
        other => format!("{other:?}"),
    };
    // As an argument: it is decoded, used and dropped in the worker.
    let used = |touchy: Touchy| touchy.home;
    assert_eq!(panicked(pool.apply(used, Touchy::new(Panics::Decoding))), "Decoding");
    assert_eq!(panicked(pool.apply(used, Touchy::new(Panics::Dropping))), "Dropping");
    assert_eq!(pool.apply(used, Touchy::new(Panics::Never))?, std::process::id());
    // As a result: one that came from here is encoded there; one that was made there is decoded here.
    let returned = |touchy: Touchy| touchy;
    match pool.apply(returned, Touchy::new(Panics::Encoding)) {
        Err(CallError::Task(TaskError::Panicked { message, .. })) => {
            assert_eq!(message, "Encoding");
        }
        other => return Err(format!("{:?}", other.map(drop)).into()),
    }
    match pool.apply(Touchy::new, Panics::Decoding) {
        Err(CallError::Task(TaskError::Result(text))) => {
            assert!(text.contains("panicked"), "{text}");
        }
        other => return Err(format!("{:?}", other.map(drop)).into()),
    }
    // Among others.
    let inputs =
        (0..20).map(|x| Touchy::new(if x % 5 == 3 { Panics::Decoding } else { Panics::Never }));
    let Err(MapError::Tasks(results)) = pool.map(used, inputs) else {
        return Err("no error".into());
    };
    for (x, result) in results.iter().enumerate() {
        let has_panicked =
            matches!(result, Err(TaskError::Panicked { message, .. }) if message == "Decoding");
        assert_eq!(has_panicked, x % 5 == 3, "{x}: {result:?}");
        assert_eq!(result.is_ok(), x % 5 != 3, "{x}: {result:?}");
    }
    assert_eq!(pool.pids(), pids, "the worker goes on");
    Ok(())
}

fn shared_by_threads() -> Outcome {
    let pool = Pool::new(3)?;
    let task = |x: u32| if x % 50 == 49 { std::process::abort() } else { x + 1 };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|first| {
                let pool = &pool;
                scope.spawn(move || -> Result<u32, String> {
                    let mut lost = 0;
                    for x in (first * 250)..(first * 250 + 250) {
                        match pool.apply(task, x) {
                            Ok(value) => assert_eq!(value, x + 1),
                            Err(CallError::Task(TaskError::Lost { .. })) => lost += 1,
                            Err(other) => return Err(other.to_string()),
                        }
                    }
                    Ok(lost)
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().expect("it does not panic")?, 5);
        }
        Ok(())
    })
}

/// The children of a process, whichever of its threads has them.
fn children(pid: u32) -> HashSet<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
        let path = thread.expect("a thread").path().join("children");
        std::fs::read_to_string(path).unwrap_or_default()
    };
    let lists: Vec<String> = threads.map(of_thread).collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.map(|pid| pid.parse().expect("a pid")).collect()
}

fn killed_server() -> Outcome {
    fn program((): ()) {
        let before = children(std::process::id());
        let pool = Pool::builder().workers(2).start_method(StartMethod::ForkServer).build();
        let pool = pool.expect("a pool");
        let workers: HashSet<u32> = pool.pids().into_iter().collect();
        let others: Vec<_> = children(std::process::id()).difference(&before).copied().collect();
        let servers: Vec<_> = others.into_iter().filter(|pid| !workers.contains(pid)).collect();
        assert!(!servers.is_empty(), "the server is a child of the program");
        servers.into_iter().for_each(kill);
        assert_eq!(pool.map(square, 0..100).expect("the squares").len(), 100);
        workers.iter().copied().for_each(kill);
        assert_eq!(pool.map(square, 0..100).expect("the squares").len(), 100);
        eventually(|| {
            pool.pids().len() == 2 && pool.pids().iter().all(|pid| !workers.contains(pid))
        });
    }
    let child = Process::new(program, ()).start_method(StartMethod::Spawn).start()?;
    assert!(child.join()?.is_success(), "see its message");
    Ok(())
}

/// Kills all workers of a pool of two, and waits until two others do its work.
fn replace_all(pool: &Pool) {
    let before = pool.pids();
    before.iter().copied().for_each(kill);
    eventually(|| pool.pids().len() == 2 && pool.pids().iter().all(|pid| !before.contains(pid)));
    assert_eq!(pool.map(square, 0..100).expect("the squares").len(), 100);
}

/// What `ps` calls the children of this process.
fn names_of_children() -> Vec<(String, u32)> {
    let name = |pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let pids = children(std::process::id()).into_iter();
    pids.map(|pid| (name(pid).trim().to_string(), pid)).collect()
}

fn killed_zygote() -> Outcome {
    fn program((): ()) {
        let zygotes = || -> Vec<u32> {
            let names = names_of_children().into_iter();
            names.filter(|(name, _)| name == "zygote").map(|(_, pid)| pid).collect()
        };
        let pool = Pool::builder().workers(2).start_method(StartMethod::Spawn).build();
        let pool = pool.expect("a pool");
        assert_eq!(zygotes(), [], "nobody has had to be replaced");
        replace_all(&pool);
        let first = zygotes();
        assert_eq!(first.len(), 1, "{:?}", names_of_children());
        replace_all(&pool);
        assert_eq!(zygotes(), first, "it makes all that come");
        kill(first[0]);
        replace_all(&pool);
        let second = zygotes();
        assert!(second.len() == 1 && second != first, "{:?}", names_of_children());
        let pids = [pool.pids(), second].concat();
        drop(pool);
        assert!(!pids.iter().any(|&pid| alive(pid)), "dropping a pool ends all");
    }
    let child = Process::new(program, ()).start_method(StartMethod::Spawn).start()?;
    assert!(child.join()?.is_success(), "see its message");
    Ok(())
}

/// A program of which no copy is safe.
fn replace_twice() {
    let pool = Pool::builder().workers(2).start_method(StartMethod::Spawn).build();
    let pool = pool.expect("a pool");
    replace_all(&pool);
    replace_all(&pool);
    let names: HashSet<String> = names_of_children().into_iter().map(|(name, _)| name).collect();
    assert!(!names.contains("zygote"), "it would be a copy of a process with threads: {names:?}");
}

fn thread_before_init() -> Outcome {
    let program = std::env::current_exe()?;
    let status = std::process::Command::new(program).env(WITH_A_THREAD, "1").status()?;
    assert!(status.success(), "see its message");
    Ok(())
}

fn forked_copy() -> Outcome {
    fn program((): ()) {
        static POOL: OnceLock<Pool> = OnceLock::new();
        let pool = POOL.get_or_init(|| Pool::new(2).expect("a pool"));
        let look = |()| {
            let pool = POOL.get().expect("it was copied");
            assert!(matches!(pool.apply(square, 3), Err(CallError::Pool(PoolError::Inherited))));
            assert!(matches!(pool.map(square, 0..3), Err(MapError::Pool(PoolError::Inherited))));
            assert_eq!(Pool::new(1).expect("its own").apply(square, 3).expect("9"), 9);
        };
        let copy = Process::new(look, ()).start_method(StartMethod::Fork).even_with_threads();
        let exit = copy.start().expect("a copy").join().expect("its end");
        assert!(exit.is_success(), "see its message");
        assert_eq!(pool.apply(square, 3).expect("9"), 9);
    }
    let child = Process::new(program, ()).start_method(StartMethod::Spawn).start()?;
    assert!(child.join()?.is_success(), "see its message");
    Ok(())
}

/// How a program ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum End {
    Returns,
    Panics,
    Exits,
}

fn program_ends() -> Outcome {
    fn program((end, pids): (End, Connection<Vec<u32>, ()>)) {
        static POOL: OnceLock<Pool> = OnceLock::new();
        let pool = POOL.get_or_init(|| Pool::new(2).expect("a pool"));
        let local = Pool::new(1).expect("a pool");
        let _waiting = (0..3).map(|x| pool.apply_async(for_ever, x)).collect::<Vec<_>>();
        pids.send(&[pool.pids(), local.pids()].concat()).expect("the test receives");
        match end {
            End::Returns => {}
            End::Panics => panic!("a panic that the test expects"),
            End::Exits => std::process::exit(3),
        }
    }
    for (end, code) in [(End::Returns, 0), (End::Panics, 101), (End::Exits, 3)] {
        let (ours, theirs) = common::pipe::<(), Vec<u32>>()?;
        let child = Process::new(program, (end, theirs)).start()?;
        let pids = ours.recv()?;
        assert_eq!(child.join()?, Exit::Code(code), "{end:?}");
        assert!(pids.len() == 3 && gone(&pids), "{end:?}");
    }
    Ok(())
}
