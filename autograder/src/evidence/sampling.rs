//! The portable source: looks at every process again and again.
//!
//! Every millisecond, or less often where a look takes long, one [`look`](super::look) tells who is
//! there, which threads can run (state R), and how long each has had a processor. Of what lies between
//! two looks, half is taken to have been as in the first, half as in the second.
//!
//! # What it can miss
//!
//! * A process that lives for less than a few milliseconds, and what it did; longer on a machine so
//!   busy that the observer has to wait for its turn. Counts are lower bounds.
//! * An orphan that lost its parent between two looks, unless this process adopts orphans or a process
//!   of the launcher does.
//! * Short pauses: who waited between two looks and at neither counts as runnable.
//!
//! Children that work for fifty milliseconds or more are told from those that only seem to, on a busy
//! machine too.

use std::collections::{HashMap, HashSet};
use std::io::{self, PipeReader};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::exits::Exits;
use super::look::{Seen, Watched};
use super::timeline::{Runnable, State, Timeline};
use super::{Evidence, Source};
use crate::sandbox::perf;

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// The pause is at least so many times as long as the work of a look, and never longer than this.
const PAUSE_PER_LOOK: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The source, before its first look.
#[derive(Debug)]
pub(super) struct Sampling {
    watched: Watched,
    timeline: Timeline,
    exits: Exits,
    /// Who was there at the last look, by process id, and since when.
    there: HashMap<i32, u64>,
    /// How long each thread had had a processor then.
    work: HashMap<i32, u64>,
}

impl Sampling {
    pub(super) fn new(launcher: i32) -> io::Result<Sampling> {
        let mut sampling = Sampling {
            watched: Watched::new(launcher)?,
            timeline: Timeline::default(),
            exits: Exits::default(),
            there: HashMap::new(),
            work: HashMap::new(),
        };
        sampling.look();
        Ok(sampling)
    }

    /// Looks until `stop` closes.
    pub(super) fn run(mut self, stop: &PipeReader, reason: Option<String>) -> Evidence {
        let mut cost = Duration::ZERO;
        loop {
            let pause = (cost * PAUSE_PER_LOOK).clamp(PAUSE, LONGEST_PAUSE);
            let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
            let closed =
                poll(&mut [PollFd::new(stop.as_fd(), PollFlags::POLLIN)], timeout) == Ok(1);
            // Its work, and not its time on the clock, in which others may have had their turn.
            let before = perf::work();
            self.look();
            cost = Duration::from_nanos(perf::work().saturating_sub(before));
            if closed {
                break;
            }
        }
        let mut evidence = self.timeline.finish(Source::Sampling, reason);
        self.exits.enter(&mut evidence.list);
        evidence
    }

    fn look(&mut self) {
        let time = perf::now();
        let all = self.watched.look();
        let mut before = std::mem::take(&mut self.work);
        for thread in all.iter().flat_map(|seen| &seen.threads) {
            self.work.insert(thread.tid, thread.work);
        }
        let seen: Vec<Seen> = all.into_iter().filter(|seen| seen.counts).collect();
        let runnable = |seen: &&Seen| seen.threads.iter().any(|thread| thread.is_runnable);
        let threads = seen.iter().flat_map(|seen| &seen.threads);
        let then = Runnable {
            processes: seen.iter().filter(runnable).count(),
            threads: threads.filter(|thread| thread.is_runnable).count(),
        };
        self.timeline.advance_unseen(time, then);

        let there = seen.iter().flat_map(|seen| &seen.threads).map(|thread| thread.tid);
        let there: HashSet<i32> = there.collect();
        let known: HashMap<i32, i32> = self.timeline.threads().collect();
        // First who has gone, or they would seem to have lived together with those who came after.
        for &tid in known.keys().filter(|tid| !there.contains(tid)) {
            self.timeline.end(tid);
        }
        for process in &seen {
            let is_same = self.there.get(&process.pid) == Some(&process.started);
            if !is_same {
                for (&tid, _) in known.iter().filter(|&(_, &pid)| pid == process.pid) {
                    self.timeline.end(tid);
                }
                self.exits.hold(process.pid);
            }
            for thread in &process.threads {
                if !is_same || known.get(&thread.tid) != Some(&process.pid) {
                    let parent = Some(process.parent).filter(|_| self.timeline.has_begun());
                    self.timeline.begin(thread.tid, process.pid, parent, State::Waiting);
                }
                let had = before.remove(&thread.tid).filter(|&had| had <= thread.work);
                self.timeline.charge(process.pid, thread.work - had.unwrap_or(0), then);
            }
            self.timeline.name(process.pid, &process.name);
        }
        for process in &seen {
            for thread in &process.threads {
                let state = if thread.is_runnable { State::Runnable } else { State::Waiting };
                self.timeline.set(thread.tid, process.pid, state);
            }
        }
        self.exits.collect();
        self.there = seen.iter().map(|seen| (seen.pid, seen.started)).collect();
    }
}
