//! Futures, and waiting for several of them.

use crate::executor::{gated, times_out, wait_for_event};
use crate::pool::square;
use crate::trial::{LONG, Outcome, Trial, each, once};
use common::StartMethod;
use common::executor::{
    ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, Future, ProcessPoolExecutor, as_completed,
    wait, wait_timeout,
};
use common::pool::{NotYet, TaskError};
use common::sync::Event;
use std::sync::mpsc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c389_a_future_is_given_once_because_it_is_owned", owned),
        each("c390_the_first_that_is_done_ends_the_wait", first),
        each("c391_those_that_were_done_before_end_it_at_once", first_before),
        each("c392_the_first_that_failed_ends_the_wait", first_failed),
        each("c393_results_and_cancellations_do_not", not_by_results),
        each("c394_one_that_had_failed_before_ends_it_at_once", failed_before),
        each("c395_waiting_for_all_however_each_ends", all),
        each("c397_a_hundred_released_together_are_all_seen", hundred),
        each("c398_each_is_given_once_as_it_is_done", completed),
        each("c399_a_limit_gives_those_that_are_done", completed_in_time),
        once("c404_a_callback_sees_the_error", callback_error),
        once("c405_a_callback_runs_at_a_cancellation", callback_cancelled),
        once("c406_a_callback_that_fails_does_not_stop_the_next", callback_panics),
        once("c407_a_callback_that_comes_late_runs", || late_callback(End::Value)),
        once("c408_also_on_a_failed_future", || late_callback(End::Error)),
        once("c409_also_on_a_cancelled_one", || late_callback(End::Cancelled)),
        once("c410_a_late_one_that_fails_harms_nobody", late_panic),
        once("c411_the_debug_text_names_the_state", debug_text),
        once("c412_only_what_waits_can_be_cancelled", cancel),
        once("c413_who_is_cancelled_says_so", cancelled),
        once("c414_done_is_cancelled_or_finished", done),
        once("c415_running_is_running_only", running),
        once("c416_a_limit_of_0_tells_the_states_apart", limit_0),
        once("c417_a_result_from_elsewhere_ends_the_wait", || ended_elsewhere(End::Value)),
        once("c418_so_does_a_cancellation", || ended_elsewhere(End::Cancelled)),
        once("c419_asking_for_the_error_tells_the_states_apart", exception),
        once("c420_an_error_from_elsewhere_ends_the_wait", || ended_elsewhere(End::Error)),
        each("edge_futures_of_two_executors_are_waited_for_together", two_executors),
    ]
    .concat()
}

fn fail(x: i64) -> i64 {
    panic!("bad {x}")
}

/// A future in each state there is, and the executor and event behind them.
struct States {
    finished: Future<i64>,
    failed: Future<i64>,
    running: Future<i64>,
    cancelled: Future<i64>,
    pending: Future<i64>,
    event: Event,
    executor: ProcessPoolExecutor,
}

impl States {
    fn new(method: StartMethod) -> Result<Self, libtest_mimic::Failed> {
        let (executor, event) = gated(method, 1)?;
        let finished = executor.submit(square, 3)?;
        let failed = executor.submit(fail, 7)?;
        let running = executor.submit(wait_for_event, 1)?;
        let cancelled = executor.submit(square, 4)?;
        let pending = executor.submit(square, 5)?;
        while !running.is_running() {
            sleep(Duration::from_millis(1));
        }
        assert!(cancelled.cancel());
        Ok(Self { finished, failed, running, cancelled, pending, event, executor })
    }
}

fn owned(method: StartMethod) -> Outcome {
    let executor = ProcessPoolExecutor::builder().start_method(method).max_workers(1).build()?;
    let waited = wait(vec![executor.submit(square, 2)?], ALL_COMPLETED);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 0));
    Ok(())
}

fn first(method: StartMethod) -> Outcome {
    let (executor, event) = gated(method, 2)?;
    let futures = vec![executor.submit(wait_for_event, 1)?, executor.submit(square, 6)?];
    let mut waited = wait(futures, FIRST_COMPLETED);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    assert_eq!(waited.done.remove(0).result()?, 36);
    event.set();
    Ok(())
}

fn first_before(method: StartMethod) -> Outcome {
    let States { finished, cancelled, running, event, executor, .. } = States::new(method)?;
    assert!(finished.is_done());
    let waited = wait(vec![cancelled, finished, running], FIRST_COMPLETED);
    assert_eq!((waited.done.len(), waited.not_done.len()), (2, 1));
    event.set();
    drop(executor);
    Ok(())
}

fn first_failed(method: StartMethod) -> Outcome {
    let (executor, event) = gated(method, 3)?;
    let futures = vec![
        executor.submit(square, 2)?,
        executor.submit(wait_for_event, 1)?,
        executor.submit(fail, 3)?,
    ];
    let waited = wait(futures, FIRST_EXCEPTION);
    assert!(waited.not_done.len() <= 2 && !waited.done.is_empty());
    assert!(waited.done.iter().any(|future| future.exception().is_some()));
    event.set();
    Ok(())
}

fn not_by_results(method: StartMethod) -> Outcome {
    let States { finished, cancelled, running, event, executor, .. } = States::new(method)?;
    let limit = Duration::from_millis(100);
    let waited = wait_timeout(vec![finished, cancelled, running], FIRST_EXCEPTION, limit);
    assert_eq!((waited.done.len(), waited.not_done.len()), (2, 1));
    event.set();
    let mut futures = waited.not_done;
    futures.push(executor.submit(fail, 1)?);
    assert!(wait(futures, FIRST_EXCEPTION).done.iter().any(|future| future.exception().is_some()));
    Ok(())
}

fn failed_before(method: StartMethod) -> Outcome {
    let States { failed, running, event, executor, .. } = States::new(method)?;
    assert!(failed.is_done());
    let waited = wait(vec![failed, running], FIRST_EXCEPTION);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    event.set();
    drop(executor);
    Ok(())
}

fn all(method: StartMethod) -> Outcome {
    let States { finished, failed, running, cancelled, pending, event, executor } =
        States::new(method)?;
    event.set();
    let waited = wait(vec![finished, failed, running, cancelled, pending], ALL_COMPLETED);
    assert_eq!((waited.done.len(), waited.not_done.len()), (5, 0));
    drop(executor);
    Ok(())
}

fn hundred(method: StartMethod) -> Outcome {
    let (executor, event) = gated(method, 4)?;
    let futures: Vec<_> =
        (0..100).map(|x| executor.submit(wait_for_event, x)).collect::<Result<_, _>>()?;
    thread::scope(|scope| {
        scope.spawn(|| event.set());
        assert_eq!(wait(futures, ALL_COMPLETED).done.len(), 100);
    });
    Ok(())
}

fn completed(method: StartMethod) -> Outcome {
    let States { finished, failed, running, cancelled, pending, event, executor } =
        States::new(method)?;
    event.set();
    let futures = as_completed([finished, failed, running, cancelled, pending]);
    let outcomes: Vec<_> = futures.map(Future::result).collect();
    assert_eq!(outcomes.len(), 5);
    let values: Vec<i64> = outcomes.iter().flatten().copied().collect();
    // One worker: they end in the order in which they were submitted.
    assert_eq!(values, [9, 1, 25]);
    drop(executor);
    Ok(())
}

fn completed_in_time(method: StartMethod) -> Outcome {
    let States { finished, failed, running, cancelled, event, executor, .. } = States::new(method)?;
    assert!(failed.is_done());
    let mut futures = as_completed([finished, failed, cancelled, running]);
    for limit in [0, 0, 100].map(Duration::from_millis) {
        assert!(futures.next_timeout(limit)?.is_some());
    }
    for limit in [0, 100].map(Duration::from_millis) {
        let start = Instant::now();
        assert!(matches!(futures.next_timeout(limit), Err(NotYet)));
        assert!(start.elapsed() >= limit);
    }
    assert_eq!(futures.unfinished(), 1);
    event.set();
    assert!(futures.next_timeout(LONG)?.is_some() && futures.next().is_none());
    drop(executor);
    Ok(())
}

fn executor() -> Result<ProcessPoolExecutor, libtest_mimic::Failed> {
    Ok(ProcessPoolExecutor::new(1)?)
}

/// What a callback was told, for a channel.
fn told(outcome: &Result<i64, TaskError>) -> String {
    outcome.as_ref().map_or_else(ToString::to_string, ToString::to_string)
}

fn callback_error() -> Outcome {
    let executor = executor()?;
    let (say, heard) = mpsc::channel();
    let future = executor.submit(fail, 5)?.done_callback(move |outcome| {
        say.send(told(outcome)).expect("the trial receives");
    });
    assert!(future.result().is_err());
    assert!(heard.recv()?.contains("bad 5"));
    Ok(())
}

fn callback_cancelled() -> Outcome {
    let (executor, event) = gated(StartMethod::Spawn, 1)?;
    let _first = executor.submit(wait_for_event, 1)?;
    let (say, heard) = mpsc::channel();
    let future = executor.submit(square, 5)?.done_callback(move |outcome| {
        say.send(told(outcome)).expect("the trial receives");
    });
    assert!(future.cancel());
    assert!(heard.recv_timeout(LONG)?.contains("cancelled"));
    event.set();
    Ok(())
}

fn callback_panics() -> Outcome {
    let executor = executor()?;
    let (say, heard) = mpsc::channel();
    let future = executor
        .submit(square, 5)?
        .done_callback(|_| panic!("a panic that the trial expects"))
        .done_callback(move |outcome| say.send(told(outcome)).expect("the trial receives"));
    assert_eq!(future.result()?, 25);
    assert_eq!(heard.recv()?, "25");
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Value,
    Error,
    Cancelled,
}

fn late_callback(end: End) -> Outcome {
    let States { finished, failed, cancelled, event, executor, .. } =
        States::new(StartMethod::Spawn)?;
    let (future, expected) = match end {
        End::Value => (finished, "9"),
        End::Error => (failed, "bad 7"),
        End::Cancelled => (cancelled, "cancelled"),
    };
    assert!(future.is_done());
    let (say, heard) = mpsc::channel();
    let future = future.done_callback(move |outcome| {
        say.send(told(outcome)).expect("the trial receives");
    });
    assert!(heard.recv_timeout(LONG)?.contains(expected));
    assert_eq!(future.result().is_ok(), end == End::Value);
    event.set();
    drop(executor);
    Ok(())
}

fn late_panic() -> Outcome {
    let executor = executor()?;
    let future = executor.submit(square, 5)?;
    assert!(future.exception().is_none());
    let future = future.done_callback(|_| panic!("a panic that the trial expects"));
    assert_eq!(future.result()?, 25);
    Ok(())
}

fn debug_text() -> Outcome {
    let States { finished, failed, running, cancelled, pending, event, executor } =
        States::new(StartMethod::Spawn)?;
    assert_eq!(format!("{finished:?}"), "Future(finished)");
    let text = format!("{failed:?}");
    assert!(text.starts_with("Future(failed: ") && text.contains("bad 7"), "{text}");
    assert_eq!(format!("{running:?}"), "Future(running)");
    assert_eq!(format!("{cancelled:?}"), "Future(cancelled)");
    assert_eq!(format!("{pending:?}"), "Future(pending)");
    event.set();
    drop(executor);
    Ok(())
}

fn cancel() -> Outcome {
    let States { finished, failed, running, cancelled, pending, event, executor } =
        States::new(StartMethod::Spawn)?;
    assert!(!finished.cancel() && !failed.cancel() && !running.cancel());
    assert!(cancelled.cancel() && pending.cancel());
    event.set();
    assert_eq!((finished.result()?, running.result()?), (9, 1));
    drop(executor);
    Ok(())
}

fn cancelled() -> Outcome {
    let States { finished, failed, running, cancelled, pending, event, executor } =
        States::new(StartMethod::Spawn)?;
    assert!(cancelled.is_cancelled());
    assert!(![&finished, &failed, &running, &pending].iter().any(|future| future.is_cancelled()));
    event.set();
    drop(executor);
    Ok(())
}

fn done() -> Outcome {
    let States { finished, failed, running, cancelled, pending, event, executor } =
        States::new(StartMethod::Spawn)?;
    assert!([&finished, &failed, &cancelled].iter().all(|future| future.is_done()));
    assert!(!running.is_done() && !pending.is_done());
    event.set();
    drop(executor);
    Ok(())
}

fn running() -> Outcome {
    let States { finished, failed, running, cancelled, pending, event, executor } =
        States::new(StartMethod::Spawn)?;
    assert!(running.is_running());
    let others = [&finished, &failed, &cancelled, &pending];
    assert!(!others.iter().any(|future| future.is_running()));
    event.set();
    drop(executor);
    Ok(())
}

fn limit_0() -> Outcome {
    let States { finished, failed, running, cancelled, pending, event, executor } =
        States::new(StartMethod::Spawn)?;
    let (_running, _pending) = (times_out(running)?, times_out(pending)?);
    assert_eq!(finished.result_timeout(Duration::ZERO)?, 9);
    let error = failed.result_timeout(Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("bad 7"));
    let error = cancelled.result_timeout(Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("cancelled"));
    event.set();
    drop(executor);
    Ok(())
}

fn ended_elsewhere(end: End) -> Outcome {
    let (executor, event) = gated(StartMethod::Spawn, 1)?;
    let first = executor.submit(wait_for_event, 1)?;
    let second = executor.submit(if end == End::Error { fail } else { square }, 2)?;
    // A future is owned by one; another one who may end it is there for the cancellation.
    let (canceller, waiter) = match end {
        End::Cancelled => (Some(&second), &second),
        End::Value | End::Error => (None, &second),
    };
    thread::scope(|scope| {
        let waiting = scope.spawn(move || waiter.exception());
        sleep(Duration::from_millis(50));
        match canceller {
            Some(future) => assert!(future.cancel()),
            None => event.set(),
        }
        let exception = waiting.join().expect("the waiter does not panic");
        match end {
            End::Value => assert!(exception.is_none()),
            End::Error => assert!(matches!(exception, Some(TaskError::Panicked { .. }))),
            End::Cancelled => assert!(matches!(exception, Some(TaskError::Cancelled))),
        }
    });
    event.set();
    assert_eq!(first.result()?, 1);
    Ok(())
}

fn exception() -> Outcome {
    let States { finished, failed, cancelled, event, executor, .. } =
        States::new(StartMethod::Spawn)?;
    assert!(finished.exception().is_none());
    assert!(matches!(failed.exception(), Some(TaskError::Panicked { .. })));
    assert!(matches!(cancelled.exception(), Some(TaskError::Cancelled)));
    event.set();
    drop(executor);
    Ok(())
}

fn two_executors(method: StartMethod) -> Outcome {
    let (slow, event) = gated(method, 1)?;
    let mut builder = ProcessPoolExecutor::builder().max_workers(1);
    // This process has threads by now, of which a fork would have none.
    if method != StartMethod::Fork {
        builder = builder.start_method(method);
    }
    let quick = builder.build()?;
    let futures = vec![slow.submit(wait_for_event, 1)?, quick.submit(square, 2)?];
    let waited = wait(futures, FIRST_COMPLETED);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    let limit = Duration::from_millis(50);
    let futures = waited.done.into_iter().chain(waited.not_done).collect();
    let waited = wait_timeout(futures, ALL_COMPLETED, limit);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    event.set();
    let values = as_completed(waited.done.into_iter().chain(waited.not_done)).map(Future::result);
    assert_eq!(values.collect::<Result<Vec<_>, _>>()?, [4, 1]);
    Ok(())
}
