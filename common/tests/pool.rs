//! What a pool does with tasks, with panics and with workers that are killed.

use common::pool::{MapError, PoolError, TaskError};
use common::{Exit, Pool, Signal};
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

type Outcome = Result<(), Failed>;

fn main() {
    common::init();
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
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Waits until it holds.
fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "it never holds");
        std::thread::sleep(Duration::from_millis(2));
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
        std::thread::sleep(Duration::from_millis(200));
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
            std::thread::park();
        }
    }
    task * 10
}

fn a_killed_worker() -> Outcome {
    let folder = tempfile::tempdir()?;
    let name = folder.path().to_str().expect("a plain path").to_string();
    let victim = folder.path().join("victim");
    let killer = std::thread::spawn(move || {
        loop {
            if let Ok(pid) = std::fs::read_to_string(&victim) {
                let pid = pid.parse().expect("a pid");
                kill(pid);
                return pid;
            }
            std::thread::sleep(Duration::from_millis(2));
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

impl serde::Serialize for Deadly {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> serde::Deserialize<'de> for Deadly {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
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
        std::thread::park();
    }
}

fn killed_parent() -> Outcome {
    fn parent(answer: common::Connection<Vec<u32>, ()>) {
        let pool = Pool::new(2).expect("a pool");
        answer.send(&pool.pids()).expect("the test receives");
        let _ = pool.map(for_ever, 0..2);
    }
    let (ours, theirs) = common::pipe::<(), Vec<u32>>()?;
    let child = common::Process::new(parent, theirs).start()?;
    let pids = ours.recv()?;
    // Whether they are busy already or still idle, they must go.
    kill(child.pid());
    child.join()?;
    assert!(gone(&pids), "{pids:?} outlive their parent");
    Ok(())
}
