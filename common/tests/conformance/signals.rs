//! Calls that a signal interrupts go on.
//!
//! A handler of one's own takes `unsafe`, and these tests have none. But every Rust program has two
//! handlers, the standard library's for SIGSEGV and SIGBUS, which tell a stack overflow. They are
//! installed so that a system call under way fails with EINTR; and when such a signal was only sent,
//! they take themselves away and return. So each interrupts a process once, and what it has done can be
//! seen: the signal is no longer caught.

use crate::trial::{LONG, Outcome, Trial, each};
use common::connection::{Connection, pipe};
use common::process;
use common::sync::Event;
use common::{Exit, Process, StartMethod};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c305_a_handled_signal_does_not_end_a_join", join),
        each("c306_a_handled_signal_harms_no_message", messages),
    ]
    .concat()
}

/// Waits until a line of `/proc/PID/status` satisfies `is`.
fn until(pid: u32, key: &str, is: impl Fn(&str) -> bool) -> io::Result<()> {
    let start = Instant::now();
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        if value.is_some_and(|value| is(value.trim())) {
            return Ok(());
        }
        assert!(start.elapsed() < LONG, "{key} of process {pid}: {value:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Interrupts what process `pid` sleeps in; returns when its handler has run.
pub(crate) fn interrupt(pid: u32, signal: Signal) -> io::Result<()> {
    until(pid, "State", |state| state.starts_with('S'))?;
    kill(Pid::from_raw(pid.cast_signed()), signal)?;
    let is_caught = |mask: &str| {
        u64::from_str_radix(mask, 16).is_ok_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
    };
    until(pid, "SigCgt", |mask| !is_caught(mask))
}

fn join(method: StartMethod) -> Outcome {
    fn child(joins: Event) -> io::Result<()> {
        joins.wait();
        let parent = process::parent().expect("a child has a parent").pid();
        interrupt(parent, Signal::SIGSEGV)?;
        interrupt(parent, Signal::SIGBUS)?;
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }
    let joins = Event::new()?;
    let child = Process::new(child, joins.clone()).start_method(method).start()?;
    joins.set();
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn messages(method: StartMethod) -> Outcome {
    fn child((ready, parent): (Event, Connection<Vec<u64>, u32>)) -> common::Result<()> {
        ready.set();
        let number = parent.recv()?;
        assert_eq!(number, 1234);
        // More than the kernel takes before somebody reads.
        parent.send(&vec![u64::from(number); 1 << 20])?;
        Ok(())
    }
    let ready = Event::new()?;
    let (ours, theirs) = pipe::<u32, Vec<u64>>()?;
    let child = Process::new(child, (ready.clone(), theirs)).start_method(method).start()?;
    ready.wait();
    interrupt(child.pid(), Signal::SIGSEGV)?;
    ours.send(&1234)?;
    assert!(ours.poll_timeout(LONG)?);
    interrupt(child.pid(), Signal::SIGBUS)?;
    assert!(ours.recv()? == vec![1234; 1 << 20]);
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}
