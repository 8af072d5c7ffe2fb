//! Who waits for whom, and what that means.
//!
//! Every thread that waits does so for something that certain processes could bring about: who reads from
//! a pipe, for each that has its write end open; who waits for a lock, for its holder. A process is *stuck*
//! if each of its threads waits without a limit for processes that are all stuck themselves, and nobody
//! outside of the program could help: then nothing will ever happen. All must have waited at the same
//! time ([`Task::is_still`]), or two that take turns would seem to wait for one another. So all are taken to be stuck at first,
//! and those who are not are struck off until no more can be.
//!
//! Among those who are stuck, who waits for whom leads in a circle. The shortest are named.
//!
//! | standing of a wait | when |
//! | --- | --- |
//! | [`Cycle`](Standing::Cycle) | it is part of such a circle |
//! | [`Itself`](Standing::Itself) | it is stuck, and its own process is one of those it waits for |
//! | [`Busy`](Standing::Busy) | it does not wait, it computes |
//! | [`Stopped`](Standing::Stopped) | a signal has stopped it |
//! | [`Outside`](Standing::Outside) | nobody in the program is known to be able to end it |
//! | [`Others`](Standing::Others) | it waits for others of the program |
//! | [`Limited`](Standing::Limited) | it will end by itself |
//!
//! # What is certain
//!
//! The word of a lock of `common` holds the thread that has it, and who waits for it tells the kernel that
//! word. So the holder is known; which lock it is and where it was taken say the notes, if there are any.
//! Whether a note is about this very wait is told by the call: a note about another kind of operation is
//! not used.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::call::{Direction, Wait, Which};
use super::notes::{Held, Note, Place};
use super::proc::{Process, Snapshot, Target, Task};
use crate::text;

/// In the word of a lock, that somebody waits for it.
const WAITERS: u32 = 0x8000_0000;
/// In the word of a lock, its holder.
const HOLDER: u32 = 0x3fff_ffff;
/// How many circles are named.
const CYCLES: usize = 8;
/// How deep descriptors that watch descriptors are followed.
const DEPTH: u32 = 4;

/// Why a program does not come to its end: who waits for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whether all processes were looked at, or only some.
    pub is_complete: bool,
    /// The processes, in the order in which they were started.
    pub processes: Vec<Member>,
    /// Those that wait for one another, by their numbers.
    pub cycles: Vec<Vec<usize>>,
    /// What the threads do; the most telling first.
    pub waits: Vec<Waiting>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number, from 1.
    pub number: usize,
    /// Its id as it sees it itself.
    pub pid: i32,
    /// Its name, as `ps` shows it.
    pub name: String,
}

/// What a thread does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The number of its process.
    pub process: usize,
    /// Which thread of it, from 1, the main one.
    pub thread: usize,
    /// What that means.
    pub standing: Standing,
    /// What it waits for.
    pub what: What,
    /// Which processes could end the wait.
    pub on: Vec<usize>,
    /// The object and the line, where the program uses `common`.
    pub point: Option<At>,
}

/// What a wait means; the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is part of a circle, which nobody can leave.
    Cycle,
    /// It can be ended by its own process only, which waits.
    Itself,
    /// It computes without a pause.
    Busy,
    /// It was stopped by a signal.
    Stopped,
    /// Nobody in the program is known to be able to end it.
    Outside,
    /// It waits for others in the program.
    Others,
    /// It ends by itself.
    Limited,
}

/// Where a thread is, by a note of `common`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The operation, such as `acquire`.
    pub operation: String,
    /// The object, such as `Lock-2`.
    pub object: String,
    /// The line.
    pub place: Place,
}

/// An end of a pipe or socket that a process has open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The number of the process.
    pub process: usize,
    /// The descriptor.
    pub descriptor: i32,
}

/// What has ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A pipe.
    Pipe,
    /// A pipe with a name.
    Fifo,
    /// A socket.
    Socket,
}

/// What a thread waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// To read or to write.
    Transfer {
        /// Which of the two.
        direction: Direction,
        /// Through what.
        channel: Channel,
        /// By which descriptor.
        descriptor: i32,
        /// Who has the other end open.
        ends: Vec<End>,
        /// Whether the other end is open outside of the program too.
        outside: bool,
        /// Whether the other end is only probably that.
        probably: bool,
    },
    /// For a descriptor that leads elsewhere: a terminal, a device.
    Device {
        /// Which of the two.
        direction: Direction,
        /// The descriptor.
        descriptor: i32,
    },
    /// For a client.
    Client {
        /// The listening socket.
        descriptor: i32,
    },
    /// For one of several descriptors.
    AnyOf {
        /// Which.
        descriptors: Vec<i32>,
    },
    /// For somebody to open the other end of a FIFO.
    Open {
        /// The name of its file; empty if it is not known.
        file: String,
        /// Whether this end is for writing.
        writing: bool,
    },
    /// For a lock on a file.
    FileLock {
        /// The name of the file.
        file: String,
        /// Whether it is known who has locked it.
        known: bool,
    },
    /// For a lock in shared memory whose holder is known.
    Lock {
        /// Where the holder has taken it, if it has noted that.
        taken: Option<Place>,
    },
    /// For what another process does in shared memory.
    Shared,
    /// For another thread of the same process.
    Thread,
    /// For a process to end.
    End,
    /// For a message of a System V queue, or room in it.
    Message {
        /// The number of the queue.
        id: i32,
        /// Whether for a message.
        direction: Direction,
    },
    /// For a System V semaphore.
    Semaphore {
        /// The number of the set.
        id: i32,
    },
    /// For a signal.
    Signal,
    /// For a program to be started.
    Start,
    /// It sleeps.
    Sleep,
    /// It computes.
    Compute,
    /// It was stopped.
    Stopped,
    /// Something else, by the kernel's name.
    Kernel {
        /// The name of the place in the kernel.
        place: String,
    },
}

impl Snapshot {
    /// Who waits for whom.
    pub fn explain(&self) -> Explanation {
        let graph = Graph::new(self);
        let mut waits: Vec<Found> = Vec::new();
        for (process, of) in self.processes.iter().enumerate() {
            for (thread, task) in of.tasks.iter().enumerate() {
                waits.extend(graph.wait(process, thread, task));
            }
        }
        let stuck = self.stuck(&waits);
        let cycles = cycles(&stuck, &waits);
        for found in &mut waits {
            found.settle(&stuck, &cycles);
        }
        // What one thread waits for that others explain says nothing.
        let explained: BTreeSet<usize> = waits
            .iter()
            .filter(|found| !matches!(found.waiting.what, What::Thread))
            .map(|found| found.waiting.process)
            .collect();
        let mut waits: Vec<Waiting> = waits.into_iter().map(|found| found.waiting).collect();
        waits.retain(|wait| !(wait.what == What::Thread && explained.contains(&wait.process)));
        waits.sort_by_key(|wait| (wait.standing, wait.process, wait.thread));
        let members = self.processes.iter().enumerate().map(|(index, process)| Member {
            number: index + 1,
            pid: process.inner,
            name: process.name.clone(),
        });
        Explanation {
            is_complete: self.is_complete,
            processes: members.collect(),
            cycles: cycles
                .iter()
                .map(|cycle| cycle.iter().map(|index| index + 1).collect())
                .collect(),
            waits,
        }
    }

    /// Those processes that will never go on.
    fn stuck(&self, waits: &[Found]) -> BTreeSet<usize> {
        // One that was not looked at, or has just ended, could have done anything.
        if !self.is_complete || !self.is_settled {
            return BTreeSet::new();
        }
        let waiting: BTreeSet<usize> =
            waits.iter().map(|found| found.waiting.process - 1).collect();
        let mut stuck: BTreeSet<usize> = waiting
            .into_iter()
            .filter(|&index| {
                let process = &self.processes[index];
                let tasks = process.tasks.iter().filter(|task| task.wait != Wait::Ended);
                !process.has_timer && tasks.into_iter().all(|task| task.is_still)
            })
            .collect();
        loop {
            let is_free = |found: &&Found| {
                !found.is_closed
                    || found.limited
                    || found.on.is_empty()
                    || !found.on.is_subset(&stuck)
            };
            let free: BTreeSet<usize> =
                waits.iter().filter(is_free).map(|found| found.waiting.process - 1).collect();
            if stuck.is_disjoint(&free) {
                return stuck;
            }
            stuck.retain(|process| !free.contains(process));
        }
    }
}

/// A wait, and what of it is of no interest outside.
struct Found {
    waiting: Waiting,
    /// The indices of those that could end it.
    on: BTreeSet<usize>,
    /// Whether only those can.
    is_closed: bool,
    limited: bool,
}

impl Found {
    fn settle(&mut self, stuck: &BTreeSet<usize>, cycles: &[Vec<usize>]) {
        let own = self.waiting.process - 1;
        let in_cycle = cycles.iter().any(|cycle| {
            cycle.contains(&own)
                && self.on.iter().any(|other| *other != own && cycle.contains(other))
        });
        self.waiting.standing = match self.waiting.what {
            What::Compute => Standing::Busy,
            What::Stopped => Standing::Stopped,
            _ if self.limited => Standing::Limited,
            _ if in_cycle => Standing::Cycle,
            _ if stuck.contains(&own) && self.on.contains(&own) => Standing::Itself,
            _ if self.on.is_empty() => Standing::Outside,
            _ => Standing::Others,
        };
    }
}

struct Graph<'a> {
    snapshot: &'a Snapshot,
    /// Where a process stands, by its id as this process sees it.
    by_pid: HashMap<i32, usize>,
    /// Which process a thread is of, by the thread's id as the program sees it, in as many namespaces.
    by_thread: HashMap<(usize, i32), usize>,
    /// Who has which pipe or socket: process and place among its descriptors.
    ends: HashMap<u64, Vec<(usize, usize)>>,
}

impl<'a> Graph<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let (mut by_pid, mut by_thread) = (HashMap::new(), HashMap::new());
        let mut ends: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
        for (index, process) in snapshot.processes.iter().enumerate() {
            by_pid.insert(process.pid, index);
            let living = process.tasks.iter().filter(|task| task.wait != Wait::Ended);
            by_thread.extend(living.map(|task| ((process.depth, task.inner), index)));
            for (place, descriptor) in process.descriptors.iter().enumerate() {
                if let Some(number) = descriptor.target.number() {
                    ends.entry(number).or_default().push((index, place));
                }
            }
        }
        Self { snapshot, by_pid, by_thread, ends }
    }

    /// What a thread does, if there is anything to say about it.
    fn wait(&self, process: usize, thread: usize, task: &Task) -> Option<Found> {
        let of = &self.snapshot.processes[process];
        let note = task.note.as_ref().filter(|note| is_about(note, &task.wait));
        let mut wait = Found {
            waiting: Waiting {
                process: process + 1,
                thread: thread + 1,
                standing: Standing::Outside,
                what: What::Compute,
                on: Vec::new(),
                point: note.map(|note| At {
                    operation: note.operation.clone(),
                    object: note.object.clone(),
                    place: note.place.clone(),
                }),
            },
            on: BTreeSet::new(),
            is_closed: false,
            limited: note.is_some_and(|note| note.operation.ends_with("_timeout")),
        };
        let what = match &task.wait {
            Wait::Ended => return None,
            Wait::Stopped => What::Stopped,
            _ if task.is_busy => What::Compute,
            Wait::Runs => return None,
            Wait::Sleeps => {
                wait.limited = true;
                What::Sleep
            }
            Wait::Descriptors { any_of, limited } => {
                wait.limited |= limited;
                self.descriptors(of, any_of, &mut wait)
            }
            Wait::Open { path, writing } => What::Open { file: file_name(path), writing: *writing },
            Wait::FileLock { descriptor } => self.file_lock(of, *descriptor, &mut wait),
            Wait::Futex { value, shared, limited } => {
                wait.limited |= limited;
                self.futex(process, *value, *shared, note, &mut wait)
            }
            Wait::Child(which) => {
                let descriptor = |number| match self.target(of, number) {
                    Some(Target::Process(pid)) => Some(*pid),
                    _ => None,
                };
                let children = self.snapshot.processes.iter().enumerate().filter(|(_, child)| {
                    child.parent == of.pid
                        && child.tasks.iter().any(|task| task.wait != Wait::Ended)
                        && match which {
                            Which::Any => true,
                            Which::Id(id) => child.inner == *id,
                            Which::Descriptor(number) => descriptor(*number) == Some(child.pid),
                        }
                });
                wait.on.extend(children.map(|(index, _)| index));
                wait.is_closed = true;
                What::End
            }
            Wait::Message { id, direction } => What::Message { id: *id, direction: *direction },
            Wait::Semaphore { id } => What::Semaphore { id: *id },
            Wait::Signal => What::Signal,
            Wait::Start => What::Start,
            Wait::Other(place) => What::Kernel { place: place.clone() },
        };
        wait.waiting.on = wait.on.iter().map(|index| index + 1).collect();
        wait.waiting.what = what;
        Some(wait)
    }

    fn target<'p>(&self, process: &'p Process, number: i32) -> Option<&'p Target> {
        let found = process.descriptors.iter().find(|descriptor| descriptor.number == number);
        found.map(|descriptor| &descriptor.target)
    }

    fn descriptors(
        &self,
        process: &Process,
        any_of: &[(i32, Direction)],
        wait: &mut Found,
    ) -> What {
        wait.is_closed = true;
        if let [(number, direction)] = *any_of {
            return self.descriptor(process, number, direction, DEPTH, wait);
        }
        for (number, direction) in any_of {
            self.descriptor(process, *number, *direction, DEPTH, wait);
        }
        What::AnyOf { descriptors: any_of.iter().map(|(number, _)| *number).collect() }
    }

    /// What it is to wait for one descriptor; adds who could end the wait.
    fn descriptor(
        &self,
        process: &Process,
        number: i32,
        direction: Direction,
        depth: u32,
        wait: &mut Found,
    ) -> What {
        let target = self.target(process, number);
        let mut probably = false;
        let (channel, other) = match target {
            Some(Target::Pipe(inode)) => (Channel::Pipe, Some(*inode)),
            Some(Target::Fifo(inode, _)) => (Channel::Fifo, Some(*inode)),
            Some(Target::Socket(inode)) if self.snapshot.sockets.listens(*inode) => {
                wait.is_closed = false;
                return What::Client { descriptor: number };
            }
            Some(Target::Socket(inode)) => {
                let peer = self.snapshot.sockets.peer(*inode);
                probably = peer.is_some_and(|(_, certain)| !certain);
                (Channel::Socket, peer.map(|(peer, _)| peer))
            }
            Some(Target::Process(pid)) => {
                match self.by_pid.get(pid) {
                    Some(index) => _ = wait.on.insert(*index),
                    None => wait.is_closed = false,
                }
                return What::End;
            }
            Some(Target::Epoll(watched)) if depth > 0 => {
                let mut what = What::AnyOf { descriptors: watched.clone() };
                for number in watched.iter().filter(|watched| **watched != number) {
                    let one = self.descriptor(process, *number, direction, depth - 1, wait);
                    if watched.len() == 1 {
                        what = one;
                    }
                }
                return what;
            }
            _ => {
                wait.is_closed = false;
                return What::Device { direction, descriptor: number };
            }
        };
        let is_end = |(index, place): &(usize, usize)| {
            let descriptor = &self.snapshot.processes[*index].descriptors[*place];
            match direction {
                Direction::Read => descriptor.writes,
                Direction::Write => descriptor.reads,
            }
        };
        let open = other.and_then(|other| self.ends.get(&other)).map_or(&[][..], Vec::as_slice);
        let ends: Vec<(usize, usize)> = open.iter().copied().filter(is_end).collect();
        let outside =
            other.is_none_or(|other| self.snapshot.ours.contains(&other)) || ends.is_empty();
        wait.is_closed &= !outside && !probably;
        wait.on.extend(ends.iter().map(|(index, _)| *index));
        let ends = ends.iter().map(|(index, place)| End {
            process: index + 1,
            descriptor: self.snapshot.processes[*index].descriptors[*place].number,
        });
        let ends = ends.collect();
        What::Transfer { direction, channel, descriptor: number, ends, outside, probably }
    }

    fn file_lock(&self, process: &Process, descriptor: i32, wait: &mut Found) -> What {
        let locks = &self.snapshot.locks;
        let wanted = locks.iter().find(|lock| lock.waits && lock.pid == process.pid);
        let holders = locks.iter().filter(|lock| {
            !lock.waits && wanted.is_some_and(|wanted| wanted.number == lock.number)
        });
        let holders = holders.filter_map(|lock| self.by_pid.get(&lock.pid));
        wait.on.extend(holders);
        // A lock that belongs to an open file names nobody there; but whoever has that file tells.
        let target = self.target(process, descriptor);
        if wait.on.is_empty() && target.is_some() {
            let has = |of: &Process| {
                of.descriptors.iter().any(|other| {
                    let is_own = of.pid == process.pid && other.number == descriptor;
                    other.locks && !is_own && Some(&other.target) == target
                })
            };
            let holders = self.snapshot.processes.iter().enumerate().filter(|(_, of)| has(of));
            wait.on.extend(holders.map(|(index, _)| index));
        }
        wait.is_closed = !wait.on.is_empty();
        let file = match target {
            Some(Target::File(path) | Target::Fifo(_, path)) => {
                file_name(path.as_os_str().as_encoded_bytes())
            }
            _ => String::new(),
        };
        What::FileLock { file, known: wait.is_closed }
    }

    fn futex(
        &self,
        process: usize,
        value: u32,
        shared: bool,
        note: Option<&Note>,
        wait: &mut Found,
    ) -> What {
        let kind = note.map(|note| kind(&note.object));
        let is_lock = kind.is_none_or(|kind| ["Lock", "RLock", "Value", "Array"].contains(&kind));
        let holder = (is_lock && value & WAITERS != 0).then_some((value & HOLDER).cast_signed());
        let depth = self.snapshot.processes[process].depth;
        let holder =
            holder.and_then(|thread| Some((thread, *self.by_thread.get(&(depth, thread))?)));
        if let Some((thread, holder)) = holder {
            wait.on.insert(holder);
            wait.is_closed = true;
            let tasks = self.snapshot.processes[holder].tasks.iter();
            let notes =
                tasks.filter(|task| task.inner == thread).filter_map(|task| task.note.as_ref());
            let held = notes.flat_map(|note| &note.held);
            let held = held.filter(|held| note.is_some_and(|note| note.object == held.object));
            let taken = held.map(|held| held.place.clone()).next();
            return What::Lock { taken };
        }
        if !shared {
            wait.on.insert(process);
            wait.is_closed = true;
            return What::Thread;
        }
        // Whoever has a permit could give it back, and so could anybody else.
        if let Some(note) = note.filter(|_| kind.is_some_and(|kind| kind.ends_with("Semaphore"))) {
            let has = |held: &Held| held.is_certain && held.object == note.object;
            let holds = |process: &Process| {
                let mut notes = process.tasks.iter().filter_map(|task| task.note.as_ref());
                notes.any(|note| note.held.iter().any(has))
            };
            let holders = self.snapshot.processes.iter().enumerate().filter(|(_, of)| holds(of));
            wait.on.extend(holders.map(|(index, _)| index));
        }
        What::Shared
    }
}

/// Whether what was noted last is what the thread waits for now.
fn is_about(note: &Note, wait: &Wait) -> bool {
    let operation = note.operation.as_str();
    if note.is_quiet {
        return operation == "start";
    }
    let transfers = ["send", "recv", "poll", "accept", "connect"].contains(&operation);
    match wait {
        Wait::Futex { shared, .. } => *shared && !transfers && operation != "start",
        Wait::Descriptors { .. } => transfers || operation == "join",
        Wait::Child(_) => operation == "join",
        Wait::Message { .. } => transfers,
        _ => false,
    }
}

/// `Lock` of `1:3/Lock-2`.
pub(super) fn kind(object: &str) -> &str {
    let name = object.split(' ').next().unwrap_or(object);
    let name = name.rsplit('/').next().unwrap_or(name);
    name.split('-').next().unwrap_or(name)
}

/// Where a path leads, without the folders: those are the grader's.
fn file_name(path: &[u8]) -> String {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    text::clean_line(name, 100)
}

/// Circles of at least two, each of those in the order of waiting.
fn cycles(stuck: &BTreeSet<usize>, waits: &[Found]) -> Vec<Vec<usize>> {
    let mut leads: HashMap<usize, BTreeSet<usize>> = HashMap::new();
    for found in waits.iter().filter(|found| stuck.contains(&(found.waiting.process - 1))) {
        leads.entry(found.waiting.process - 1).or_default().extend(&found.on);
    }
    let mut cycles: Vec<Vec<usize>> = Vec::new();
    for &start in stuck {
        if cycles.len() == CYCLES || cycles.iter().any(|cycle| cycle.contains(&start)) {
            continue;
        }
        cycles.extend(circle(start, &leads));
    }
    cycles
}

/// The shortest way from a process back to it over others.
fn circle(start: usize, leads: &HashMap<usize, BTreeSet<usize>>) -> Option<Vec<usize>> {
    let mut before: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(process) = queue.pop_front() {
        for &next in leads.get(&process).into_iter().flatten() {
            if next == start && process != start {
                let mut way = vec![process];
                while let Some(&earlier) = way.last().and_then(|last| before.get(last)) {
                    way.push(earlier);
                }
                way.reverse();
                return Some(way);
            }
            if next != start && !before.contains_key(&next) {
                before.insert(next, process);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::proc::Descriptor;

    fn task(id: i32, wait: Wait) -> Task {
        let is_still = wait != Wait::Runs;
        Task { tid: id, inner: id, wait, is_busy: false, is_still, note: None }
    }

    fn process(pid: i32, parent: i32, waits: Vec<Wait>, pipes: &[(i32, u64, bool)]) -> Process {
        let descriptors = pipes.iter().map(|&(number, inode, writes)| Descriptor {
            number,
            target: Target::Pipe(inode),
            reads: !writes,
            writes,
            locks: false,
        });
        let tasks = waits.into_iter().enumerate();
        Process {
            pid,
            inner: pid,
            depth: 1,
            parent,
            name: "p".to_string(),
            started: pid as u64,
            tasks: tasks.map(|(number, wait)| task(pid + number as i32, wait)).collect(),
            descriptors: descriptors.collect(),
            has_timer: false,
        }
    }

    fn reads(number: i32) -> Wait {
        Wait::Descriptors { any_of: vec![(number, Direction::Read)], limited: false }
    }

    fn explain(processes: Vec<Process>) -> Explanation {
        Snapshot { processes, is_complete: true, is_settled: true, ..Snapshot::default() }.explain()
    }

    fn standings(explanation: &Explanation) -> Vec<(usize, Standing)> {
        explanation.waits.iter().map(|wait| (wait.process, wait.standing)).collect()
    }

    #[test]
    fn three_in_a_circle_are_one_circle_and_who_waits_for_them_follows() {
        let explanation = explain(vec![
            process(10, 1, vec![Wait::Child(Which::Any)], &[]),
            process(20, 10, vec![reads(3)], &[(3, 1, false), (4, 2, true)]),
            process(30, 10, vec![reads(3)], &[(3, 2, false), (4, 3, true)]),
            process(40, 10, vec![reads(3)], &[(3, 3, false), (4, 1, true)]),
        ]);
        assert_eq!(explanation.cycles, [vec![2, 4, 3]]);
        let cycle = Standing::Cycle;
        assert_eq!(
            standings(&explanation),
            [(2, cycle), (3, cycle), (4, cycle), (1, Standing::Others)]
        );
    }

    #[test]
    fn one_who_can_still_help_makes_it_no_deadlock() {
        let sleeper = process(30, 1, vec![Wait::Sleeps], &[(5, 1, true)]);
        let explanation = explain(vec![
            process(10, 1, vec![reads(3)], &[(3, 1, false), (4, 2, true)]),
            process(20, 1, vec![reads(3)], &[(3, 2, false), (4, 1, true)]),
            sleeper,
        ]);
        assert_eq!(explanation.cycles, [[0; 0]; 0]);
        let others = Standing::Others;
        assert_eq!(standings(&explanation), [(1, others), (2, others), (3, Standing::Limited)]);
    }

    #[test]
    fn a_thread_that_can_help_makes_it_no_deadlock_either() {
        let both = |second| {
            explain(vec![process(10, 1, vec![reads(3), second], &[(3, 1, false), (4, 1, true)])])
        };
        let private = Wait::Futex { value: 2, shared: false, limited: false };
        assert_eq!(standings(&both(private)), [(1, Standing::Itself)]);
        assert_eq!(standings(&both(Wait::Runs)), [(1, Standing::Others)]);
        assert_eq!(standings(&both(Wait::Sleeps)), [(1, Standing::Others), (1, Standing::Limited)]);
    }

    #[test]
    fn two_that_take_turns_do_not_wait_for_one_another_for_ever() {
        let mut one = process(10, 1, vec![reads(3)], &[(3, 1, false), (4, 2, true)]);
        let two = process(20, 1, vec![reads(3)], &[(3, 2, false), (4, 1, true)]);
        assert_eq!(explain(vec![one.clone(), two.clone()]).cycles, [[1, 2]]);
        one.tasks[0].is_still = false;
        let explanation = explain(vec![one, two]);
        assert_eq!(standings(&explanation), [(1, Standing::Others), (2, Standing::Others)]);
    }

    #[test]
    fn a_word_with_a_holder_is_a_lock_unless_a_note_says_otherwise() {
        let waits = |value| Wait::Futex { value, shared: true, limited: false };
        let mut one = process(10, 1, vec![waits(WAITERS | 20)], &[]);
        let two = process(20, 1, vec![waits(WAITERS | 10)], &[]);
        let explanation = explain(vec![one.clone(), two.clone()]);
        assert_eq!(explanation.cycles, [[1, 2]]);
        assert!(explanation.waits.iter().all(|wait| wait.what == What::Lock { taken: None }));
        let place = Place { file: "src/main.rs".to_string(), line: 1 };
        one.tasks[0].note = Some(Note {
            operation: "get".to_string(),
            object: "Queue-1".to_string(),
            place,
            is_quiet: false,
            held: vec![],
        });
        assert_eq!(explain(vec![one, two]).waits[0].what, What::Shared);
    }

    #[test]
    fn what_leads_outside_is_no_deadlock() {
        let mut snapshot = Snapshot {
            processes: vec![process(10, 1, vec![reads(0)], &[(0, 7, false), (4, 7, true)])],
            is_complete: true,
            is_settled: true,
            ..Snapshot::default()
        };
        assert_eq!(standings(&snapshot.explain()), [(1, Standing::Itself)]);
        snapshot.ours.insert(7);
        assert_eq!(standings(&snapshot.explain()), [(1, Standing::Others)]);
        snapshot.processes[0].descriptors.pop();
        assert_eq!(standings(&snapshot.explain()), [(1, Standing::Outside)]);
    }

    #[test]
    fn kinds_are_found_in_names() {
        assert_eq!(kind("1:3/RLock-2"), "RLock");
        assert_eq!(kind("SharedMemory \"a/b-c\""), "SharedMemory");
        assert_eq!(kind("MainProcess"), "MainProcess");
    }
}
