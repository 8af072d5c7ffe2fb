//! What happens when a process ends by itself: when `main` returns, fails or panics, or at
//! `std::process::exit`; in a child, when its target returns.
//!
//! 1. Finalizers of priority 0 and above run, the highest first.
//! 2. Daemons are asked to end (SIGTERM) and, after a second, ended (SIGKILL).
//! 3. The other children are waited for; after three seconds a line on standard error says for whom.
//! 4. Finalizers below 0 run.
//! 5. It leaves its family, whose last member's end is the tracker's (`family.rs`).
//!
//! A process that is killed, aborts or calls `_exit` does none of this; its daemons die all the same,
//! because the kernel ends them with it.
//!
//! By then destructors of thread-locals have run, so nothing here uses one, and nothing panics.

use super::child::Child;
use super::current;
use super::state;
use crate::point;
use crate::shared::arena;
use crate::sys::{descriptor, process};
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long daemons have between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(1);
/// How long children are waited for without a word.
const PATIENCE: Duration = Duration::from_secs(3);

/// Work for the end, once.
type Work = Box<dyn FnOnce() + Send>;

struct Registry {
    made: u64,
    /// Those that have not run, with their number and, for those that run at exit, their priority.
    waiting: Vec<(u64, Option<i32>, Work)>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { made: 0, waiting: Vec::new() });

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work that is done once: when this is dropped, when it is asked for, or, if it was made for that,
/// when the process ends (in Python: `util.Finalize`).
///
/// A child, however it was started, has none of its parent's.
///
/// ```
/// use common::process::Finalizer;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static DONE: AtomicU32 = AtomicU32::new(0);
/// let finalizer = Finalizer::new(|| drop(DONE.fetch_add(1, Ordering::Relaxed)));
/// assert!(finalizer.run());
/// assert!(!finalizer.run());
/// drop(finalizer);
/// assert_eq!(DONE.load(Ordering::Relaxed), 1);
/// ```
#[derive(Debug)]
#[must_use = "dropping it does its work at once"]
pub struct Finalizer {
    number: u64,
}

impl Finalizer {
    /// `work`, to be done when this is dropped; not at exit, if it is never dropped.
    pub fn new(work: impl FnOnce() + Send + 'static) -> Self {
        Self { number: register(None, Box::new(work)) }
    }

    /// `work`, to be done when this is dropped, at the latest when the process ends: by falling
    /// priority, and the latest first among equals. Below 0 it is done after the children have ended.
    pub fn at_exit(priority: i32, work: impl FnOnce() + Send + 'static) -> Self {
        Self { number: register(Some(priority), Box::new(work)) }
    }

    /// Does the work now; whether there was any left to do.
    pub fn run(&self) -> bool {
        match self.take() {
            Some(work) => {
                work();
                true
            }
            None => false,
        }
    }

    /// Forgets the work; whether there was any left to do.
    pub fn cancel(&self) -> bool {
        self.take().is_some()
    }

    fn take(&self) -> Option<Work> {
        let mut registry = registry();
        let place = registry.waiting.iter().position(|(number, ..)| *number == self.number)?;
        Some(registry.waiting.remove(place).2)
    }
}

impl Drop for Finalizer {
    fn drop(&mut self) {
        self.run();
    }
}

/// Has `work` done when this process ends by itself (in Python: `atexit.register`).
///
/// ```
/// common::process::at_exit(|| println!("the last line"));
/// ```
#[doc(alias = "atexit")]
pub fn at_exit(work: impl FnOnce() + Send + 'static) {
    std::mem::forget(Finalizer::at_exit(0, work));
}

/// Has `work` done when everything else of this process's end is done.
pub(super) fn at_the_end(work: impl FnOnce() + Send + 'static) {
    std::mem::forget(Finalizer::at_exit(i32::MIN, work));
}

fn register(priority: Option<i32>, work: Work) -> u64 {
    let mut registry = registry();
    registry.made += 1;
    let number = registry.made;
    registry.waiting.push((number, priority, work));
    number
}

/// Runs the finalizers whose priority is at least `lowest`, also those that come meanwhile.
fn finalize(lowest: i32) {
    loop {
        let mut registry = registry();
        let next = (0..registry.waiting.len())
            .filter(|&place| registry.waiting[place].1.is_some_and(|priority| priority >= lowest))
            .max_by_key(|&place| (registry.waiting[place].1, registry.waiting[place].0));
        let Some(next) = next else { return };
        let work = registry.waiting.remove(next).2;
        drop(registry);
        // The panic's message is on standard error already; the others have their turn. Dropping what
        // was thrown might panic again.
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(work)) {
            std::mem::forget(panic);
        }
    }
}

/// The hook that the C library calls.
pub(super) extern "C" fn hook() {
    // A copy that somebody else has forked has no children and no work of its own here.
    if state::lock().pid == process::getpid().as_raw() {
        finish();
    }
}

static IS_LEAVING: AtomicBool = AtomicBool::new(false);

/// Whether this process is at its end.
pub(crate) fn is_leaving() -> bool {
    IS_LEAVING.load(Ordering::Relaxed)
}

/// All that a process does at its end.
pub(super) fn finish() {
    IS_LEAVING.store(true, Ordering::Relaxed);
    finalize(0);
    loop {
        // Another thread may still start some.
        let children = std::mem::take(&mut state::lock().children);
        if children.is_empty() {
            break;
        }
        point::quietly(|| end(children));
    }
    point::quietly(super::forkserver::stop);
    finalize(i32::MIN);
    super::family::leave();
}

/// Ends the daemons among `children` and waits for the others.
fn end(children: Vec<Child>) {
    let (daemons, others): (Vec<Child>, Vec<Child>) =
        children.into_iter().partition(Child::is_daemon);
    for daemon in &daemons {
        let _ = daemon.terminate();
    }
    if !current::join_all(&daemons, Some(Instant::now() + GRACE)).is_empty() {
        for daemon in &daemons {
            let _ = daemon.kill();
        }
        current::join_all(&daemons, None);
    }
    let waited_for = current::join_all(&others, Some(Instant::now() + PATIENCE));
    if !waited_for.is_empty() {
        let names = waited_for.join(", ");
        let _ = writeln!(
            io::stderr(),
            "common: the program is at its end and waits for process {names}; make it a daemon if \
             it shall end with the program"
        );
        current::join_all(&others, None);
    }
}

/// What must not change while this process forks.
pub(super) struct Held {
    registry: MutexGuard<'static, Registry>,
    _arenas: arena::Held,
    _points: point::Held,
    descriptors: descriptor::Held,
}

pub(super) fn hold() -> Held {
    Held {
        registry: registry(),
        _arenas: arena::hold(),
        _points: point::hold(),
        descriptors: descriptor::hold(),
    }
}

impl Held {
    /// In a forked child: nothing is left of the parent's but what was `given`.
    pub(super) fn begin(self, given: &[std::sync::Arc<descriptor::Descriptor>]) {
        let Self { mut registry, _arenas, _points, descriptors } = self;
        // Forgotten, and not dropped: what they hold may do something when it is.
        std::mem::forget(std::mem::take(&mut registry.waiting));
        descriptors.shut_all_but(given);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn the_highest_priority_runs_first_and_the_latest_among_equals() {
        let (sender, order) = mpsc::channel();
        let say = |text: &'static str| {
            let sender = sender.clone();
            move || sender.send(text).unwrap()
        };
        // High enough that the finalizers of other tests do not run with them.
        let high = 1_000_000;
        let kept = [
            Finalizer::at_exit(high, say("low")),
            Finalizer::at_exit(high + 10, say("top")),
            Finalizer::at_exit(high, say("low, later")),
            Finalizer::new(say("by drop")),
        ];
        finalize(high);
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["top", "low, later", "low"]);
        drop(kept);
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["by drop"]);
    }

    #[test]
    fn what_was_cancelled_is_not_done() {
        let (sender, order) = mpsc::channel();
        let finalizer = Finalizer::new(move || sender.send(()).unwrap());
        assert!(finalizer.cancel());
        assert!(!finalizer.run());
        drop(finalizer);
        assert!(order.try_recv().is_err());
    }
}
