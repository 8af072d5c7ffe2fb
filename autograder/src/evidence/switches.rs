//! The exact source: what the kernel writes down when a process begins, ends, gets a processor or
//! loses it.
//!
//! One [`Ring`] per processor is read every few milliseconds, or sooner when it fills. The records of
//! all rings are put in order of time and told to the [`Timeline`]; the latest are kept back for a
//! moment, because one of another processor may still be under way.
//!
//! | record | what it means |
//! | --- | --- |
//! | fork | a process or thread begins, and can run |
//! | comm, by `execve` | a process becomes another program; the first to do so is where all begins |
//! | switch in | a thread gets a processor |
//! | switch out | it waits for something |
//! | switch out, preempted | it could go on, and others have their turn |
//! | exit | a thread ends |
//! | lost | records are missing |
//!
//! # When records are lost
//!
//! A program that switches faster than this is read fills a ring. From the last record in it until it
//! has been read nothing is known; that time is summed up as lost, and counts for no one. Then one look
//! at `/proc` says who is there, and the records go on from it.

use std::collections::HashSet;
use std::fs;
use std::io::{self, PipeReader};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::exits::Exits;
use super::look::{Seen, Watched};
use super::timeline::{State, Timeline};
use super::{Evidence, Source};
use crate::sandbox::perf::{self, Ring};
use crate::text;

/// How often the rings are read, in milliseconds.
const READ_EVERY: u8 = 5;

/// How long a record is kept back for others to arrive, in nanoseconds.
const KEEP_BACK: u64 = 20_000_000;

/// Pages of all rings together; and of one, at most and at least. An ordinary user may lock 129 pages
/// per processor.
const ALL_PAGES: usize = 1024;
const MOST_PAGES: usize = 128;
const LEAST_PAGES: usize = 8;

/// The source, before its first record.
#[derive(Debug)]
pub(super) struct Switches {
    rings: Vec<Processor>,
    watched: Watched,
    timeline: Timeline,
    exits: Exits,
    pending: Vec<Event>,
    /// Threads that a look did not find.
    missed: Vec<i32>,
}

#[derive(Debug)]
struct Processor {
    ring: Ring,
    /// When its last record was written.
    last: u64,
    /// It was full, and has not said yet how many records are missing.
    was_full: bool,
}

#[derive(Debug)]
struct Event {
    time: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Began {
        tid: i32,
        pid: i32,
        parent: i32,
    },
    Exec {
        pid: i32,
        name: String,
    },
    Named {
        pid: i32,
        name: String,
    },
    On {
        tid: i32,
        pid: i32,
    },
    Off {
        tid: i32,
        pid: i32,
        preempted: bool,
    },
    Ended {
        tid: i32,
    },
    Lost {
        records: u64,
    },
    Blind {
        until: u64,
    },
    /// A look begins: so it is from now on, unless later records say otherwise.
    Looked {
        seen: Vec<Seen>,
    },
    /// It ends: who was there before it, and was not found, is gone.
    LookEnded,
}

impl Switches {
    /// Opens the rings for what `launcher` will become or start.
    pub(super) fn open(launcher: i32) -> io::Result<Switches> {
        let processors = online_processors()?;
        let mut pages = MOST_PAGES.min(ALL_PAGES / processors.len().next_power_of_two());
        loop {
            pages = pages.max(LEAST_PAGES);
            match Switches::with_pages(launcher, &processors, pages) {
                // What a user may lock is shared by all who grade at the same time.
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied && pages > LEAST_PAGES =>
                {
                    pages /= 2;
                }
                other => return other,
            }
        }
    }

    /// The same with rings of a given size, a power of two.
    pub(super) fn open_small(launcher: i32, pages: usize) -> io::Result<Switches> {
        Switches::with_pages(launcher, &online_processors()?, pages)
    }

    fn with_pages(launcher: i32, processors: &[u32], pages: usize) -> io::Result<Switches> {
        let mut rings = vec![];
        for &processor in processors {
            let ring = Ring::open(launcher, processor, pages)?;
            rings.push(Processor { ring, last: perf::now(), was_full: false });
        }
        Ok(Switches {
            rings,
            watched: Watched::new(launcher)?,
            timeline: Timeline::default(),
            exits: Exits::default(),
            pending: vec![],
            missed: vec![],
        })
    }

    /// Reads until `stop` closes.
    pub(super) fn run(mut self, stop: &PipeReader) -> Evidence {
        loop {
            let closed = self.wait(stop);
            self.read();
            self.exits.collect();
            if closed {
                break;
            }
            self.tell(perf::now().saturating_sub(KEEP_BACK));
        }
        self.tell(u64::MAX);
        let mut evidence = self.timeline.finish(Source::Switches, None);
        self.exits.enter(&mut evidence.list);
        evidence
    }

    /// Sleeps until it is time to read; `true` if `stop` has closed.
    fn wait(&self, stop: &PipeReader) -> bool {
        let mut fds = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        for processor in &self.rings {
            fds.push(PollFd::new(processor.ring.as_fd(), PollFlags::POLLIN));
        }
        // Once the launcher and all its children have ended, the rings say so at each call.
        let wake = PollFlags::POLLIN | PollFlags::POLLHUP;
        match poll(&mut fds, PollTimeout::from(READ_EVERY)) {
            Ok(_) => {
                let is_closed = fds[0].revents().is_some_and(|events| events.intersects(wake));
                let has_ended = |fd: &PollFd<'_>| {
                    fd.revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
                };
                if !is_closed && fds[1..].iter().any(has_ended) {
                    let mut stop = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
                    return poll(&mut stop, PollTimeout::from(READ_EVERY)) == Ok(1);
                }
                is_closed
            }
            Err(_) => false,
        }
    }

    fn read(&mut self) {
        let mut bytes = vec![];
        let mut blind_since = vec![];
        for processor in &mut self.rings {
            bytes.clear();
            let full = processor.ring.take(&mut bytes);
            let mut announced = processor.was_full;
            for (time, what) in records(&bytes) {
                if let What::Lost { .. } = what {
                    if !announced {
                        blind_since.push((processor.last, Some(time)));
                    }
                    announced = false;
                }
                match what {
                    What::Began { tid, pid, .. } if tid == pid => self.exits.hold(pid),
                    What::Exec { pid, .. } if !self.exits.knows(pid) => self.exits.hold(pid),
                    _ => {}
                }
                processor.last = time;
                self.pending.push(Event { time, what });
            }
            if full {
                blind_since.push((processor.last, None));
            }
            processor.was_full = full || announced;
        }
        if !blind_since.is_empty() {
            self.look(&blind_since);
        }
    }

    /// Records are missing since some moments: finds out who is there now.
    fn look(&mut self, blind_since: &[(u64, Option<u64>)]) {
        let before = perf::now();
        let seen = self.watched.look();
        let after = perf::now();
        for &(since, until) in blind_since {
            let until = until.unwrap_or(before);
            self.pending.push(Event { time: since, what: What::Blind { until } });
        }
        let seen: Vec<Seen> = seen.into_iter().filter(|seen| seen.counts).collect();
        self.pending.push(Event { time: before, what: What::Looked { seen } });
        self.pending.push(Event { time: after, what: What::LookEnded });
    }

    /// Tells the timeline what happened until `time`.
    fn tell(&mut self, time: u64) {
        // Stable: the records of one processor are in order.
        self.pending.sort_by_key(|event| event.time);
        let ready = self.pending.partition_point(|event| event.time <= time);
        for event in self.pending.drain(..ready) {
            let timeline = &mut self.timeline;
            timeline.advance(event.time);
            let now = event.time;
            match event.what {
                What::Began { tid, pid, parent } => {
                    let parent = (tid == pid).then_some(parent);
                    timeline.begin(tid, pid, parent, State::Runnable);
                }
                What::Exec { pid, name } => {
                    timeline.exec(pid, State::Running(now));
                    timeline.name(pid, &name);
                }
                What::Named { pid, name } => timeline.name(pid, &name),
                What::On { tid, pid } => timeline.set(tid, pid, State::Running(now)),
                What::Off { tid, pid, preempted } => {
                    let state = if preempted { State::Runnable } else { State::Waiting };
                    timeline.set(tid, pid, state);
                }
                What::Ended { tid } => timeline.end(tid),
                What::Lost { records } => timeline.lose(records),
                What::Blind { until } => timeline.go_blind(until),
                What::Looked { seen } => {
                    let found = seen.iter().flat_map(|seen| &seen.threads);
                    let found: HashSet<i32> = found.map(|thread| thread.tid).collect();
                    let known = timeline.threads().map(|(tid, _)| tid);
                    self.missed = known.filter(|tid| !found.contains(tid)).collect();
                    for process in seen {
                        for thread in &process.threads {
                            let state = match thread.is_runnable {
                                true => State::Unclear(now),
                                false => State::Waiting,
                            };
                            timeline.set(thread.tid, process.pid, state);
                        }
                        timeline.name(process.pid, &process.name);
                    }
                }
                What::LookEnded => {
                    for tid in self.missed.drain(..) {
                        timeline.end(tid);
                    }
                }
            }
        }
    }
}

/// `0-3,6` as numbers.
fn online_processors() -> io::Result<Vec<u32>> {
    let list = fs::read_to_string("/sys/devices/system/cpu/online")?;
    parse_processors(&list)
        .filter(|processors| !processors.is_empty())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the list of processors is odd"))
}

fn parse_processors(list: &str) -> Option<Vec<u32>> {
    let mut all = vec![];
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        all.extend(first..=last);
    }
    Some(all)
}

/// The records in what was read from a ring, with their times; those of no interest left out.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = (u64, What)> {
    std::iter::from_fn(move || {
        loop {
            // struct perf_event_header: what, how, how long.
            let kind = u32_at(bytes, 0)?;
            let misc = u16_at(bytes, 4)?;
            let size = usize::from(u16_at(bytes, 6)?);
            let record = bytes.get(8..size)?;
            bytes = &bytes[size..];
            if let Some(found) = parse(kind, misc, record) {
                return Some(found);
            }
        }
    })
}

fn parse(kind: u32, misc: u16, record: &[u8]) -> Option<(u64, What)> {
    let trailer = record.len().checked_sub(perf::TRAILER)?;
    let [pid, tid] = [0, 4].map(|offset| u32_at(record, trailer + offset));
    let (pid, tid) = (pid? as i32, tid? as i32);
    let time = u64_at(record, trailer + 8)?;
    let what = match kind {
        perf::SWITCH if tid <= 0 => return None,
        perf::SWITCH if misc & perf::MISC_OUT == 0 => What::On { tid, pid },
        perf::SWITCH => What::Off { tid, pid, preempted: misc & perf::MISC_PREEMPTED != 0 },
        perf::FORK => What::Began {
            pid: u32_at(record, 0)? as i32,
            parent: u32_at(record, 4)? as i32,
            tid: u32_at(record, 8)? as i32,
        },
        perf::EXIT => What::Ended { tid: u32_at(record, 8)? as i32 },
        perf::COMM => {
            let (pid, tid) = (u32_at(record, 0)? as i32, u32_at(record, 4)? as i32);
            let name = record.get(8..trailer)?.split(|&byte| byte == 0).next()?;
            let name = text::clean_line(name, 32);
            if misc & perf::MISC_EXEC != 0 {
                What::Exec { pid, name }
            } else if pid == tid {
                What::Named { pid, name }
            } else {
                return None;
            }
        }
        perf::LOST => What::Lost { records: u64_at(record, 8)? },
        _ => return None,
    };
    Some((time, what))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse_processors("0\n"), Some(vec![0]));
        assert_eq!(parse_processors("0-2,5,8-9\n"), Some(vec![0, 1, 2, 5, 8, 9]));
        assert_eq!(parse_processors("\n"), None);
    }

    /// A record as the kernel writes it: header, body, process, thread, time.
    fn record(kind: u32, misc: u16, body: &[u32], who: [u32; 2], time: u64) -> Vec<u8> {
        let size = 8 + body.len() * 4 + perf::TRAILER;
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend(misc.to_ne_bytes());
        bytes.extend((size as u16).to_ne_bytes());
        bytes.extend(body.iter().chain(&who).flat_map(|word| word.to_ne_bytes()));
        bytes.extend(time.to_ne_bytes());
        bytes
    }

    #[test]
    fn records_are_read_and_those_of_no_interest_left_out() {
        let name = u32::from_ne_bytes(*b"sh\0\0");
        let bytes = [
            record(perf::COMM, perf::MISC_EXEC, &[7, 7, name, 0], [7, 7], 10),
            record(99, 0, &[1, 2, 3], [7, 7], 11),
            record(perf::FORK, 0, &[8, 7, 8, 7, 12, 0], [7, 7], 12),
            record(perf::SWITCH, perf::MISC_OUT | perf::MISC_PREEMPTED, &[], [8, 8], 13),
            record(perf::SWITCH, 0, &[], [8, 9], 14),
            record(perf::EXIT, 0, &[8, 7, 9, 7, 15, 0], [8, 9], 15),
            record(perf::LOST, 0, &[0, 0, 5, 0], [8, 9], 16),
        ]
        .concat();
        let found: Vec<String> =
            records(&bytes).map(|(time, what)| format!("{time} {what:?}")).collect();
        let expected = [
            "10 Exec { pid: 7, name: \"sh\" }",
            "12 Began { tid: 8, pid: 8, parent: 7 }",
            "13 Off { tid: 8, pid: 8, preempted: true }",
            "14 On { tid: 9, pid: 8 }",
            "15 Ended { tid: 9 }",
        ];
        assert_eq!(found[..5], expected);
        assert_eq!(found[5], format!("16 {:?}", What::Lost { records: found_lost() }));
        assert_eq!(found.len(), 6);
    }

    /// Five, as the two halves above are put together on this machine.
    fn found_lost() -> u64 {
        u64::from_ne_bytes([5u32.to_ne_bytes(), 0u32.to_ne_bytes()].concat().try_into().unwrap())
    }

    #[test]
    fn half_a_record_is_none() {
        let whole = record(perf::SWITCH, 0, &[], [1, 1], 1);
        for length in 0..whole.len() {
            assert_eq!(records(&whole[..length]).count(), 0, "{length}");
        }
    }
}
