//! An explanation in words for the student: who waits for what, and what to do.
//!
//! A heading says what is wrong, then each line says it of one thread: what it waits for, through which
//! descriptor or lock, and behind a semicolon the way out. A process is named in full where its own line
//! begins, and by its number elsewhere.

use std::fmt::{self, Write as _};

use super::call::Direction;
use super::graph::{At, Channel, End, Explanation, Standing, Waiting, What, kind};

/// How many lines there are at most.
pub const LINES: usize = 12;
/// How many ends, processes or descriptors one line lists.
const LISTED: usize = 4;

impl Explanation {
    /// The lines. Where the same text is wanted from every run, the ids of the processes are left out.
    pub fn lines(&self, with_pids: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for cycle in &self.cycles {
            let names = list(cycle.iter().map(usize::to_string));
            lines.push(format!("processes {names} wait for one another, so that none can go on:"));
            if lines.len() == LINES / 4 {
                break;
            }
        }
        if lines.is_empty() {
            lines.push(self.heading());
        }
        let room = LINES - lines.len();
        // The last line is for what there is no room for.
        let shown = if self.waits.len() > room { room - 1 } else { self.waits.len() };
        lines.extend(self.waits[..shown].iter().map(|wait| self.sentence(wait, with_pids)));
        match self.waits.len() - shown {
            0 => {}
            left => lines.push(format!("and {left} more threads wait or compute")),
        }
        if !self.is_complete && lines.len() < LINES {
            lines.push("there was no time to look at everything".to_string());
        }
        lines
    }

    fn heading(&self) -> String {
        let Some(first) = self.waits.first() else {
            return match self.processes.len() {
                0 => "the program has ended".to_string(),
                _ => "the program was at work, and nothing in it waited".to_string(),
            };
        };
        let process = first.process;
        match first.standing {
            Standing::Itself => {
                format!("process {process} waits for what only itself could do:")
            }
            Standing::Busy => format!("process {process} computes, and does not come to an end:"),
            Standing::Stopped => {
                format!("process {process} was stopped, and nobody lets it go on:")
            }
            Standing::Limited => "nothing is stuck; the program takes its time:".to_string(),
            _ => "the program waits for what does not happen:".to_string(),
        }
    }

    fn sentence(&self, wait: &Waiting, with_pids: bool) -> String {
        let mut sentence = String::new();
        if wait.thread > 1 {
            sentence = format!("thread {} of ", wait.thread);
        }
        let member = self.processes.iter().find(|member| member.number == wait.process);
        // Writing to a text does not fail.
        let _ = write!(sentence, "process {}", wait.process);
        if let Some(member) = member {
            let _ = write!(sentence, " ({})", member.name);
            if with_pids {
                let _ = write!(sentence, " [{}]", member.pid);
            }
        }
        let (what, way_out) = wait.words();
        if wait.standing == Standing::Limited && wait.what != What::Sleep {
            return format!(
                "{sentence} {what}, but for a limited time; this is no deadlock: wait less often, or shorter"
            );
        }
        format!("{sentence} {what}; {way_out}")
    }
}

/// One line each.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines(true).join("\n"))
    }
}

impl Waiting {
    /// What it does, and the way out.
    fn words(&self) -> (String, String) {
        let others = || self.others();
        let on = self.point.as_ref();
        match &self.what {
            What::Transfer { direction, channel, descriptor, ends, outside, probably } => {
                let ends = Ends { ends, outside: *outside, probably: *probably };
                self.transfer(*direction, *channel, *descriptor, &ends)
            }
            What::Device { direction: Direction::Read, descriptor: 0 } => input(),
            What::Device { direction, descriptor } => (
                match direction {
                    Direction::Read => format!("waits to read from {}", at(on, *descriptor)),
                    Direction::Write => format!("waits to write to {}", at(on, *descriptor)),
                },
                "nothing comes there by itself: do not wait for it without a limit".to_string(),
            ),
            What::Client { descriptor } => (
                format!("waits for a client to connect to {}", at(on, *descriptor)),
                "connect to it from another process, or accept with a limit".to_string(),
            ),
            What::AnyOf { descriptors } => {
                let numbers = list(descriptors.iter().map(i32::to_string));
                let named = |number: &usize| {
                    let itself = if *number == self.process { " itself" } else { "" };
                    format!("process {number}{itself}")
                };
                let ends = match self.on.is_empty() {
                    true => String::new(),
                    false => format!(", with their other ends in {}", list(self.on.iter().map(named))),
                };
                let place = place(on);
                (
                    format!(
                        "waits without a limit until one of its descriptors {numbers} is ready{place}{ends}"
                    ),
                    "send something to one of them, close its other end, or wait with a limit"
                        .to_string(),
                )
            }
            What::Open { file, writing } => {
                let (this, other) =
                    if *writing { ("writing", "reading") } else { ("reading", "writing") };
                let name = if file.is_empty() { "a FIFO".into() } else { format!("the FIFO {file:?}") };
                (
                    format!("waits to open {name} for {this} until another opens it for {other}"),
                    format!("open it for {other} in another process, and start that one first"),
                )
            }
            What::FileLock { file, known } => {
                let file = if file.is_empty() { "a file".into() } else { format!("the file {file:?}") };
                let holder = match known {
                    true => format!(", which {} has locked", others()),
                    false => ", which another has locked".to_string(),
                };
                (format!("waits to lock {file}{holder}"), self.order("unlock it there"))
            }
            What::Lock { taken } => {
                let taken = taken
                    .as_ref()
                    .map(|taken| format!(" (at {}:{})", taken.file, taken.line))
                    .unwrap_or_default();
                let lock = match on {
                    Some(at) => format!("waits to acquire {}{}", at.object, place(on)),
                    None => "waits for a lock".to_string(),
                };
                let what = format!("{lock}, which {} has taken{taken} and not released", others());
                (what, self.order("release it there"))
            }
            What::Shared => self.shared(),
            What::Thread => (
                "waits for another of its own threads, or for a lock inside the process".to_string(),
                "let the thread that it waits for go on, or end".to_string(),
            ),
            What::End if self.on.is_empty() => (
                format!("waits for a process to end{}", place(on)),
                "let that one end".to_string(),
            ),
            What::End => {
                let what = format!("waits for {} to end{}", others(), place(on));
                let way_out = match self.standing {
                    Standing::Cycle => {
                        "give it what it waits for first, and wait for its end after that".to_string()
                    }
                    _ => "this one goes on as soon as that one has ended".to_string(),
                };
                (what, way_out)
            }
            What::Message { id, direction } => {
                let queue = match on {
                    Some(at) => format!("{}{}", at.object, place(on)),
                    None => format!("System V message queue {id}"),
                };
                match direction {
                    Direction::Read => (
                        format!("waits for a message from {queue}"),
                        "send one, of the kind that is waited for, or remove the queue".to_string(),
                    ),
                    Direction::Write => (
                        format!("waits for room in {queue}"),
                        "receive what is in it, or remove the queue".to_string(),
                    ),
                }
            }
            What::Semaphore { id } => (
                format!("waits for System V semaphore set {id}, which nobody raises"),
                "raise it in another process, also where that one fails".to_string(),
            ),
            What::Signal => (
                "waits for a signal, without a limit".to_string(),
                "send it one, or let it wait for what shall really happen".to_string(),
            ),
            What::Start => (
                "waits for a program that it has just started to take over its process".to_string(),
                "look at what stands between fork and exec".to_string(),
            ),
            What::Sleep => (
                "sleeps for a time that it has set itself".to_string(),
                "this is no deadlock: sleep shorter, or wait for the event itself".to_string(),
            ),
            What::Compute => (
                "computes without a pause".to_string(),
                "look at how its loop ends; what waits for others should wait, and not ask again and again"
                    .to_string(),
            ),
            What::Stopped => {
                ("was stopped by a signal".to_string(), "let it go on by SIGCONT".to_string())
            }
            What::Kernel { place } if place.is_empty() || place == "0" => (
                "waits for something that the kernel does not tell".to_string(),
                "look at its last call".to_string(),
            ),
            What::Kernel { place } => {
                (format!("waits in the kernel ({place})"), "look at its last call".to_string())
            }
        }
    }

    fn transfer(
        &self,
        direction: Direction,
        channel: Channel,
        descriptor: i32,
        ends: &Ends<'_>,
    ) -> (String, String) {
        let point = self.point.as_ref();
        let own = ends.ends.iter().any(|end| end.process == self.process);
        let alone = own && ends.ends.iter().all(|end| end.process == self.process) && !ends.outside;
        let object = match (point, channel) {
            (Some(_), _) => at(point, descriptor),
            (None, Channel::Pipe) => format!("the pipe at descriptor {descriptor}"),
            (None, Channel::Fifo) => format!("the FIFO at descriptor {descriptor}"),
            (None, Channel::Socket) => format!("the socket at descriptor {descriptor}"),
        };
        if ends.ends.is_empty() && direction == Direction::Read && descriptor == 0 {
            return input();
        }
        let open = self.open_in(ends);
        match (direction, channel) {
            (Direction::Read, Channel::Socket) => (
                format!("waits to receive from {object}, whose other end is{open}"),
                match own {
                    true => "close it there, as soon as the process that shall use it has it"
                        .to_string(),
                    false => "send something there, or close it".to_string(),
                },
            ),
            (Direction::Read, _) => {
                let object = match descriptor {
                    0 if point.is_none() => "its standard input".to_string(),
                    _ => object,
                };
                (
                    format!("waits to read from {object}, whose write end is{open}"),
                    match (own, alone) {
                        (true, true) => "close it there".to_string(),
                        (true, false) => {
                            "close it there, and in the others after the last write".to_string()
                        }
                        (false, _) => "write to it there, or close it".to_string(),
                    },
                )
            }
            (Direction::Write, channel) => {
                let end = if channel == Channel::Socket { "other end" } else { "read end" };
                let way_out = match alone {
                    true => "read from it in another process, or write less",
                    false => "read from it there before waiting for anything else",
                };
                (
                    format!("waits to write to {object}, which is full and whose {end} is{open}"),
                    way_out.to_string(),
                )
            }
        }
    }

    /// ` still open in process 2 itself (descriptor 4) and in process 1 (descriptor 5)`.
    fn open_in(&self, ends: &Ends<'_>) -> String {
        let own = ends.ends.iter().any(|end| end.process == self.process);
        let (mine, others): (Vec<_>, Vec<_>) =
            ends.ends.iter().partition(|end| end.process == self.process);
        let mut by_process: Vec<(usize, Vec<String>)> = Vec::new();
        for end in mine.into_iter().chain(others) {
            let number = end.descriptor.to_string();
            match by_process.iter_mut().find(|(process, _)| *process == end.process) {
                Some((_, numbers)) => numbers.push(number),
                None => by_process.push((end.process, vec![number])),
            }
        }
        let mut places: Vec<String> = by_process
            .into_iter()
            .map(|(process, numbers)| {
                let itself = if process == self.process { " itself" } else { "" };
                let several = if numbers.len() > 1 { "s" } else { "" };
                let numbers = list(numbers.into_iter());
                format!("in process {process}{itself} (descriptor{several} {numbers})")
            })
            .collect();
        if ends.outside {
            places.push("outside of the program".to_string());
        }
        let still = if own { " still" } else { "" };
        let probably = if ends.probably { " probably" } else { "" };
        format!("{probably}{still} open {}", list(places.into_iter()))
    }

    fn shared(&self) -> (String, String) {
        let Some(at) = &self.point else {
            return (
                "waits for a lock or an event in memory that processes share".to_string(),
                "let the process that holds the lock, or makes the event happen, go on".to_string(),
            );
        };
        let (object, line) = (&at.object, place(self.point.as_ref()));
        let words =
            |what: String, way_out: &str| (format!("waits {what}{line}"), way_out.to_string());
        match (kind(object), at.operation.as_str()) {
            ("Queue", "put" | "put_timeout") => words(
                format!("for room in {object}"),
                "get items from it in another process, or make it larger",
            ),
            ("Queue", _) => words(
                format!("for an item from {object}"),
                "put one, or say by shutdown() that no more will come",
            ),
            ("JoinableQueue", _) => words(
                format!("until all items of {object} are done"),
                "call task_done() for every item that was taken",
            ),
            ("Event", _) => words(format!("for {object} to be set"), "set it in another process"),
            ("Barrier", _) => words(
                format!("at {object} for the others"),
                "let as many processes wait there as it has parties",
            ),
            ("Condition", "wait" | "wait_timeout") => words(
                format!("to be notified of {object}"),
                "notify after each change, and look at the state before waiting",
            ),
            ("Semaphore" | "BoundedSemaphore", _) => {
                let holders = match self.on.is_empty() {
                    true => String::new(),
                    false => format!(", of which {} has taken one", self.others()),
                };
                let (what, way_out) = words(
                    format!("for a permit of {object}"),
                    "release one, also where work fails",
                );
                (what + &holders, way_out)
            }
            _ => words(format!("to {} {object}", at.operation), "let its holder go on"),
        }
    }

    /// The way out for one who waits for a lock.
    fn order(&self, otherwise: &str) -> String {
        match self.standing {
            Standing::Cycle => "take the locks in the same order in every process".to_string(),
            Standing::Itself => "release it before taking it again".to_string(),
            _ => otherwise.to_string(),
        }
    }

    /// Those who could end the wait: `process 1`, `processes 1 and 3`, `itself`.
    fn others(&self) -> String {
        match self.on.as_slice() {
            [only] if *only == self.process => "it itself".to_string(),
            [only] => format!("process {only}"),
            several => format!("processes {}", list(several.iter().map(usize::to_string))),
        }
    }
}

struct Ends<'a> {
    ends: &'a [End],
    outside: bool,
    probably: bool,
}

fn input() -> (String, String) {
    (
        "waits to read from its standard input, which whoever has started the program keeps open"
            .to_string(),
        "do not read more than the task says, or do not read it at all".to_string(),
    )
}

/// The object of `common`, or the descriptor.
fn at(point: Option<&At>, descriptor: i32) -> String {
    // Who waits for several is noted as the process that does.
    match point.filter(|at| !["Process", "MainProcess"].contains(&kind(&at.object))) {
        Some(at) => format!("{}{}", at.object, place(point)),
        None => format!("descriptor {descriptor}{}", place(point)),
    }
}

/// ` (src/main.rs:17)`
fn place(point: Option<&At>) -> String {
    point.map(|at| format!(" ({}:{})", at.place.file, at.place.line)).unwrap_or_default()
}

/// `1, 2 and 3`
fn list(words: impl ExactSizeIterator<Item = String>) -> String {
    let all = words.len();
    let mut words: Vec<String> = words.take(LISTED).collect();
    if all > LISTED {
        words.push(format!("{} more", all - LISTED));
    }
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::Member;
    use super::super::notes::Place;
    use super::*;

    fn wait(process: usize, standing: Standing, what: What, on: &[usize]) -> Waiting {
        Waiting { process, thread: 1, standing, what, on: on.to_vec(), point: None }
    }

    fn explanation(waits: Vec<Waiting>) -> Explanation {
        let member = |number| Member {
            number,
            pid: number as i32 + 100,
            name: if number == 1 { "main".to_string() } else { format!("Process-{}", number - 1) },
        };
        let processes = (1..=3).map(member).collect();
        Explanation { is_complete: true, processes, cycles: vec![], waits }
    }

    fn reads(ends: &[(usize, i32)], outside: bool) -> What {
        What::Transfer {
            direction: Direction::Read,
            channel: Channel::Pipe,
            descriptor: 3,
            ends: ends.iter().map(|&(process, descriptor)| End { process, descriptor }).collect(),
            outside,
            probably: false,
        }
    }

    #[test]
    fn the_classic_is_told_with_its_way_out() {
        let told = explanation(vec![
            wait(2, Standing::Itself, reads(&[(2, 4)], false), &[2]),
            wait(1, Standing::Others, What::End, &[2]),
        ]);
        assert_eq!(
            told.to_string(),
            "process 2 waits for what only itself could do:\n\
             process 2 (Process-1) [102] waits to read from the pipe at descriptor 3, whose write end is \
             still open in process 2 itself (descriptor 4); close it there\n\
             process 1 (main) [101] waits for process 2 to end; this one goes on as soon as that one has ended"
        );
        assert!(!told.lines(false).join("\n").contains('['));
    }

    #[test]
    fn several_ends_are_listed_the_own_one_first() {
        let ends = [(1, 5), (1, 7), (2, 4)];
        let told = explanation(vec![wait(2, Standing::Others, reads(&ends, true), &[1, 2])]);
        assert!(told.to_string().contains(
            "whose write end is still open in process 2 itself (descriptor 4), in process 1 \
             (descriptors 5 and 7) and outside of the program; close it there, and in the others after"
        ));
    }

    #[test]
    fn a_lock_of_common_is_told_by_its_name_and_lines() {
        let place = |line| Place { file: "src/main.rs".to_string(), line };
        let lock = |process: usize, on: usize| Waiting {
            point: Some(At {
                operation: "acquire".to_string(),
                object: format!("Lock-{on}"),
                place: place(10 * process as u32),
            }),
            ..wait(process, Standing::Cycle, What::Lock { taken: Some(place(7)) }, &[on])
        };
        let mut told = explanation(vec![lock(1, 2), lock(2, 1)]);
        told.cycles = vec![vec![1, 2]];
        assert_eq!(
            told.lines(false),
            [
                "processes 1 and 2 wait for one another, so that none can go on:",
                "process 1 (main) waits to acquire Lock-2 (src/main.rs:10), which process 2 has taken \
                 (at src/main.rs:7) and not released; take the locks in the same order in every process",
                "process 2 (Process-1) waits to acquire Lock-1 (src/main.rs:20), which process 1 has taken \
                 (at src/main.rs:7) and not released; take the locks in the same order in every process",
            ]
        );
    }

    #[test]
    fn many_are_cut_short() {
        let told = explanation(vec![wait(1, Standing::Limited, What::Sleep, &[]); 100]);
        let lines = told.lines(true);
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[LINES - 1], "and 90 more threads wait or compute");
        let numbers =
            list((1..=9).map(|number: i32| number.to_string()).collect::<Vec<_>>().into_iter());
        assert_eq!(numbers, "1, 2, 3, 4 and 5 more");
    }

    #[test]
    fn what_a_machine_reads_says_the_same() {
        let told = explanation(vec![wait(2, Standing::Itself, reads(&[(2, 4)], false), &[2])]);
        let json = serde_json::to_string(&told).unwrap();
        assert!(
            json.contains(r#""standing":"itself","what":{"kind":"transfer","direction":"read""#)
        );
        assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), told);
    }
}
