//! Locks alone, two processes that hand a turn to one another, and a lock whose owner is killed.

use crate::core_of_child;
use common::sync::{Barrier, Condition, Event, Lock, RLock, Semaphore};
use common::{Exit, Process, SharedMemory, Signal};
use peers::{Place, Run, ns_per, pin, unpin, us_per};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) fn bench(run: &Run) {
    let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
    let semaphore = Semaphore::new(1).unwrap();
    uncontended(run, "common", || drop(lock.acquire()));
    uncontended(run, "common:RLock", || drop(rlock.acquire()));
    uncontended(run, "common:Semaphore", || drop(semaphore.acquire()));
    turns(run);
    death(run);
}

/// Lock and unlock, alone.
fn uncontended(run: &Run, peer: &str, take_and_give_back: impl Fn()) {
    const N: usize = 200_000;
    run.bench_as(peer, "lock_uncontended", "ns", || {
        pin(0);
        let time = ns_per(N, || {
            for _ in 0..N {
                take_and_give_back();
            }
        });
        unpin();
        time
    });
}

fn turns(run: &Run) {
    for place in [Place::Two, Place::Same] {
        let metric = format!("turns_2procs{}", place.tag());
        run.bench_as("common:Condition", &metric, "us", || {
            let word = SharedMemory::create(8).unwrap();
            let turn = Turn { condition: Condition::new().unwrap(), word };
            let time = two(place, &turn);
            turn.word.unlink().unwrap();
            time
        });
        run.bench_as("common:Barrier", &metric, "us", || two(place, &Barrier::new(2).unwrap()));
        run.bench_as("common:Event", &metric, "us", || {
            two(place, &Flips { there: Event::new().unwrap(), back: Event::new().unwrap() })
        });
    }
}

/// What a parent and its child do in a round.
trait Game: Serialize + DeserializeOwned {
    fn for_the_child(&self) -> Self;
    fn parent(&self, round: u64);
    fn child(&self, round: u64);
}

/// The rounds that are timed; in one before them the child gets going.
const ROUNDS: u64 = 2000;

/// Microseconds a round.
fn two<G: Game>(place: Place, game: &G) -> f64 {
    let argument = (game.for_the_child(), core_of_child(place));
    let child = Process::new(play::<G>, argument).start().unwrap();
    place.parent();
    game.parent(0);
    let time = us_per(ROUNDS as usize, || (1..=ROUNDS).for_each(|round| game.parent(round)));
    unpin();
    assert_eq!(child.join().unwrap(), Exit::Code(0));
    time
}

fn play<G: Game>((game, core): (G, Option<usize>)) {
    core.into_iter().for_each(pin);
    (0..=ROUNDS).for_each(|round| game.child(round));
}

/// A number under a condition: how many turns were taken.
#[derive(Serialize, Deserialize)]
struct Turn {
    condition: Condition,
    word: SharedMemory,
}

impl Turn {
    fn take(&self, number: u64) {
        let mut guard = self.condition.acquire();
        self.condition.wait_while(&mut guard, || self.word.get::<u64>(0).unwrap() != number);
        self.word.set(0, number + 1).unwrap();
        self.condition.notify(&guard, 1);
    }
}

impl Game for Turn {
    fn for_the_child(&self) -> Self {
        let word = SharedMemory::open(self.word.name()).unwrap();
        Self { condition: self.condition.clone(), word }
    }

    fn parent(&self, round: u64) {
        self.take(2 * round);
    }

    fn child(&self, round: u64) {
        self.take(2 * round + 1);
    }
}

impl Game for Barrier {
    fn for_the_child(&self) -> Self {
        self.clone()
    }

    fn parent(&self, _: u64) {
        self.wait().unwrap();
    }

    fn child(&self, _: u64) {
        self.wait().unwrap();
    }
}

/// An event for each direction.
#[derive(Clone, Serialize, Deserialize)]
struct Flips {
    there: Event,
    back: Event,
}

impl Game for Flips {
    fn for_the_child(&self) -> Self {
        self.clone()
    }

    fn parent(&self, _: u64) {
        self.there.set();
        self.back.wait();
        self.back.clear();
    }

    fn child(&self, _: u64) {
        self.there.wait();
        self.there.clear();
        self.back.set();
    }
}

/// From the kill of the owner to the lock.
fn death(run: &Run) {
    run.bench("death_of_lock_owner", "us", || {
        let (lock, held) = (Lock::new().unwrap(), Event::new().unwrap());
        let child = Process::new(hold, (lock.clone(), held.clone())).start().unwrap();
        held.wait();
        let time = us_per(1, || {
            child.kill().unwrap();
            assert!(lock.acquire().previous_holder_died());
        });
        assert_eq!(child.join().unwrap(), Exit::Signal(Signal::KILL));
        time
    });
}

fn hold((lock, held): (Lock, Event)) {
    let _guard = lock.acquire();
    held.set();
    loop {
        std::thread::park();
    }
}
