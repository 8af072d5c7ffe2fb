//! Primitives between processes that end in every way, are stopped, are copied, or are many.
//!
//! Each test runs in a process of its own, so that it may fork, and its descriptors are its own. What it
//! starts are daemons: if it hangs and is killed, they end with it.

use common::connection::{Sender, one_way_pipe, pipe};
use common::process::StartError;
use common::sync::{
    Barrier, BoundedSemaphore, BrokenBarrier, Condition, Event, Lock, LockGuard, NotOwner, Permit,
    RLock, RLockGuard, Semaphore,
};
use common::{Child, Exit, Process, SharedMemory, Signal, StartMethod};
use libtest_mimic::{Arguments, Failed, Trial};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(60);
/// How long it takes to see that nothing comes.
const SHORT: Duration = Duration::from_millis(200);

type Body = fn(()) -> common::Result<()>;

fn main() {
    common::init();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let trials: [(&str, Body); 24] = [
        ("however_its_holder_ends_the_next_holder_of_a_lock_is_told", ends_with::<Lock>),
        ("however_its_holder_ends_the_next_holder_of_an_rlock_is_told", ends_with::<RLock>),
        ("however_its_holder_ends_the_lock_of_a_condition_is_given_on", ends_with::<Condition>),
        ("however_its_holder_ends_a_permit_returns", ends_with::<Semaphore>),
        ("however_its_holder_ends_a_bounded_permit_returns", ends_with::<BoundedSemaphore>),
        ("a_lock_in_the_destructors_of_a_panic_tells_nothing", in_destructors),
        ("a_lock_that_was_kept_beyond_its_last_handle_harms_no_other", kept_beyond_handle),
        ("handles_work_when_all_their_peers_are_gone", peers_gone),
        ("a_lock_in_a_message_is_the_same_lock", lock_in_message),
        ("ten_thousand_locks_are_one_argument", ten_thousand),
        ("nothing_of_them_has_a_name_in_the_file_system", no_name),
        ("descriptors_do_not_add_up", descriptors_stay),
        ("two_thousand_who_wait_for_an_event_go_on", |()| crowd(Kind::Event)),
        ("two_thousand_who_wait_for_a_condition_go_on", |()| crowd(Kind::Condition)),
        ("two_thousand_parties_pass_a_barrier", |()| crowd(Kind::Barrier)),
        ("two_thousand_who_wait_for_a_permit_go_on", |()| crowd(Kind::Semaphore)),
        ("two_thousand_who_wait_for_a_lock_go_on", |()| crowd(Kind::Lock)),
        ("two_conditions_of_one_lock_make_a_buffer", buffer),
        ("a_forked_child_does_not_own_the_locks_of_its_parent", fork_with_locks),
        ("a_forked_child_that_drops_a_copied_guard_frees_nothing", fork_with_guards),
        ("a_forked_child_cannot_wait_with_a_copied_guard", fork_with_condition),
        ("a_forked_child_that_drops_a_copied_permit_returns_nothing", fork_with_permits),
        ("limits_run_out_while_the_holder_is_stopped", holder_is_stopped),
        ("who_is_stopped_while_it_waits_goes_on_later", waiter_is_stopped),
    ];
    let trials = trials.map(|(name, body)| Trial::test(name, move || alone(name, body)));
    libtest_mimic::run(&arguments, trials.into()).exit();
}

/// Runs a test in a process of its own.
fn alone(name: &str, body: Body) -> Result<(), Failed> {
    let child = Process::new(body, ()).name(name).start_method(StartMethod::Spawn).start()?;
    match child.join_timeout(3 * LONG)? {
        Some(Exit::Code(0)) => Ok(()),
        Some(exit) => Err(format!("its process {exit}").into()),
        None => {
            child.kill()?;
            child.join()?;
            Err("it hangs, and was killed".into())
        }
    }
}

fn start<A: Serialize + DeserializeOwned, R: common::process::Outcome>(
    method: StartMethod,
    target: fn(A) -> R,
    argument: A,
) -> Result<Child, StartError> {
    Process::new(target, argument).start_method(method).daemon().start()
}

fn ends_well(child: &Child) -> common::Result<()> {
    assert_eq!(child.join_timeout(LONG)?, Some(Exit::Code(0)), "{}", child.name());
    Ok(())
}

/// Takes what has to come so many times.
fn take(semaphore: &Semaphore, count: u32) {
    for number in 0..count {
        let permit = semaphore.acquire_timeout(LONG);
        permit.unwrap_or_else(|| panic!("{number} of {count} have come")).keep();
    }
}

fn add_one(count: &Semaphore) {
    count.release().expect("there is no bound");
}

/// Waits until the kernel says so of a process: `T` stopped, `S` asleep.
fn until_state(child: &Child, state: char) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.pid()))?;
        if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(state)) {
            return Ok(());
        }
        assert!(begin.elapsed() < LONG, "it does not become {state}: {stat}");
        thread::sleep(Duration::from_millis(1));
    }
}

// How a holder ends.

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum End {
    Returns,
    Panics,
    Exits,
    Aborts,
    IsKilled,
}

impl End {
    const ALL: [Self; 5] = [Self::Returns, Self::Panics, Self::Exits, Self::Aborts, Self::IsKilled];

    /// Comes to it; returns if the caller shall.
    fn come(self) {
        match self {
            Self::Returns => {}
            Self::Panics => panic!("a panic that the test expects"),
            Self::Exits => std::process::exit(0),
            Self::Aborts => std::process::abort(),
            Self::IsKilled => loop {
                nix::sys::signal::raise(nix::sys::signal::SIGKILL).expect("a signal to itself");
            },
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::Returns | Self::Exits => Exit::Code(0),
            Self::Panics => Exit::Code(101),
            Self::Aborts => Exit::Signal(Signal::ABRT),
            Self::IsKilled => Exit::Signal(Signal::KILL),
        }
    }
}

/// What one holds at a time.
trait Hold: Sized + Clone + Serialize + DeserializeOwned {
    fn make() -> io::Result<Self>;
    /// Does something while it is held, and then does not give it back.
    fn hold(&self, during: impl FnOnce());
    /// Takes it when it is free; whether it comes, and is told what it has to be told.
    fn take_after_a_death(&self) -> bool;
    /// Whether it is free, and there is nothing to tell.
    fn is_as_new(&self) -> bool;
}

impl Hold for Lock {
    fn make() -> io::Result<Self> {
        Self::new()
    }

    fn hold(&self, during: impl FnOnce()) {
        let guard = self.acquire();
        during();
        guard.keep();
    }

    fn take_after_a_death(&self) -> bool {
        self.acquire_timeout(LONG).is_some_and(|guard| guard.previous_holder_died())
    }

    fn is_as_new(&self) -> bool {
        self.try_acquire().is_some_and(|guard| !guard.previous_holder_died())
    }
}

impl Hold for RLock {
    fn make() -> io::Result<Self> {
        Self::new()
    }

    fn hold(&self, during: impl FnOnce()) {
        let guards = [self.acquire(), self.acquire(), self.acquire()];
        during();
        guards.into_iter().for_each(RLockGuard::keep);
    }

    fn take_after_a_death(&self) -> bool {
        let outer = self.acquire_timeout(LONG);
        let inner = self.acquire_timeout(LONG);
        let told = outer.as_ref().is_some_and(RLockGuard::previous_holder_died);
        told && inner.is_some_and(|inner| !inner.previous_holder_died())
    }

    fn is_as_new(&self) -> bool {
        self.try_acquire().is_some_and(|guard| !guard.previous_holder_died())
    }
}

impl Hold for Condition {
    fn make() -> io::Result<Self> {
        Self::new()
    }

    fn hold(&self, during: impl FnOnce()) {
        self.lock().hold(during);
    }

    /// Those who wait for a notification are told as well.
    fn take_after_a_death(&self) -> bool {
        self.lock().take_after_a_death()
    }

    fn is_as_new(&self) -> bool {
        self.lock().is_as_new()
    }
}

macro_rules! hold_permit {
    ($type:ident) => {
        impl Hold for $type {
            fn make() -> io::Result<Self> {
                Self::new(1)
            }

            fn hold(&self, during: impl FnOnce()) {
                let permit = self.acquire();
                during();
                mem::forget(permit);
            }

            fn take_after_a_death(&self) -> bool {
                self.acquire_timeout(LONG).is_some()
            }

            fn is_as_new(&self) -> bool {
                self.value() == 1
            }
        }
    };
}

hold_permit!(Semaphore);
hold_permit!(BoundedSemaphore);

fn ends_with<H: Hold>((): ()) -> common::Result<()> {
    fn holds<H: Hold>((held, taken, go, end): (H, Event, Event, End)) {
        held.hold(|| {
            taken.set();
            go.wait();
            end.come();
        });
    }
    fn is_next<H: Hold>((held, waits): (H, Event)) {
        waits.set();
        assert!(held.take_after_a_death());
    }
    for method in StartMethod::ALL {
        for end in End::ALL {
            let held = H::make()?;
            let [taken, go, waits] = [Event::new()?, Event::new()?, Event::new()?];
            let argument = (held.clone(), taken.clone(), go.clone(), end);
            let holder = start(method, holds::<H>, argument)?;
            assert!(taken.wait_timeout(LONG));
            let next = start(method, is_next::<H>, (held.clone(), waits.clone()))?;
            assert!(waits.wait_timeout(LONG));
            // Before and after it sleeps.
            thread::sleep(Duration::from_millis(if method == StartMethod::Fork { 0 } else { 20 }));
            assert!(!held.is_as_new(), "{end:?}: nobody holds it");
            go.set();
            assert_eq!(holder.join_timeout(LONG)?, Some(end.exit()), "{method}");
            ends_well(&next)?;
            assert!(held.is_as_new(), "{method}, {end:?}: it is not as it was");
        }
    }
    Ok(())
}

fn in_destructors((): ()) -> common::Result<()> {
    struct TakesAtItsEnd(Lock, RLock);
    impl Drop for TakesAtItsEnd {
        fn drop(&mut self) {
            let _guards = (self.0.acquire(), self.1.acquire());
        }
    }
    let (lock, rlock) = (Lock::new()?, RLock::new()?);
    let last = TakesAtItsEnd(lock.clone(), rlock.clone());
    let thread = thread::spawn(move || {
        let _last = last;
        panic!("a panic that the test expects");
    });
    assert!(thread.join().is_err());
    // It was taken while all was in order, and given back when all was done.
    assert!(lock.is_as_new() && rlock.is_as_new());
    Ok(())
}

fn kept_beyond_handle((): ()) -> common::Result<()> {
    fn makes(told: Sender<(Lock, RLock)>) -> common::Result<()> {
        Ok(told.send(&(Lock::new()?, RLock::new()?))?)
    }
    fn works() -> io::Result<()> {
        let others: Vec<Lock> = (0..3000).map(|_| Lock::new()).collect::<io::Result<_>>()?;
        for lock in &others {
            assert!(lock.is_as_new());
        }
        Ok(())
    }
    // Of this process.
    for _ in 0..10 {
        let (lock, rlock) = (Lock::new()?, RLock::new()?);
        lock.acquire().keep();
        mem::forget(rlock.acquire());
        drop((lock, rlock));
        works()?;
    }
    // Of another process: its memory is mapped here for the sake of these two alone.
    for _ in 0..10 {
        let (locks, told) = one_way_pipe()?;
        let maker = start(StartMethod::Spawn, makes, told)?;
        let (lock, rlock) = locks.recv()?;
        lock.acquire().keep();
        mem::forget(rlock.acquire());
        drop((lock, rlock));
        works()?;
        ends_well(&maker)?;
    }
    Ok(())
}

// Where handles go.

/// One of each.
#[derive(Clone, Serialize, Deserialize)]
struct Everything {
    lock: Lock,
    rlock: RLock,
    semaphore: Semaphore,
    bounded: BoundedSemaphore,
    condition: Condition,
    event: Event,
    barrier: Barrier,
}

impl Everything {
    fn new(parties: u32) -> io::Result<Self> {
        Ok(Self {
            lock: Lock::new()?,
            rlock: RLock::new()?,
            semaphore: Semaphore::new(2)?,
            bounded: BoundedSemaphore::new(2)?,
            condition: Condition::new()?,
            event: Event::new()?,
            barrier: Barrier::new(parties)?.timeout(LONG),
        })
    }

    /// What one process can do with them alone, and leaves them as they were.
    fn is_used(&self) {
        let moment = Duration::from_millis(1);
        assert!(self.lock.is_as_new() && self.rlock.is_as_new());
        let permits = (self.semaphore.acquire(), self.bounded.acquire());
        assert_eq!((self.semaphore.value(), self.bounded.value()), (1, 1));
        drop(permits);
        assert_eq!((self.semaphore.value(), self.bounded.value()), (2, 2));
        let mut guard = self.condition.acquire();
        self.condition.notify_all(&guard);
        assert!(!self.condition.wait_timeout(&mut guard, moment));
        drop(guard);
        assert!(!self.event.is_set() && !self.event.wait_timeout(moment));
        self.event.set();
        self.event.wait();
        self.event.clear();
        self.barrier.abort();
        assert_eq!(self.barrier.wait(), Err(BrokenBarrier));
        self.barrier.reset();
        assert!(!self.barrier.is_broken());
    }

    /// What two processes do with them together: one of them, and the other.
    fn is_used_by_two(&self, is_first: bool) {
        for _ in 0..3 {
            self.barrier.wait().expect("it is whole");
        }
        if is_first {
            let mut guard = self.condition.acquire();
            self.barrier.wait().expect("it is whole");
            assert!(self.condition.wait_timeout(&mut guard, LONG));
            drop(guard);
            self.event.set();
        } else {
            self.barrier.wait().expect("it is whole");
            self.condition.notify(&self.condition.acquire(), 1);
            assert!(self.event.wait_timeout(LONG));
            self.event.clear();
        }
        let _both = (self.semaphore.acquire(), self.bounded.acquire());
        self.barrier.wait().expect("it is whole");
        assert_eq!((self.semaphore.value(), self.bounded.value()), (0, 0));
        self.barrier.wait().expect("it is whole");
    }
}

fn peers_gone((): ()) -> common::Result<()> {
    fn makes(told: Sender<Everything>) -> common::Result<()> {
        let made = Everything::new(2)?;
        made.is_used();
        told.send(&made)?;
        End::IsKilled.come();
        Ok(())
    }
    fn second(everything: Everything) {
        everything.is_used_by_two(false);
        End::IsKilled.come();
    }
    for method in StartMethod::ALL {
        let (made, told) = one_way_pipe()?;
        let maker = start(method, makes, told)?;
        let everything = made.recv()?;
        assert_eq!(maker.join_timeout(LONG)?, Some(Exit::Signal(Signal::KILL)));
        everything.is_used();
        for partner in StartMethod::ALL {
            let partner = start(partner, second, everything.clone())?;
            everything.is_used_by_two(true);
            assert_eq!(partner.join_timeout(LONG)?, Some(Exit::Signal(Signal::KILL)));
            // What the one who was killed still held has to be asked for.
            for _ in 0..2 {
                let both = [(); 2].map(|()| everything.semaphore.acquire_timeout(LONG).is_some());
                assert_eq!(both, [true; 2]);
            }
            let held = [(); 2].map(|()| everything.bounded.acquire_timeout(LONG));
            assert!(held.iter().all(Option::is_some));
            drop(held);
            everything.barrier.reset();
            everything.is_used();
        }
    }
    Ok(())
}

fn lock_in_message((): ()) -> common::Result<()> {
    type Message = (u32, Option<Vec<Lock>>);
    fn child(parent: common::Connection<Message, Message>) -> common::Result<()> {
        let (number, locks) = parent.recv()?;
        let locks = locks.unwrap_or_default();
        assert_eq!(locks.iter().map(Lock::is_locked).collect::<Vec<_>>(), [true, false]);
        let _guard = locks[1].acquire();
        parent.send(&(number + 1, Some(vec![Lock::new()?, locks[0].clone()])))?;
        // Until the parent has seen it held.
        parent.recv()?;
        Ok(())
    }
    for method in StartMethod::ALL {
        let (ours, theirs) = pipe::<Message, Message>()?;
        let child = start(method, child, theirs)?;
        let locks = [Lock::new()?, Lock::new()?];
        let guard = locks[0].acquire();
        ours.send(&(1, Some(locks.to_vec())))?;
        let (number, returned) = ours.recv()?;
        let returned = returned.unwrap_or_default();
        assert_eq!(number, 2);
        assert!(locks[1].is_locked() && locks[1].try_acquire().is_none());
        assert!(returned[0].is_as_new());
        assert!(returned[1].is_locked());
        drop(guard);
        assert!(returned[1].is_as_new());
        ours.send(&(0, None))?;
        ends_well(&child)?;
        assert!(!locks[1].is_locked());
    }
    Ok(())
}

fn descriptors() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

fn ten_thousand((): ()) -> common::Result<()> {
    fn child(locks: Vec<Lock>) -> io::Result<()> {
        for (number, lock) in locks.iter().enumerate() {
            assert_eq!(lock.is_locked(), number % 100 == 0);
            assert_eq!(lock.try_acquire().is_some(), number % 100 != 0);
        }
        let count = descriptors()?;
        drop(locks);
        // However many there are, they lie in a few arenas.
        assert!(count - descriptors()? <= 4);
        Ok(())
    }
    let locks: Vec<Lock> = (0..10_000).map(|_| Lock::new()).collect::<io::Result<_>>()?;
    let guards: Vec<LockGuard<'_>> = locks.iter().step_by(100).map(Lock::acquire).collect();
    for method in StartMethod::ALL {
        ends_well(&start(method, child, locks.clone())?)?;
    }
    drop(guards);
    assert!(locks.iter().all(Lock::is_as_new));
    Ok(())
}

fn no_name((): ()) -> common::Result<()> {
    /// What process `pid` has open or mapped and what somebody else could find.
    fn named(pid: u32) -> io::Result<BTreeSet<String>> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let maps = maps.lines().filter_map(|line| line.splitn(6, ' ').nth(5));
        let mut names: BTreeSet<String> = maps.map(|name| name.trim().to_string()).collect();
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            names.insert(fs::read_link(entry?.path())?.to_string_lossy().into_owned());
        }
        names.retain(|name| name.starts_with('/') && !name.ends_with(" (deleted)"));
        Ok(names)
    }
    fn child((everything, told): (Everything, Sender<()>)) -> common::Result<()> {
        let more = Everything::new(2)?;
        more.is_used();
        everything.is_used();
        let _held = (more.lock.acquire(), everything.lock.acquire());
        told.send(&())?;
        thread::sleep(LONG);
        Ok(())
    }
    let before = named(std::process::id())?;
    for method in StartMethod::ALL {
        let everything = Everything::new(2)?;
        let (ready, told) = one_way_pipe()?;
        let child = start(method, child, (everything.clone(), told))?;
        ready.recv()?;
        for pid in [std::process::id(), child.pid()] {
            let names = named(pid)?;
            assert!(names.is_subset(&before), "{method}: {names:?} beside {before:?}");
            assert!(!names.iter().any(|name| name.starts_with("/dev/shm/")), "{names:?}");
        }
        child.kill()?;
        child.join()?;
    }
    Ok(())
}

fn descriptors_stay((): ()) -> common::Result<()> {
    fn child(_everything: Vec<Everything>) {}
    fn a_thousand() -> io::Result<()> {
        let all: Vec<Everything> =
            (0..1000).map(|number| Everything::new(number + 1)).collect::<io::Result<_>>()?;
        all[0].is_used();
        all[999].is_used();
        Ok(())
    }
    let before = descriptors()?;
    a_thousand()?;
    let after = descriptors()?;
    // Arenas of which nothing is held go when others are full.
    assert!(after <= before + 8, "{before} before, {after} after");
    for _ in 0..3 {
        a_thousand()?;
        assert!(descriptors()? <= before + 8);
    }
    // Each of these has memory of its own.
    for _ in 0..100 {
        drop(Barrier::new(100_000)?);
    }
    assert!(descriptors()? <= before + 8);

    let everything = Everything::new(2)?;
    let (near, far) = one_way_pipe::<Everything>()?;
    let open = descriptors()?;
    for _ in 0..1000 {
        far.send(&everything)?;
        near.recv()?.is_used();
    }
    assert_eq!(descriptors()?, open);
    for method in StartMethod::ALL {
        ends_well(&start(method, child, vec![everything.clone(); 10])?)?;
        let open = descriptors()?;
        for _ in 0..3 {
            ends_well(&start(method, child, vec![everything.clone(); 10])?)?;
        }
        assert_eq!(descriptors()?, open, "{method}");
    }
    Ok(())
}

// Many.

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Event,
    Condition,
    Barrier,
    Semaphore,
    Lock,
}

#[derive(Clone, Serialize, Deserialize)]
struct Crowd {
    kind: Kind,
    all: Everything,
    waiting: Semaphore,
    passed: Semaphore,
}

const PROCESSES: u32 = 4;
const THREADS: u32 = 500;
const WAITERS: u32 = PROCESSES * THREADS;

impl Crowd {
    fn member(&self) {
        let Self { kind, all, waiting, passed } = self;
        if *kind != Kind::Condition {
            add_one(waiting);
        }
        match kind {
            Kind::Event => all.event.wait(),
            Kind::Condition => {
                let mut guard = all.condition.acquire();
                add_one(waiting);
                all.condition.wait(&mut guard);
            }
            Kind::Barrier => drop(all.barrier.wait().expect("it is whole")),
            Kind::Semaphore => all.semaphore.acquire().keep(),
            Kind::Lock => drop(all.lock.acquire()),
        }
        add_one(passed);
    }
}

fn crowd(kind: Kind) -> common::Result<()> {
    fn child(crowd: Crowd) -> io::Result<()> {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                let thread = thread::Builder::new().stack_size(128 << 10);
                thread.spawn_scoped(scope, || crowd.member())?;
            }
            Ok(())
        })
    }
    let all = Everything::new(WAITERS)?;
    let (waiting, passed) = (Semaphore::new(0)?, Semaphore::new(0)?);
    take(&all.semaphore, 2);
    let guard = all.lock.acquire();
    let crowd = Crowd { kind, all: all.clone(), waiting, passed };
    let start = |_| start(StartMethod::Spawn, child, crowd.clone());
    let children = (0..PROCESSES).map(start).collect::<Result<Vec<_>, _>>()?;
    take(&crowd.waiting, WAITERS);
    if kind != Kind::Barrier {
        thread::sleep(SHORT);
        assert_eq!(crowd.passed.value(), 0);
    }
    match kind {
        Kind::Event => all.event.set(),
        Kind::Condition => {
            all.condition.notify(&all.condition.acquire(), 700);
            take(&crowd.passed, 700);
            thread::sleep(SHORT);
            assert_eq!(crowd.passed.value(), 0);
            all.condition.notify_all(&all.condition.acquire());
            take(&crowd.passed, WAITERS - 700);
        }
        Kind::Barrier => {}
        Kind::Semaphore => (0..WAITERS).for_each(|_| add_one(&all.semaphore)),
        Kind::Lock => drop(guard),
    }
    if kind != Kind::Condition {
        take(&crowd.passed, WAITERS);
    }
    for child in &children {
        ends_well(child)?;
    }
    assert_eq!((crowd.waiting.value(), crowd.passed.value()), (0, 0));
    assert_eq!(format!("{:?}", all.condition), "Condition(Lock(None), 0)");
    Ok(())
}

/// A ring of a few numbers, in named memory: how many, where the first lies, and they.
#[derive(Serialize, Deserialize)]
struct Ring {
    block: SharedMemory,
    lock: Lock,
    not_empty: Condition,
    not_full: Condition,
}

impl Ring {
    const ROOM: usize = 3;

    /// The same, for another process.
    fn again(&self) -> common::Result<Self> {
        Ok(Self {
            block: SharedMemory::open(self.block.name())?,
            lock: self.lock.clone(),
            not_empty: self.not_empty.clone(),
            not_full: self.not_full.clone(),
        })
    }

    fn word(&self, place: usize) -> usize {
        self.block.get::<u64>(8 * place).expect("inside") as usize
    }

    fn set_word(&self, place: usize, value: usize) {
        self.block.set(8 * place, value as u64).expect("inside");
    }

    fn put(&self, number: usize) {
        let mut guard = self.not_full.acquire();
        // Each in another way.
        if number.is_multiple_of(2) {
            self.not_full.wait_while(&mut guard, || self.word(0) == Self::ROOM);
        } else {
            while self.word(0) == Self::ROOM {
                self.not_full.wait(&mut guard);
            }
        }
        let (len, first) = (self.word(0), self.word(1));
        self.set_word(2 + (first + len) % Self::ROOM, number);
        self.set_word(0, len + 1);
        self.not_empty.notify(&guard, 1);
    }

    fn take(&self, is_even: bool) -> usize {
        let mut guard = self.lock.acquire();
        if is_even {
            let came = self.not_empty.wait_while_timeout(&mut guard, LONG, || self.word(0) == 0);
            assert!(came);
        } else {
            while self.word(0) == 0 {
                assert!(self.not_empty.wait_timeout(&mut guard, LONG));
            }
        }
        let (len, first) = (self.word(0), self.word(1));
        let number = self.word(2 + first);
        self.set_word(0, len - 1);
        self.set_word(1, (first + 1) % Self::ROOM);
        self.not_full.notify(&guard, 1);
        number
    }
}

fn buffer((): ()) -> common::Result<()> {
    const NUMBERS: usize = 2000;
    fn puts((ring, from): (Ring, usize)) {
        (from..from + NUMBERS).for_each(|number| ring.put(number));
    }
    fn takes((ring, sums): (Ring, Sender<usize>)) -> common::Result<()> {
        Ok(sums.send(&(0..NUMBERS).map(|count| ring.take(count % 2 == 0)).sum())?)
    }
    for method in StartMethod::ALL {
        let block = SharedMemory::create(8 * (2 + Ring::ROOM))?;
        let lock = Lock::new()?;
        let (not_empty, not_full) = (Condition::with_lock(&lock)?, Condition::with_lock(&lock)?);
        let ring = Ring { block, lock, not_empty, not_full };
        let (first, to_first) = one_way_pipe()?;
        let (second, to_second) = one_way_pipe()?;
        let children = [
            start(method, takes, (ring.again()?, to_first))?,
            start(method, puts, (ring.again()?, 0))?,
            start(method, puts, (ring.again()?, NUMBERS))?,
            start(method, takes, (ring.again()?, to_second))?,
        ];
        assert_eq!(first.recv()? + second.recv()?, (0..2 * NUMBERS).sum::<usize>());
        for child in &children {
            ends_well(child)?;
        }
        ring.block.unlink()?;
    }
    Ok(())
}

// Copies.

static LOCK: OnceLock<Lock> = OnceLock::new();
static RLOCK: OnceLock<RLock> = OnceLock::new();
static CONDITION: OnceLock<Condition> = OnceLock::new();
static SEMAPHORE: OnceLock<Semaphore> = OnceLock::new();

thread_local! {
    static GUARD: RefCell<Option<LockGuard<'static>>> = const { RefCell::new(None) };
    static RGUARDS: RefCell<Vec<RLockGuard<'static>>> = const { RefCell::new(Vec::new()) };
}
static PERMIT: Mutex<Option<Permit<'static>>> = Mutex::new(None);

fn made<T>(place: &'static OnceLock<T>, value: T) -> &'static T {
    place.get_or_init(|| value)
}

fn fork(target: fn(())) -> common::Result<()> {
    ends_well(&start(StartMethod::Fork, target, ())?)
}

/// Whether another process can take them.
fn can_be_taken(lock: &Lock, rlock: &RLock) -> common::Result<[bool; 2]> {
    fn child((lock, rlock, told): (Lock, RLock, Sender<[bool; 2]>)) -> common::Result<()> {
        Ok(told.send(&[lock.try_acquire().is_some(), rlock.try_acquire().is_some()])?)
    }
    let (answer, told) = one_way_pipe()?;
    let child = start(StartMethod::Fork, child, (lock.clone(), rlock.clone(), told))?;
    let taken = answer.recv()?;
    ends_well(&child)?;
    Ok(taken)
}

fn fork_with_locks((): ()) -> common::Result<()> {
    fn given((lock, rlock): (Lock, RLock)) {
        assert_eq!((lock.release(), rlock.release()), (Err(NotOwner), Err(NotOwner)));
        assert!(lock.is_locked() && rlock.is_locked());
        assert!(lock.try_acquire().is_none() && rlock.try_acquire().is_none());
        let moment = Duration::from_millis(1);
        assert!(lock.acquire_timeout(moment).is_none() && rlock.acquire_timeout(moment).is_none());
        assert_eq!(
            format!("{lock:?} {rlock:?}"),
            "Lock(SomeOtherProcess) RLock(SomeOtherProcess, 2)"
        );
        // It takes and leaves others as it likes.
        let (own, others) = (Lock::new().expect("memory"), RLock::new().expect("memory"));
        let _held = (own.acquire(), others.acquire());
    }
    let (lock, rlock) = (Lock::new()?, RLock::new()?);
    let guards = (lock.acquire(), rlock.acquire(), rlock.acquire());
    for _ in 0..3 {
        ends_well(&start(StartMethod::Fork, given, (lock.clone(), rlock.clone()))?)?;
        assert_eq!(can_be_taken(&lock, &rlock)?, [false, false]);
    }
    drop(guards);
    assert_eq!(can_be_taken(&lock, &rlock)?, [true, true]);
    assert!(lock.is_as_new() && rlock.is_as_new());
    Ok(())
}

fn fork_with_guards((): ()) -> common::Result<()> {
    let (lock, rlock) = (made(&LOCK, Lock::new()?), made(&RLOCK, RLock::new()?));
    GUARD.set(Some(lock.acquire()));
    RGUARDS.set(vec![rlock.acquire(), rlock.acquire()]);
    let text = format!("{lock:?} {rlock:?}");
    fork(|()| {
        GUARD.take();
        RGUARDS.take();
    })?;
    // The copy is dropped while a panic unwinds.
    fork(|()| {
        let unwound = std::panic::catch_unwind(|| {
            let _copies = (GUARD.take(), RGUARDS.take());
            panic!("a panic that the test expects");
        });
        assert!(unwound.is_err());
        // And what the child has of its own is in order.
        assert!(Lock::new().expect("memory").is_as_new());
    })?;
    assert_eq!(format!("{lock:?} {rlock:?}"), text);
    assert_eq!(can_be_taken(lock, rlock)?, [false, false]);
    GUARD.take();
    RGUARDS.take();
    assert_eq!(can_be_taken(lock, rlock)?, [true, true]);
    assert!(lock.is_as_new() && rlock.is_as_new());
    Ok(())
}

fn fork_with_condition((): ()) -> common::Result<()> {
    /// Uses the copied guard in each way; the child must be stopped each time.
    fn child((): ()) {
        let condition = CONDITION.get().expect("the parent has made it");
        let ways: [fn(&Condition, &mut LockGuard<'_>); 4] = [
            |condition, guard| condition.notify(guard, 1),
            |condition, guard| condition.notify_all(guard),
            |condition, guard| _ = condition.wait_timeout(guard, Duration::from_millis(1)),
            |condition, guard| {
                let mut asked = 0;
                condition.wait_while(guard, || {
                    asked += 1;
                    asked < 2
                });
            },
        ];
        for way in ways {
            let used = std::panic::catch_unwind(|| {
                GUARD.with_borrow_mut(|guard| way(condition, guard.as_mut().expect("a copy")));
            });
            assert!(used.is_err());
        }
    }
    let condition = made(&CONDITION, Condition::new()?);
    GUARD.set(Some(condition.acquire()));
    fork(child)?;
    assert_eq!(can_be_taken(condition.lock(), &RLock::new()?)?, [false, true]);
    GUARD.with_borrow_mut(|guard| {
        let guard = guard.as_mut().expect("it is held");
        assert!(!condition.wait_timeout(guard, Duration::from_millis(1)));
    });
    GUARD.take();
    assert!(condition.lock().is_as_new());
    Ok(())
}

fn drop_permit() {
    PERMIT.lock().expect("nobody panics with it").take();
}

fn fork_with_permits((): ()) -> common::Result<()> {
    let semaphore = made(&SEMAPHORE, Semaphore::new(2)?);
    let keep = |permit| *PERMIT.lock().expect("nobody panics with it") = Some(permit);
    keep(semaphore.acquire());
    fork(|()| drop_permit())?;
    assert_eq!(semaphore.value(), 1);
    // Also in a child that holds one of its own.
    fork(|()| {
        let semaphore = SEMAPHORE.get().expect("the parent has made it");
        let own = semaphore.acquire();
        drop_permit();
        assert_eq!(semaphore.value(), 0);
        drop(own);
        assert_eq!(semaphore.value(), 1);
        // One that is kept there is the child's own, too.
        semaphore.acquire().keep();
    })?;
    assert_eq!(semaphore.value(), 0);
    semaphore.release()?;
    // A copy that is kept is nothing.
    fork(|()| {
        if let Some(copy) = PERMIT.lock().expect("nobody panics with it").take() {
            copy.keep();
        }
    })?;
    assert_eq!(semaphore.value(), 1);
    drop_permit();
    assert_eq!(semaphore.value(), 2);

    // Where there is no room to note who holds one.
    let crowded = made(&CROWDED, Semaphore::new(0)?);
    let held = Semaphore::new(0)?;
    fn holds((crowded, held, end): (Semaphore, Semaphore, Event)) {
        let _permit = crowded.acquire();
        add_one(&held);
        end.wait();
    }
    let end = Event::new()?;
    let mut holders = Vec::new();
    for _ in 0..20 {
        add_one(crowded);
        let argument = (crowded.clone(), held.clone(), end.clone());
        holders.push(start(StartMethod::Fork, holds, argument)?);
    }
    take(&held, 20);
    add_one(crowded);
    keep(crowded.acquire());
    fork(|()| drop_permit())?;
    assert_eq!(crowded.value(), 0);
    end.set();
    for holder in &holders {
        ends_well(holder)?;
    }
    drop_permit();
    assert_eq!(crowded.value(), 21);
    Ok(())
}

static CROWDED: OnceLock<Semaphore> = OnceLock::new();

// Stops.

fn holder_is_stopped((): ()) -> common::Result<()> {
    fn holds((all, taken, go): (Everything, Event, Event)) {
        let held = (
            all.lock.acquire(),
            all.rlock.acquire(),
            all.condition.acquire(),
            [all.semaphore.acquire(), all.semaphore.acquire()],
            [all.bounded.acquire(), all.bounded.acquire()],
        );
        taken.set();
        go.wait();
        drop(held);
        all.event.set();
        all.barrier.wait().expect("it is whole");
    }
    fn takes_at_least(limit: Duration, wait: impl FnOnce() -> bool) {
        let begin = Instant::now();
        assert!(!wait());
        assert!(begin.elapsed() >= limit, "after {:?}", begin.elapsed());
    }
    for method in StartMethod::ALL {
        let all = Everything::new(2)?;
        let (taken, go) = (Event::new()?, Event::new()?);
        let child = start(method, holds, (all.clone(), taken.clone(), go.clone()))?;
        assert!(taken.wait_timeout(LONG));
        child.signal(Signal::STOP)?;
        until_state(&child, 'T')?;
        go.set();
        takes_at_least(SHORT, || all.lock.acquire_timeout(SHORT).is_some());
        takes_at_least(SHORT, || all.rlock.acquire_timeout(SHORT).is_some());
        takes_at_least(SHORT, || all.condition.acquire_timeout(SHORT).is_some());
        takes_at_least(SHORT, || all.semaphore.acquire_timeout(SHORT).is_some());
        takes_at_least(SHORT, || all.bounded.acquire_timeout(SHORT).is_some());
        takes_at_least(SHORT, || all.event.wait_timeout(SHORT));
        takes_at_least(SHORT, || all.barrier.wait_timeout(SHORT).is_ok());
        assert!(all.barrier.is_broken());
        all.barrier.reset();
        // A process that is stopped has not ended: what it holds is its own.
        child.signal(Signal::CONT)?;
        let guard = all.lock.acquire_timeout(LONG);
        assert!(guard.is_some_and(|guard| !guard.previous_holder_died()));
        assert!(all.rlock.acquire_timeout(LONG).is_some());
        assert!(all.condition.acquire_timeout(LONG).is_some());
        assert!(all.semaphore.acquire_timeout(LONG).is_some());
        assert!(all.bounded.acquire_timeout(LONG).is_some());
        assert!(all.event.wait_timeout(LONG));
        assert!(all.barrier.wait().is_ok());
        ends_well(&child)?;
    }
    Ok(())
}

fn waiter_is_stopped((): ()) -> common::Result<()> {
    fn waits((all, waiting, passed): (Everything, Semaphore, Semaphore)) {
        let mut guard = all.condition.acquire();
        add_one(&waiting);
        all.condition.wait(&mut guard);
        drop(guard);
        add_one(&passed);
        add_one(&waiting);
        all.event.wait();
        add_one(&passed);
    }
    /// Stops it while it does not have the lock, which a waiter has for a moment when it looks.
    fn stop<'a>(child: &Child, condition: &'a Condition) -> common::Result<LockGuard<'a>> {
        loop {
            until_state(child, 'S')?;
            child.signal(Signal::STOP)?;
            until_state(child, 'T')?;
            if let Some(guard) = condition.acquire_timeout(SHORT) {
                return Ok(guard);
            }
            child.signal(Signal::CONT)?;
        }
    }
    for method in StartMethod::ALL {
        let all = Everything::new(2)?;
        let (waiting, passed) = (Semaphore::new(0)?, Semaphore::new(0)?);
        let start = || start(method, waits, (all.clone(), waiting.clone(), passed.clone()));
        let (stopped, others) = (start()?, [start()?, start()?]);
        let goes_on_later = || {
            take(&passed, 2);
            thread::sleep(SHORT);
            assert_eq!(passed.value(), 0);
            stopped.signal(Signal::CONT)?;
            take(&passed, 1);
            common::Result::Ok(())
        };
        take(&waiting, 3);
        // Who begins to wait has the lock until it does.
        drop(all.condition.acquire());
        let guard = stop(&stopped, &all.condition)?;
        all.condition.notify_all(&guard);
        drop(guard);
        goes_on_later()?;

        take(&waiting, 3);
        drop(stop(&stopped, &all.condition)?);
        all.event.set();
        goes_on_later()?;
        for child in others.iter().chain([&stopped]) {
            ends_well(child)?;
        }
    }
    Ok(())
}
