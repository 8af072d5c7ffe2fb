//! The chunks that are given out and not settled.

use super::dispatch::Job;
use super::message::Function;
use std::sync::Arc;

/// A chunk that is given out.
pub(super) struct Outstanding {
    pub(super) job: Arc<dyn Job>,
    pub(super) function: Function,
    /// Which task of the job is its first.
    pub(super) first: usize,
    /// How many tasks it has, and how many are not settled.
    pub(super) count: u32,
    pub(super) left: u32,
    /// Its ticket and 1, or 0; and whether it was cancelled, so that its worker only has to pass over it.
    pub(super) ticket: u32,
    pub(super) is_cancelled: bool,
}

/// The chunks that are given out.
///
/// A number consists of a place, which is used again, and of how many there have been: so it is never used
/// again.
#[derive(Default)]
pub(super) struct Ledger {
    places: Vec<Option<(u64, Outstanding)>>,
    free: Vec<u32>,
    made: u32,
}

impl Ledger {
    pub(super) fn insert(&mut self, outstanding: Outstanding) -> u64 {
        // 0 is nobody's number.
        self.made = self.made.wrapping_add(1).max(1);
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("the line of tasks takes fewer")
        });
        let number = u64::from(self.made) << 32 | u64::from(place);
        self.places[place as usize] = Some((number, outstanding));
        number
    }

    fn place(&mut self, number: u64) -> Option<&mut Option<(u64, Outstanding)>> {
        let place = self.places.get_mut(number as u32 as usize)?;
        place.as_ref().is_some_and(|(own, _)| *own == number).then_some(place)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Outstanding> {
        self.place(number)?.as_mut().map(|(_, outstanding)| outstanding)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Outstanding> {
        let (own, outstanding) = self.places.get(number as u32 as usize)?.as_ref()?;
        (*own == number).then_some(outstanding)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Outstanding> {
        let (_, outstanding) = self.place(number)?.take()?;
        self.free.push(number as u32);
        Some(outstanding)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.places.iter().flatten().map(|(number, _)| *number).collect()
    }

    pub(super) fn into_all(self) -> impl Iterator<Item = Outstanding> {
        self.places.into_iter().flatten().map(|(_, outstanding)| outstanding)
    }
}

#[cfg(test)]
mod tests {
    use super::super::dispatch::Answers;
    use super::*;

    struct Nothing;

    impl Job for Nothing {
        fn settle(&self, _: usize, _: Answers<'_>) -> u32 {
            0
        }
    }

    fn outstanding(first: usize) -> Outstanding {
        let function = Function { trampoline: 0, target: 0 };
        let job = Arc::new(Nothing);
        Outstanding { job, function, first, count: 1, left: 1, ticket: 0, is_cancelled: false }
    }

    #[test]
    fn a_number_is_of_one_chunk_and_never_of_another() {
        let mut ledger = Ledger::default();
        let (one, two) = (ledger.insert(outstanding(1)), ledger.insert(outstanding(2)));
        assert_eq!(ledger.get(two).unwrap().first, 2);
        assert_eq!(ledger.remove(one).unwrap().first, 1);
        assert!(ledger.remove(one).is_none());
        let three = ledger.insert(outstanding(3));
        assert!(three != one && ledger.get(one).is_none() && ledger.get_mut(one).is_none());
        assert_eq!((ledger.len(), ledger.numbers().len()), (2, 2));
        assert!(ledger.get(0).is_none() && ledger.get(u64::MAX).is_none());
        assert_eq!(ledger.into_all().map(|outstanding| outstanding.first).sum::<usize>(), 5);
    }
}
