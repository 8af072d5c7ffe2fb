//! The child's side of a start: how it begins, what it does, how it leaves.
//!
//! The table in `start.rs` shows both sides.

use super::exit;
use super::outcome::Outcome;
use super::state::{self, Life};
use crate::codec::{self, MAX_BYTES};
use crate::connection::channel::{Channel, Frame};
use crate::connection::{Handle, SendError};
use crate::sys::entry::{self, Build, Distance};
use crate::sys::lifeline;
use crate::sys::process;
use crate::sys::signal::{self, Signal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};

/// The argument that makes an executable a child.
pub(super) const CHILD: &str = "--common-child";
/// The exit code of a panic, as Rust's own.
const PANICKED: i32 = 101;
/// The exit code of a child that could not even begin.
pub(super) const NOT_BEGUN: i32 = 102;
/// The code that knows the types of a target and its argument; a child that has its argument lets
/// go of the channel.
pub(super) type Trampoline = fn(Distance, &mut Option<Channel>) -> i32;

/// What a child shall do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) life: Life,
    pub(super) trampoline: Distance,
    pub(super) target: Distance,
}

/// What a spawned child is told first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) build: Build,
    pub(super) task: Task,
    pub(super) arguments: Vec<OsString>,
}

/// What a child tells its parent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It has reached [`init`] and runs this executable.
    Hello(Build),
    /// It holds its argument and calls its target now.
    Begun,
    /// It cannot.
    Refused(String),
}

/// Makes children possible: the first line of `main` in every program that starts processes (in
/// Python: `freeze_support`, and the `__main__` guard).
///
/// In the program that the user started it returns at once. In a child it does the child's work and
/// never returns: what stands before it runs in every spawned child as well, what stands after it
/// does not.
///
/// When the program ends by itself (`main` returns, with an error or not, or panics, or
/// [`std::process::exit`] is called), its daemons are ended and its other children waited for.
///
/// # Panics
///
/// Where the C library has no memory left to note that.
pub fn init() {
    let mut state = state::lock();
    if state.initialised {
        return;
    }
    state.pid = process::getpid().as_raw();
    state.initialised = true;
    drop(state);
    process::at_exit(exit::hook).expect("the C library notes one hook");
    if is_marked() {
        let code = serve();
        std::process::exit(code);
    }
}

/// What [`init_in_tests!`] has the loader call.
#[doc(hidden)]
pub extern "C" fn init_before_main() {
    if is_marked() {
        // As Rust does before every main; a child does not come as far.
        let _ = signal::silence(Signal::PIPE);
    }
    init();
}

/// Whether this process is a child that another one started. May be asked before [`init`].
#[must_use]
pub fn is_child() -> bool {
    state::lock().life.is_some() || is_marked()
}

/// Whether the command line is that of a spawned child.
fn is_marked() -> bool {
    std::env::args_os().nth(1).is_some_and(|word| word == CHILD)
}

/// The life of a spawned child; its exit code.
fn serve() -> i32 {
    let channel = match process::take_given() {
        Ok(given) => Channel::new(given),
        Err(error) => return without_parent(&format!("it has no socket to its parent ({error})")),
    };
    let order = entry::build().map_err(|error| error.to_string()).and_then(|build| {
        tell(&channel, &Report::Hello(build.clone()))?;
        let order: Order = hear(&channel)?;
        if order.build == build { Ok(order) } else { Err("its parent is another program".into()) }
    });
    match order {
        Ok(order) => {
            state::lock().arguments = Some(order.arguments);
            live(order.task, channel)
        }
        Err(reason) => refuse(&channel, reason),
    }
}

/// What a child does that has been told its task; its exit code.
pub(super) fn live(mut task: Task, channel: Channel) -> i32 {
    if let Err(error) = task.life.take_up() {
        return refuse(&channel, format!("it cannot tell whether its parent lives: {error}"));
    }
    state::lock().begin(task.life);
    match entry::trampoline::<Option<Channel>, i32>(task.trampoline) {
        Some(trampoline) => trampoline(task.target, &mut Some(channel)),
        None => refuse(&channel, "its parent is another program".into()),
    }
}

/// Receives the argument and calls the target; the exit code.
pub(super) fn run<A: DeserializeOwned, R: Outcome>(
    target: Distance,
    channel: &mut Option<Channel>,
) -> i32 {
    let Some(channel) = channel.take() else { return NOT_BEGUN };
    let Some(target) = entry::target::<A, R>(target) else {
        return refuse(&channel, "its parent is another program".into());
    };
    match hear::<A>(&channel).and_then(|argument| {
        tell(&channel, &Report::Begun)?;
        Ok(argument)
    }) {
        Ok(argument) => {
            drop(channel);
            guarded(|| target(argument).exit_code())
        }
        Err(reason) => refuse(&channel, format!("its argument: {reason}")),
    }
}

/// The next message of the parent.
fn hear<T: DeserializeOwned>(channel: &Channel) -> Result<T, String> {
    let Frame { bytes, descriptors } =
        channel.receive(MAX_BYTES).map_err(|error| error.to_string())?;
    codec::decode(&bytes, descriptors).map_err(|error| error.to_string())
}

/// Tells the parent something; one that is gone needs not know.
pub(super) fn tell(channel: &Channel, report: &Report) -> Result<(), String> {
    match codec::encode(report).map(|message| channel.send(&message)) {
        Ok(Ok(()) | Err(SendError::Closed)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Tells the parent why the child cannot begin; the exit code.
fn refuse(channel: &Channel, reason: String) -> i32 {
    if tell(channel, &Report::Refused(reason.clone())).is_err() {
        return without_parent(&reason);
    }
    NOT_BEGUN
}

/// Says on standard error why the child cannot begin, where no parent listens; the exit code.
pub(super) fn without_parent(reason: &str) -> i32 {
    let mut text = format!("child process {}: cannot begin: {reason}", process::getpid());
    let _ = write!(text, "; only common starts a program with {CHILD}");
    let _ = writeln!(io::stderr(), "{text}");
    NOT_BEGUN
}

impl Life {
    /// What the kernel shall do for this process from now on.
    pub(super) fn take_up(&mut self) -> io::Result<()> {
        process::set_name(&self.name);
        signal::unblock_all()?;
        if self.daemon {
            let own = lifeline::die_with(&self.parent.lifeline)?;
            self.parent.lifeline = Handle::from_descriptor(own);
        }
        Ok(())
    }
}

/// The exit code of `work`, also when it panics; the hook has printed the panic's message.
fn guarded(work: impl FnOnce() -> i32) -> i32 {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        // Dropping what was thrown might panic again.
        std::mem::forget(panic);
        PANICKED
    })
}

/// Does the work of a forked child, whose exit code it is, and ends it: its parent's exit hooks are
/// not its own.
pub(super) fn live_forked(work: impl FnOnce() -> i32) -> ! {
    /// Nothing may unwind from here into the frames of the parent that this is a copy of.
    struct Bounds;
    impl Drop for Bounds {
        fn drop(&mut self) {
            process::leave(PANICKED);
        }
    }
    let _bounds = Bounds;
    let code = guarded(work);
    exit::finish();
    let _ = io::stdout().flush();
    process::leave(code)
}
