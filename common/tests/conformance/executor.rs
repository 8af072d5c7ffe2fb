//! Executors of worker processes: calls, death, the end.

use crate::pool::{Counted, Unencodable, begun, leave_descriptors, remember, square};
use crate::trial::{LONG, Outcome, Trial, each, once, under};
use common::executor::{ExecutorBuilder, Future, ProcessPoolExecutor, ResultTimeoutError};
use common::pool::{PoolError, TaskError};
use common::process::{self, Finalizer};
use common::sync::{Event, Semaphore};
use common::{AtomicValue, Connection, Exit, Process, Queue, Signal, StartMethod, pipe};
use nix::sys::resource::{Resource, setrlimit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashSet;
use std::process::{abort, exit, id};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c311_submit_gives_a_future_of_the_result", submit),
        each("c312_an_argument_holds_what_python_passes_by_name", arguments),
        each("c313_map_is_map_in_chunks_too", map),
        each("c314_an_error_stands_in_its_place", map_error),
        each("c315_a_timeout_of_the_task_is_its_own_error", own_timeout),
        each("c316_a_maps_limit_ends_its_results", map_limit),
        each("c317_a_map_can_be_left_early", left_early),
        once("c319_a_buffer_of_nothing_is_refused", no_buffer),
        each("c320_a_map_with_any_buffer_is_complete", buffers),
        each("c322_an_endless_input_is_read_as_needed", endless),
        each("c324_an_empty_input_ends_at_once", empty),
        each("c326_no_more_is_read_than_the_buffer_holds", full_buffer),
        each("c327_a_shutdown_right_after_a_map_ends", shutdown_race),
        each("c328_what_a_call_took_is_released", argument_released),
        once("c329_an_executor_of_nobody_is_refused", nobody),
        each("c330_results_are_not_kept_by_their_iterator", results_released),
        each("c333_any_chunk_size_but_0", chunk_sizes),
        each("c334_an_error_brings_its_place_in_the_worker", place),
        each("c335_an_argument_is_released_in_the_worker", released_in_worker),
        one_process(StartMethod::Spawn),
        one_process(StartMethod::ForkServer),
        each("c339_a_worker_is_replaced_after_so_many_calls", max_tasks),
        each("c342_also_while_the_executor_shuts_down", max_tasks_at_the_end),
        each("c343_without_a_thread_whoever_waits_calls_back", no_thread),
        each("c344_a_killed_worker_breaks_the_executor", killed),
        each("c346_the_error_names_the_exit_code", exit_code),
        each("c347_a_worker_at_its_limit_is_replaced_after_close", replaced_after_close),
        each("c348_dropping_waits_for_what_is_left", dropped_at_the_limit),
        each("c349_no_worker_is_replaced_in_a_forced_end", forced_at_the_limit),
        each("c350_a_replacement_that_cannot_start_fails_what_is_left", no_replacement),
        each("c351_all_workers_can_be_terminated", terminate_workers),
        each("c352_all_workers_can_be_killed", kill_workers),
        each("c354_a_forced_end_stops_a_call_at_work", forced_end),
        each("c355_it_is_no_error_on_a_broken_executor", forced_when_broken),
        each("c356_nor_before_the_first_call", forced_before_the_first),
        each("c358_the_initializer_runs_before_the_first_call", initializer),
        each("c359_one_that_fails_breaks_the_executor", failing_initializer),
        each("c360_an_argument_without_encoding_is_refused", bad_argument),
        each("c361_a_worker_that_exits_while_it_decodes", |method| trap(method, Trap::Decode, 1)),
        each("c362_a_task_that_cannot_be_decoded_fails_alone", undecodable_task),
        each("c363_a_crash_while_decoding_a_task", |method| trap(method, Trap::Decode, ABORT)),
        each("c364_a_crash_in_the_function", |method| trap(method, Trap::Call, ABORT)),
        each("c365_an_exit_in_the_function", |method| trap(method, Trap::Call, 3)),
        each("c366_an_error_in_the_function_is_the_futures", function_error),
        each("c367_a_crash_while_encoding_the_result", |method| trap(method, Trap::Encode, ABORT)),
        each("c368_an_exit_while_encoding_the_result", |method| trap(method, Trap::Encode, 4)),
        each("c369_a_result_without_encoding_fails_alone", bad_result),
        each("c370_a_result_that_cannot_be_decoded_fails_alone", undecodable_result),
        each("c372_a_shutdown_while_a_task_crashes_ends", shutdown_crash),
        each("c373_nor_does_one_hang_that_cannot_be_encoded", shutdown_unencodable),
        each("c374_much_data_on_its_way_to_a_worker_that_crashes", crash_with_data),
        each("c376_no_submit_after_the_shutdown", after_shutdown),
        each("c377_a_program_that_ends_has_its_call_done", program_ends),
        each("c378_no_submit_from_a_late_exit_hook", late_hook),
        each("c379_fifty_calls_are_done_after_the_shutdown", fifty),
        each("c380_what_has_not_begun_can_be_cancelled", cancel_pending),
        each("c381_a_call_at_work_does_not_hang_the_exit", exit_without_waiting),
        each("c382_a_call_cancelled_just_before_the_shutdown", cancelled_before),
        each("c383_workers_can_be_joined", joined),
        each("c384_a_scope_joins_its_workers", scope),
        each("c386_closing_ends_as_cleanly", closed),
        each("c387_closing_with_a_limit_gives_all_results", |method| close_with_limit(method, 2)),
        each("c388_the_same_with_more_workers", |method| close_with_limit(method, 4)),
    ]
    .concat()
}

fn one_process(method: StartMethod) -> Vec<Trial> {
    let reuse = under(method, "c337_calls_one_after_another_take_one_process", reuse_one);
    [reuse, under(method, "c338_calls_that_overlap_take_no_more", reuse_more)].concat()
}

fn builder(method: StartMethod, workers: usize) -> ExecutorBuilder {
    ProcessPoolExecutor::builder().start_method(method).max_workers(workers)
}

fn executor(method: StartMethod, workers: usize) -> Result<ProcessPoolExecutor, PoolError> {
    builder(method, workers).build()
}

fn slow((x, milliseconds): (i64, u64)) -> i64 {
    sleep(Duration::from_millis(milliseconds));
    x
}

fn is_broken(error: &TaskError) -> bool {
    matches!(error, TaskError::BrokenExecutor { .. })
}

fn submit(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    assert_eq!(executor.submit(|(x, y): (u64, u32)| x.pow(y), (2, 8))?.result()?, 256);
    Ok(())
}

fn arguments(method: StartMethod) -> Outcome {
    #[derive(Serialize, Deserialize)]
    struct Named {
        this: i64,
        function: String,
    }
    let executor = executor(method, 1)?;
    let named = Named { this: 1, function: "f".to_string() };
    let future = executor.submit(|named: Named| (named.function, named.this), named)?;
    assert_eq!(future.result()?, ("f".to_string(), 1));
    Ok(())
}

fn map(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let expected: Vec<i64> = (0..10).map(square).collect();
    assert_eq!(executor.map(square, 0..10)?.collect::<Result<Vec<_>, _>>()?, expected);
    let chunked = executor.chunk_size(3).map(square, 0..10)?;
    assert_eq!(chunked.collect::<Result<Vec<_>, _>>()?, expected);
    Ok(())
}

fn divide((x, y): (i64, i64)) -> i64 {
    x / y
}

fn map_error(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    for chunk in [1, 3] {
        let pairs = [(10, 1), (10, 2), (10, 0), (10, 5)];
        let mut results = executor.chunk_size(chunk).map(divide, pairs)?;
        assert_eq!((results.next(), results.next()).0.transpose()?, Some(10));
        let error = results.next();
        assert!(
            matches!(&error, Some(Err(TaskError::Panicked { message, .. })) if message.contains("zero")),
            "{error:?}"
        );
        assert_eq!(results.next().transpose()?, Some(2));
        assert!(results.next().is_none());
    }
    Ok(())
}

fn own_timeout(method: StartMethod) -> Outcome {
    let task = |x: i64| if x == 1 { Err("timed out".to_string()) } else { Ok(x) };
    let executor = executor(method, 2)?;
    let results = executor.timeout(LONG).map(task, 0..3)?.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(results, [Ok(0), Err("timed out".to_string()), Ok(2)]);
    Ok(())
}

fn map_limit(method: StartMethod) -> Outcome {
    let executor = executor(method, 3)?;
    let tasks = [(0, 0), (1, 0), (2, 3_600_000)];
    let results = executor.timeout(Duration::from_secs(1)).map(slow, tasks)?;
    let results: Vec<_> = results.collect();
    assert!(results.len() <= 3, "{results:?}");
    assert!(matches!(results.last(), Some(Err(TaskError::TimedOut))), "{results:?}");
    executor.kill_workers();
    Ok(())
}

fn left_early(method: StartMethod) -> Outcome {
    let counter = AtomicValue::new(0u32)?;
    let executor = builder(method, 1).initializer(remember, counter.clone()).build()?;
    for chunk in [1, 3] {
        counter.set(0);
        let mut results = executor.chunk_size(chunk).map(begun, [100; 30])?;
        assert_eq!(results.next().transpose()?, Some(100));
        drop(results);
        // Whoever comes later does not wait for the rest.
        assert_eq!(executor.submit(begun, 0)?.result()?, 0);
        assert!(counter.get() < 30, "{}", counter.get());
    }
    Ok(())
}

fn no_buffer() -> Outcome {
    let executor = executor(StartMethod::Spawn, 1)?;
    assert!(matches!(executor.buffer(0).map(square, [1]), Err(PoolError::Zero(_))));
    Ok(())
}

fn buffers(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    for buffer in [1, 2, 4, 8] {
        let texts = executor.buffer(buffer).map(|x: i64| x.to_string(), 0..4)?;
        assert_eq!(texts.collect::<Result<Vec<_>, _>>()?, ["0", "1", "2", "3"]);
    }
    Ok(())
}

fn endless(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let results = executor.buffer(2).map(|x: i64| x, 0..)?;
    assert_eq!(results.take(3).collect::<Result<Vec<_>, _>>()?, [0, 1, 2]);
    Ok(())
}

fn empty(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    assert!(executor.buffer(2).map(square, [])?.next().is_none());
    assert!(executor.map(square, [])?.next().is_none());
    Ok(())
}

fn full_buffer(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let mut inputs = 0..10;
    let results = executor.buffer(2).map(square, inputs.by_ref())?;
    drop(results);
    assert_eq!(inputs.next(), Some(2));
    Ok(())
}

fn shutdown_race(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let results = executor.map(slow, [(1, 1); 3])?;
    executor.shutdown();
    assert_eq!(results.collect::<Result<Vec<_>, _>>()?, [1, 1, 1]);
    Ok(())
}

fn argument_released(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    drop(executor.submit(|counted: Counted| drop(counted), Counted::new(1))?);
    assert_eq!(Counted::count(), 0);
    Ok(())
}

fn nobody() -> Outcome {
    assert!(matches!(ProcessPoolExecutor::new(0), Err(PoolError::NoWorkers)));
    Ok(())
}

fn results_released(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    for (taken, result) in executor.map(Counted::new, 0..5)?.enumerate() {
        drop(result?);
        // Those that came meanwhile and were not taken are there, and no other.
        assert!(Counted::count() <= 4 - taken as i32, "{taken}: {}", Counted::count());
    }
    Ok(())
}

fn chunk_sizes(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    for chunk in [6, 50, 40] {
        let results = executor.chunk_size(chunk).map(square, 0..40)?;
        let expected: Vec<i64> = (0..40).map(square).collect();
        assert_eq!(results.collect::<Result<Vec<_>, _>>()?, expected);
    }
    assert!(matches!(executor.chunk_size(0).map(square, 0..40), Err(PoolError::Zero(_))));
    Ok(())
}

fn place(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    let future = executor.submit(|x: i64| -> i64 { panic!("bad {x}") }, 123)?;
    match future.result() {
        Err(TaskError::Panicked { message, place }) => {
            assert_eq!(message, "bad 123");
            assert!(place.contains("conformance/executor.rs:"), "{place}");
            Ok(())
        }
        other => Err(format!("{other:?}").into()),
    }
}

fn released_in_worker(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    executor.submit(|_: Counted| (), Counted::new(1))?.result()?;
    assert_eq!(executor.submit(|()| Counted::count(), ())?.result()?, 0);
    Ok(())
}

fn reuse_one(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    let pids: Result<HashSet<u32>, libtest_mimic::Failed> =
        (0..3).map(|_| Ok(executor.submit(|()| id(), ())?.result()?)).collect();
    assert_eq!(pids?.len(), 1);
    Ok(())
}

fn reuse_more(method: StartMethod) -> Outcome {
    let executor = executor(method, 3)?;
    let mut pids = HashSet::new();
    for overlap in [1, 2, 3] {
        let futures: Vec<_> =
            (0..overlap).map(|_| executor.submit(|()| id(), ())).collect::<Result<_, _>>()?;
        for future in futures {
            pids.insert(future.result()?);
        }
    }
    assert!(pids.len() <= 3 && executor.pids().len() == 3, "{pids:?}");
    Ok(())
}

fn max_tasks(method: StartMethod) -> Outcome {
    let executor = builder(method, 1).max_tasks_per_child(3).build()?;
    let mut pids = Vec::new();
    for _ in 0..4 {
        pids.push(executor.submit(|()| id(), ())?.result()?);
    }
    assert!(pids[0] == pids[1] && pids[1] == pids[2] && pids[2] != pids[3], "{pids:?}");
    // It may have answered before it was noted.
    let deadline = Instant::now() + LONG;
    while executor.pids() != [pids[3]] {
        assert!(Instant::now() < deadline, "{:?}", executor.pids());
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn max_tasks_at_the_end(method: StartMethod) -> Outcome {
    let executor = builder(method, 3).max_tasks_per_child(1).build()?;
    let futures: Vec<_> =
        (0..6).map(|x| executor.submit(slow, (x, 50))).collect::<Result<_, _>>()?;
    executor.shutdown();
    for (x, future) in (0..6).zip(futures) {
        assert_eq!(future.result()?, x);
    }
    Ok(())
}

/// Leaves this process no room for the stack of another thread.
fn forbid_threads() {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("a size");
    let kib: u64 = kib.trim().trim_end_matches(" kB").parse().expect("a number");
    let limit = (kib + 1024) << 10;
    setrlimit(Resource::RLIMIT_AS, limit, limit).expect("a limit may be lowered");
    assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "there is room");
}

fn no_thread(method: StartMethod) -> Outcome {
    fn program(method: StartMethod) {
        let executor = executor(method, 1).expect("an executor");
        executor.submit(square, 1).expect("a future").result().expect("1");
        forbid_threads();
        let (sender, receiver) = std::sync::mpsc::channel();
        for x in 0..10 {
            let sender = sender.clone();
            let future = executor.submit(square, x).expect("a future");
            let _ = future.done_callback(move |result| {
                sender.send(result.as_ref().ok().copied()).expect("the trial receives");
            });
        }
        executor.shutdown();
        let squares: Vec<_> = receiver.try_iter().flatten().collect();
        assert_eq!(squares, (0..10).map(square).collect::<Vec<_>>());
    }
    let child = Process::new(program, method).start_method(StartMethod::Spawn).start()?;
    assert_eq!(child.join_timeout(LONG)?, Some(Exit::Code(0)));
    Ok(())
}

fn kill(pid: u32) -> Outcome {
    Ok(nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid.cast_signed()),
        nix::sys::signal::Signal::SIGKILL,
    )?)
}

fn killed(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let futures: Vec<_> =
        (0..4).map(|x| executor.submit(slow, (x, 3_600_000))).collect::<Result<_, _>>()?;
    // One that has not come as far as to take calls would end as a failing initializer does.
    while !futures[1].is_running() {
        sleep(Duration::from_millis(1));
    }
    let victim = executor.pids()[0];
    kill(victim)?;
    for future in futures {
        match future.result() {
            Err(TaskError::BrokenExecutor { worker, pid, exit: how }) => {
                assert_eq!((pid, how), (victim, Exit::Signal(Signal::KILL)));
                assert!(worker.starts_with("ExecutorWorker-"), "{worker}");
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    let refused = executor.submit(square, 1);
    assert!(matches!(&refused, Err(PoolError::Broken(error)) if is_broken(error)), "{refused:?}");
    Ok(())
}

fn exit_code(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    let error = executor.submit(|()| -> () { exit(99) }, ())?.result().unwrap_err();
    assert!(is_broken(&error) && error.to_string().contains("99"), "{error}");
    Ok(())
}

fn replaced_after_close(method: StartMethod) -> Outcome {
    let executor = builder(method, 1).max_tasks_per_child(1).build()?;
    let futures = [1, 2].map(|x| executor.submit(slow, (x, 50)));
    executor.close();
    for (x, future) in [1, 2].into_iter().zip(futures) {
        assert_eq!(future?.result()?, x);
    }
    Ok(())
}

fn dropped_at_the_limit(method: StartMethod) -> Outcome {
    let executor = builder(method, 1).max_tasks_per_child(1).build()?;
    let futures = [1, 2, 3].map(|x| executor.submit(slow, (x, 50)));
    drop(executor);
    for (x, future) in [1, 2, 3].into_iter().zip(futures) {
        let future = future?;
        assert!(future.is_done());
        assert_eq!(future.result()?, x);
    }
    Ok(())
}

fn forced_at_the_limit(method: StartMethod) -> Outcome {
    let executor = builder(method, 1).max_tasks_per_child(1).build()?;
    let futures: Vec<_> =
        (0..20).map(|x| executor.submit(slow, (x, 20))).collect::<Result<_, _>>()?;
    executor.kill_workers();
    assert!(executor.pids().is_empty());
    let ended = |future: Future<i64>| matches!(future.result(), Err(TaskError::Terminated));
    assert!(futures.into_iter().map(ended).filter(|&ended| ended).count() >= 1);
    Ok(())
}

fn no_replacement(method: StartMethod) -> Outcome {
    let executor = builder(method, 1).max_tasks_per_child(1).build()?;
    let first = executor.submit(slow, (1, 300))?;
    let second = executor.submit(slow, (2, 0))?;
    let before = leave_descriptors(0)?;
    let outcomes = (first.result(), second.result());
    setrlimit(Resource::RLIMIT_NOFILE, before.0, before.1)?;
    assert!(matches!(outcomes.0, Ok(1)), "{outcomes:?}");
    let error = outcomes.1.unwrap_err();
    assert!(error.to_string().contains("no other can be started"), "{error}");
    Ok(())
}

fn terminate_workers(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let future = executor.submit(slow, (1, 3_600_000))?;
    executor.terminate_workers();
    assert!(executor.pids().is_empty());
    assert!(matches!(future.result(), Err(TaskError::Terminated)));
    Ok(())
}

fn kill_workers(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let future = executor.submit(slow, (1, 3_600_000))?;
    executor.kill_workers();
    assert!(executor.pids().is_empty());
    assert!(matches!(future.result(), Err(TaskError::Terminated)));
    Ok(())
}

fn forced_end(method: StartMethod) -> Outcome {
    static QUEUE: std::sync::OnceLock<Queue<u32>> = std::sync::OnceLock::new();
    fn keep(queue: Queue<u32>) {
        assert!(QUEUE.set(queue).is_ok(), "a worker begins once");
    }
    fn put_twice(pause: u64) {
        let queue = QUEUE.get().expect("the initializer has run");
        queue.put(1).expect("there is room");
        sleep(Duration::from_millis(pause));
        queue.put(2).expect("there is room");
    }
    for kills in [false, true] {
        let queue = Queue::new()?;
        let executor = builder(method, 1).initializer(keep, queue.clone()).build()?;
        let future = executor.submit(put_twice, 3_600_000)?;
        assert_eq!(queue.get_timeout(LONG)?, 1);
        if kills {
            executor.kill_workers();
        } else {
            executor.terminate_workers();
        }
        assert!(queue.is_empty() && future.result().is_err());
    }
    Ok(())
}

fn forced_when_broken(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    assert!(executor.submit(|()| -> () { abort() }, ())?.result().is_err());
    executor.terminate_workers();
    executor.kill_workers();
    Ok(())
}

fn forced_before_the_first(method: StartMethod) -> Outcome {
    executor(method, 2)?.terminate_workers();
    executor(method, 2)?.kill_workers();
    Ok(())
}

fn initializer(method: StartMethod) -> Outcome {
    let counter = AtomicValue::new(0u32)?;
    let executor = builder(method, 2).initializer(remember, counter.clone()).build()?;
    for _ in 0..10 {
        executor.submit(begun, 0)?.result()?;
    }
    assert_eq!(counter.get(), 10);
    Ok(())
}

fn failing_initializer(method: StartMethod) -> Outcome {
    // What it prints is not this trial's.
    let fails = |text: String| -> Result<(), String> { Err(text) };
    let executor = builder(method, 2).initializer(fails, "it fails".to_string()).build()?;
    let error = match executor.submit(square, 1) {
        Ok(future) => future.result().unwrap_err(),
        Err(PoolError::Broken(error)) => error,
        Err(other) => return Err(other.into()),
    };
    assert!(matches!(error, TaskError::WorkersEnd { .. }), "{error}");
    assert!(matches!(executor.submit(square, 1), Err(PoolError::Broken(_))));
    Ok(())
}

fn bad_argument(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    let refused = executor.submit(|_: Unencodable| (), Unencodable);
    let Err(error @ PoolError::Input { .. }) = refused else { return Err("no error".into()) };
    assert!(error.to_string().contains("it will not be encoded"), "{error}");
    assert_eq!(executor.submit(square, 2)?.result()?, 4);
    Ok(())
}

/// What aborts, among the exit codes.
const ABORT: i32 = -1;

/// Where a value ends its process.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Trap {
    Encode,
    Decode,
    Call,
    Nowhere,
}

/// A value that ends its process, by this code, where it is told to; in the executor's own it does not.
struct Trapped(Trap, i32, u32);

impl Trapped {
    fn spring(&self, here: Trap) {
        if self.0 == here && self.2 != id() {
            if self.1 == ABORT { abort() } else { exit(self.1) }
        }
    }
}

impl Serialize for Trapped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.spring(Trap::Encode);
        (self.0, self.1, self.2).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Trapped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (trap, code, home) = <(Trap, i32, u32)>::deserialize(deserializer)?;
        let trapped = Self(trap, code, home);
        trapped.spring(Trap::Decode);
        Ok(trapped)
    }
}

/// A call that ends its worker breaks the executor, and the error says how the worker ended.
fn trap(method: StartMethod, trap: Trap, code: i32) -> Outcome {
    let executor = executor(method, 2)?;
    let returned = |trapped: Trapped| {
        trapped.spring(Trap::Call);
        trapped
    };
    assert!(executor.submit(returned, Trapped(Trap::Nowhere, 0, id()))?.result().is_ok());
    match executor.submit(returned, Trapped(trap, code, id()))?.result() {
        Err(TaskError::BrokenExecutor { exit, .. }) => {
            let expected =
                if code == ABORT { Exit::Signal(Signal::ABRT) } else { Exit::Code(code) };
            assert_eq!(exit, expected);
        }
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("a value".into()),
    }
    assert!(matches!(executor.submit(square, 1), Err(PoolError::Broken(_))));
    Ok(())
}

/// Encodes as text, and decodes as a number.
#[derive(Debug)]
struct Liar;

impl Serialize for Liar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        "no such value".serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Liar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <(bool, bool)>::deserialize(deserializer).map(|_| Self)
    }
}

fn undecodable_task(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    let error = executor.submit(|_: Liar| (), Liar)?.result().unwrap_err();
    assert!(matches!(error, TaskError::Argument(_)), "{error}");
    assert_eq!(executor.submit(square, 2)?.result()?, 4);
    Ok(())
}

fn undecodable_result(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    let error = executor.submit(|()| Liar, ())?.result().unwrap_err();
    assert!(matches!(error, TaskError::Result(_)), "{error}");
    assert_eq!(executor.submit(square, 2)?.result()?, 4);
    Ok(())
}

fn function_error(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    let future = executor.submit(|()| -> () { panic!("an error") }, ())?;
    assert!(matches!(future.result(), Err(TaskError::Panicked { .. })));
    assert_eq!(
        executor.submit(|()| Err::<(), _>("value".to_string()), ())?.result()?.unwrap_err(),
        "value"
    );
    Ok(())
}

fn bad_result(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    let error = executor.submit(|()| Unencodable, ())?.result().unwrap_err();
    assert!(error.to_string().contains("it will not be encoded"), "{error}");
    assert_eq!(executor.submit(square, 2)?.result()?, 4);
    Ok(())
}

fn crash_later(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds));
    abort();
}

fn shutdown_crash(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let future = executor.submit(crash_later, 100)?;
    executor.shutdown();
    assert!(is_broken(&future.result().unwrap_err()));
    Ok(())
}

fn shutdown_unencodable(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    assert!(executor.submit(|_: Unencodable| (), Unencodable).is_err());
    executor.close();
    drop(executor);
    Ok(())
}

fn crash_with_data(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let crash = |data: Vec<u8>| -> usize { if data.is_empty() { abort() } else { data.len() } };
    let mut futures = vec![executor.submit(crash, Vec::new())?];
    for _ in 0..10 {
        match executor.submit(crash, vec![7; 10 << 20]) {
            Ok(future) => futures.push(future),
            Err(PoolError::Broken(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for (place, future) in futures.into_iter().enumerate() {
        match future.result() {
            Ok(len) if place > 0 => assert_eq!(len, 10 << 20),
            Err(error) if is_broken(&error) => {}
            other => return Err(format!("{place}: {other:?}").into()),
        }
    }
    Ok(())
}

fn after_shutdown(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    executor.shutdown();
    assert!(matches!(executor.submit(square, 1), Err(PoolError::NotRunning(_))));
    Ok(())
}

/// Runs a program that is told where to report; what it reports.
fn reported(
    method: StartMethod,
    program: fn((StartMethod, Connection<String, ()>)),
) -> Result<Vec<String>, libtest_mimic::Failed> {
    let (ours, theirs) = pipe::<(), String>()?;
    let child = Process::new(program, (method, theirs)).start_method(method).start()?;
    let exit = child.join_timeout(LONG)?.ok_or("the program hangs")?;
    assert_eq!(exit, Exit::Code(0));
    let mut texts = Vec::new();
    while let Ok(text) = ours.recv() {
        texts.push(text);
    }
    Ok(texts)
}

static REPORT: std::sync::OnceLock<Connection<String, ()>> = std::sync::OnceLock::new();

fn keep_report(report: Connection<String, ()>) {
    assert!(REPORT.set(report).is_ok(), "a worker begins once");
}

fn report_later(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds));
    let report = REPORT.get().expect("the initializer has run");
    report.send(&"apple".to_string()).expect("the trial receives");
}

fn program_ends(method: StartMethod) -> Outcome {
    fn program((method, report): (StartMethod, Connection<String, ()>)) {
        let built = builder(method, 1).initializer(keep_report, report).build();
        let executor = Box::leak(Box::new(built.expect("an executor")));
        drop(executor.submit(report_later, 300).expect("it takes calls"));
    }
    assert_eq!(reported(method, program)?, ["apple"]);
    Ok(())
}

fn late_hook(method: StartMethod) -> Outcome {
    fn program((method, report): (StartMethod, Connection<String, ()>)) {
        let executor: &_ = Box::leak(Box::new(executor(method, 1).expect("an executor")));
        std::mem::forget(Finalizer::at_exit(0, move || {
            let refused = executor
                .submit(square, 1)
                .is_err_and(|error| matches!(error, PoolError::NotRunning(_)));
            report.send(&format!("refused: {refused}")).expect("the trial receives");
        }));
    }
    assert_eq!(reported(method, program)?, ["refused: true"]);
    Ok(())
}

fn fifty(method: StartMethod) -> Outcome {
    let executor = executor(method, 5)?;
    let futures: Vec<_> =
        (0..50).map(|x| executor.submit(slow, (x, 50))).collect::<Result<_, _>>()?;
    executor.shutdown();
    for (x, future) in (0..50).zip(futures) {
        assert_eq!(future.result()?, x);
    }
    Ok(())
}

fn cancel_pending(method: StartMethod) -> Outcome {
    let executor = executor(method, 2)?;
    let futures: Vec<_> =
        (0..50).map(|x| executor.submit(slow, (x, 100))).collect::<Result<_, _>>()?;
    while !futures.iter().any(Future::is_running) {
        sleep(Duration::from_millis(1));
    }
    executor.cancel_pending();
    executor.shutdown();
    let cancelled = futures.iter().filter(|future| future.is_cancelled()).count();
    assert!((21..50).contains(&cancelled), "{cancelled}");
    for future in futures.into_iter().filter(|future| !future.is_cancelled()) {
        future.result()?;
    }
    Ok(())
}

fn exit_without_waiting(method: StartMethod) -> Outcome {
    fn program((method, report): (StartMethod, Connection<String, ()>)) {
        let built = builder(method, 1).initializer(keep_report, report).build();
        let executor = Box::leak(Box::new(built.expect("an executor")));
        drop(executor.submit(report_later, 300).expect("it takes calls"));
        executor.close();
    }
    assert_eq!(reported(method, program)?, ["apple"]);
    Ok(())
}

fn cancelled_before(method: StartMethod) -> Outcome {
    let executor = executor(method, 1)?;
    let first = executor.submit(slow, (1, 200))?;
    let second = executor.submit(slow, (2, 3_600_000))?;
    assert!(second.cancel());
    executor.shutdown();
    assert_eq!(first.result()?, 1);
    assert!(matches!(second.result(), Err(TaskError::Cancelled)));
    Ok(())
}

fn joined(method: StartMethod) -> Outcome {
    static GATE: std::sync::OnceLock<Semaphore> = std::sync::OnceLock::new();
    fn keep(gate: Semaphore) {
        assert!(GATE.set(gate).is_ok(), "a worker begins once");
    }
    let gate = Semaphore::new(0)?;
    let executor = builder(method, 3).initializer(keep, gate.clone()).build()?;
    let wait = |()| GATE.get().expect("the initializer has run").acquire().keep();
    let futures: Vec<_> = (0..3).map(|_| executor.submit(wait, ())).collect::<Result<_, _>>()?;
    let pids = executor.pids();
    assert_eq!(pids.len(), 3);
    (0..3).try_for_each(|_| gate.release())?;
    executor.shutdown();
    assert!(futures.iter().all(Future::is_done));
    assert!(executor.pids().is_empty() && process::active_children().is_empty());
    Ok(())
}

fn scope(method: StartMethod) -> Outcome {
    {
        let executor = executor(method, 5)?;
        let results = executor.map(i64::abs, -5..5)?.collect::<Result<Vec<_>, _>>()?;
        assert_eq!(results, [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]);
    }
    assert!(process::active_children().is_empty());
    Ok(())
}

fn closed(method: StartMethod) -> Outcome {
    let executor = executor(method, 5)?;
    let results = executor.map(i64::abs, -5..5)?;
    executor.close();
    assert_eq!(results.collect::<Result<Vec<_>, _>>()?, [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]);
    // Then the workers leave by themselves.
    let deadline = Instant::now() + LONG;
    while !executor.pids().is_empty() {
        assert!(Instant::now() < deadline, "{:?}", executor.pids());
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn close_with_limit(method: StartMethod, workers: usize) -> Outcome {
    let executor = builder(method, workers).max_tasks_per_child(1).build()?;
    let good = executor.submit(slow, (1, 10))?;
    let bad = executor.submit(|()| -> () { panic!("a failing call") }, ())?;
    executor.close();
    assert_eq!(good.result()?, 1);
    assert!(matches!(bad.result(), Err(TaskError::Panicked { .. })));
    Ok(())
}

/// So that both names of it are used here as a program would.
pub(crate) fn times_out(future: Future<i64>) -> Result<Future<i64>, libtest_mimic::Failed> {
    match future.result_timeout(Duration::ZERO) {
        Err(ResultTimeoutError::TimedOut(future)) => Ok(future),
        other => Err(format!("{other:?}").into()),
    }
}

/// An event to wait for, in the workers of an executor.
pub(crate) fn gated(
    method: StartMethod,
    workers: usize,
) -> Result<(ProcessPoolExecutor, Event), libtest_mimic::Failed> {
    let event = Event::new()?;
    let executor = builder(method, workers).initializer(keep_event, event.clone()).build()?;
    Ok((executor, event))
}

static EVENT: std::sync::OnceLock<Event> = std::sync::OnceLock::new();

fn keep_event(event: Event) {
    assert!(EVENT.set(event).is_ok(), "a worker begins once");
}

/// Waits for the event of [`gated`].
pub(crate) fn wait_for_event(x: i64) -> i64 {
    EVENT.get().expect("the initializer has run").wait();
    x
}
