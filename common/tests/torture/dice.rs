//! Numbers that look random and are the same for the same seed (splitmix64), and pauses of that kind.

use std::hint;
use std::thread::sleep;
use std::time::Duration;

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// Whether something happens that does so once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Lets time pass: mostly a few steps, often up to 100 µs, sometimes up to 2 ms.
    pub(crate) fn pause(&mut self) {
        match self.below(8) {
            0..4 => self.steps(200),
            4..7 => self.steps(50_000),
            _ => sleep(Duration::from_micros(self.below(2000))),
        }
    }

    /// Stays on its core for fewer than so many steps.
    pub(crate) fn steps(&mut self, bound: u64) {
        for _ in 0..self.below(bound) {
            hint::spin_loop();
        }
    }
}
