//! Locks: each protects two counters that are equal, unless a holder died.

use crate::herd::{FREE, Game, Herd, Seat, text};
use common::sync::{Lock, RLock};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// The words behind a lock: two counters, who is inside, and how often one was told of a death.
const ONE: usize = 0;
const TWO: usize = 1;
const INSIDE: usize = 2;
const TOLD: usize = 3;

fn behind(lock: usize) -> usize {
    FREE + 8 * lock
}

/// What one does who holds a lock.
fn hold(seat: &mut Seat, lock: usize, died: bool) -> Result<(), String> {
    let (board, data) = (seat.board, behind(lock));
    let me = seat.place as u64 + 1;
    if died {
        board.add(data + TOLD, 1);
        board.set(data + TWO, board.get(data + ONE));
    }
    let count = board.get(data + ONE);
    let found = (board.get(data + TWO), board.get(data + INSIDE));
    if found.0 != count || (found.1 != 0 && !died) {
        return Err(format!("lock {lock}: {count} and {found:?}, and was not told"));
    }
    board.set(data + INSIDE, me);
    board.set(data + ONE, count + 1);
    // Often long enough to be killed just here, and often so short that it is killed in the lock's code.
    let steps = if seat.dice.once_in(8) { 5_000 } else { 1 };
    seat.dice.steps(steps);
    board.set(data + TWO, count + 1);
    let left = [ONE, TWO, INSIDE].map(|word| board.get(data + word));
    if left != [count + 1, count + 1, me] {
        return Err(format!("lock {lock}: two are inside; {left:?} in place of {}", count + 1));
    }
    board.set(data + INSIDE, 0);
    Ok(())
}

/// Nobody is told more often than somebody died.
fn told_rightly<G: Game>(herd: &Herd<G>) -> Result<(), String> {
    let told: u64 = (0..2).map(|lock| herd.board.get(behind(lock) + TOLD)).sum();
    // Who holds both tells two.
    if told > 2 * herd.report.killed {
        return Err(format!("{told} were told of {} deaths", herd.report.killed));
    }
    Ok(())
}

/// Two locks, of which the second is never taken before the first.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Locks([Lock; 2]);

impl Game for Locks {
    const MEMBERS: usize = 5;

    fn new() -> io::Result<Self> {
        Ok(Self([Lock::new()?, Lock::new()?]))
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        while !seat.is_over() {
            let which = usize::from(seat.dice.once_in(4));
            let lock = &self.0[which];
            let limit = Duration::from_micros(seat.dice.below(2000));
            match seat.dice.below(16) {
                0 => {
                    let first = self.0[0].acquire();
                    let second = self.0[1].acquire();
                    hold(seat, 0, first.previous_holder_died())?;
                    hold(seat, 1, second.previous_holder_died())?;
                    if seat.dice.once_in(2) {
                        drop(first);
                    }
                }
                1 => {
                    if let Some(guard) = lock.try_acquire() {
                        hold(seat, which, guard.previous_holder_died())?;
                    }
                }
                2 => {
                    if let Some(guard) = lock.acquire_timeout(limit) {
                        hold(seat, which, guard.previous_holder_died())?;
                    }
                }
                3 => {
                    let guard = lock.acquire();
                    hold(seat, which, guard.previous_holder_died())?;
                    guard.keep();
                    lock.release().map_err(text)?;
                }
                _ => {
                    let guard = lock.acquire();
                    hold(seat, which, guard.previous_holder_died())?;
                }
            }
            seat.beat();
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        herd.keep_turning(|herd| {
            let mut seat = herd.seat();
            for (which, lock) in herd.game.0.iter().enumerate() {
                let guard = lock.try_acquire().ok_or("nobody is left, and a lock is held")?;
                hold(&mut seat, which, guard.previous_holder_died())?;
            }
            told_rightly(herd)
        })?;
        herd.report.counted = (0..2).map(|lock| herd.board.get(behind(lock) + TOLD)).sum();
        Ok(())
    }
}

/// The same of locks that are taken again by who holds them.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RLocks([RLock; 2]);

impl Game for RLocks {
    const MEMBERS: usize = 5;

    fn new() -> io::Result<Self> {
        Ok(Self([RLock::new()?, RLock::new()?]))
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        while !seat.is_over() {
            let which = usize::from(seat.dice.once_in(4));
            let lock = &self.0[which];
            let limit = Duration::from_micros(seat.dice.below(2000));
            let guard = match seat.dice.below(8) {
                0 => lock.try_acquire(),
                1 => lock.acquire_timeout(limit),
                _ => Some(lock.acquire()),
            };
            let Some(outer) = guard else { continue };
            hold(seat, which, outer.previous_holder_died())?;
            let mut inner = Vec::new();
            for _ in 0..seat.dice.below(3) {
                let guard = match seat.dice.below(3) {
                    0 => lock.try_acquire().ok_or("the holder cannot take it again")?,
                    1 => lock.acquire_timeout(limit).ok_or("the holder waits for itself")?,
                    _ => lock.acquire(),
                };
                if guard.previous_holder_died() {
                    return Err("the holder was told of itself".into());
                }
                hold(seat, which, false)?;
                inner.push(guard);
            }
            if which == 0 && seat.dice.once_in(8) {
                let other = self.0[1].acquire();
                hold(seat, 1, other.previous_holder_died())?;
            }
            if seat.dice.once_in(2) {
                drop(outer);
            } else if seat.dice.once_in(4) {
                outer.keep();
                drop(inner);
                lock.release().map_err(text)?;
            }
            seat.beat();
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        herd.keep_turning(|herd| {
            let mut seat = herd.seat();
            for (which, lock) in herd.game.0.iter().enumerate() {
                let guard = lock.try_acquire().ok_or("nobody is left, and a lock is held")?;
                hold(&mut seat, which, guard.previous_holder_died())?;
                let again = lock.try_acquire().ok_or("the holder cannot take it again")?;
                hold(&mut seat, which, again.previous_holder_died())?;
            }
            told_rightly(herd)
        })?;
        herd.report.counted = (0..2).map(|lock| herd.board.get(behind(lock) + TOLD)).sum();
        Ok(())
    }
}
