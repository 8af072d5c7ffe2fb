//! Children, grandchildren, fork servers, pool workers and their common parent are killed, while they
//! start, talk and end.
//!
//! In each round a parent runs a random programme under one seed, and this process picks victims
//! among its descendants. Whatever happens: nobody waits for ever, every error is one that a caller
//! can expect, and when the parent is gone nobody is left, because daemons and workers die with their
//! parent and the others end themselves when they see it.

use crate::dice::Dice;
use crate::{LIMIT, Plan, family, names_in};
use common::connection::{RecvError, SendError};
use common::pool::{MapError, PoolError, TaskError};
use common::process::{self, StartError};
use common::{Child, Connection, Exit, Pool, Process, Signal, StartMethod, pipe};
use libtest_mimic::Failed;
use nix::sys::signal::{Signal as Kind, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// See the top of this file.
pub(crate) fn torture() -> Result<(), Failed> {
    let Plan { rounds, seed: first } = Plan::from_environment();
    let open_before = names_in("/proc/self/fd").len();
    let mut killed = BTreeMap::<String, u32>::new();
    for seed in first..first + rounds {
        round(seed, &mut killed).map_err(|error| format!("COMMON_TORTURE_SEED={seed}: {error}"))?;
    }
    // What this process keeps from its first child on: both ends of the lifeline, and the register of
    // its family.
    assert!(names_in("/proc/self/fd").len() <= open_before + 3);
    println!("{rounds} rounds from seed {first} on; killed: {killed:?}");
    assert!(killed.values().sum::<u32>() as u64 >= rounds, "the killer slept: {killed:?}");
    Ok(())
}

/// One parent, from its start until nobody of its family is left.
fn round(seed: u64, killed: &mut BTreeMap<String, u32>) -> Result<(), String> {
    let mut dice = Dice(seed);
    let begin = Instant::now();
    let parent = Process::new(programme, seed).name("parent").start().map_err(|e| e.to_string())?;
    let spare_parent = dice.below(2) == 0;
    let deadline = Duration::from_millis(5 + dice.below(100));
    while parent.is_alive() {
        if begin.elapsed() > LIMIT {
            let family = family(parent.pid());
            return Err(format!("the parent hangs; alive: {family:?}"));
        }
        sleep(Duration::from_micros(dice.below(6000)));
        let family = family(parent.pid());
        if !spare_parent && begin.elapsed() > deadline {
            parent.kill().map_err(|error| error.to_string())?;
            *killed.entry("parent".to_string()).or_default() += 1;
        } else if !family.is_empty() {
            let (pid, name) = &family[dice.below(family.len() as u64) as usize];
            if kill(Pid::from_raw(*pid), Kind::SIGKILL).is_ok() {
                // Numbered names are one kind.
                let kind = name.trim_end_matches(|c: char| c.is_numeric() || c == '-' || c == ':');
                *killed.entry(kind.to_string()).or_default() += 1;
            }
        }
    }
    match parent.join().map_err(|error| error.to_string())? {
        Exit::Code(0) if spare_parent => {}
        Exit::Code(0) | Exit::Signal(Signal::KILL) if !spare_parent => {}
        exit => return Err(format!("the parent {exit}")),
    }
    crate::nobody_is_left(begin)
}

/// What the parent does. It leaves with 1 where something happens that a caller cannot expect.
fn programme(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed ^ 0xdead);
    for method in StartMethod::ALL {
        let _ = tolerate(Process::new(nothing, ()).start_method(method).start())?.map(|c| c.join());
    }
    let open = names_in("/proc/self/fd").len();
    let mut kept = Vec::new();
    for _ in 0..4 + dice.below(12) {
        match dice.below(6) {
            0 => quick(method(&mut dice), dice.below(100) as i32)?,
            1 => talk(method(&mut dice), dice.below(3 << 18) as usize)?,
            2 => {
                let sleeper = Process::new(sleep_on, ()).daemon().start_method(method(&mut dice));
                kept.extend(tolerate(sleeper.start())?);
            }
            3 => {
                let brood = (method(&mut dice), method(&mut dice));
                kept.extend(tolerate(Process::new(breed, brood.1).start_method(brood.0).start())?);
            }
            4 => send_an_end(method(&mut dice))?,
            _ => work_in_a_pool()?,
        }
    }
    for child in &kept {
        child.terminate().map_err(|error| error.to_string())?;
        child.join().map_err(|error| error.to_string())?;
    }
    drop(kept);
    if let [left, ..] = &process::active_children()[..] {
        return Err(format!("{left:?} was joined and is still active"));
    }
    let maps = fs::read_to_string("/proc/self/maps").map_err(|error| error.to_string())?;
    if let Some(named) =
        maps.lines().find(|map| map.contains("/dev/shm/") && !map.ends_with("(deleted)"))
    {
        return Err(format!("memory with a name stays behind a process that is killed: {named}"));
    }
    let now = names_in("/proc/self/fd");
    if now.len() > open + 4 {
        return Err(format!("{} descriptors were open and now there are {now:?}", open));
    }
    Ok(())
}

fn method(dice: &mut Dice) -> StartMethod {
    StartMethod::ALL[dice.below(3) as usize]
}

/// The child, or nothing where it was killed before it began.
fn tolerate(started: Result<Child, StartError>) -> Result<Option<Child>, String> {
    match started {
        Ok(child) => Ok(Some(child)),
        Err(StartError::EndedEarly { exit: Exit::Signal(Signal::KILL), .. }) => Ok(None),
        // The fork server was killed: while it began, or twice in one start.
        Err(StartError::Preload { .. }) => Ok(None),
        Err(StartError::Io { source, .. }) if source.to_string().contains("killed twice") => {
            Ok(None)
        }
        Err(error) => Err(format!("unexpected: {error:?}")),
    }
}

fn nothing((): ()) {}

fn expect(child: &Child, code: i32) -> Result<(), String> {
    match child.join().map_err(|error| error.to_string())? {
        Exit::Signal(Signal::KILL) => Ok(()),
        exit if exit == Exit::Code(code) => Ok(()),
        exit => Err(format!("{} {exit}, and not with {code}", child.name())),
    }
}

fn quick(method: StartMethod, code: i32) -> Result<(), String> {
    let started = Process::new(|code: i32| code, code).start_method(method).start();
    tolerate(started)?.map_or(Ok(()), |child| expect(&child, code))
}

fn talk(method: StartMethod, len: usize) -> Result<(), String> {
    fn echo(connection: Connection<Vec<u8>>) {
        while let Ok(message) = connection.recv_bytes() {
            if connection.send_bytes(&message).is_err() {
                return;
            }
        }
    }
    let (ours, theirs) = pipe::<Vec<u8>, Vec<u8>>().map_err(|error| error.to_string())?;
    let started = Process::new(echo, theirs).start_method(method).start();
    let Some(child) = tolerate(started)? else { return Ok(()) };
    let message = vec![7; len];
    for _ in 0..3 {
        match ours.send_bytes(&message) {
            Ok(()) => {}
            Err(SendError::Closed) => break,
            Err(error) => return Err(format!("unexpected: {error:?}")),
        }
        match ours.recv_bytes() {
            Ok(answer) if answer == message => {}
            Ok(answer) => return Err(format!("{len} bytes came back as {}", answer.len())),
            Err(RecvError::Eof | RecvError::Truncated) => break,
            Err(error) => return Err(format!("unexpected: {error:?}")),
        }
    }
    drop(ours);
    expect(&child, 0)
}

/// Sleeps until it is ended: by its parent, or with it.
fn sleep_on((): ()) {
    loop {
        sleep(Duration::from_secs(1000));
    }
}

/// Has a child of its own, and both live until their parent is gone or ends them.
fn breed(method: StartMethod) -> Result<(), String> {
    fn watch_parent((): ()) {
        process::parent().expect("it was started").join().expect("it holds its lifeline");
    }
    let grandchild = Process::new(watch_parent, ()).start_method(method).start();
    let daemon = Process::new(sleep_on, ()).daemon().start_method(method).start();
    let (_grandchild, _daemon) = (tolerate(grandchild)?, tolerate(daemon)?);
    process::parent().expect("it was started").join().map_err(|error| error.to_string())?;
    // This one ends now; its end is what the grandchild waits for, so nobody may wait for that.
    std::process::abort()
}

/// An end goes to a running child, which answers over it.
fn send_an_end(method: StartMethod) -> Result<(), String> {
    fn answer(connection: Connection<(), Connection<u8, ()>>) {
        while let Ok(end) = connection.recv() {
            let _ = end.send(&1);
        }
    }
    let (ours, theirs) = pipe::<Connection<u8, ()>, ()>().map_err(|error| error.to_string())?;
    let started = Process::new(answer, theirs).start_method(method).start();
    let Some(child) = tolerate(started)? else { return Ok(()) };
    let (near, far) = pipe::<(), u8>().map_err(|error| error.to_string())?;
    let sent = ours.send(&far);
    drop(far);
    match (sent, near.recv()) {
        (Ok(()), Ok(1)) | (_, Err(RecvError::Eof | RecvError::Truncated)) => {}
        other => return Err(format!("unexpected: {other:?}")),
    }
    drop(ours);
    expect(&child, 0)
}

fn work_in_a_pool() -> Result<(), String> {
    let unexpected = |error: &dyn std::fmt::Debug| Err(format!("unexpected: {error:?}"));
    let pool = match Pool::new(2) {
        Ok(pool) => pool,
        Err(PoolError::Start(error)) => return tolerate(Err(error)).map(drop),
        Err(error) => return unexpected(&error),
    };
    match pool.map(|x: u64| x + 1, 0..50) {
        Ok(results) if results.iter().copied().eq(1..=50) => Ok(()),
        Ok(results) => Err(format!("a map gave {results:?}")),
        Err(MapError::Tasks(results)) => {
            let lost = results.into_iter().filter_map(Result::err);
            match lost.into_iter().find(|error| !matches!(error, TaskError::Lost { .. })) {
                None => Ok(()),
                Some(error) => unexpected(&error),
            }
        }
        Err(MapError::Pool(PoolError::Start(error))) => tolerate(Err(error)).map(drop),
        Err(error) => unexpected(&error),
    }
}
