//! What happens to processes, added up as it happens.
//!
//! Both sources tell a timeline, in order of time, what each thread does. It keeps no history: it
//! holds who is there, and sums. So its memory is bounded by what is alive at once, whatever the
//! program does and for how long.
//!
//! # States of a thread
//!
//! | state | from | to |
//! | --- | --- | --- |
//! | `Waiting` | off its processor of its own will | `Running` |
//! | `Runnable` | begun; off its processor because others had their turn | `Running` |
//! | `Running` | on a processor | any |
//! | `Unclear` | was seen to be able to run, after records were lost | any |
//!
//! A process is runnable while one of its threads is in one of the last three. Between the moment at
//! which a waiting thread could go on and the moment at which it does, the kernel writes nothing, so
//! the thread counts as waiting: what is said to be runnable together is at least that.

use std::collections::HashMap;

use super::{Alive, Created, Evidence, Lost, Others, Overlap, ProcessRecord, Source};

/// How many processes are described one by one; what comes later is added up.
const DESCRIBED: usize = 1024;

/// The highest number of runnable processes that is told from those above it.
const HIGHEST: usize = 1024;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Runnable,
    /// Since when.
    Running(u64),
    /// Since when.
    Unclear(u64),
}

impl State {
    fn is_runnable(self) -> bool {
        self != State::Waiting
    }
}

#[derive(Debug)]
struct Thread {
    pid: i32,
    state: State,
}

/// A process that is alive.
#[derive(Debug)]
struct Live {
    record: ProcessRecord,
    work: u64,
    began: u64,
    threads: usize,
    runnable: usize,
}

/// How many are runnable at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runnable {
    pub(super) processes: usize,
    pub(super) threads: usize,
}

#[derive(Debug, Default)]
struct Sums {
    time: Vec<u64>,
    work: Vec<u64>,
}

impl Sums {
    fn add(&mut self, together: usize, time: u64, work: u64) {
        let index = together.min(HIGHEST);
        if self.time.len() <= index {
            self.time.resize(index + 1, 0);
            self.work.resize(index + 1, 0);
        }
        self.time[index] += time;
        self.work[index] += work;
    }

    fn overlap(&self) -> Overlap {
        let seconds = |sums: &[u64]| sums.iter().map(|&sum| seconds(sum)).collect();
        Overlap { seconds: seconds(&self.time), work: seconds(&self.work) }
    }
}

/// See the top of the file.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    threads: HashMap<i32, Thread>,
    live: HashMap<i32, Live>,
    ended: Vec<ProcessRecord>,
    others: Others,
    first: Option<i32>,
    /// When the program began.
    origin: u64,
    now: u64,
    /// Until when nothing is known.
    blind_until: u64,
    runnable_processes: usize,
    runnable_threads: usize,
    running: usize,
    created: Created,
    alive: Alive,
    processes: Sums,
    thread_sums: Sums,
    lost: Lost,
}

impl Timeline {
    /// Whether the program has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.first.is_some()
    }

    /// The threads that are there, with their processes.
    pub(super) fn threads(&self) -> impl Iterator<Item = (i32, i32)> {
        self.threads.iter().map(|(&tid, thread)| (tid, thread.pid))
    }

    /// Time goes on to `time`, with everyone as they are. Time does not go back.
    pub(super) fn advance(&mut self, time: u64) {
        self.pass(time, self.runnable());
    }

    /// Time goes on to `time`, and all that is known of the way there is how many are runnable at its
    /// end. So half of the time is theirs.
    pub(super) fn advance_unseen(&mut self, time: u64, then: Runnable) {
        self.pass(self.now + time.saturating_sub(self.now) / 2, self.runnable());
        self.pass(time, then);
    }

    fn pass(&mut self, time: u64, runnable: Runnable) {
        let time = time.max(self.now);
        if self.has_begun() {
            let blind = self.blind_until.clamp(self.now, time);
            self.lost.seconds += seconds(blind - self.now);
            let passed = time - blind;
            self.add(runnable, passed, passed * self.running as u64);
        }
        self.now = time;
    }

    fn runnable(&self) -> Runnable {
        Runnable { processes: self.runnable_processes, threads: self.runnable_threads }
    }

    fn add(&mut self, runnable: Runnable, time: u64, work: u64) {
        self.processes.add(runnable.processes, time, work);
        self.thread_sums.add(runnable.threads, time, work);
    }

    /// Nothing is known from now until `time`.
    pub(super) fn go_blind(&mut self, time: u64) {
        self.blind_until = self.blind_until.max(time);
    }

    /// So many records are missing.
    pub(super) fn lose(&mut self, records: u64) {
        self.lost.records += records;
    }

    /// A process becomes another program, which ends all its other threads. The first to do so is
    /// the first process of the program.
    pub(super) fn exec(&mut self, pid: i32, state: State) {
        let others: Vec<i32> = self
            .threads()
            .filter(|&(tid, of)| of == pid && tid != pid)
            .map(|(tid, _)| tid)
            .collect();
        if !self.threads.contains_key(&pid) {
            self.begin(pid, pid, None, state);
        } else {
            self.set(pid, pid, state);
        }
        for tid in others {
            self.end(tid);
        }
    }

    /// A thread begins, and with it a process if the process is not there yet.
    pub(super) fn begin(&mut self, tid: i32, pid: i32, parent: Option<i32>, state: State) {
        // Its number was another's before, whose end was missed.
        self.end(tid);
        let is_process = !self.live.contains_key(&pid);
        if !self.has_begun() {
            self.first = Some(pid);
            self.origin = self.now;
        } else if is_process {
            self.created.processes += 1;
        } else {
            self.created.threads += 1;
        }
        let began = self.now;
        let at = seconds(self.now - self.origin);
        let name =
            parent.and_then(|parent| self.live.get(&parent)).map(|live| live.record.name.clone());
        let is_first = self.first == Some(pid) && self.created == Created::default();
        let live = self.live.entry(pid).or_insert_with(|| Live {
            record: ProcessRecord {
                pid,
                parent,
                is_first,
                name: name.unwrap_or_default(),
                began: at,
                ended: None,
                work: 0.0,
                threads: 0,
                exit: None,
            },
            work: 0,
            began,
            threads: 0,
            runnable: 0,
        });
        live.threads += 1;
        live.record.threads += 1;
        self.threads.insert(tid, Thread { pid, state: State::Waiting });
        self.set(tid, pid, state);
        self.alive.processes = self.alive.processes.max(self.live.len());
        self.alive.threads = self.alive.threads.max(self.threads.len());
    }

    /// What a thread does from now on. One that is not there begins.
    pub(super) fn set(&mut self, tid: i32, pid: i32, state: State) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return self.begin(tid, pid, None, state);
        };
        let before = std::mem::replace(&mut thread.state, state);
        let Some(live) = self.live.get_mut(&thread.pid) else { return };
        match before {
            State::Running(since) => {
                live.work += self.now - since.min(self.now);
                self.running -= 1;
            }
            // A thread whose next record takes it off was on all the time.
            State::Unclear(since) if !matches!(state, State::Running(_) | State::Unclear(_)) => {
                let work = self.now - since.min(self.now);
                live.work += work;
                self.processes.add(self.runnable_processes, 0, work);
                self.thread_sums.add(self.runnable_threads, 0, work);
            }
            _ => {}
        }
        if let State::Running(_) = state {
            self.running += 1;
        }
        match (before.is_runnable(), state.is_runnable()) {
            (false, true) => {
                self.runnable_threads += 1;
                live.runnable += 1;
                self.runnable_processes += usize::from(live.runnable == 1);
            }
            (true, false) => {
                self.runnable_threads -= 1;
                live.runnable -= 1;
                self.runnable_processes -= usize::from(live.runnable == 0);
            }
            _ => {}
        }
    }

    /// A thread ends, and with the last one its process.
    pub(super) fn end(&mut self, tid: i32) {
        let Some(pid) = self.threads.get(&tid).map(|thread| thread.pid) else { return };
        self.set(tid, pid, State::Waiting);
        self.threads.remove(&tid);
        let Some(live) = self.live.get_mut(&pid) else { return };
        live.threads -= 1;
        if live.threads > 0 {
            return;
        }
        if let Some(mut live) = self.live.remove(&pid) {
            live.record.ended = Some(seconds(self.now - self.origin));
            self.describe(live);
        }
    }

    /// A process has had a processor for so long, on the way to a moment at which so many are runnable.
    pub(super) fn charge(&mut self, pid: i32, work: u64, then: Runnable) {
        let Some(live) = self.live.get_mut(&pid) else { return };
        live.work += work;
        // Who worked was runnable.
        let at_least_one = |runnable: Runnable| Runnable {
            processes: runnable.processes.max(1),
            threads: runnable.threads.max(1),
        };
        self.add(at_least_one(self.runnable()), 0, work / 2);
        self.add(at_least_one(then), 0, work - work / 2);
    }

    /// What a process is called.
    pub(super) fn name(&mut self, pid: i32, name: &str) {
        if let Some(live) = self.live.get_mut(&pid) {
            name.clone_into(&mut live.record.name);
        }
    }

    /// The sums.
    pub(super) fn finish(mut self, source: Source, reason: Option<String>) -> Evidence {
        let mut left: Vec<Live> = std::mem::take(&mut self.live).into_values().collect();
        left.sort_by_key(|live| (live.began, live.record.pid));
        for mut live in left {
            let since = self.threads.values().filter(|thread| thread.pid == live.record.pid);
            let running = since.filter_map(|thread| match thread.state {
                State::Running(since) | State::Unclear(since) => {
                    Some(self.now - since.min(self.now))
                }
                _ => None,
            });
            live.work += running.sum::<u64>();
            self.describe(live);
        }
        self.ended.sort_by(|a, b| a.began.total_cmp(&b.began).then(a.pid.cmp(&b.pid)));
        Evidence {
            source,
            reason,
            created: self.created,
            alive_at_most: self.alive,
            processes: self.processes.overlap(),
            threads: self.thread_sums.overlap(),
            list: self.ended,
            others: self.others,
            lost: self.lost,
        }
    }

    fn describe(&mut self, live: Live) {
        let mut record = live.record;
        record.work = seconds(live.work);
        if record.is_first || self.ended.len() < DESCRIBED {
            self.ended.push(record);
        } else {
            self.others.processes += 1;
            self.others.work += record.work;
        }
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(timeline: &mut Timeline, ms: u64) -> u64 {
        timeline.advance(ms * MS);
        ms * MS
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    fn finish(timeline: Timeline) -> Evidence {
        timeline.finish(Source::Switches, None)
    }

    #[test]
    fn waiting_for_a_turn_is_being_runnable() {
        let mut timeline = Timeline::default();
        let now = at(&mut timeline, 100);
        timeline.exec(1, State::Running(now));
        timeline.begin(2, 2, Some(1), State::Runnable);
        at(&mut timeline, 110);
        timeline.set(1, 1, State::Waiting);
        let now = at(&mut timeline, 115);
        timeline.set(2, 2, State::Running(now));
        at(&mut timeline, 135);
        timeline.end(2);
        at(&mut timeline, 136);
        timeline.end(1);
        let evidence = finish(timeline);
        close(evidence.processes.seconds[2], 0.010);
        close(evidence.processes.seconds[1], 0.025);
        close(evidence.processes.seconds[0], 0.001);
        close(evidence.processes.work[2], 0.010);
        close(evidence.processes.work[1], 0.020);
        assert_eq!(evidence.created, Created { processes: 1, threads: 0 });
        assert_eq!(evidence.alive_at_most, Alive { processes: 2, threads: 2 });
        close(evidence.list[0].work, 0.010);
        close(evidence.list[1].work, 0.020);
        assert_eq!((evidence.list[0].pid, evidence.list[1].parent), (1, Some(1)));
    }

    #[test]
    fn two_threads_of_one_process_are_one_runnable_process() {
        let mut timeline = Timeline::default();
        let now = at(&mut timeline, 0);
        timeline.exec(1, State::Running(now));
        timeline.begin(2, 1, None, State::Runnable);
        at(&mut timeline, 10);
        let evidence = finish(timeline);
        assert_eq!(evidence.processes.seconds.len(), 2);
        close(evidence.processes.seconds[1], 0.010);
        close(evidence.threads.seconds[2], 0.010);
        assert_eq!(evidence.created, Created { processes: 0, threads: 1 });
    }

    #[test]
    fn a_new_program_ends_the_other_threads_of_its_process() {
        let mut timeline = Timeline::default();
        let now = at(&mut timeline, 0);
        timeline.exec(1, State::Running(now));
        timeline.begin(2, 1, None, State::Running(now));
        let now = at(&mut timeline, 10);
        timeline.exec(1, State::Running(now));
        at(&mut timeline, 30);
        timeline.end(1);
        let evidence = finish(timeline);
        close(evidence.threads.seconds[2], 0.010);
        close(evidence.threads.seconds[1], 0.020);
        close(evidence.list[0].work, 0.040);
        close(evidence.list[0].ended.unwrap(), 0.030);
    }

    #[test]
    fn time_of_which_nothing_is_known_counts_for_nobody() {
        let mut timeline = Timeline::default();
        let now = at(&mut timeline, 0);
        timeline.exec(1, State::Running(now));
        at(&mut timeline, 10);
        timeline.go_blind(25 * MS);
        timeline.lose(7);
        at(&mut timeline, 20);
        let now = at(&mut timeline, 30);
        timeline.set(1, 1, State::Unclear(now));
        at(&mut timeline, 40);
        timeline.end(1);
        let evidence = finish(timeline);
        close(evidence.lost.seconds, 0.015);
        assert_eq!(evidence.lost.records, 7);
        close(evidence.processes.seconds[1], 0.025);
        close(evidence.processes.work[1], 0.025);
    }

    #[test]
    fn half_of_what_nobody_saw_belongs_to_each_end() {
        let mut timeline = Timeline::default();
        at(&mut timeline, 0);
        timeline.exec(1, State::Runnable);
        let then = Runnable { processes: 4, threads: 6 };
        timeline.advance_unseen(10 * MS, then);
        timeline.charge(1, 8 * MS, then);
        let evidence = finish(timeline);
        close(evidence.processes.seconds[1], 0.005);
        close(evidence.processes.seconds[4], 0.005);
        close(evidence.threads.seconds[6], 0.005);
        close(evidence.processes.work[4], 0.004);
        close(evidence.list[0].work, 0.008);
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let mut timeline = Timeline::default();
        at(&mut timeline, 0);
        timeline.exec(1, State::Waiting);
        for _ in 0..3 {
            timeline.begin(2, 2, Some(1), State::Runnable);
            timeline.end(2);
        }
        let evidence = finish(timeline);
        assert_eq!(evidence.created.processes, 3);
        assert_eq!(evidence.list.len(), 4);
        assert_eq!(evidence.alive_at_most.processes, 2);
    }

    #[test]
    fn ten_thousand_processes_are_counted_and_a_thousand_described() {
        let mut timeline = Timeline::default();
        at(&mut timeline, 0);
        timeline.exec(1, State::Waiting);
        for pid in 2..10_002 {
            let now = at(&mut timeline, pid as u64);
            timeline.begin(pid, pid, Some(1), State::Running(now));
            at(&mut timeline, pid as u64 + 1);
            timeline.end(pid);
        }
        let evidence = finish(timeline);
        assert_eq!(evidence.created.processes, 10_000);
        assert_eq!(evidence.list.len(), DESCRIBED + 1);
        close(evidence.work(), 10.0);
        close(evidence.others.work, 10.0 - DESCRIBED as f64 / 1000.0);
    }
}
