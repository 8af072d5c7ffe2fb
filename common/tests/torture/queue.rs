//! Queues: each member puts and gets in turn. What was put is got once, in the order of each who puts,
//! but for what a dead one had in hand.

use crate::herd::{Game, Herd, OWN, Seat, of, text};
use common::queue::{GetError, PutRefusal};
use common::{Array, Queue};
use serde::{Deserialize, Serialize};
use std::io;

/// A member's word: the last number that it has put, or was about to.
const NUMBER: usize = OWN;
/// How many numbers a member puts at most before all rest.
const MOST: u64 = 200_000;

/// A queue with so many places, or with any number where it is 0; and how often each number of each member
/// was got.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Items<const PLACES: usize> {
    queue: Queue<Vec<u64>>,
    seen: Array<u8>,
}

impl<const PLACES: usize> Items<PLACES> {
    /// Notes that an item was got; `last` are the numbers that were got before.
    fn note(&self, item: &[u64], last: &mut [u64]) -> Result<(), String> {
        let tag = *item.first().ok_or("an item is empty")?;
        if let Some(other) = item.iter().find(|word| **word != tag) {
            return Err(format!("an item of {tag:#x} holds {other:#x}"));
        }
        let (member, number) = ((tag >> 32) as usize, tag & u64::from(u32::MAX));
        if last.get(member).is_none_or(|last| *last >= number) {
            return Err(format!("member {member}: {number} came after {last:?}"));
        }
        last[member] = number;
        let place = member * MOST as usize + (number - 1) as usize;
        let times = self.seen.update(place, |times| {
            *times += 1;
            *times
        });
        match times.map_err(text)? {
            1 => Ok(()),
            times => Err(format!("member {member}: {number} came {times} times")),
        }
    }

    fn put(&self, seat: &mut Seat) -> Result<(), String> {
        let number = seat.read(NUMBER) + 1;
        if number > MOST {
            return Ok(());
        }
        let len = match seat.dice.below(16) {
            0 => seat.dice.below(20_000),
            _ => seat.dice.below(40),
        };
        let item = vec![(seat.place as u64) << 32 | number; 1 + len as usize];
        seat.write(NUMBER, number);
        let result = if PLACES == 0 { self.queue.put(item) } else { self.queue.try_put(item) };
        match result.map_err(|error| error.reason) {
            Ok(()) => Ok(()),
            Err(PutRefusal::Full(_)) if PLACES > 0 => {
                seat.write(NUMBER, number - 1);
                Ok(())
            }
            Err(reason) => Err(reason.to_string()),
        }
    }
}

impl<const PLACES: usize> Game for Items<PLACES> {
    const MEMBERS: usize = 5;

    fn new() -> io::Result<Self> {
        let queue = if PLACES == 0 { Queue::new() } else { Queue::bounded(PLACES) };
        Ok(Self { queue: queue?, seen: Array::new(Self::MEMBERS * MOST as usize)? })
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        let mut last = [0; 5];
        while !seat.is_over() {
            // Sometimes many wait, so that the queue grows and shrinks.
            for _ in 0..1 + seat.dice.below(4) {
                self.put(seat)?;
            }
            for _ in 0..1 + seat.dice.below(5) {
                match self.queue.try_get() {
                    Ok(item) => self.note(&item, &mut last)?,
                    Err(GetError::Empty) => break,
                    Err(error) => return Err(error.to_string()),
                }
            }
            seat.beat();
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        let mut killed_before = 0;
        herd.keep_turning(|herd| {
            let game = herd.game.clone();
            let mut last = [0; 5];
            loop {
                match game.queue.try_get() {
                    Ok(item) => game.note(&item, &mut last)?,
                    Err(GetError::Empty) => break,
                    Err(error) => return Err(error.to_string()),
                }
            }
            let mut missing = 0;
            let mut seen = game.seen.lock();
            for member in 0..Self::MEMBERS {
                let numbers = herd.board.get(of(member, NUMBER)) as usize;
                let seen = &seen[member * MOST as usize..][..numbers];
                missing += seen.iter().filter(|times| **times == 0).count() as u64;
                herd.board.set(of(member, NUMBER), 0);
                herd.report.counted += numbers as u64;
            }
            seen.fill(0);
            // Of a dead one: what it was about to put, and what it had got.
            let killed = herd.report.killed - killed_before;
            killed_before = herd.report.killed;
            if missing > 2 * killed {
                return Err(format!(
                    "{missing} items are missing, and {killed} members were killed"
                ));
            }
            Ok(())
        })
    }
}
