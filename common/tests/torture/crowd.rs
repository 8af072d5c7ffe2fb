//! Thousands of threads in a hundred processes wait for one thing, and half of the processes are killed:
//! some while all wait, some while all go on.

use crate::dice::Dice;
use crate::herd::{Board, FREE, OWN, of, text};
use crate::{LIMIT, Plan};
use common::sync::{Barrier, Condition, Event, Lock, Semaphore};
use common::{Child, Exit, Process, Signal, StartMethod};
use libtest_mimic::Failed;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// What to wait for.
#[derive(Clone, Serialize, Deserialize)]
enum Thing {
    Lock(Lock),
    Semaphore(Semaphore),
    Condition(Condition),
    Question(Condition, Event),
    Event(Event),
    Barrier(Barrier),
}

/// How many processes and threads.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Size {
    processes: usize,
    threads: usize,
}

/// A thread's word: how far it is.
const STAGE: usize = OWN;
const WAITS: u64 = 1;
const PASSED: u64 = 2;
/// Two words that are equal, unless a holder of the lock died.
const PAIR: usize = FREE;

impl Thing {
    /// All there are.
    fn all(size: Size) -> io::Result<[Self; 6]> {
        // The keeper is one, and comes only once.
        let parties = (size.processes * size.threads) as u32 + 1;
        Ok([
            Self::Lock(Lock::new()?),
            Self::Semaphore(Semaphore::new(3)?),
            Self::Condition(Condition::new()?),
            Self::Question(Condition::new()?, Event::new()?),
            Self::Event(Event::new()?),
            Self::Barrier(Barrier::new(parties)?),
        ])
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Lock(_) => "a lock",
            Self::Semaphore(_) => "a semaphore",
            Self::Condition(_) => "a condition",
            Self::Question(..) => "a condition's question",
            Self::Event(_) => "an event",
            Self::Barrier(_) => "a barrier",
        }
    }

    /// What a thread does. On a condition it says with the lock that it waits.
    fn wait(&self, board: Board, place: usize) -> Result<(), String> {
        let waits = || board.set(of(place, STAGE), WAITS);
        match self {
            Self::Lock(lock) => {
                waits();
                let guard = lock.acquire();
                let (one, two) = (board.get(PAIR), board.get(PAIR + 1));
                if one != two && !guard.previous_holder_died() {
                    return Err(format!("{one} and {two}, and was not told"));
                }
                board.set(PAIR, one + 1);
                board.set(PAIR + 1, one + 1);
            }
            Self::Semaphore(semaphore) => {
                waits();
                drop(semaphore.acquire());
            }
            Self::Condition(condition) => {
                let mut guard = condition.acquire();
                waits();
                condition.wait(&mut guard);
            }
            Self::Question(condition, event) => {
                let mut guard = condition.acquire();
                waits();
                condition.wait_while(&mut guard, || !event.is_set());
            }
            Self::Event(event) => {
                waits();
                event.wait();
            }
            Self::Barrier(barrier) => {
                barrier.wait().map_err(text)?;
                waits();
                if barrier.wait().is_ok() {
                    return Err("went on without those who are dead".into());
                }
            }
        }
        board.set(of(place, STAGE), PASSED);
        Ok(())
    }

    /// Does `meanwhile` while all wait, and lets them go on.
    fn release(&self, meanwhile: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        match self {
            Self::Lock(lock) => {
                let _guard = lock.acquire();
                meanwhile()
            }
            Self::Semaphore(semaphore) => {
                let _permits = [semaphore.acquire(), semaphore.acquire(), semaphore.acquire()];
                meanwhile()
            }
            Self::Condition(condition) => {
                meanwhile()?;
                let guard = condition.acquire();
                condition.notify_all(&guard);
                Ok(())
            }
            Self::Question(condition, event) => {
                meanwhile()?;
                let guard = condition.acquire();
                event.set();
                condition.notify_all(&guard);
                Ok(())
            }
            Self::Event(event) => {
                meanwhile()?;
                event.set();
                Ok(())
            }
            Self::Barrier(_) => meanwhile(),
        }
    }
}

/// A process of the crowd.
fn life((thing, first, size): (Thing, usize, Size)) -> Result<(), String> {
    let board = Board::inherited()?;
    let results: Vec<_> = thread::scope(|scope| {
        let places = first..first + size.threads;
        let threads: Vec<_> = places
            .map(|place| {
                scope.spawn({
                    let thing = &thing;
                    move || thing.wait(board, place)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    results
        .into_iter()
        .try_for_each(|result| result.map_err(|_| "a thread panicked".to_string())?)
}

/// How long the threads of a process have run, if the kernel tells.
fn run_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let times = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    });
    times.sum()
}

/// One crowd, from its first to its last.
fn crowd(thing: &Thing, size: Size, board: Board, dice: &mut Dice) -> Result<String, String> {
    let places = 0..size.processes * size.threads;
    places.clone().for_each(|place| board.set(of(place, STAGE), 0));
    let mut living = Vec::new();
    let mut dead = Vec::new();
    let mut shoot = |living: &mut Vec<(usize, Child)>, count: usize, dice: &mut Dice| {
        for _ in 0..count {
            let (first, victim) = living.swap_remove(dice.below(living.len() as u64) as usize);
            victim.kill().map_err(text)?;
            dead.push((first, victim));
            dice.pause();
        }
        Ok::<(), String>(())
    };
    let mut load = 0.0;
    thing.release(|| {
        for first in places.clone().step_by(size.threads) {
            let process = Process::new(life, (thing.clone(), first, size)).daemon();
            let child = process.start_method(StartMethod::Fork).start().map_err(text)?;
            living.push((first, child));
        }
        if let Thing::Barrier(barrier) = thing {
            barrier.wait_timeout(LIMIT).map_err(text)?;
        }
        let begin = Instant::now();
        while !places.clone().all(|place| board.get(of(place, STAGE)) == WAITS) {
            if begin.elapsed() > LIMIT {
                return Err("they do not come to wait".into());
            }
            sleep(Duration::from_millis(1));
        }
        let run = || living.iter().map(|(_, child)| run_time(child.pid())).sum::<Duration>();
        let (begin, before) = (Instant::now(), run());
        sleep(Duration::from_millis(200));
        load = run().saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
        shoot(&mut living, size.processes / 4, dice)
    })?;
    shoot(&mut living, size.processes / 4, dice)?;
    let begin = Instant::now();
    for (first, child) in &living {
        let exit = child.join_timeout(LIMIT.saturating_sub(begin.elapsed())).map_err(text)?;
        let stages = || {
            let stages = (*first..first + size.threads).map(|place| board.get(of(place, STAGE)));
            stages.collect::<Vec<_>>()
        };
        match exit {
            Some(Exit::Code(0)) => {}
            Some(exit) => return Err(format!("{} {exit}", child.name())),
            None => return Err(format!("{child:?} hangs: {:?}", stages())),
        }
    }
    for (_, victim) in &dead {
        // One may have come to its end before it was shot.
        match victim.join().map_err(text)? {
            Exit::Signal(Signal::KILL) | Exit::Code(0) => {}
            exit => return Err(format!("{} {exit}", victim.name())),
        }
    }
    let (name, all) = (thing.name(), begin.elapsed());
    Ok(format!("{name} {all:.0?} (who waits takes {:.0}% of a core)", 100.0 * load))
}

fn keep((size, seed): (Size, u64)) -> Result<(), String> {
    let board = Board::new(size.processes * size.threads)?;
    let mut dice = Dice(seed);
    let mut told = Vec::new();
    for thing in Thing::all(size).map_err(text)? {
        let name = thing.name();
        told.push(
            crowd(&thing, size, board, &mut dice).map_err(|error| format!("{name}: {error}"))?,
        );
    }
    println!("{} waiters: {}", size.processes * size.threads, told.join(", "));
    Ok(())
}

/// See the top of this file.
pub(crate) fn torture() -> Result<(), Failed> {
    let Plan { rounds, seed } = Plan::from_environment();
    let size = match rounds {
        0..100 => Size { processes: 24, threads: 10 },
        _ => Size { processes: 100, threads: 25 },
    };
    // Each of them is the first thread of a process that forks.
    let keeper = Process::new(keep, (size, seed)).start()?;
    match keeper.join_timeout(LIMIT)? {
        Some(Exit::Code(0)) => Ok(()),
        exit => {
            keeper.kill()?;
            Err(format!("COMMON_TORTURE_SEED={seed}: the keeper: {exit:?}").into())
        }
    }
}
