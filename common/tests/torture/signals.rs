//! Who waits is interrupted, stopped and continued: it goes on waiting, for as long as it was to.
//!
//! A handler of one's own takes `unsafe`. But each Rust program has two, of the standard library, for
//! SIGSEGV and SIGBUS. They interrupt a system call, and where such a signal was only sent they return
//! and are gone. So each of the two interrupts a process once. SIGSTOP and SIGCONT do it any number of
//! times, and the kernel itself goes on with the call.

use crate::LIMIT;
use crate::herd::text;
use common::sync::{Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore};
use common::{Child, Exit, Process, Signal};
use libtest_mimic::Failed;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// All there is to wait for, and a sign that somebody is about to wait.
#[derive(Clone, Serialize, Deserialize)]
struct All {
    lock: Lock,
    rlock: RLock,
    semaphore: Semaphore,
    bounded: BoundedSemaphore,
    condition: Condition,
    event: Event,
    barrier: Barrier,
    ready: Event,
}

/// How long a wait with a limit takes.
const WAIT: Duration = Duration::from_millis(250);
const KINDS: [&str; 8] = [
    "a lock",
    "an RLock",
    "a semaphore",
    "a bounded semaphore",
    "a condition",
    "a condition's question",
    "an event",
    "a barrier",
];

impl All {
    fn new() -> io::Result<Self> {
        Ok(Self {
            lock: Lock::new()?,
            rlock: RLock::new()?,
            semaphore: Semaphore::new(0)?,
            bounded: BoundedSemaphore::new(1)?,
            condition: Condition::new()?,
            event: Event::new()?,
            barrier: Barrier::new(2)?,
            ready: Event::new()?,
        })
    }

    /// Waits, with or without a limit; whether what was waited for came.
    fn wait(&self, kind: usize, limit: Option<Duration>) -> bool {
        let long = limit.is_none();
        let limit = limit.unwrap_or_default();
        // Taken before it is said that the wait begins.
        let mut guard = matches!(kind, 4 | 5).then(|| self.condition.acquire());
        self.ready.set();
        match (kind, &mut guard) {
            (0, _) if long => _ = self.lock.acquire(),
            (0, _) => return self.lock.acquire_timeout(limit).is_some(),
            (1, _) if long => _ = self.rlock.acquire(),
            (1, _) => return self.rlock.acquire_timeout(limit).is_some(),
            (2, _) if long => _ = self.semaphore.acquire(),
            (2, _) => return self.semaphore.acquire_timeout(limit).is_some(),
            (3, _) if long => _ = self.bounded.acquire(),
            (3, _) => return self.bounded.acquire_timeout(limit).is_some(),
            (4, Some(guard)) if long => self.condition.wait(guard),
            (4, Some(guard)) => return self.condition.wait_timeout(guard, limit),
            (5, Some(guard)) if long => {
                self.condition.wait_while(guard, || !self.event.is_set());
            }
            (5, Some(guard)) => {
                let question = || !self.event.is_set();
                return self.condition.wait_while_timeout(guard, limit, question);
            }
            (6, _) if long => self.event.wait(),
            (6, _) => return self.event.wait_timeout(limit),
            _ if long => return self.barrier.wait().is_ok(),
            _ => return self.barrier.wait_timeout(limit).is_ok(),
        }
        true
    }

    /// Lets what was waited for come; what has to be held meanwhile is held by this process.
    fn release(&self, kind: usize) -> Result<(), String> {
        match kind {
            0 => self.lock.release().map_err(text)?,
            1 => self.rlock.release().map_err(text)?,
            2 => self.semaphore.release().map_err(text)?,
            3 => self.bounded.release().map_err(text)?,
            4 => self.condition.notify_all(&self.condition.acquire()),
            5 => {
                let guard = self.condition.acquire();
                self.event.set();
                self.condition.notify_all(&guard);
            }
            6 => self.event.set(),
            _ => _ = self.barrier.wait_timeout(LIMIT).map_err(text)?,
        }
        Ok(())
    }
}

fn child((all, kind, limit): (All, usize, Option<Duration>)) -> Result<(), String> {
    let start = Instant::now();
    let came = all.wait(kind, limit);
    let elapsed = start.elapsed();
    if came == limit.is_some() {
        return Err(format!("{}: {came} after {elapsed:?} of {limit:?}", KINDS[kind]));
    }
    if limit.is_some_and(|limit| elapsed < limit) {
        return Err(format!("{}: the time was up after {elapsed:?}", KINDS[kind]));
    }
    Ok(())
}

/// Waits until a line of `/proc/PID/status` is as wanted.
fn until(child: &Child, key: &str, is: impl Fn(&str) -> bool) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.pid())).map_err(text)?;
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        if value.is_some_and(|value| is(value.trim())) {
            return Ok(());
        }
        if start.elapsed() > LIMIT {
            return Err(format!("{key} of {child:?}: {value:?}"));
        }
        sleep(Duration::from_micros(200));
    }
}

/// Interrupts a child that sleeps; returns when its handler has run.
fn interrupt(child: &Child, signal: Signal) -> Result<(), String> {
    until(child, "State", |state| state.starts_with('S'))?;
    child.signal(signal).map_err(text)?;
    let is_caught = |mask: &str| {
        u64::from_str_radix(mask, 16).is_ok_and(|mask| mask >> (signal.number() - 1) & 1 == 1)
    };
    until(child, "SigCgt", |mask| !is_caught(mask))
}

fn disturb(child: &Child) -> Result<(), String> {
    interrupt(child, Signal::SEGV)?;
    for _ in 0..3 {
        child.signal(Signal::STOP).map_err(text)?;
        until(child, "State", |state| state.starts_with('T'))?;
        child.signal(Signal::CONT).map_err(text)?;
        until(child, "State", |state| !state.starts_with('T'))?;
    }
    interrupt(child, "SIGBUS".parse().map_err(text)?)
}

/// See the top of this file.
pub(crate) fn torture() -> Result<(), Failed> {
    for (kind, name) in KINDS.into_iter().enumerate() {
        for limit in [Some(WAIT), None] {
            let all = All::new()?;
            all.lock.acquire().keep();
            all.rlock.acquire().keep();
            all.bounded.acquire().keep();
            let child = Process::new(child, (all.clone(), kind, limit)).start()?;
            all.ready.wait();
            // Whoever waits on a condition has its lock until it does.
            drop(all.condition.acquire());
            disturb(&child).map_err(|error| format!("{name}: {error}"))?;
            if limit.is_none() {
                all.release(kind)?;
            }
            match child.join_timeout(LIMIT)? {
                Some(Exit::Code(0)) => {}
                exit => {
                    child.kill()?;
                    return Err(format!("{name}, {limit:?}: {exit:?}").into());
                }
            }
        }
    }
    Ok(())
}
