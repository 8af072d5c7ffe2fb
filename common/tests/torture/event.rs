//! Events: in each round some callers, who may be killed, set the event for which the others wait.

use crate::herd::{Game, Herd, OWN, Seat, of};
use common::sync::Event;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// What the callers wait for and what the others do, each for even and for odd rounds: the one of the
/// next round is cleared in this.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Relay {
    ask: [Event; 2],
    go: [Event; 2],
}

/// The first places are the callers'.
const CALLERS: usize = 2;
/// A member's word: the last round in which it went on.
const PASSED: usize = OWN;

impl Relay {
    /// Lets those go on who wait in a round. Whoever does it again meanwhile changes nothing.
    fn call(&self, round: u64) {
        self.go[(round + 1) as usize % 2].clear();
        self.go[round as usize % 2].set();
    }
}

impl Game for Relay {
    const MEMBERS: usize = 7;

    fn new() -> io::Result<Self> {
        let ask = [Event::new()?, Event::new()?];
        Ok(Self { ask, go: [Event::new()?, Event::new()?] })
    }

    fn play(&self, seat: &mut Seat) -> Result<(), String> {
        let is_caller = seat.place < CALLERS;
        let events = if is_caller { &self.ask } else { &self.go };
        for round in seat.read(PASSED) + 1.. {
            let event = &events[round as usize % 2];
            if seat.dice.once_in(4) {
                let limit = Duration::from_micros(seat.dice.below(3000));
                while !event.wait_timeout(limit) {}
            } else {
                event.wait();
            }
            if seat.is_over() {
                break;
            }
            if is_caller {
                self.call(round);
            }
            seat.write(PASSED, round);
            seat.beat();
        }
        Ok(())
    }

    fn keep(herd: &mut Herd<Self>) -> Result<(), String> {
        let game = herd.game.clone();
        let mut round = 0;
        while !herd.is_done() {
            round += 1;
            let victims = match herd.dice.below(3) {
                0 => Vec::new(),
                _ => herd.some_of(&herd.survivors(), 4),
            };
            game.ask[(round + 1) as usize % 2].clear();
            game.ask[round as usize % 2].set();
            match herd.dice.below(4) {
                0 => herd.dice.pause(),
                _ => herd.dice.steps(4_000),
            }
            herd.kill(&victims)?;
            let survivors = herd.survivors();
            if survivors.iter().all(|&place| place >= CALLERS) {
                game.call(round);
            }
            herd.watch("the end of a wait for an event that is set", &survivors, |board| {
                survivors.iter().all(|&place| board.get(of(place, PASSED)) == round)
            })?;
            for &victim in &victims {
                herd.board.set(of(victim, PASSED), round);
            }
            herd.refill()?;
        }
        herd.report.counted = round;
        herd.rest(|Self { ask, go }| {
            ask.iter().chain(go).for_each(Event::set);
            Ok(())
        })
    }
}
