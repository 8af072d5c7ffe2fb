//! Which of the waiting tasks may still be cancelled.
//!
//! A task that somebody may want to cancel has a word in shared memory. Its worker changes it from
//! `WAITING` to `TAKEN` before it begins, who cancels it changes it to `CANCELLED`: one of them is first.
//! Words are used again when their tasks are settled, so 100,000 waiting tasks are 400 kB, and no object
//! of the kernel.

use crate::shared::Region;
use crate::sync::word::Ordering;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::{Mutex, PoisonError};

const WAITING: u32 = 0;
const TAKEN: u32 = 1;
const CANCELLED: u32 = 2;
/// How many bytes the words have at first.
const FIRST: usize = 4096;

/// The words, as a worker sees them; they travel as a handle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tickets(Region);

impl Tickets {
    /// Begins the task; false where it was cancelled.
    pub(super) fn take(&mut self, ticket: u32) -> bool {
        let at = ticket as usize * 4;
        if at + 4 > self.0.len() && self.0.renew().is_err() {
            return true;
        }
        self.0.word32(at).is_none_or(|word| {
            word.compare_exchange(WAITING, TAKEN, Ordering::AcqRel, Ordering::Acquire)
                != Err(CANCELLED)
        })
    }
}

/// The words, as the pool sees them.
#[derive(Debug)]
pub(super) struct TicketOffice(Mutex<Office>);

#[derive(Debug)]
struct Office {
    region: Region,
    free: Vec<u32>,
    made: u32,
}

impl TicketOffice {
    pub(super) fn new() -> io::Result<Self> {
        let region = Region::new("tickets", FIRST)?;
        Ok(Self(Mutex::new(Office { region, free: Vec::new(), made: 0 })))
    }

    fn with<R>(&self, work: impl FnOnce(&mut Office) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a worker gets.
    pub(super) fn share(&self) -> Tickets {
        self.with(|office| Tickets(office.region.clone()))
    }

    /// A ticket for a task that waits.
    pub(super) fn issue(&self) -> io::Result<u32> {
        self.with(|office| {
            let ticket = match office.free.pop() {
                Some(ticket) => ticket,
                None => {
                    let end = (office.made as usize + 1) * 4;
                    if end > office.region.len() {
                        office.region.grow(end.next_power_of_two())?;
                    }
                    office.made += 1;
                    office.made - 1
                }
            };
            office.set(ticket, WAITING);
            Ok(ticket)
        })
    }

    /// The task is settled.
    pub(super) fn return_back(&self, ticket: u32) {
        self.with(|office| office.free.push(ticket));
    }

    /// Cancels a task that is not settled; false where it was begun.
    pub(super) fn cancel(&self, ticket: u32) -> bool {
        self.with(|office| {
            office.region.word32(ticket as usize * 4).is_some_and(|word| {
                word.compare_exchange(WAITING, CANCELLED, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
            })
        })
    }

    /// Whether a task that is not settled was begun.
    pub(super) fn was_begun(&self, ticket: u32) -> bool {
        self.with(|office| {
            let word = office.region.word32(ticket as usize * 4);
            word.is_some_and(|word| word.load(Ordering::Acquire) == TAKEN)
        })
    }
}

impl Office {
    fn set(&self, ticket: u32, state: u32) {
        if let Some(word) = self.region.word32(ticket as usize * 4) {
            word.store(state, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_begun_or_cancelled_and_never_both() {
        let office = TicketOffice::new().unwrap();
        let mut worker = office.share();
        let (one, two) = (office.issue().unwrap(), office.issue().unwrap());
        assert!(worker.take(one) && office.was_begun(one) && !office.cancel(one));
        assert!(office.cancel(two) && !office.was_begun(two) && !worker.take(two));
        office.return_back(two);
        assert_eq!(office.issue().unwrap(), two);
        assert!(worker.take(two));
    }

    #[test]
    fn there_are_as_many_as_are_asked_for() {
        let office = TicketOffice::new().unwrap();
        let mut worker = office.share();
        let last = (0..5000).map(|_| office.issue().unwrap()).last().unwrap();
        assert!(office.cancel(last));
        assert!(!worker.take(last) && worker.take(last - 1));
    }
}
