//! Pools, and the life of their workers.

use crate::trial::{LONG, Outcome, Trial, each, once, under};
use common::executor::ProcessPoolExecutor;
use common::pool::{CallError, MapError, PoolBuilder, PoolError, TaskError};
use common::{AtomicValue, Pool, StartMethod, process};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use std::collections::HashSet;
use std::fs;
use std::process::id;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c182_apply_gives_the_result", apply),
        each("c183_map_gives_the_results_in_order", map),
        each("c184_starmap_spreads_pairs", starmap),
        each("c185_starmap_async_does_so_without_waiting", starmap_async),
        each("c187_callbacks_have_run_once_when_wait_returns", callbacks),
        each("c189_a_map_of_nothing_is_done_at_once", map_of_nothing),
        each("c190_an_input_that_fails_fails_the_map_alone", failing_input),
        each("c191_a_result_is_fetched_later", later),
        each("c192_a_get_with_a_limit_gives_up_and_the_pool_is_terminated", get_with_limit),
        each("c195_all_results_come_in_any_order", unordered),
        each("c197_a_pool_has_as_many_workers_as_are_asked_for", sizes),
        each("c198_terminate_drops_thousands_of_tasks", terminate),
        each("c199_every_kind_of_map_over_nothing", nothing),
        each("c201_an_error_brings_its_place_in_the_worker", place),
        each("c202_an_error_of_the_task_is_the_callers", error),
        each("c204_inputs_and_results_are_released_with_their_map", released),
        each("c205_a_terminated_pool_takes_no_task", terminated),
        each("c206_a_dropped_pool_ends_its_workers", dropped),
        each("c207_error_callback_and_get_have_the_same_error", error_callback),
        each("c208_a_result_without_encoding_fails_alone", unencodable),
        each("c209_a_pool_that_cannot_start_all_leaves_none", not_all),
        each("c210_the_initializer_runs_once_in_each_worker", initializer),
        each("c212_workers_are_replaced_after_so_many_tasks", lifetime),
        each("c213_also_while_the_pool_closes", early_close),
        each("c215_a_pool_in_a_static_does_not_keep_the_program", in_a_static),
        under(StartMethod::Fork, "c228_zygotes_are_made_before_threads", busy_threads),
        each("c230_a_map_whose_limit_is_0_begins_one_task_at_most", no_time),
        once("edge_a_pool_of_no_chunks_and_no_tasks_is_refused", zeros),
    ]
    .concat()
}

pub(crate) fn square(x: i64) -> i64 {
    x * x
}

fn multiply(x: i64, y: i64) -> i64 {
    x * y
}

fn builder(method: StartMethod, workers: usize) -> PoolBuilder {
    Pool::builder().start_method(method).workers(workers)
}

fn apply(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    assert_eq!(pool.apply(square, 5)?, 25);
    assert_eq!(pool.apply(|(x, wait): (i64, u64)| (x * x, wait), (3, 0))?, (9, 0));
    Ok(())
}

fn map(method: StartMethod) -> Outcome {
    let pool = builder(method, 4).build()?;
    let squares = |count| (0..count).map(square).collect::<Vec<_>>();
    assert_eq!(pool.map(square, 0..10)?, squares(10));
    assert_eq!(pool.chunk_size(20)?.map(square, 0..100)?, squares(100));
    assert_eq!(pool.map(square, 0..100_000)?, squares(100_000));
    Ok(())
}

fn starmap(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    let pairs = |count: i64| (0..count).map(move |x| (x, count - x));
    let products = |count| pairs(count).map(|(x, y)| x * y).collect::<Vec<_>>();
    assert_eq!(pool.starmap(multiply, pairs(10))?, products(10));
    assert_eq!(pool.chunk_size(20)?.starmap(multiply, pairs(100))?, products(100));
    Ok(())
}

fn starmap_async(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    let result = pool.starmap_async(multiply, [(2, 3), (4, 5)])?;
    assert_eq!(result.get()?, [6, 20]);
    let result = pool.chunk_size(20)?.starmap_async(multiply, (0..100).map(|x| (x, x)))?;
    assert_eq!(result.get()?.last(), Some(&(99 * 99)));
    Ok(())
}

fn callbacks(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (values, errors) = (Arc::clone(&seen), Arc::clone(&seen));
    let result = pool
        .map_async(square, [1])?
        .callback(move |list| values.lock().unwrap().push(format!("{list:?}")))
        .error_callback(move |_| errors.lock().unwrap().push("error".to_string()));
    result.wait();
    assert_eq!(*seen.lock().unwrap(), ["[1]"]);
    let (values, errors) = (Arc::clone(&seen), Arc::clone(&seen));
    let result = pool
        .map_async(|x: i64| -> i64 { panic!("no {x}") }, [7])?
        .callback(move |list| values.lock().unwrap().push(format!("{list:?}")))
        .error_callback(move |error| errors.lock().unwrap().push(error.to_string()));
    assert!(result.wait_timeout(LONG));
    let seen = seen.lock().unwrap();
    assert!(seen.len() == 2 && seen[1].contains("no 7"), "{seen:?}");
    Ok(())
}

fn map_of_nothing(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    let result = pool.chunk_size(1)?.map_async(square, [])?;
    assert!(result.is_ready());
    assert_eq!(result.get()?, []);
    Ok(())
}

fn failing_input(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    for good in [0, 3] {
        let inputs = || (0..5).map(move |x| if x == good { Err(x) } else { Ok(x) });
        // Inputs that may fail are collected first, or panic in the midst of it.
        assert_eq!(inputs().collect::<Result<Vec<i64>, _>>(), Err(good));
        let mapped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.map(square, inputs().map(|input| input.unwrap_or_else(|x| panic!("expected {x}"))))
        }));
        assert!(mapped.is_err());
        assert_eq!(pool.map(square, 0..3)?, [0, 1, 4]);
    }
    Ok(())
}

/// Answers after a while.
fn slow((x, milliseconds): (i64, u64)) -> i64 {
    sleep(Duration::from_millis(milliseconds));
    x * x
}

fn later(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    let start = Instant::now();
    let result = pool.apply_async(slow, (7, 300))?;
    assert_eq!(result.get()?, 49);
    assert!(start.elapsed() >= Duration::from_millis(300));
    Ok(())
}

fn get_with_limit(method: StartMethod) -> Outcome {
    let pool = builder(method, 1).build()?;
    let result = pool.apply_async(slow, (6, 3_600_000))?;
    let start = Instant::now();
    let error = result.get_timeout(Duration::from_millis(200)).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(200));
    let common::pool::GetTimeoutError::TimedOut(result) = error else { return Err("ended".into()) };
    assert!(!result.is_ready() && result.is_successful().is_none());
    pool.terminate();
    pool.join()?;
    assert!(matches!(result.get(), Err(TaskError::Terminated)));
    Ok(())
}

fn unordered(method: StartMethod) -> Outcome {
    let pool = builder(method, 3).build()?;
    for (count, chunk) in [(10, 1), (1000, 100)] {
        let results = pool.chunk_size(chunk)?.imap_unordered(square, 0..count)?;
        let mut results = results.collect::<Result<Vec<_>, _>>()?;
        results.sort_unstable();
        assert_eq!(results, (0..count).map(square).collect::<Vec<_>>());
    }
    Ok(())
}

fn sizes(method: StartMethod) -> Outcome {
    assert!(matches!(builder(method, 0).build(), Err(PoolError::NoWorkers)));
    let pool = builder(method, 3).build()?;
    assert_eq!((pool.len(), pool.pids().len()), (3, 3));
    Ok(())
}

fn terminate(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    let result = pool.chunk_size(1)?.map_async(slow, (0..10_000).map(|x| (x, 3_600_000)))?;
    pool.terminate();
    pool.join()?;
    let Err(MapError::Tasks(results)) = result.get() else { return Err("no error".into()) };
    assert_eq!(results.len(), 10_000);
    assert!(results.iter().all(|result| matches!(result, Err(TaskError::Terminated))));
    Ok(())
}

fn nothing(method: StartMethod) -> Outcome {
    let pool = builder(method, 1).build()?;
    assert_eq!(pool.map(square, [])?, []);
    assert_eq!(pool.imap(square, [])?.count(), 0);
    assert_eq!(pool.imap_unordered(square, [])?.count(), 0);
    assert_eq!(pool.map_async(square, [])?.get()?, []);
    assert_eq!(pool.starmap(multiply, [])?, []);
    Ok(())
}

fn place(method: StartMethod) -> Outcome {
    let pool = builder(method, 1).build()?;
    let error = pool.apply(|x: i64| -> i64 { panic!("failed with {x}") }, 123).unwrap_err();
    let CallError::Task(TaskError::Panicked { message, place }) = error else {
        return Err(error.to_string().into());
    };
    assert_eq!(message, "failed with 123");
    assert!(place.contains("conformance/pool.rs:"), "{place}");
    Ok(())
}

fn error(method: StartMethod) -> Outcome {
    let pool = builder(method, 1).build()?;
    // An error is a value like any other.
    let result: Result<i64, String> = pool.apply(|x: i64| Err(format!("no {x}")), 1)?;
    assert_eq!(result, Err("no 1".to_string()));
    let result = pool.apply(|_: i64| -> i64 { panic!("an error") }, 1);
    assert!(matches!(result, Err(CallError::Task(TaskError::Panicked { .. }))));
    assert_eq!(pool.apply(square, 2)?, 4);
    Ok(())
}

/// How many of these there are in this process.
static COUNTED: AtomicI32 = AtomicI32::new(0);

#[derive(Debug)]
pub(crate) struct Counted(i64);

impl Counted {
    pub(crate) fn new(value: i64) -> Self {
        COUNTED.fetch_add(1, Ordering::SeqCst);
        Self(value)
    }

    pub(crate) fn count() -> i32 {
        COUNTED.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COUNTED.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::new)
    }
}

fn released(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    let results = pool.map(|counted: Counted| counted, (0..10).map(Counted::new))?;
    assert_eq!((results.len(), Counted::count()), (10, 10));
    drop(results);
    assert_eq!(Counted::count(), 0);
    Ok(())
}

fn terminated(method: StartMethod) -> Outcome {
    let pool = builder(method, 1).build()?;
    pool.terminate();
    pool.join()?;
    let refused = |error: PoolError| matches!(error, PoolError::NotRunning("terminated"));
    assert!(pool.apply_async(square, 1).is_err_and(refused));
    assert!(pool.map_async(square, [1]).is_err_and(refused));
    assert!(pool.imap(square, [1]).is_err_and(refused));
    assert!(matches!(pool.map(square, [1]), Err(MapError::Pool(PoolError::NotRunning(_)))));
    Ok(())
}

fn is_there(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(false)
}

fn dropped(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    let pids = pool.pids();
    assert!(pids.iter().all(|&pid| is_there(pid)));
    drop(pool);
    assert!(!pids.iter().any(|&pid| is_there(pid)));
    Ok(())
}

fn error_callback(method: StartMethod) -> Outcome {
    let pool = builder(method, 1).build()?;
    let seen = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&seen);
    let result = pool
        .apply_async(|_: i64| -> i64 { panic!("the same") }, 1)?
        .error_callback(move |error| *kept.lock().unwrap() = error.to_string());
    let error = result.get().unwrap_err();
    assert_eq!(*seen.lock().unwrap(), error.to_string());
    Ok(())
}

/// What cannot be encoded.
#[derive(Debug)]
pub(crate) struct Unencodable;

impl Serialize for Unencodable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("it will not be encoded"))
    }
}

impl<'de> Deserialize<'de> for Unencodable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

fn unencodable(method: StartMethod) -> Outcome {
    let pool = builder(method, 2).build()?;
    let pids = pool.pids();
    for _ in 0..20 {
        let seen = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&seen);
        let result = pool
            .apply_async(|()| Unencodable, ())?
            .error_callback(move |error| *kept.lock().unwrap() = error.to_string());
        let error = result.get().unwrap_err();
        assert!(matches!(error, TaskError::Result(_)));
        assert!(error.to_string().contains("it will not be encoded"), "{error}");
        assert_eq!(*seen.lock().unwrap(), error.to_string());
    }
    assert_eq!(pool.pids(), pids);
    Ok(())
}

/// Leaves room for so many descriptors more; what there was before is to be given to `setrlimit` again.
pub(crate) fn leave_descriptors(count: usize) -> Result<(u64, u64), libtest_mimic::Failed> {
    let before = getrlimit(Resource::RLIMIT_NOFILE)?;
    let is_free = |number: &u64| !fs::exists(format!("/proc/self/fd/{number}")).unwrap_or(true);
    let last = (0..before.0).filter(is_free).nth(count).unwrap_or(before.0);
    setrlimit(Resource::RLIMIT_NOFILE, last, before.1)?;
    Ok(before)
}

fn not_all(method: StartMethod) -> Outcome {
    // So that a fork server is there already.
    drop(builder(method, 1).build()?);
    let before = leave_descriptors(14)?;
    let refused = builder(method, 50).build();
    setrlimit(Resource::RLIMIT_NOFILE, before.0, before.1)?;
    assert!(matches!(refused, Err(PoolError::Start(_) | PoolError::Io(_))), "{refused:?}");
    assert!(process::active_children().is_empty());
    Ok(())
}

fn initializer(method: StartMethod) -> Outcome {
    let counter = AtomicValue::new(0u32)?;
    fn count(counter: AtomicValue<u32>) {
        counter.fetch_add(1);
    }
    let pool = builder(method, 3).initializer(count, counter.clone()).build()?;
    assert_eq!(pool.map(square, 0..100)?.len(), 100);
    pool.close();
    pool.join()?;
    assert_eq!(counter.get(), 3);
    Ok(())
}

fn lifetime(method: StartMethod) -> Outcome {
    let pool = builder(method, 3).max_tasks_per_child(10).build()?;
    let first: HashSet<u32> = pool.pids().into_iter().collect();
    let results = pool.map(|x: i64| (x * x, id()), 0..100)?;
    let squares: Vec<i64> = results.iter().map(|result| result.0).collect();
    assert_eq!(squares, (0..100).map(square).collect::<Vec<_>>());
    let mut tasks = std::collections::HashMap::<u32, u32>::new();
    results.iter().for_each(|result| *tasks.entry(result.1).or_default() += 1);
    assert!(tasks.values().all(|&count| count <= 10), "{tasks:?}");
    let deadline = Instant::now() + LONG;
    loop {
        let later: HashSet<u32> = pool.pids().into_iter().collect();
        if later.len() == 3 && later != first {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "{first:?}, {later:?}");
        sleep(Duration::from_millis(5));
    }
}

fn early_close(method: StartMethod) -> Outcome {
    let pool = builder(method, 3).max_tasks_per_child(1).build()?;
    let results: Vec<_> =
        (0..6).map(|x| pool.apply_async(slow, (x, 300))).collect::<Result<_, _>>()?;
    pool.close();
    pool.join()?;
    for (x, result) in (0..6).zip(results) {
        assert_eq!(result.get()?, square(x));
    }
    Ok(())
}

fn in_a_static(method: StartMethod) -> Outcome {
    fn program((method, pids): (StartMethod, common::Connection<Vec<u32>, ()>)) {
        static POOL: OnceLock<Pool> = OnceLock::new();
        let pool = POOL.get_or_init(|| builder(method, 2).build().expect("a pool"));
        assert_eq!(pool.map(square, 0..3).expect("the results"), [0, 1, 4]);
        pids.send(&pool.pids()).expect("the trial receives");
    }
    let (ours, theirs) = common::pipe::<(), Vec<u32>>()?;
    let child = common::Process::new(program, (method, theirs)).start_method(method).start()?;
    let pids = ours.recv()?;
    assert!(child.join_timeout(LONG)?.is_some_and(|exit| exit.is_success()));
    assert!(!pids.iter().any(|&pid| is_there(pid)));
    Ok(())
}

fn busy_threads(method: StartMethod) -> Outcome {
    // With other threads a pool is refused under fork; one that is there goes on, and replaces workers.
    let pool = builder(method, 2).max_tasks_per_child(5).build()?;
    thread::scope(|scope| {
        let busy: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| pool.map(square, 0..100).map(|squares| squares.len())))
            .collect();
        for one in busy {
            assert_eq!(one.join().map_err(|_| "a thread has panicked")??, 100);
        }
        let refused = builder(method, 1).build();
        assert!(matches!(refused, Err(PoolError::Start(process::StartError::Threads { .. }))));
        Ok(())
    })
}

fn no_time(method: StartMethod) -> Outcome {
    fn count((counter, _): (u64, u64)) -> u64 {
        begun(counter)
    }
    let counter = AtomicValue::new(0u32)?;
    let executor = ProcessPoolExecutor::builder()
        .max_workers(1)
        .start_method(method)
        .initializer(remember, counter.clone())
        .build()?;
    let mut results = executor.timeout(Duration::ZERO).map(count, (0..10u64).map(|x| (500, x)))?;
    assert!(matches!(results.next(), Some(Err(TaskError::TimedOut))));
    assert!(results.next().is_none());
    drop(results);
    executor.shutdown();
    assert!(counter.get() <= 1, "{}", counter.get());
    Ok(())
}

static BEGUN: OnceLock<AtomicValue<u32>> = OnceLock::new();

pub(crate) fn remember(counter: AtomicValue<u32>) {
    assert!(BEGUN.set(counter).is_ok(), "a worker begins once");
}

/// Counts itself, and waits so many milliseconds.
pub(crate) fn begun(milliseconds: u64) -> u64 {
    BEGUN.get().expect("the initializer has run").fetch_add(1);
    sleep(Duration::from_millis(milliseconds));
    milliseconds
}

fn zeros() -> Outcome {
    let pool = Pool::new(1)?;
    assert!(matches!(pool.chunk_size(0), Err(PoolError::Zero(_))));
    assert!(matches!(Pool::builder().max_tasks_per_child(0).build(), Err(PoolError::Zero(_))));
    Ok(())
}
