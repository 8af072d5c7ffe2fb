//! Processes are killed at random instants, and whatever waits with them for something goes on.
//!
//! | file | who is killed |
//! | --- | --- |
//! | `processes.rs` | children, fork servers, pool workers and their parent, while they start, talk and end |
//! | `lock.rs`, `semaphore.rs`, `condition.rs`, `event.rs`, `barrier.rs`, `queue.rs` | members of a herd that plays with one primitive |
//! | `joinable.rs` | consumers of a queue that is joined |
//! | `pool.rs` | the workers of a pool that has work for them |
//! | `alone.rs` | members that have primitives for themselves, in the midst of their code |
//! | `crowd.rs` | half of the processes in which thousands of threads wait |
//! | `gone.rs` | everybody but one, who made the primitives or who did not |
//! | `signals.rs` | nobody: who waits is interrupted and stopped |
//!
//! What a herd is, and when a wake-up is late, stands in `herd.rs`. After each trial no descendant of
//! this process is left; what they share has no name.
//!
//! `COMMON_TORTURE_ROUNDS` says how much of it there is, `COMMON_TORTURE_SEED` is the first seed.

mod alone;
mod barrier;
mod condition;
mod crowd;
mod dice;
mod event;
mod gone;
mod herd;
mod joinable;
mod lock;
mod pool;
mod processes;
mod queue;
mod semaphore;
mod signals;

use herd::torture;
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Nothing that goes on takes as long, on whatever machine; what does hangs.
const LIMIT: Duration = Duration::from_secs(120);

fn main() {
    common::init();
    nix::sys::prctl::set_child_subreaper(true).expect("a process may take care of orphans");
    let mut arguments = Arguments::from_args();
    // Each trial looks at all that descends from this process.
    arguments.test_threads = Some(1);
    let trials = [
        trial("whoever_is_killed_nobody_hangs_and_nobody_is_left", processes::torture),
        trial("a_lock_goes_to_the_next_and_tells_it", || torture::<lock::Locks>(1)),
        trial("a_lock_that_is_taken_again_does_as_well", || torture::<lock::RLocks>(1)),
        trial("a_permit_returns_and_there_are_never_too_many", || torture::<semaphore::Permits>(6)),
        trial("a_permit_without_a_guard_is_lost_or_not_and_never_doubled", || {
            torture::<semaphore::Numbers>(4)
        }),
        trial("a_buffer_between_two_conditions_loses_nothing", || torture::<condition::Buffer>(2)),
        trial("a_notification_goes_to_one_who_lives", || torture::<condition::Calls>(4)),
        trial("an_event_lets_all_go_on", || torture::<event::Relay>(2)),
        trial("a_barrier_breaks_and_keeps_step", || torture::<barrier::Steps>(8)),
        trial("a_barrier_that_anybody_resets_goes_on", || torture::<barrier::Throng>(2)),
        trial("a_queue_gives_each_item_once", || torture::<queue::Items<0>>(2)),
        trial("a_bounded_queue_does_as_well", || torture::<queue::Items<7>>(2)),
        trial("a_queue_is_joined_whoever_dies_with_an_item", joinable::torture),
        trial("a_pool_makes_each_call_once_or_says_who_was_killed", pool::torture),
        trial("a_successor_finds_all_in_order", || torture::<alone::Alone>(4)),
        trial("half_of_a_crowd_is_killed_and_the_rest_goes_on", crowd::torture),
        trial("a_handle_outlives_its_peers", gone::torture),
        trial("a_signal_neither_ends_nor_stretches_a_wait", signals::torture),
    ];
    libtest_mimic::run(&arguments, trials.into()).exit();
}

/// A trial that leaves nothing behind.
fn trial(name: &str, run: fn() -> Result<(), Failed>) -> Trial {
    Trial::test(name, move || {
        let result = run();
        let begin = Instant::now();
        nobody_is_left(begin)?;
        result
    })
}

/// How much of it there is.
struct Plan {
    rounds: u64,
    seed: u64,
}

impl Plan {
    fn from_environment() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        Self {
            rounds: number("COMMON_TORTURE_ROUNDS").unwrap_or(12),
            seed: number("COMMON_TORTURE_SEED").unwrap_or_else(|| std::process::id().into()),
        }
    }
}

/// Waits until all who descend from this process have ended. Orphans are its children, which it collects.
fn nobody_is_left(begin: Instant) -> Result<(), String> {
    loop {
        let left = family(std::process::id());
        for (pid, _) in &left {
            let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
        }
        if left.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > LIMIT {
            return Err(format!("still there: {left:?}"));
        }
        sleep(Duration::from_millis(1));
    }
}

/// The descendants of a process that are there at this moment, with the names of their threads.
fn family(pid: u32) -> Vec<(i32, String)> {
    let children = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("children")).ok())
        .collect::<String>();
    let mut found = Vec::new();
    for child in children.split_whitespace().filter_map(|word| word.parse::<i32>().ok()) {
        let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        found.push((child, name.trim().to_string()));
        found.extend(family(child.cast_unsigned()));
    }
    found
}

fn names_in(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
