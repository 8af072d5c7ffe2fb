//! Semaphores: with guards there are never more inside than permits, and a dead one's permit returns;
//! without, as many permits are there as nobody has taken along.

use crate::herd::{FREE, Game, Herd, OWN, Seat, of, text};
use common::sync::{BoundedSemaphore, Semaphore};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::time::Duration;

/// A member's words: its process; and how many permits it holds, in the two lowest bits of a number that
/// grows with each change.
const PID: usize = OWN;
const HELD: usize = OWN + 1;
const HELD_BITS: u64 = 3;

/// Permits with guards.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Permits(Semaphore);

const PERMITS: u32 = 3;

impl Permits {
    /// What all hold at one moment; `None` where something changed meanwhile.
    fn held(seat: &Seat) -> Option<[u64; Self::MEMBERS]> {
        let look = || std::array::from_fn(|member| seat.board.get(of(member, HELD)));
        let (held, again) = (look(), look());
        (held == again).then_some(held)
    }

    /// Not more hold a permit than there are. A dead one does not hold what it seems to.
    fn are_few(seat: &Seat) -> Result<(), String> {
        let sum = |held: &[u64]| held.iter().map(|word| word & HELD_BITS).sum::<u64>();
        let Some(mut held) = Self::held(seat).filter(|held| sum(held) > PERMITS.into()) else {
            return Ok(());
        };
        for (member, word) in held.iter_mut().enumerate() {
            let (pid, seen) = (seat.board.get(of(member, PID)), *word);
            if is_dead(pid) || seat.board.get(of(member, HELD)) != seen {
                *word = 0;
            }
        }
        match sum(&held) {
            sum if sum > PERMITS.into() => Err(format!("{sum} permits are held: {held:?}")),
            _ => Ok(()),
        }
    }
}

/// Whether a process has ended; it need not have been collected yet.
fn is_dead(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |text| {
        text.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
    })
}

/// Says that it holds so many permits.
fn say(seat: &Seat, held: u64) {
    seat.write(HELD, (seat.read(HELD) & !HELD_BITS) + HELD_BITS + 1 + held);
}

impl Game for Permits {
    const MEMBERS: usize = 6;

    fn new() -> io::Result<Self> {
        Ok(Self(Semaphore::new(PERMITS)?))
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        say(seat, 0);
        seat.write(PID, std::process::id().into());
        while !seat.is_over() {
            let limit = Duration::from_micros(seat.dice.below(2000));
            let permit = match seat.dice.below(8) {
                0 => self.0.try_acquire(),
                1 => self.0.acquire_timeout(limit),
                _ => Some(self.0.acquire()),
            };
            let Some(permit) = permit else { continue };
            say(seat, 1);
            Self::are_few(seat)?;
            if let Some(second) = seat.dice.once_in(8).then(|| self.0.try_acquire()).flatten() {
                say(seat, 2);
                Self::are_few(seat)?;
                say(seat, 1);
                drop(second);
            }
            say(seat, 0);
            drop(permit);
            seat.beat();
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        herd.keep_turning(|herd| {
            let semaphore = &herd.game.0;
            let mut permits = Vec::new();
            for _ in 0..PERMITS {
                let permit = semaphore.acquire_timeout(Duration::from_secs(30));
                permits.push(permit.ok_or("nobody is left, and a permit is missing")?);
            }
            if semaphore.try_acquire().is_some() {
                return Err("there is one permit too many".into());
            }
            drop(permits);
            match semaphore.value() {
                PERMITS => Ok(()),
                value => Err(format!("nobody is left, and {value} permits are free")),
            }
        })
    }
}

/// Permits without guards.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Numbers(BoundedSemaphore);

const NUMBERS: u32 = 27;
/// How many of them the keeper has in hand, to put one in the place of each that may be lost.
const RESERVE: u64 = 24;
/// A member's word: whether it has a permit.
const HAS: usize = OWN;
const NONE: u64 = 0;
const PERHAPS: u64 = 1;
const ONE: u64 = 2;
/// A word for all: how many permits the dead had for sure.
const GONE: usize = FREE;
/// And how many of them perhaps.
const GONE_PERHAPS: usize = FREE + 1;

impl Numbers {
    /// How many permits may be lost.
    fn lost(herd: &Herd<Self>) -> u64 {
        herd.board.get(GONE) + herd.board.get(GONE_PERHAPS)
    }

    fn replace(herd: &Herd<Self>, dead: &[usize]) -> Result<(), String> {
        for &place in dead {
            match herd.board.get(of(place, HAS)) {
                ONE => herd.board.add(GONE, 1),
                PERHAPS => herd.board.add(GONE_PERHAPS, 1),
                _ => continue,
            }
            herd.board.set(of(place, HAS), NONE);
            herd.game.0.release().map_err(text)?;
        }
        Ok(())
    }

    /// Those that the dead have taken along are missing, and no other. Puts all of them back.
    fn complete(herd: &Herd<Self>) -> Result<(), String> {
        let [gone, perhaps] = [GONE, GONE_PERHAPS].map(|word| herd.board.get(word) as u32);
        let (semaphore, lost) = (&herd.game.0, Self::lost(herd) as u32);
        let most = NUMBERS - RESERVE as u32 + lost - gone;
        let mut found = 0;
        // Who took one and did not come to keep it had a guard, whose permit returns to who waits.
        while semaphore.acquire_timeout(Duration::from_millis(150)).map(|one| one.keep()).is_some()
        {
            found += 1;
        }
        if !(most - perhaps..=most).contains(&found) {
            return Err(format!("{found} permits; {gone} were taken along, {perhaps} perhaps"));
        }
        for _ in 0..NUMBERS {
            semaphore.release().map_err(text)?;
        }
        if semaphore.release().is_ok() {
            return Err("one permit more than there may be".into());
        }
        herd.board.set(GONE, 0);
        herd.board.set(GONE_PERHAPS, 0);
        Ok(())
    }
}

impl Game for Numbers {
    const MEMBERS: usize = 6;

    fn new() -> io::Result<Self> {
        Ok(Self(BoundedSemaphore::new(NUMBERS)?))
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        while !seat.is_over() {
            seat.write(HAS, PERHAPS);
            self.0.acquire().keep();
            seat.write(HAS, ONE);
            seat.dice.steps(100);
            seat.write(HAS, PERHAPS);
            self.0.release().map_err(text)?;
            seat.write(HAS, NONE);
            seat.beat();
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        while !herd.is_done() {
            for _ in 0..RESERVE {
                let permit = herd.game.0.acquire_timeout(Duration::from_secs(30));
                permit.ok_or("no permit comes")?.keep();
            }
            while Self::lost(herd) + 4 <= RESERVE && !herd.is_done() {
                herd.dice.pause();
                let victims = herd.some_of(&herd.survivors(), 4);
                herd.kill(&victims)?;
                Self::replace(herd, &victims)?;
                herd.watch_turns(&herd.survivors())?;
                herd.refill()?;
            }
            herd.report.counted += herd.board.get(GONE);
            herd.rest(|_| Ok(()))?;
            Self::complete(herd)?;
            herd.refill()?;
        }
        herd.rest(|_| Ok(()))
    }
}
