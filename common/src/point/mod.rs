//! The seam that every operation on a shared object passes before it does anything.
//!
//! A [`Point`] says which operation is about to happen, on which object, and on which line of the program.
//! Whoever wants to know gives a function to [`listen`]; without one a point is a load, a test and a
//! branch that is not taken.
//!
//! Whoever watches from outside sets `COMMON_WAITS=1` in the environment of the program: then each thread
//! leaves word of its last point in the program's memory (`notes.rs` says how). The grader does, and so
//! can say for which lock, and in which line, a program waits that does not end.
//!
//! An object has the same [`Name`] in every process that has it, and in every run that makes the same
//! objects in the same order: the path of the process that made it, its kind, and which of that kind
//! it is there. Addresses, process ids and times are no part of it.
//!
//! ```
//! use common::point::{self, Point};
//! use common::sync::Lock;
//! use std::sync::Mutex;
//!
//! static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
//!
//! fn note(point: &Point<'_>) {
//!     SEEN.lock().unwrap().push(format!("{} {}", point.operation(), point.object()));
//! }
//!
//! point::listen(note);
//! let lock = Lock::new()?;
//! drop(lock.acquire());
//! point::stop_listening();
//! assert_eq!(*SEEN.lock().unwrap(), ["create Lock-1", "acquire Lock-1", "release Lock-1"]);
//! # std::io::Result::Ok(())
//! ```

mod notes;

use crate::process;
use crate::sys::thread;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An operation that is about to happen.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    operation: Operation,
    object: &'a Name,
    location: &'static Location<'static>,
}

impl<'a> Point<'a> {
    /// What is about to happen.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// To which object.
    #[must_use]
    pub fn object(&self) -> &'a Name {
        self.object
    }

    /// On which line of the program: the caller's. That of a guard that is dropped is where it was made.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

/// `acquire Lock-1 at src/main.rs:7:20`.
impl fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {}", self.operation, self.object, self.location)
    }
}

macro_rules! names {
    ($(#[$meta:meta])* $type:ident: $($variant:ident $name:literal $(($alias:literal))?,)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $type {
            $(
                #[doc = concat!("`", $name, "`", $(", ", $alias)?)]
                $variant,
            )*
        }

        impl $type {
            #[allow(dead_code, reason = "of one of the types only the number of them is used")]
            const ALL: &[Self] = &[$(Self::$variant,)*];
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)*
                })
            }
        }
    };
}

names! {
    /// An operation: the method's name, or what stands for several.
    Operation:
    Create "create" ("a new object"),
    Open "open" ("an object that has a name already"),
    Close "close",
    Unlink "unlink",
    Start "start",
    Join "join" ("`join_timeout` as well"),
    IsAlive "is_alive" ("`exit` and `exitcode` as well"),
    Signal "signal" ("`terminate`, `kill` and `interrupt` as well"),
    Connect "connect" ("to a listener"),
    Accept "accept" ("`accept_timeout` as well"),
    Send "send" ("`send_bytes` as well"),
    Recv "recv" ("the forms for bytes as well"),
    Poll "poll" ("`poll_timeout` as well"),
    Acquire "acquire" ("waits for the lock or permit; `lock` of a value as well"),
    TryAcquire "try_acquire" ("does not wait"),
    AcquireTimeout "acquire_timeout" ("waits for a limited time"),
    Release "release" ("or a guard is dropped"),
    Keep "keep" ("a guard is given up and what it guards kept"),
    State "state" ("a look at the state: `is_locked`, `is_set`, `value`, `n_waiting`, `is_broken`"),
    Wait "wait" ("waits"),
    WaitTimeout "wait_timeout" ("waits for a limited time"),
    Notify "notify" ("`notify_all` as well"),
    Abort "abort",
    Reset "reset",
    Clear "clear",
    Put "put" ("waits for room"),
    TryPut "try_put" ("does not wait"),
    PutTimeout "put_timeout" ("waits for a limited time"),
    Get "get" ("reads, also several at once; takes an item, waiting for one"),
    TryGet "try_get" ("does not wait"),
    GetTimeout "get_timeout" ("waits for a limited time"),
    Shutdown "shutdown",
    TaskDone "task_done",
    Set "set" ("writes, also several at once"),
    Update "update" ("reads and writes as one"),
}

names! {
    /// What an object is.
    Kind:
    Process "Process",
    Connection "Connection" ("one end of a pipe"),
    Listener "Listener",
    SharedMemory "SharedMemory",
    Lock "Lock",
    RLock "RLock",
    Semaphore "Semaphore",
    BoundedSemaphore "BoundedSemaphore",
    Condition "Condition",
    Event "Event",
    Barrier "Barrier",
    Value "Value",
    Array "Array",
    AtomicValue "AtomicValue",
    MessageQueue "MessageQueue" ("of System V"),
    Segment "Segment" ("memory of System V"),
    Mapping "Mapping" ("memory behind a descriptor"),
    Queue "Queue",
    JoinableQueue "JoinableQueue" ("what is unfinished of a queue; the queue itself is a `Queue`"),
}

/// Which object it is.
///
/// `Lock-2` is the second lock that the main process has made, `1:3/Lock-2` the second of its first
/// child's third child. A process has the numbers of its path: `Process-1:3`, or `MainProcess`. What has a name in the
/// system bears that: `SharedMemory "prices"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    kind: Kind,
    label: Label,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Label {
    /// The path of the maker, and which of this kind.
    Made(Arc<[u64]>, u64),
    /// That of the system.
    Given(Arc<str>),
}

impl Name {
    /// The name of an object that is about to be made here; passes its first point.
    #[track_caller]
    pub(crate) fn new(kind: Kind) -> Self {
        let (maker, number) = next(kind);
        let name = Self { kind, label: Label::Made(maker, number) };
        before(Operation::Create, &name);
        name
    }

    /// The name of the process with this path.
    pub(crate) fn of_process(path: &[u64]) -> Self {
        let (number, maker) = path.split_last().map_or((0, path), |(last, rest)| (*last, rest));
        Self { kind: Kind::Process, label: Label::Made(maker.into(), number) }
    }

    /// The name of an object that has one in the system.
    pub(crate) fn given(kind: Kind, name: &str) -> Self {
        Self { kind, label: Label::Given(name.into()) }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path =
            |maker: &[u64]| maker.iter().map(|number| format!("{number}:")).collect::<String>();
        match &self.label {
            Label::Given(name) => write!(f, "{} {name:?}", self.kind),
            Label::Made(_, 0) if self.kind == Kind::Process => f.write_str("MainProcess"),
            Label::Made(maker, number) if self.kind == Kind::Process => {
                write!(f, "Process-{}{number}", path(maker))
            }
            Label::Made(maker, number) if maker.is_empty() => write!(f, "{}-{number}", self.kind),
            Label::Made(maker, number) => {
                write!(f, "{}/{}-{number}", path(maker).trim_end_matches(':'), self.kind)
            }
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.label {
            Label::Made(maker, number) => (self.kind, &**maker, number, "").serialize(serializer),
            Label::Given(name) => (self.kind, &[] as &[u64], 0u64, &**name).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (kind, maker, number, name) =
            <(Kind, Vec<u64>, u64, String)>::deserialize(deserializer)?;
        let label = match name.as_str() {
            "" => Label::Made(maker.into(), number),
            name => Label::Given(name.into()),
        };
        Ok(Self { kind, label })
    }
}

/// What has a name.
pub(crate) trait Named {
    fn name(&self) -> &Name;
}

impl Named for Name {
    fn name(&self) -> &Name {
        self
    }
}

/// What this process has made.
struct Made {
    /// A forked child has another path, and begins anew.
    epoch: u32,
    path: Arc<[u64]>,
    numbers: [u64; Kind::ALL.len()],
}

static MADE: Mutex<Option<Made>> = Mutex::new(None);

fn made() -> MutexGuard<'static, Option<Made>> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held while this process forks.
pub(crate) struct Held(
    #[expect(dead_code, reason = "held, not used")]
    (MutexGuard<'static, Option<Made>>, MutexGuard<'static, Option<Listener>>),
);

pub(crate) fn hold() -> Held {
    Held((made(), listener()))
}

/// The path of this process, and the next number of a kind.
fn next(kind: Kind) -> (Arc<[u64]>, u64) {
    let epoch = thread::epoch();
    loop {
        if let Some(made) = made().as_mut().filter(|made| made.epoch == epoch) {
            let number = &mut made.numbers[kind as usize];
            *number += 1;
            return (Arc::clone(&made.path), *number);
        }
        // Not with the lock held: who forks holds that of the path when it takes this one.
        let path = process::path().into();
        let mut made = made();
        if made.as_ref().is_none_or(|made| made.epoch != epoch) {
            *made = Some(Made { epoch, path, numbers: [0; Kind::ALL.len()] });
        }
    }
}

/// A function that is told of every point.
pub type Listener = fn(&Point<'_>);

/// Who watches; 0 where nobody does.
static WATCH: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Whether notes are wanted was not asked yet.
const UNDECIDED: u8 = 1;
/// There is a listener.
const LISTENS: u8 = 2;
/// Notes are taken.
const NOTES: u8 = 4;

static LISTENER: Mutex<Option<Listener>> = Mutex::new(None);

fn listener() -> MutexGuard<'static, Option<Listener>> {
    LISTENER.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Whether this thread passes no points: in the listener, and in [`quietly`].
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Has `listener` called at every point of this process from now on, in place of any before it.
///
/// It runs in the thread that passes the point, before the operation; what it does itself passes no
/// points. A child that is forked has its parent's listener; under the other start methods, call this
/// before [`init`](crate::init).
pub fn listen(listener: Listener) {
    *self::listener() = Some(listener);
    WATCH.fetch_or(LISTENS, Ordering::Release);
}

/// Ends what [`listen`] has begun.
pub fn stop_listening() {
    WATCH.fetch_and(!LISTENS, Ordering::Release);
    *listener() = None;
}

/// The whole cost of a point while nobody watches.
#[inline(always)]
fn is_on() -> bool {
    cfg!(not(common_without_points)) && WATCH.load(Ordering::Relaxed) != 0
}

/// Passes a point: to be called first, by a function with `#[track_caller]`.
#[inline(always)]
#[track_caller]
pub(crate) fn before(operation: Operation, object: &impl Named) {
    if is_on() {
        tell(operation, object.name(), Location::caller());
    }
}

/// The same, for an object whose name is made when it is asked for.
#[inline(always)]
#[track_caller]
pub(crate) fn before_of(operation: Operation, object: impl FnOnce() -> Name) {
    if is_on() {
        tell(operation, &object(), Location::caller());
    }
}

/// The same, for what a guard does: where it was made is the place. It is read only if somebody listens.
#[inline(always)]
pub(crate) fn before_at(
    operation: Operation,
    object: &impl Named,
    made: &&'static Location<'static>,
) {
    if is_on() {
        tell_at(operation, object.name(), made);
    }
}

#[cold]
#[inline(never)]
fn tell_at(operation: Operation, object: &Name, made: &&'static Location<'static>) {
    tell(operation, object, made);
}

/// Passes no points while `work` runs: it is this crate's own, of no interest to the program.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    if WATCH.load(Ordering::Relaxed) & NOTES != 0 && !QUIET.get() {
        notes::go_quiet();
    }
    silently(work)
}

fn silently<T>(work: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            QUIET.set(self.0);
        }
    }
    let _before = Before(QUIET.replace(true));
    work()
}

/// In a forked child: what its thread does is the program's again.
pub(crate) fn begin() {
    QUIET.set(false);
}

#[cold]
#[inline(never)]
fn tell(operation: Operation, object: &Name, location: &'static Location<'static>) {
    if QUIET.get() {
        return;
    }
    let mut watch = WATCH.load(Ordering::Relaxed);
    if watch & UNDECIDED != 0 {
        watch = decide();
    }
    let point = Point { operation, object, location };
    if watch & NOTES != 0 {
        notes::note(&point);
    }
    if watch & LISTENS != 0 {
        let listener = *listener();
        if let Some(listener) = listener {
            silently(|| listener(&point));
        }
    }
}

/// At the first point: whether notes are wanted. Two threads that are first do the same.
#[cold]
fn decide() -> u8 {
    if std::env::var_os(notes::VARIABLE).is_some() {
        notes::open();
        WATCH.fetch_or(NOTES, Ordering::Relaxed);
    }
    WATCH.fetch_and(!UNDECIDED, Ordering::Relaxed) & !UNDECIDED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_who_made_it_and_travels() {
        let shown = |kind, maker: &[u64], number| {
            let name = Name { kind, label: Label::Made(maker.into(), number) };
            let bytes = crate::codec::encode(&name).unwrap().bytes;
            assert_eq!(crate::codec::decode::<Name>(&bytes, Vec::new()).unwrap(), name);
            name.to_string()
        };
        assert_eq!(shown(Kind::Lock, &[], 2), "Lock-2");
        assert_eq!(shown(Kind::Lock, &[1, 3], 2), "1:3/Lock-2");
        assert_eq!(Name::of_process(&[1, 3]).to_string(), "Process-1:3");
        assert_eq!(Name::of_process(&[4]).to_string(), "Process-4");
        assert_eq!(Name::of_process(&[]).to_string(), "MainProcess");
        let given = Name::given(Kind::SharedMemory, "prices");
        assert_eq!(given.to_string(), "SharedMemory \"prices\"");
        let bytes = crate::codec::encode(&given).unwrap().bytes;
        assert_eq!(crate::codec::decode::<Name>(&bytes, Vec::new()).unwrap(), given);
    }

    #[test]
    fn a_later_object_has_a_larger_number() {
        let numbers = |kind| match Name::new(kind).label {
            Label::Made(_, number) => number,
            Label::Given(name) => panic!("{name}"),
        };
        let first = numbers(Kind::AtomicValue);
        // Other tests make some too.
        assert!(numbers(Kind::AtomicValue) > first);
    }
}
