//! The tasks of one `map` in shared memory: who has which, and their inputs.
//!
//! ```text
//! | cursor | state of each task ... | where each input begins ... end | inputs |
//! ```
//!
//! # States
//!
//! | tag | meaning | also in the word |
//! | --- | --- | --- |
//! | [`FREE`] | nobody has it | |
//! | [`CLAIMED`] | a worker is at it | the worker's number |
//! | [`DONE`] | its result is written | the worker's number, where in its results |
//! | [`NO_ROOM`] | it was done, and there was no memory for the result | the worker's number |
//!
//! A claim is one compare-and-swap from [`FREE`], which names the worker in the same instruction: a
//! worker that is killed at any instant leaves no task of which nobody knows whose it was. The
//! cursor only tells where to look; a task that was skipped because its finder died is found again
//! after a [`Board::rewind`]. [`DONE`] is stored with Release after the result was written, and read
//! with Acquire before it is read.

use crate::shared::Region;
use std::sync::atomic::{AtomicU64, Ordering};

const FREE: u64 = 0;
const CLAIMED: u64 = 1;
const DONE: u64 = 2;
const NO_ROOM: u64 = 3;

const TAG_BITS: u32 = 2;
const WORKER_BITS: u32 = 24;
/// Results lie at multiples of this, so that an offset needs fewer bits.
pub(super) const ALIGN: usize = 8;

const STATES: usize = 64;

fn word(tag: u64, worker: u32, offset: usize) -> u64 {
    tag | u64::from(worker) << TAG_BITS | ((offset / ALIGN) as u64) << (TAG_BITS + WORKER_BITS)
}

fn worker_of(word: u64) -> u32 {
    ((word >> TAG_BITS) & ((1 << WORKER_BITS) - 1)) as u32
}

/// What became of a task.
pub(super) enum Found {
    Free,
    Claimed,
    Done { worker: u32, offset: usize },
    NoRoom,
}

/// The tasks of one `map`, as parent and workers see them.
pub(super) struct Board {
    region: Region,
    tasks: usize,
}

impl Board {
    fn offsets(tasks: usize) -> usize {
        STATES + 8 * tasks
    }

    fn inputs(tasks: usize) -> usize {
        Self::offsets(tasks) + 8 * (tasks + 1)
    }

    /// How much memory the tasks with these inputs need.
    pub(super) fn bytes(inputs: &[Vec<u8>]) -> usize {
        Self::inputs(inputs.len()) + inputs.iter().map(Vec::len).sum::<usize>()
    }

    /// Writes the inputs to `region`, which is at least [`Board::bytes`] long; all tasks are free.
    pub(super) fn fill(region: Region, inputs: &[Vec<u8>]) -> Self {
        let board = Self { region, tasks: inputs.len() };
        let offsets = board.words(Self::offsets(board.tasks), board.tasks + 1);
        let mut at = Self::inputs(board.tasks);
        for (input, offset) in inputs.iter().zip(offsets) {
            offset.store(at as u64, Ordering::Relaxed);
            let fits = board.region.copy_in(at, input);
            debug_assert!(fits, "the region was made for these inputs");
            at += input.len();
        }
        offsets[board.tasks].store(at as u64, Ordering::Relaxed);
        for state in board.states() {
            state.store(FREE, Ordering::Relaxed);
        }
        board.rewind();
        board
    }

    /// The board that another process has filled, or `None` where the region is too short for it.
    pub(super) fn open(region: Region, tasks: usize) -> Option<Self> {
        region.words64(STATES, tasks.checked_mul(2)?.checked_add(1)?)?;
        Some(Self { region, tasks })
    }

    fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        self.region.words64(offset, count).expect("a board's region was measured when it was made")
    }

    fn cursor(&self) -> &AtomicU64 {
        &self.words(0, 1)[0]
    }

    fn states(&self) -> &[AtomicU64] {
        self.words(STATES, self.tasks)
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    pub(super) fn tasks(&self) -> usize {
        self.tasks
    }

    /// The next `run` places to look for a free task.
    pub(super) fn take_run(&self, run: usize) -> std::ops::Range<usize> {
        let start = self.cursor().fetch_add(run as u64, Ordering::Relaxed);
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(self.tasks);
        start..start.saturating_add(run).min(self.tasks)
    }

    /// How many places nobody has looked at yet.
    pub(super) fn left(&self) -> usize {
        let looked = self.cursor().load(Ordering::Relaxed);
        self.tasks.saturating_sub(usize::try_from(looked).unwrap_or(usize::MAX))
    }

    /// Lets everyone look from the start again.
    pub(super) fn rewind(&self) {
        self.cursor().store(0, Ordering::Relaxed);
    }

    /// Makes `task` the worker's if it is free.
    pub(super) fn claim(&self, task: usize, worker: u32) -> bool {
        let claimed = word(CLAIMED, worker, 0);
        self.states()[task]
            .compare_exchange(FREE, claimed, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Says where the result of `task` is, or that there was no room for it.
    pub(super) fn done(&self, task: usize, worker: u32, offset: Option<usize>) {
        let state = match offset {
            Some(offset) => word(DONE, worker, offset),
            None => word(NO_ROOM, worker, 0),
        };
        self.states()[task].store(state, Ordering::Release);
    }

    /// The input of `task`.
    pub(super) fn input(&self, task: usize) -> Option<Vec<u8>> {
        let offsets = self.words(Self::offsets(self.tasks), self.tasks + 1);
        let start = usize::try_from(offsets[task].load(Ordering::Relaxed)).ok()?;
        let end = usize::try_from(offsets[task + 1].load(Ordering::Relaxed)).ok()?;
        self.region.copy_out(start, end.checked_sub(start)?)
    }

    /// What became of `task`.
    pub(super) fn found(&self, task: usize) -> Found {
        let state = self.states()[task].load(Ordering::Acquire);
        match state & ((1 << TAG_BITS) - 1) {
            FREE => Found::Free,
            CLAIMED => Found::Claimed,
            DONE => Found::Done {
                worker: worker_of(state),
                offset: (state >> (TAG_BITS + WORKER_BITS)) as usize * ALIGN,
            },
            _ => Found::NoRoom,
        }
    }

    pub(super) fn any_free(&self) -> bool {
        self.states().iter().any(|state| state.load(Ordering::Relaxed) == FREE)
    }

    /// The tasks that `worker` has claimed and not done.
    pub(super) fn claimed_by(&self, worker: u32) -> impl Iterator<Item = usize> {
        let claimed = word(CLAIMED, worker, 0);
        let mine = move |state: &AtomicU64| state.load(Ordering::Relaxed) == claimed;
        self.states()
            .iter()
            .enumerate()
            .filter_map(move |(task, state)| mine(state).then_some(task))
    }

    /// Whether `worker` has done anything.
    pub(super) fn done_by(&self, worker: u32) -> bool {
        self.states().iter().any(|state| {
            let state = state.load(Ordering::Relaxed);
            state != FREE && worker_of(state) == worker
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(inputs: &[&[u8]]) -> Board {
        let inputs: Vec<Vec<u8>> = inputs.iter().map(|input| input.to_vec()).collect();
        Board::fill(Region::new("test", Board::bytes(&inputs)).unwrap(), &inputs)
    }

    #[test]
    fn a_task_has_one_owner_and_its_input() {
        let board = board(&[b"a", b"", b"ccc"]);
        assert_eq!(board.input(2).unwrap(), b"ccc");
        assert_eq!(board.input(1).unwrap(), b"");
        assert!(board.claim(1, 7));
        assert!(!board.claim(1, 8));
        assert_eq!(board.claimed_by(7).collect::<Vec<_>>(), [1]);
        board.done(1, 7, Some(1 << 40));
        assert!(matches!(board.found(1), Found::Done { worker: 7, offset } if offset == 1 << 40));
        assert!(board.done_by(7) && !board.done_by(8));
    }

    #[test]
    fn a_skipped_task_is_found_again() {
        let board = board(&[b"", b"", b""]);
        assert_eq!(board.take_run(2), 0..2);
        assert_eq!(board.take_run(2), 2..3);
        assert_eq!(board.take_run(2), 3..3);
        assert!(board.any_free());
        board.rewind();
        assert_eq!(board.take_run(1), 0..1);
    }
}
