//! The machine beneath the words: threads that can be killed, and the kernel's part of the story.
//!
//! Loom runs all threads of a model on one thread of the system, and changes between them only at
//! operations on its own objects. So the queues below are plain memory, and what is done between two
//! such operations is done at once.
//!
//! # A futex
//!
//! A sleeper looks at its word and joins the queue in one step, as the kernel does under the lock of a
//! bucket. Sleeping and waking are operations on the loom word itself (a read-modify-write that
//! changes nothing), so loom tries both orders of any two that concern the same word. They are
//! relaxed: an algorithm must order its memory by its own operations. (One that is woken has seen what
//! its waker did before; one that found the word changed has not, and that order is tried as well.)
//! Who came first is woken first.
//!
//! # Death
//!
//! A mortal thread asks before each of its steps whether it dies ([`moment`]). Dying is unwinding, in
//! which destructors find words that do nothing ([`unwinds`]); at the top of the thread the kernel's work
//! is done: each word in the thread's list that bears its id becomes [`DIED`], keeps [`WAITERS`], and
//! wakes one sleeper if it has any. The pending word comes last, and if nobody holds it, it wakes one
//! sleeper and stays as it is. Kernels before 6.2 did so only if it was 0, and lost a wake-up where it was
//! [`DIED`].
//!
//! One who is killed in his sleep leaves the queue, and that is the same as dying just before he joins
//! it, however much later. One who is killed after he was woken has swallowed the wake-up.

use crate::word::{DIED, HOLDER, WAITERS};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;
use loom::thread::{self, JoinHandle, Thread, ThreadId};
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe, Location};
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// A word as all keep it: the threads, the queues, the lists of the dead.
pub(crate) struct Kept {
    pub(crate) name: &'static str,
    pub(crate) value: AtomicU32,
    /// The links of a record: plain memory, written by who enlists and delists.
    pub(crate) links: UnsafeCell<()>,
}

impl Kept {
    /// What stands in the word at last, without any ordering.
    fn latest(&self) -> u32 {
        // A number that no algorithm writes; if one did, it would be written again.
        const NOBODY_S: u32 = 0x5eed_f00d;
        let (Ok(value) | Err(value)) =
            self.value.compare_exchange(NOBODY_S, NOBODY_S, Ordering::Relaxed, Ordering::Relaxed);
        value
    }
}

/// Which rule the kernel follows for the pending word of a dead thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Since 6.2: one that nobody holds wakes one sleeper.
    #[default]
    Today,
    /// Only one that is 0.
    Before62,
}

/// What holds for one run of a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) kernel: Kernel,
    /// Whether time passes when all wait: then every sleep ends.
    pub(crate) slices: bool,
    /// Whether it is time to look for the dead at any moment, and not only after a slice.
    pub(crate) always_due: bool,
    /// How many sleeps of each thread end at any moment.
    pub(crate) spurious: u32,
    /// For each mortal thread, in the order of their start, before which of its steps it dies.
    pub(crate) deaths: Vec<Option<usize>>,
}

/// One thread of the model, which is a process of its own.
struct Runner {
    id: ThreadId,
    /// 1 until it is gone.
    life: Rc<AtomicU32>,
    /// The words in its list, the last first in the kernel's eyes.
    held: Vec<Rc<Kept>>,
    pending: Option<Rc<Kept>>,
    /// How many steps it still does before it dies.
    left: Option<usize>,
    /// How many of its sleeps still end at any moment.
    spurious: u32,
    waits: Wait,
}

/// What a thread waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    /// A wake-up.
    Asleep,
    /// The end of the thread in this place.
    End(usize),
    /// It has ended itself.
    Over,
}

impl Runner {
    fn new(id: ThreadId, life: Rc<AtomicU32>, left: Option<usize>) -> Self {
        let (held, pending, waits) = (Vec::new(), None, Wait::Nothing);
        Self { id, life, held, pending, left, spurious: 0, waits }
    }
}

struct Sleeper {
    thread: Thread,
    word: Rc<Kept>,
    /// It sleeps until nobody else can go on.
    rests: bool,
}

/// One step of the order that is being tried.
struct Step {
    thread: u32,
    at: Option<&'static Location<'static>>,
    text: String,
}

#[derive(Default)]
struct Machine {
    conditions: Conditions,
    runners: Vec<Runner>,
    sleepers: Vec<Sleeper>,
    /// How many sleeps each deadline still allows.
    deadlines: Vec<u32>,
    mortals: usize,
    killed: Vec<usize>,
    marks: u32,
    /// Whether a slice has ended, and nobody has looked for the dead since.
    is_due: bool,
    steps: Vec<Step>,
}

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::default();
}

fn with<R>(act: impl FnOnce(&mut Machine) -> R) -> R {
    MACHINE.with_borrow_mut(act)
}

impl Machine {
    fn me(&self) -> usize {
        let id = thread::current().id();
        let position = self.runners.iter().position(|runner| runner.id == id);
        position.expect("a model starts its threads by `machine::spawn`")
    }

    fn runner(&mut self) -> &mut Runner {
        let me = self.me();
        &mut self.runners[me]
    }

    fn tell(&mut self, at: Option<&'static Location<'static>>, text: impl FnOnce() -> String) {
        let thread = self.me() as u32 + 1;
        self.steps.push(Step { thread, at, text: text() });
    }
}

/// What came of one order.
pub(crate) struct Tally {
    /// How many threads could have died.
    pub(crate) mortals: usize,
    /// Which of them did.
    pub(crate) killed: Vec<usize>,
}

/// Begins an order: a new machine with one thread, the caller.
pub(crate) fn boot(conditions: &Conditions) {
    with(|machine| {
        let id = thread::current().id();
        let main = Runner::new(id, Rc::new(AtomicU32::new(1)), None);
        let main = Runner { spurious: conditions.spurious, ..main };
        *machine =
            Machine { conditions: conditions.clone(), runners: vec![main], ..Machine::default() };
    });
}

/// Ends it.
pub(crate) fn shut_down() -> Tally {
    leave();
    with(|machine| Tally { mortals: machine.mortals, killed: machine.killed.clone() })
}

/// How many words of the dead the kernel has marked so far.
pub(crate) fn marks() -> u32 {
    with(|machine| machine.marks)
}

/// Whether this thread is to look for the dead.
pub(crate) fn is_due() -> bool {
    with(|machine| std::mem::take(&mut machine.is_due) || machine.conditions.always_due)
}

/// The id of this thread.
pub(crate) fn me() -> u32 {
    with(|machine| machine.me() as u32 + 1)
}

/// A deadline that allows so many sleeps.
pub(crate) fn deadline(sleeps: u32) -> usize {
    with(|machine| {
        machine.deadlines.push(sleeps);
        machine.deadlines.len() - 1
    })
}

/// Whether it has passed.
pub(crate) fn has_passed(deadline: usize) -> bool {
    with(|machine| machine.deadlines[deadline] == 0)
}

/// The same; if not, it allows one sleep less.
pub(crate) fn is_over(deadline: usize) -> bool {
    with(|machine| match &mut machine.deadlines[deadline] {
        0 => true,
        left => {
            *left -= 1;
            false
        }
    })
}

// The trace.

/// Writes down a step on a word.
pub(crate) fn note<T: fmt::Display>(
    at: &'static Location<'static>,
    word: &'static str,
    what: &'static str,
    order: Ordering,
    before: T,
    after: Option<T>,
) {
    with(|machine| {
        machine.tell(Some(at), || match after {
            None => format!("{word}: {what} ({order:?}) sees {before}"),
            Some(after) => format!("{word}: {what} ({order:?}) {before} -> {after}"),
        });
    });
}

/// Writes down what a model wants to see in the trace.
pub(crate) fn remark(text: &'static str) {
    with(|machine| machine.tell(None, || text.to_owned()));
}

/// A value with the names of its highest bits.
pub(crate) struct Bits(pub(crate) u32);

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let died = if self.0 & DIED == 0 { "" } else { "|DIED" };
        let waiters = if self.0 & WAITERS == 0 { "" } else { "|WAITERS" };
        write!(f, "{}{died}{waiters}", self.0 & HOLDER)
    }
}

/// How many steps a trace shows.
const LAST: usize = 150;

/// The order that was tried last, a step a line.
pub(crate) fn trace() -> String {
    with(|machine| {
        let before = machine.steps.len().saturating_sub(LAST);
        let lines = machine.steps[before..].iter().map(|step| {
            let at = step.at.map_or_else(String::new, |at| {
                let file = at.file().rsplit('/').next().unwrap_or_default();
                format!("{file}:{}", at.line())
            });
            format!("  thread {}  {at:<16} {}\n", step.thread, step.text)
        });
        let first = match before {
            0 => String::new(),
            before => format!("  ({before} steps before)\n"),
        };
        first + &lines.collect::<String>()
    })
}

// Threads and their deaths.

/// With it a thread unwinds that is killed.
struct Killed;

/// A thread of a model.
pub(crate) struct Handle<T> {
    place: usize,
    handle: JoinHandle<Option<T>>,
}

/// Waits for the end of several.
pub(crate) fn join_all<T, const N: usize>(handles: [Handle<T>; N]) -> [T; N] {
    handles.map(Handle::join)
}

impl<T> Handle<T> {
    /// The thread's id.
    pub(crate) fn id(&self) -> u32 {
        self.place as u32 + 1
    }

    /// Waits for its end.
    pub(crate) fn join(self) -> T {
        self.join_mortal().expect("only a mortal thread is killed")
    }

    /// Waits for its end; none where it was killed.
    pub(crate) fn join_mortal(self) -> Option<T> {
        with(|machine| machine.runner().waits = Wait::End(self.place));
        end_slices();
        let end = self.handle.join().expect("a panic ends the model");
        with(|machine| machine.runner().waits = Wait::Nothing);
        end
    }
}

/// Starts a thread.
pub(crate) fn spawn<T: 'static>(run: impl FnOnce() -> T + 'static) -> Handle<T> {
    start(None, run)
}

/// Starts a thread that may be killed. The model is tried once for each of its steps, and the thread
/// dies just before that one; and once more without its death.
pub(crate) fn spawn_mortal<T: 'static>(run: impl FnOnce() -> T + 'static) -> Handle<T> {
    let mortal = with(|machine| {
        machine.mortals += 1;
        machine.mortals - 1
    });
    start(Some(mortal), run)
}

fn start<T: 'static>(mortal: Option<usize>, run: impl FnOnce() -> T + 'static) -> Handle<T> {
    let life = Rc::new(AtomicU32::new(1));
    let handle = thread::spawn(move || {
        // To unwind changes nothing.
        let end = match panic::catch_unwind(AssertUnwindSafe(run)) {
            Ok(end) => Some(end),
            Err(payload) if payload.is::<Killed>() => {
                with(|machine| machine.killed.extend(mortal));
                None
            }
            Err(payload) => panic::resume_unwind(payload),
        };
        leave();
        with(|machine| machine.runner().waits = Wait::Over);
        end_slices();
        end
    });
    let id = handle.thread().id();
    let place = with(|machine| {
        let left = mortal.and_then(|mortal| *machine.conditions.deaths.get(mortal)?);
        let spurious = machine.conditions.spurious;
        machine.runners.push(Runner { spurious, ..Runner::new(id, life, left) });
        machine.runners.len() - 1
    });
    Handle { place, handle }
}

/// Whether this thread unwinds, because it is killed or the model has failed. What destructors do then
/// does not happen.
pub(crate) fn unwinds() -> bool {
    std::thread::panicking()
}

/// A moment at which a mortal thread may die.
pub(crate) fn moment() {
    let dies = with(|machine| match &mut machine.runner().left {
        None => false,
        Some(0) => true,
        Some(left) => {
            *left -= 1;
            false
        }
    });
    if dies {
        with(|machine| machine.tell(None, || "is killed".to_owned()));
        panic::resume_unwind(Box::new(Killed));
    }
}

/// What the kernel does when a thread has ended, by whatever means.
fn leave() {
    let (me, held, pending, life) = with(|machine| {
        let me = machine.me();
        let runner = &mut machine.runners[me];
        let (held, pending) = (std::mem::take(&mut runner.held), runner.pending.take());
        (me as u32 + 1, held, pending, Rc::clone(&runner.life))
    });
    let is_pending =
        |word: &Rc<Kept>| pending.as_ref().is_some_and(|pending| Rc::ptr_eq(word, pending));
    for word in held.iter().rev().filter(|word| !is_pending(word)) {
        bury(word, me, false);
    }
    if let Some(word) = &pending {
        bury(word, me, true);
    }
    life.swap(0, Ordering::Release);
}

/// Whether the kernel is not done with a thread.
pub(crate) fn is_alive(id: u32) -> bool {
    let life = with(|machine| Rc::clone(&machine.runners[id as usize - 1].life));
    life.compare_exchange(2, 2, Ordering::Acquire, Ordering::Acquire) == Err(1)
}

/// Settles one word of thread `id`, which is dead.
fn bury(word: &Rc<Kept>, id: u32, is_pending: bool) {
    let kernel = with(|machine| machine.conditions.kernel);
    loop {
        let seen = word.latest();
        let is_free = match kernel {
            Kernel::Today => seen & HOLDER == 0,
            Kernel::Before62 => seen == 0,
        };
        if is_pending && is_free {
            with(|machine| machine.tell(None, || format!("{}: pending and free", word.name)));
            rouse(None, word, 1);
            return;
        }
        if seen & HOLDER != id {
            return;
        }
        let marked = seen & WAITERS | DIED;
        let done = word.value.compare_exchange(seen, marked, Ordering::SeqCst, Ordering::Relaxed);
        if done.is_err() {
            continue;
        }
        with(|machine| {
            machine.marks += 1;
            machine.tell(None, || format!("{}: the kernel marks it {}", word.name, Bits(marked)));
        });
        if seen & WAITERS != 0 {
            rouse(None, word, 1);
        }
        return;
    }
}

/// Says which word this thread is about to take or to give back.
pub(crate) fn set_pending(word: Option<&Rc<Kept>>) {
    with(|machine| machine.runner().pending = word.cloned());
}

/// Puts a word into this thread's list.
pub(crate) fn enlist(word: &Rc<Kept>) {
    // To write the links of one that another holds is a race.
    word.links.with_mut(|_| ());
    with(|machine| {
        let mut lists = machine.runners.iter().map(|runner| &runner.held);
        assert!(
            !lists.any(|list| list.iter().any(|held| Rc::ptr_eq(held, word))),
            "{} is enlisted while a list holds it",
            word.name
        );
        machine.runner().held.push(Rc::clone(word));
    });
}

/// Takes a word out of this thread's list.
pub(crate) fn delist(word: &Rc<Kept>) {
    word.links.with_mut(|_| ());
    with(|machine| {
        let list = &mut machine.runner().held;
        let position = list.iter().position(|held| Rc::ptr_eq(held, word));
        let position = position.unwrap_or_else(|| panic!("{} is delisted twice", word.name));
        list.remove(position);
    });
}

// The futex.

/// Sleeps while the word holds `expected`. A light sleep may end at any moment.
pub(crate) fn sleep(
    at: &'static Location<'static>,
    word: &Rc<Kept>,
    expected: u32,
    is_light: bool,
) {
    let seen = word.latest();
    with(|machine| {
        machine.tell(Some(at), || {
            let does = if seen == expected { "sleeps" } else { "does not sleep" };
            format!("{}: {does} on {}, sees {}", word.name, Bits(expected), Bits(seen))
        });
    });
    if seen != expected {
        return;
    }
    let thread = thread::current();
    let id = thread.id();
    let is_light = with(|machine| {
        let runner = machine.runner();
        let is_light = is_light || runner.spurious > 0;
        if is_light {
            runner.spurious = runner.spurious.saturating_sub(1);
        } else {
            runner.waits = Wait::Asleep;
        }
        let word = Rc::clone(word);
        machine.sleepers.push(Sleeper { thread, word, rests: false });
        is_light
    });
    if is_light {
        leave_the_queue(id);
    } else {
        end_slices();
        // Perhaps its own has just ended.
        if with(|machine| machine.sleeper(id).is_some()) {
            thread::park();
        }
    }
    with(|machine| machine.tell(Some(at), || "wakes up".to_owned()));
}

/// Ends a light sleep.
fn leave_the_queue(id: ThreadId) {
    while let Some(word) = with(|machine| Some(Rc::clone(&machine.sleeper(id)?.word))) {
        // Who comes first, this sleeper or one who wakes it? Both act on the word.
        word.latest();
        if with(|machine| machine.remove_sleeper(id, &word)) {
            return;
        }
    }
    // It was woken, and does not wait here.
    thread::park();
}

/// Waits until nobody else can go on.
pub(crate) fn rest() {
    let (value, links) = (AtomicU32::new(0), UnsafeCell::new(()));
    let word = Rc::new(Kept { name: "rest", value, links });
    let thread = thread::current();
    let id = thread.id();
    with(|machine| {
        machine.runner().waits = Wait::Asleep;
        machine.sleepers.push(Sleeper { thread, word, rests: true });
    });
    end_slices();
    if with(|machine| machine.sleeper(id).is_some()) {
        thread::park();
    }
}

/// If nobody can go on, those do who rest. If nobody rests, and sleeps are slices, time passes until all
/// have ended.
fn end_slices() {
    let woken = with(|machine| {
        let is_stuck = |runner: &Runner| match runner.waits {
            Wait::Nothing => false,
            Wait::Asleep | Wait::Over => true,
            Wait::End(other) => machine.runners[other].waits != Wait::Over,
        };
        if !machine.runners.iter().all(is_stuck) {
            return Vec::new();
        }
        let resting: Vec<_> = machine.sleepers.extract_if(.., |sleeper| sleeper.rests).collect();
        if !resting.is_empty() || !machine.conditions.slices {
            return resting;
        }
        machine.tell(None, || "all wait, and time passes".to_owned());
        machine.is_due = true;
        std::mem::take(&mut machine.sleepers)
    });
    rise(&woken);
}

/// Lets threads go on that have been taken from the queue.
fn rise(woken: &[Sleeper]) {
    for sleeper in woken {
        with(|machine| {
            let id = sleeper.thread.id();
            let runner = machine.runners.iter_mut().find(|runner| runner.id == id);
            runner.expect("a sleeper is a thread").waits = Wait::Nothing;
        });
        sleeper.thread.unpark();
    }
}

impl Machine {
    fn sleeper(&self, id: ThreadId) -> Option<&Sleeper> {
        self.sleepers.iter().find(|sleeper| sleeper.thread.id() == id)
    }

    /// Whether the thread slept on this word; it does so no more.
    fn remove_sleeper(&mut self, id: ThreadId, word: &Rc<Kept>) -> bool {
        let position = self
            .sleepers
            .iter()
            .position(|sleeper| sleeper.thread.id() == id && Rc::ptr_eq(&sleeper.word, word));
        position.map(|position| self.sleepers.remove(position)).is_some()
    }
}

/// Wakes at most `count` who sleep on the word; how many it has woken.
pub(crate) fn wake(at: &'static Location<'static>, word: &Rc<Kept>, count: u32) -> u32 {
    rouse(Some(at), word, count)
}

fn rouse(at: Option<&'static Location<'static>>, word: &Rc<Kept>, count: u32) -> u32 {
    word.latest();
    let woken = with(|machine| {
        let is_here = |sleeper: &mut Sleeper| Rc::ptr_eq(&sleeper.word, word);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut woken = Vec::new();
        while woken.len() < count
            && let Some(position) = machine.sleepers.iter_mut().position(is_here)
        {
            woken.push(machine.sleepers.remove(position));
        }
        machine.tell(at, || format!("{}: wakes {}", word.name, woken.len()));
        woken
    });
    rise(&woken);
    woken.len() as u32
}

/// Lets at most `count` who sleep on the word sleep on another; how many, unless the word has changed.
pub(crate) fn requeue(
    at: &'static Location<'static>,
    word: &Rc<Kept>,
    expected: u32,
    other: &Rc<Kept>,
    count: u32,
) -> Option<u32> {
    // The other word is touched before and after, so that who wakes its sleepers is tried on both sides.
    other.latest();
    let seen = word.latest();
    let moved = with(|machine| {
        let mut moved = 0;
        let here = machine.sleepers.iter_mut().filter(|sleeper| Rc::ptr_eq(&sleeper.word, word));
        if seen == expected {
            for sleeper in here.take(usize::try_from(count).unwrap_or(usize::MAX)) {
                sleeper.word = Rc::clone(other);
                moved += 1;
            }
        }
        machine.tell(Some(at), || {
            let (seen, expected) = (Bits(seen), Bits(expected));
            format!("{}: {moved} go to {}, sees {seen} for {expected}", word.name, other.name)
        });
        moved
    });
    other.latest();
    (seen == expected).then_some(moved)
}
