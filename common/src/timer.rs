//! A stopwatch that reads as the course's log prints it: seconds with 8 decimals.

use std::time::Instant;

/// Runs from [`Timer::start`] on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer(Instant);

impl Timer {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
