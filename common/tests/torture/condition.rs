//! Conditions: a buffer whose producers and consumers wait for one another, and calls that go to one who
//! waits.

use crate::herd::{Board, FREE, Game, Herd, OWN, Seat, of};
use common::sync::{Condition, Lock, LockGuard};
use serde::{Deserialize, Serialize};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A buffer of numbers, with "not full" and "not empty" over one lock.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Buffer {
    not_full: Condition,
    not_empty: Condition,
}

const ROOM: u64 = 4;
/// How many were put and taken, each in two words that are equal, unless a holder died.
const PUT: usize = FREE;
const TAKEN: usize = FREE + 2;
/// How often one was told of a death.
const TOLD: usize = FREE + 4;
/// The numbers in the buffer.
const CELLS: usize = FREE + 8;

impl Buffer {
    /// To be asked whenever the lock was taken.
    fn mend(seat: &Seat, died: bool, after: &str) -> Result<(), String> {
        for pair in [PUT, TAKEN] {
            let (one, two) = (seat.board.get(pair), seat.board.get(pair + 1));
            if one != two && !died {
                return Err(format!("after {after}: {one} and {two}, and was not told"));
            }
            seat.board.set(pair + 1, one);
        }
        let filled = seat.board.get(PUT) - seat.board.get(TAKEN);
        if filled > ROOM {
            return Err(format!("after {after}: {filled} numbers where {ROOM} have room"));
        }
        seat.board.add(TOLD, died.into());
        Ok(())
    }

    fn change(seat: &mut Seat, pair: usize) {
        let count = seat.board.get(pair) + 1;
        seat.board.set(pair, count);
        // Often long enough to be killed just here.
        let steps = if seat.dice.once_in(2) { 1 } else { 20_000 };
        seat.dice.steps(steps);
        seat.board.set(pair + 1, count);
    }

    /// Waits with the lock until there is something to do; false where there will be nothing.
    fn wait(
        seat: &mut Seat,
        condition: &Condition,
        guard: &mut LockGuard<'_>,
        is_to_wait: impl Fn(&Seat) -> bool,
    ) -> Result<bool, String> {
        Self::mend(seat, guard.previous_holder_died(), "the lock")?;
        if !is_to_wait(seat) {
            return Ok(true);
        }
        let limit = Duration::from_micros(seat.dice.below(3000));
        let is_short = seat.dice.once_in(8);
        let look = || is_to_wait(seat) && !seat.is_over();
        let in_time = if is_short {
            condition.wait_while_timeout(guard, limit, look)
        } else {
            condition.wait_while(guard, look);
            true
        };
        Self::mend(seat, guard.previous_holder_died(), "the wait")?;
        Ok(in_time && !is_to_wait(seat))
    }

    fn notify(seat: &mut Seat, condition: &Condition, guard: &LockGuard<'_>) {
        if seat.dice.once_in(8) {
            condition.notify_all(guard);
        } else {
            condition.notify(guard, 1);
        }
    }

    fn put(&self, seat: &mut Seat) -> Result<(), String> {
        let mut guard = self.not_full.acquire();
        let is_full = |seat: &Seat| seat.board.get(PUT) - seat.board.get(TAKEN) == ROOM;
        if Self::wait(seat, &self.not_full, &mut guard, is_full)? {
            let number = seat.board.get(PUT);
            seat.board.set(CELLS + (number % ROOM) as usize, number + 1);
            Self::change(seat, PUT);
            Self::notify(seat, &self.not_empty, &guard);
        }
        Ok(())
    }

    fn take(&self, seat: &mut Seat) -> Result<(), String> {
        let mut guard = self.not_empty.acquire();
        let is_empty = |seat: &Seat| seat.board.get(PUT) == seat.board.get(TAKEN);
        if Self::wait(seat, &self.not_empty, &mut guard, is_empty)? {
            let number = seat.board.get(TAKEN);
            let found = seat.board.get(CELLS + (number % ROOM) as usize);
            if found != number + 1 {
                return Err(format!("took {found} in place of {}", number + 1));
            }
            Self::change(seat, TAKEN);
            Self::notify(seat, &self.not_full, &guard);
        }
        Ok(())
    }
}

impl Game for Buffer {
    const MEMBERS: usize = 6;

    fn new() -> io::Result<Self> {
        let lock = Lock::new()?;
        let (not_full, not_empty) = (Condition::with_lock(&lock)?, Condition::with_lock(&lock)?);
        Ok(Self { not_full, not_empty })
    }

    /// Every second one puts, and the others take.
    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        while !seat.is_over() {
            if seat.place.is_multiple_of(2) {
                self.put(seat)?;
            } else {
                self.take(seat)?;
            }
            seat.beat();
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        while !herd.is_done() {
            for _ in 0..5 + herd.dice.below(20) {
                // One is left of each kind.
                let spared = herd.dice.below(3) as usize * 2;
                let mortal = |&place: &usize| place != spared && place != spared + 1;
                let victims: Vec<usize> = herd.survivors().into_iter().filter(mortal).collect();
                let victims = herd.some_of(&victims, 3);
                herd.dice.pause();
                herd.kill(&victims)?;
                herd.watch_turns(&herd.survivors())?;
                herd.refill()?;
            }
            if herd.dice.once_in(2) {
                herd.rest(|_| Ok(()))?;
            } else {
                herd.kill(&herd.survivors())?;
            }
            let mut seat = herd.seat();
            let filled = herd.board.get(PUT) - herd.board.get(TAKEN);
            // Alone, one takes all that is there, and puts as much as there is room for.
            for _ in 0..filled.min(ROOM) {
                herd.game.take(&mut seat)?;
            }
            herd.refill()?;
        }
        herd.rest(|_| Ok(()))?;
        herd.report.counted = herd.board.get(TOLD);
        if herd.report.counted > 2 * herd.report.killed {
            return Err(format!("{} were told of deaths", herd.report.counted));
        }
        Ok(())
    }
}

/// A condition on which members wait bare, to be called by the keeper.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Calls(Condition);

/// How many waits have ended by a notification, in two words that are equal, unless a holder died.
const PASSED: usize = FREE;
/// How often one was told of a death.
const DEATHS: usize = FREE + 2;
/// A member's word: whether it waits. Written with the lock.
const WAITS: usize = OWN;

impl Calls {
    /// To be asked whenever the lock was taken, with the lock.
    fn mend(seat: &Seat, guard: &LockGuard<'_>) -> Result<(), String> {
        let (one, two) = (seat.board.get(PASSED), seat.board.get(PASSED + 1));
        if guard.previous_holder_died() {
            seat.board.add(DEATHS, 1);
            seat.board.set(PASSED + 1, one);
        } else if one != two {
            return Err(format!("{one} and {two}, and was not told"));
        }
        Ok(())
    }

    /// Takes the lock when at least so many wait; who they are.
    fn enter<'a>(
        herd: &Herd<Self>,
        seat: &Seat,
        condition: &'a Condition,
        least: usize,
    ) -> Result<(LockGuard<'a>, Vec<usize>), String> {
        let start = Instant::now();
        loop {
            let guard = condition.acquire();
            Self::mend(seat, &guard)?;
            let waits = |&place: &usize| herd.board.get(of(place, WAITS)) == 1;
            let waiting: Vec<usize> = herd.survivors().into_iter().filter(waits).collect();
            if waiting.len() >= least {
                return Ok((guard, waiting));
            }
            drop(guard);
            if start.elapsed() > Duration::from_secs(30) {
                return Err("they do not come to wait".into());
            }
            sleep(Duration::from_micros(50));
        }
    }

    /// Calls some of those who wait and kills others, so near one another as chance has it. As many as
    /// were called have to come, or as there are left; but one that dies with the lock has perhaps come.
    fn call(herd: &mut Herd<Self>, seat: &Seat) -> Result<(), String> {
        let condition = herd.game.0.clone();
        if herd.dice.once_in(20) {
            // Long enough for those who wait to look for the dead.
            sleep(Duration::from_millis(120));
        }
        let (guard, waiting) = Self::enter(herd, seat, &condition, 1)?;
        let passed = herd.board.get(PASSED) + herd.board.get(DEATHS);
        let victims = match waiting.len() - 1 {
            0 => Vec::new(),
            most => herd.some_of(&waiting, most),
        };
        let most = (waiting.len() - victims.len()) as u64;
        let called = if herd.dice.once_in(3) { u32::MAX } else { 1 + herd.dice.below(most) as u32 };
        let moment = herd.dice.below(5);
        match moment {
            // Dead before, dying at the call, woken and dying.
            0 => herd.kill(&victims)?,
            1 => herd.shoot(&victims)?,
            _ => {}
        }
        condition.notify(&guard, called);
        if moment == 2 {
            herd.shoot(&victims)?;
        }
        drop(guard);
        match moment {
            3 => herd.dice.steps(2_000),
            4 => herd.dice.steps(100_000),
            _ => {}
        }
        herd.kill(&victims)?;
        for &victim in &victims {
            herd.board.set(of(victim, WAITS), 0);
        }
        let expected = passed + most.min(called.into());
        let mut looks = 0;
        let survivors = herd.survivors();
        herd.watch("the end of a wait that was notified", &survivors, |board| {
            looks += 1;
            if looks == 90 {
                // Perhaps a death has not been told yet.
                let guard = condition.acquire();
                board.add(DEATHS, guard.previous_holder_died().into());
                board.set(PASSED + 1, board.get(PASSED));
            }
            board.get(PASSED) + board.get(DEATHS) >= expected
        })?;
        if herd.survivors().len() == 1 || herd.dice.once_in(2) {
            herd.refill()?;
        }
        Ok(())
    }

    /// Where nobody is killed, as many go on as were called.
    fn call_exactly(herd: &mut Herd<Self>, seat: &Seat) -> Result<(), String> {
        let condition = herd.game.0.clone();
        for calls in 1..=20 {
            let (guard, waiting) = Self::enter(herd, seat, &condition, 3)?;
            let expected = herd.board.get(PASSED) + 2;
            condition.notify(&guard, 2);
            drop(guard);
            let come = |board: &Board| board.get(PASSED) >= expected;
            herd.watch("the end of a wait", &waiting, come)?;
            // With the lock, those who have passed wait again, or have not come yet.
            drop(Self::enter(herd, seat, &condition, waiting.len())?);
            match herd.board.get(PASSED) {
                passed if passed == expected => {}
                passed => return Err(format!("{passed} passed, {expected} by call {calls}")),
            }
        }
        Ok(())
    }

    /// Lets all come to their end.
    fn dismiss(herd: &mut Herd<Self>, seat: &Seat) -> Result<(), String> {
        herd.rest(|Self(condition)| {
            let guard = condition.acquire();
            Self::mend(seat, &guard)?;
            condition.notify_all(&guard);
            Ok(())
        })
    }
}

impl Game for Calls {
    const MEMBERS: usize = 5;

    fn new() -> io::Result<Self> {
        Ok(Self(Condition::new()?))
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        while !seat.is_over() {
            let mut guard = self.0.acquire();
            Self::mend(seat, &guard)?;
            if seat.is_over() {
                break;
            }
            seat.write(WAITS, 1);
            let notified = if seat.dice.once_in(4) {
                let limit = Duration::from_micros(seat.dice.below(3000));
                self.0.wait_timeout(&mut guard, limit)
            } else {
                self.0.wait(&mut guard);
                true
            };
            Self::mend(seat, &guard)?;
            seat.write(WAITS, 0);
            if notified {
                let passed = seat.board.get(PASSED) + 1;
                seat.board.set(PASSED, passed);
                seat.board.set(PASSED + 1, passed);
            }
            seat.beat();
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        let seat = herd.seat();
        Self::call_exactly(herd, &seat)?;
        while !herd.is_done() {
            for _ in 0..50 {
                Self::call(herd, &seat)?;
            }
            Self::dismiss(herd, &seat)?;
            herd.refill()?;
        }
        Self::dismiss(herd, &seat)?;
        herd.report.counted = herd.board.get(PASSED);
        Ok(())
    }
}
