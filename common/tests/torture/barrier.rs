//! Barriers: one whose parties keep step until one of them dies, and one at which more meet than there are
//! parties and which anybody resets.

use crate::dice::Dice;
use crate::herd::{Board, FREE, Game, Herd, OWN, Seat, of, text};
use common::sync::Barrier;
use common::{Process, StartMethod};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::thread::sleep;
use std::time::Duration;

/// Each member is a party.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Steps(Barrier);

/// How often all went on; written by the action.
const STEPS: usize = FREE;
/// How often the keeper has put the barrier in order.
const EPOCH: usize = FREE + 1;
/// A member's words: the epoch in which it last went on, that in which it was last told that the barrier
/// is broken, and its last step with its place in it.
const PARTY: usize = OWN;
const TOLD: usize = OWN + 1;
const STEP: usize = OWN + 2;
const INDEX: usize = OWN + 3;

impl Steps {
    /// Those who went on last have been told different numbers.
    fn differ(herd: &Herd<Self>) -> Result<(), String> {
        let step = herd.board.get(STEPS);
        let went = |&place: &usize| step > 0 && herd.board.get(of(place, STEP)) == step;
        let last = herd.survivors().into_iter().filter(went);
        let indices: Vec<u64> = last.map(|place| herd.board.get(of(place, INDEX))).collect();
        let different: BTreeSet<_> = indices.iter().filter(|&&index| index < 4).collect();
        if different.len() < indices.len() {
            return Err(format!("the numbers of step {step}: {indices:?}"));
        }
        Ok(())
    }

    /// Lets a process do this and that with the barrier until it is killed.
    fn disturb(herd: &mut Herd<Self>) -> Result<(), String> {
        fn disturb((barrier, seed): (Barrier, u64)) {
            let mut dice = Dice(seed);
            loop {
                match dice.below(3) {
                    0 => barrier.abort(),
                    1 => _ = barrier.wait_timeout(Duration::ZERO),
                    _ => barrier.reset(),
                }
            }
        }
        let process = Process::new(disturb, (herd.game.0.clone(), herd.dice.roll()));
        let child = process.daemon().start_method(StartMethod::Fork).start().map_err(text)?;
        herd.dice.pause();
        child.kill().map_err(text)?;
        child.join().map_err(text)?;
        Ok(())
    }
}

impl Game for Steps {
    const MEMBERS: usize = 4;

    fn new() -> io::Result<Self> {
        Ok(Self(Barrier::new(Self::MEMBERS as u32)?))
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        while !seat.is_over() {
            let epoch = seat.board.get(EPOCH);
            let before = seat.board.get(STEPS);
            let action = || seat.board.add(STEPS, 1);
            match self.0.wait_with(action) {
                Ok(result) => {
                    // The next step needs this member.
                    let now = seat.board.get(STEPS);
                    if now != before + 1 {
                        return Err(format!("from step {before} to step {now}"));
                    }
                    seat.write(INDEX, result.index().into());
                    seat.write(STEP, now);
                    seat.write(PARTY, epoch + 1);
                    seat.beat();
                }
                Err(_) => {
                    seat.write(TOLD, epoch + 1);
                    while seat.board.get(EPOCH) == epoch && !seat.is_over() {
                        sleep(Duration::from_micros(200));
                    }
                }
            }
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        let barrier = herd.game.0.clone();
        while !herd.is_done() {
            let epoch = herd.board.get(EPOCH);
            let is_party = |board: &Board, place| board.get(of(place, PARTY)) == epoch + 1;
            // Mostly a victim is one that has waited before, else perhaps.
            let is_sure = !herd.dice.once_in(4);
            let all = herd.survivors();
            if is_sure {
                let stepped = |board: &Board| all.iter().all(|&one| is_party(board, one));
                herd.watch("the first step", &all, stepped)?;
            }
            let victims = herd.some_of(&all, Self::MEMBERS - 1);
            herd.dice.pause();
            herd.kill(&victims)?;
            if !victims.iter().any(|&victim| is_party(&herd.board, victim)) {
                herd.dice.pause();
                barrier.abort();
            }
            let survivors = herd.survivors();
            herd.watch("the word that a party is gone", &survivors, |board| {
                survivors.iter().all(|&place| board.get(of(place, TOLD)) == epoch + 1)
            })?;
            Self::differ(herd)?;
            if herd.dice.once_in(4) {
                Self::disturb(herd)?;
            }
            barrier.reset();
            if barrier.is_broken() || barrier.n_waiting() != 0 {
                return Err(format!("after a reset: {barrier:?}"));
            }
            herd.board.set(EPOCH, epoch + 1);
            herd.refill()?;
        }
        herd.report.counted = herd.board.get(STEPS);
        herd.rest(|Self(barrier)| {
            barrier.abort();
            Ok(())
        })
    }
}

/// More members than parties.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Throng(Barrier);

impl Game for Throng {
    const MEMBERS: usize = 6;

    fn new() -> io::Result<Self> {
        Ok(Self(Barrier::new(3)?))
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        while !seat.is_over() {
            let limit = Duration::from_millis(1 + seat.dice.below(20));
            let result = match seat.dice.below(8) {
                0 => self.0.wait_timeout(limit),
                1..4 => self.0.wait_with(|| seat.board.add(STEPS, 1)),
                _ => self.0.wait(),
            };
            match result {
                Ok(result) if result.index() < self.0.parties() => seat.beat(),
                Ok(result) => return Err(format!("{result:?} of {:?}", self.0)),
                Err(_) => {
                    seat.dice.pause();
                    if seat.dice.once_in(2) {
                        self.0.reset();
                    }
                }
            }
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        let everybody: Vec<usize> = (0..Self::MEMBERS).collect();
        while !herd.is_done() {
            // Fewer than there are parties may be left, so there are successors first.
            herd.kill_some(Self::MEMBERS, 0)?;
            herd.refill()?;
            herd.watch_turns(&everybody)?;
        }
        herd.report.counted = herd.board.get(STEPS);
        herd.rest(|Self(barrier)| {
            barrier.abort();
            Ok(())
        })
    }
}
