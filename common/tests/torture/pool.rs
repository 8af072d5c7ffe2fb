//! The workers of a pool are killed while they take, do and report their tasks.
//!
//! In each round an employer gives all kinds of work to one pool, and a thread of it kills one worker after
//! the other. Every task ends: in its value, and then it was made once; or in an error that says that its
//! worker was killed, and then it was made once at most. With one worker one task is lost at most.

use crate::dice::Dice;
use crate::{LIMIT, Plan};
use common::pool::{CallError, MapError, TaskError};
use common::{AtomicValue, Exit, Pool, Process, Signal, StartMethod};
use libtest_mimic::Failed;
use nix::sys::signal::{Signal as Kind, kill};
use nix::unistd::Pid;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

/// How many tasks a piece of work has at most.
const TASKS: u64 = 2000;
const WORKERS: usize = 3;
/// A piece of work is begun as long as fewer workers were killed.
const KILLS: u64 = 40;

/// How often each task was made.
static MADE: OnceLock<Vec<AtomicValue<u32>>> = OnceLock::new();

/// See the top of this file.
pub(crate) fn torture() -> Result<(), Failed> {
    let Plan { rounds, seed: first } = Plan::from_environment();
    let killed = AtomicValue::new(0u64)?;
    let rounds = rounds.div_ceil(6);
    for seed in first..first + rounds {
        let employer = Process::new(employer, (seed, killed.clone())).start()?;
        let Some(exit) = employer.join_timeout(LIMIT)? else {
            employer.kill()?;
            return Err(format!("COMMON_TORTURE_SEED={seed}: the employer hangs").into());
        };
        if exit != Exit::Code(0) {
            return Err(format!("COMMON_TORTURE_SEED={seed}: the employer {exit}").into());
        }
    }
    let killed = killed.get();
    println!("{rounds} rounds from seed {first} on; killed: {killed} workers");
    assert!(killed >= rounds * KILLS, "the killer slept: {killed}");
    Ok(())
}

fn remember(made: Vec<AtomicValue<u32>>) {
    assert!(MADE.set(made).is_ok(), "a worker begins once");
}

/// A task: short, and sometimes not so short.
fn task(number: u64) -> u64 {
    MADE.get().expect("the initializer has run")[number as usize].fetch_add(1);
    let mut dice = Dice(number);
    if dice.once_in(50) {
        dice.pause();
    }
    number * 3
}

/// As long as a machine word, or longer than a desk.
fn long_task((number, text): (u64, String)) -> String {
    task(number);
    text
}

fn employer((seed, killed): (u64, AtomicValue<u64>)) -> Result<(), String> {
    let mut dice = Dice(seed);
    let mut made = Vec::new();
    for _ in 0..TASKS {
        made.push(AtomicValue::new(0u32).map_err(text)?);
    }
    let method = StartMethod::ALL[dice.below(3) as usize];
    let pool = Pool::builder()
        .workers(WORKERS)
        .start_method(method)
        .initializer(remember, made.clone())
        .build()
        .map_err(text)?;
    let (is_over, before) = (AtomicBool::new(false), killed.get());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice(seed ^ 0xdead);
            while !is_over.load(Ordering::Relaxed) {
                sleep(Duration::from_micros(dice.below(8000)));
                let pids = pool.pids();
                if let Some(pid) = pids.get(dice.below(WORKERS as u64) as usize)
                    && kill(Pid::from_raw(pid.cast_signed()), Kind::SIGKILL).is_ok()
                {
                    killed.fetch_add(1);
                }
            }
        });
        let mut result = Ok(());
        while result.is_ok() && killed.get() - before < KILLS {
            result = piece(&pool, &made, &mut dice).map_err(|error| format!("{method}: {error}"));
        }
        is_over.store(true, Ordering::Relaxed);
        result
    })?;
    // Whoever was killed last is replaced, and the pool is as good as new.
    let sums = pool.map(task, 0..TASKS);
    let lost = sums.err().map_or(0, |error| match error {
        MapError::Tasks(results) => results.iter().filter(|result| result.is_err()).count(),
        _ => usize::MAX,
    });
    if lost > WORKERS {
        return Err(format!("{lost} tasks were lost though nobody was killed"));
    }
    pool.close();
    pool.join().map_err(text)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// One piece of work, of one of the kinds there are.
fn piece(pool: &Pool, made: &[AtomicValue<u32>], dice: &mut Dice) -> Result<(), String> {
    made.iter().for_each(|count| count.set(0));
    let count = dice.below(TASKS) + 1;
    let kind = dice.below(6);
    let value = |number: u64| number * 3;
    let results: Vec<Result<u64, TaskError>> = match kind {
        0 => all(pool.map(task, 0..count))?,
        1 => all(pool.chunk_size(7).map_err(text)?.map(task, 0..count))?,
        2 => all(pool.map_async(task, 0..count).map_err(text)?.get())?,
        3 => pool.imap(task, 0..count).map_err(text)?.collect(),
        4 => {
            let calls: Result<Vec<_>, _> =
                (0..count).map(|number| pool.apply_async(task, number)).collect();
            calls.map_err(text)?.into_iter().map(|call| call.get()).collect()
        }
        _ => {
            let count = count.min(100);
            let long = |number: u64| "x".repeat(number as usize * 1000);
            let call = |number| match pool.apply(long_task, (number, long(number))) {
                Ok(text) if text == long(number) => Ok(value(number)),
                Ok(_) => Ok(u64::MAX),
                Err(CallError::Task(error)) => Err(error),
                Err(error) => Err(TaskError::Result(error.to_string())),
            };
            (0..count).map(call).collect()
        }
    };
    if kind < 5 && results.len() as u64 != count {
        return Err(format!("kind {kind}: {} results of {count} tasks", results.len()));
    }
    for (number, result) in results.into_iter().enumerate() {
        let times = made[number].get();
        match result {
            Ok(found) if found == value(number as u64) && times == 1 => {}
            Err(TaskError::Lost { exit: Exit::Signal(Signal::KILL), .. }) if times <= 1 => {}
            other => {
                return Err(format!(
                    "kind {kind}: task {number} was made {times} times: {other:?}"
                ));
            }
        }
    }
    Ok(())
}

/// The result of each task of a `map`.
fn all(map: Result<Vec<u64>, MapError<u64>>) -> Result<Vec<Result<u64, TaskError>>, String> {
    match map {
        Ok(values) => Ok(values.into_iter().map(Ok).collect()),
        Err(MapError::Tasks(results)) => Ok(results),
        Err(error) => Err(error.to_string()),
    }
}
