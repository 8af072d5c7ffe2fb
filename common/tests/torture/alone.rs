//! Each member has one primitive of each kind for itself, and its successors after it.
//!
//! So nothing waits, nearly all of a member's time is spent in the code of a primitive, and that is where
//! it is killed: between any two of its steps. The successor finds everything as usable as it was.

use crate::herd::{BEATS, Board, Game, Herd, OWN, Seat, of, text};
use common::sync::{Barrier, BoundedSemaphore, Condition, Event, Lock, RLock};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

#[derive(Clone, Serialize, Deserialize)]
struct Own {
    lock: Lock,
    rlock: RLock,
    semaphore: BoundedSemaphore,
    condition: Condition,
    event: Event,
    barrier: Barrier,
}

/// What each has.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Alone([Own; 6]);

/// A member's words: two counters behind each of three locks, equal unless their holder died.
const PAIRS: usize = OWN;

impl Own {
    fn new() -> io::Result<Self> {
        Ok(Self {
            lock: Lock::new()?,
            rlock: RLock::new()?,
            semaphore: BoundedSemaphore::new(1)?,
            condition: Condition::new()?,
            event: Event::new()?,
            barrier: Barrier::new(1)?,
        })
    }

    /// What a successor does first: it waits for what was left, and puts it in order.
    fn inherit(&self, seat: &Seat) -> Result<(), String> {
        mend(seat, 0, self.lock.acquire().previous_holder_died())?;
        mend(seat, 1, self.rlock.acquire().previous_holder_died())?;
        mend(seat, 2, self.condition.acquire().previous_holder_died())?;
        drop(self.semaphore.acquire());
        // Broken, if the one before was killed in it.
        match self.barrier.wait() {
            Ok(result) if result.index() != 0 => return Err(format!("{result:?}, alone")),
            Ok(_) => {}
            Err(_) => self.barrier.reset(),
        }
        let shown = format!("{:?} {:?} {:?}", self.lock, self.rlock, self.barrier);
        match &shown[..] {
            "Lock(None) RLock(None, 0) Barrier(waiters=0/1)" => Ok(()),
            _ => Err(shown),
        }
    }

    /// One turn, with one of them.
    fn turn(&self, seat: &mut Seat) -> Result<(), String> {
        let kind = seat.dice.below(6);
        for _ in 0..20 {
            match kind {
                0 => count(seat, 0, self.lock.acquire().previous_holder_died())?,
                1 => {
                    let outer = self.rlock.acquire();
                    let inner = self.rlock.acquire();
                    count(seat, 1, outer.previous_holder_died())?;
                    drop((outer, inner));
                }
                2 => {
                    let permit = self.semaphore.acquire();
                    if self.semaphore.try_acquire().is_some() {
                        return Err("a second permit of one".into());
                    }
                    drop(permit);
                }
                3 => {
                    let mut guard = self.condition.acquire();
                    count(seat, 2, guard.previous_holder_died())?;
                    self.condition.notify_all(&guard);
                    // Whoever was notified had waited before, and there was only this one.
                    if self.condition.wait_timeout(&mut guard, Duration::ZERO) {
                        return Err("notified by nobody".into());
                    }
                }
                4 => {
                    self.event.set();
                    self.event.wait();
                    self.event.clear();
                    if self.event.is_set() {
                        return Err("a clear event is set".into());
                    }
                }
                _ => {
                    let has_action = seat.dice.once_in(2);
                    let barrier = &self.barrier;
                    let result = if has_action { barrier.wait_with(|| ()) } else { barrier.wait() };
                    if result.map_err(text)?.index() != 0 {
                        return Err(format!("{result:?}, alone"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Makes a pair equal again, if its holder died.
fn mend(seat: &Seat, pair: usize, died: bool) -> Result<(), String> {
    let [one, two] = [0, 1].map(|word| PAIRS + 2 * pair + word);
    if seat.read(one) != seat.read(two) && !died {
        return Err(format!("{pair}: {} and {}, not told", seat.read(one), seat.read(two)));
    }
    seat.write(two, seat.read(one));
    Ok(())
}

/// Counts both up, with the lock.
fn count(seat: &Seat, pair: usize, died: bool) -> Result<(), String> {
    if died {
        return Err(format!("{pair}: told of a death, and nobody else was there"));
    }
    let [one, two] = [0, 1].map(|word| PAIRS + 2 * pair + word);
    let counted = seat.read(one);
    seat.write(one, counted + 1);
    seat.write(two, counted + 1);
    Ok(())
}

impl Game for Alone {
    const MEMBERS: usize = 6;

    fn new() -> io::Result<Self> {
        let own = || Own::new();
        Ok(Self([own()?, own()?, own()?, own()?, own()?, own()?]))
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        let own = &self.0[seat.place];
        own.inherit(seat)?;
        while !seat.is_over() {
            own.turn(seat)?;
            seat.beat();
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        while !herd.is_done() {
            if herd.dice.once_in(3) {
                herd.kill_some(Self::MEMBERS, 0)?;
            } else {
                herd.dice.pause();
                herd.kill(&herd.survivors())?;
            }
            let turn = |place| of(place, BEATS);
            let all = 0..Self::MEMBERS;
            let before: Vec<u64> = all.map(|place| herd.board.get(turn(place))).collect();
            herd.refill()?;
            for (place, before) in before.into_iter().enumerate() {
                let has_turned = |board: &Board| board.get(turn(place)) > before;
                herd.watch("a successor's first turn", &[place], has_turned)?;
            }
        }
        herd.rest(|_| Ok(()))
    }
}
