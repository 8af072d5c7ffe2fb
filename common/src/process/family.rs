//! The processes of a program as one family: who belongs to it, and how its last one is known.
//!
//! The main process makes a [`Register`] when it starts its first child, or lists its first named
//! block, and each process gives it to its children, whatever the start method. It lists the blocks of
//! named memory that the family has made and not yet unlinked. Its one descriptor is also the sign of
//! membership: the open file behind it, of which all processes of the family hold copies and nobody
//! else, shares the lock on byte [`MEMBERS`]. So that byte can be owned when the last process of the
//! family has ended, however it ended, and not before.
//!
//! The tracker (`shared_memory/tracker.rs`) waits for that. It belongs to no family; it holds the register
//! over an open file of its own, and two more locks tell how it is:
//!
//! | [`TRACKER`] | [`READY`] | there is |
//! | --- | --- | --- |
//! | free | free | none: whoever gets the first lock starts one, and hands the lock over with the file |
//! | owned | free | one that is being started, and that a signal to the program may still end |
//! | owned | owned | one |
//!
//! So one that was killed is started again by whoever lists the next block, and has lost nothing, as
//! the register is not in its memory.

use super::child::Child;
use super::state;
use crate::point;
use crate::shared::register::Register;
use crate::sys::lock;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

/// Shared by every process of a family.
const MEMBERS: i64 = 0;
/// Owned by its tracker, or by the process that starts one.
const TRACKER: i64 = 1;
/// Owned by its tracker once nothing can end it together with the program.
const READY: i64 = 2;
/// How long the main process waits, at its very end, for the tracker to end.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it looks: a wait for a lock on a file has no limit of time, and this one needs one.
const TICK: Duration = Duration::from_millis(1);

/// A register for a new family, of which this process is the first member.
pub(super) fn found() -> io::Result<Register> {
    let register = Register::new()?;
    lock::share(&register, MEMBERS)?;
    Ok(register)
}

/// Does something with the register of this process's family.
pub(crate) fn with_register<T>(work: impl FnOnce(&mut Register) -> io::Result<T>) -> io::Result<T> {
    work(state::lock().family()?)
}

/// As [`with_register`], if this process has one already.
pub(crate) fn with_register_if_any(work: impl FnOnce(&mut Register)) {
    if let Some(register) = &mut state::lock().family {
        work(register);
    }
}

/// Whether a family has a tracker.
pub(crate) enum Tracker {
    /// It has.
    Ready,
    /// Somebody starts one at this moment.
    Starting,
    /// Nobody did: here is the register with the right to be its tracker, to be handed over to one.
    Wanted(Register),
}

/// Whether this process's family has a tracker.
pub(crate) fn tracker() -> io::Result<Tracker> {
    let register = with_register(|register| {
        let is_ready = !lock::is_free(&*register, READY)?;
        if is_ready { Ok(None) } else { register.open_anew().map(Some) }
    })?;
    match register {
        None => Ok(Tracker::Ready),
        Some(register) if lock::try_own(&register, TRACKER)? => Ok(Tracker::Wanted(register)),
        Some(_) => Ok(Tracker::Starting),
    }
}

/// To be called by a tracker from which on nobody needs to start another.
pub(crate) fn is_ready(register: &Register) -> io::Result<()> {
    lock::own(register, READY)
}

/// Keeps the tracker that was started just now, so that it is collected when it has ended.
pub(crate) fn keep_tracker(tracker: Child) {
    let before = state::lock().tracker.replace(tracker);
    if let Some(before) = before {
        let _ = point::quietly(|| before.join());
    }
}

/// Leaves the family, as the last thing that a process does. The main process then waits until the
/// tracker has cleaned up; not for ever, as others of the family may live on.
pub(super) fn leave() {
    let mut state = state::lock();
    let (register, tracker) = (state.family.take(), state.tracker.take());
    let is_main = state.life.is_none();
    drop(state);
    let Some(register) = register.filter(|_| is_main) else { return };
    let Ok(outside) = register.open_anew() else { return };
    drop(register);
    let until = Instant::now() + PATIENCE;
    while !lock::is_free(&outside, TRACKER).unwrap_or(true) {
        if Instant::now() >= until {
            return;
        }
        thread::sleep(TICK);
    }
    if let Some(tracker) = tracker {
        let _ = point::quietly(|| tracker.join());
    }
    // Where it was killed, its work is done here, if nobody else of the family is left.
    if lock::try_own(&outside, MEMBERS).unwrap_or(false) {
        clean_up(outside, "common");
    }
}

/// Removes what a family has left behind, and says so on standard error as `speaker`; whether there was
/// anything.
pub(crate) fn clean_up(mut register: Register, speaker: &str) -> bool {
    let told = match register.clean_up() {
        Ok(None) => return false,
        Ok(Some(told)) => told,
        Err(error) => format!("leaked shared memory cannot be looked for: {error}"),
    };
    let _ = writeln!(io::stderr(), "{speaker}: {told}");
    true
}

/// Waits until no process of the family is left.
pub(crate) fn wait_for_its_end(register: impl AsFd) -> io::Result<()> {
    lock::own(register, MEMBERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_ends_with_the_last_copy_of_its_descriptor() {
        let member = found().unwrap();
        let copy = member.as_fd().try_clone_to_owned().unwrap();
        let outside = member.open_anew().unwrap();
        drop(member);
        assert!(!lock::try_own(&outside, MEMBERS).unwrap());
        drop(copy);
        wait_for_its_end(&outside).unwrap();
    }
}
