//! What a thread waits for, from the system call that it is in.
//!
//! `/proc/PID/task/TID/syscall` gives the call's number and its six arguments. The numbers differ between
//! processors, so there is a table for each; only calls that wait for somebody else stand in it. Some
//! arguments are addresses: what lies there (which descriptors `poll` watches, which file is opened) is
//! read from the memory of the process, and may be gone by then.

use serde::{Deserialize, Serialize};

use super::proc::Memory;

/// Whether something is to be read or to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It is to be read: data, the end of it, or a client.
    Read,
    /// There shall be room to write.
    Write,
}

/// What a thread does, as far as the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It has ended, and nobody has collected it.
    Ended,
    /// A signal has stopped it.
    Stopped,
    /// It runs, or could.
    Runs,
    /// It sleeps for a time of its own choice.
    Sleeps,
    /// For one of these descriptors to be ready.
    Descriptors {
        /// Their numbers, and for what.
        any_of: Vec<(i32, Direction)>,
        /// Whether it waits for a limited time.
        limited: bool,
    },
    /// For somebody to open the other end of a FIFO.
    Open {
        /// The path, as the program gave it; empty where it could not be read.
        path: Vec<u8>,
        /// Whether it opens for writing.
        writing: bool,
    },
    /// For a lock on a file.
    FileLock {
        /// The file's descriptor.
        descriptor: i32,
    },
    /// For a word in memory to change.
    Futex {
        /// What the word held when it fell asleep.
        value: u32,
        /// Whether other processes may see the word.
        shared: bool,
        /// Whether it waits for a limited time.
        limited: bool,
    },
    /// For a child process to end.
    Child(Which),
    /// For a message of a System V queue, or for room in it.
    Message {
        /// The number of the queue.
        id: i32,
        /// For a message, and not for room.
        direction: Direction,
    },
    /// For a System V semaphore.
    Semaphore {
        /// The number of the set.
        id: i32,
    },
    /// For a signal.
    Signal,
    /// For a child, just started, to replace itself by a program.
    Start,
    /// For something else, by the kernel's name of the place.
    Other(String),
}

/// Which child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Any of them.
    Any,
    /// The one with this process id, as the waiting process sees it.
    Id(i32),
    /// The one behind this descriptor.
    Descriptor(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Move,
    Connect,
    Poll,
    PollTimed,
    Select,
    Epoll,
    Open,
    OpenAt,
    FileLock,
    Fcntl,
    Futex,
    Wait4,
    WaitId,
    Sleep,
    Pause,
    SignalTimed,
    MessageSend,
    MessageReceive,
    QueueSend,
    QueueReceive,
    Semaphore,
    SemaphoreTimed,
    Start,
}

#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "the table of another processor")
)]
const X86_64: &[(u64, Call)] = &[
    (0, Call::Read),
    (1, Call::Write),
    (2, Call::Open),
    (7, Call::Poll),
    (17, Call::Read),
    (18, Call::Write),
    (19, Call::Read),
    (20, Call::Write),
    (23, Call::Select),
    (34, Call::Pause),
    (35, Call::Sleep),
    (40, Call::Move),
    (42, Call::Connect),
    (43, Call::Read),
    (44, Call::Write),
    (45, Call::Read),
    (46, Call::Write),
    (47, Call::Read),
    (56, Call::Start),
    (57, Call::Start),
    (58, Call::Start),
    (61, Call::Wait4),
    (65, Call::Semaphore),
    (69, Call::MessageSend),
    (70, Call::MessageReceive),
    (72, Call::Fcntl),
    (73, Call::FileLock),
    (128, Call::SignalTimed),
    (130, Call::Pause),
    (202, Call::Futex),
    (220, Call::SemaphoreTimed),
    (230, Call::Sleep),
    (232, Call::Epoll),
    (242, Call::QueueSend),
    (243, Call::QueueReceive),
    (247, Call::WaitId),
    (257, Call::OpenAt),
    (270, Call::Select),
    (271, Call::PollTimed),
    (275, Call::Move),
    (276, Call::Move),
    (281, Call::Epoll),
    (288, Call::Read),
    (299, Call::Read),
    (307, Call::Write),
    (435, Call::Start),
    (437, Call::OpenAt),
];

#[cfg_attr(
    not(target_arch = "aarch64"),
    allow(dead_code, reason = "the table of another processor")
)]
const AARCH64: &[(u64, Call)] = &[
    (22, Call::Epoll),
    (25, Call::Fcntl),
    (32, Call::FileLock),
    (56, Call::OpenAt),
    (63, Call::Read),
    (64, Call::Write),
    (65, Call::Read),
    (66, Call::Write),
    (67, Call::Read),
    (68, Call::Write),
    (71, Call::Move),
    (72, Call::Select),
    (73, Call::PollTimed),
    (76, Call::Move),
    (77, Call::Move),
    (95, Call::WaitId),
    (98, Call::Futex),
    (101, Call::Sleep),
    (115, Call::Sleep),
    (133, Call::Pause),
    (137, Call::SignalTimed),
    (182, Call::QueueSend),
    (183, Call::QueueReceive),
    (188, Call::MessageReceive),
    (189, Call::MessageSend),
    (192, Call::SemaphoreTimed),
    (193, Call::Semaphore),
    (202, Call::Read),
    (203, Call::Connect),
    (206, Call::Write),
    (207, Call::Read),
    (211, Call::Write),
    (212, Call::Read),
    (220, Call::Start),
    (242, Call::Read),
    (243, Call::Read),
    (260, Call::Wait4),
    (269, Call::Write),
    (435, Call::Start),
    (437, Call::OpenAt),
];

#[cfg(target_arch = "x86_64")]
const TABLE: &[(u64, Call)] = X86_64;
#[cfg(target_arch = "aarch64")]
const TABLE: &[(u64, Call)] = AARCH64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const TABLE: &[(u64, Call)] = &[];

/// How many descriptors of one `poll` or `select` are looked at.
const WATCHED: usize = 256;
/// The longest path that the kernel takes.
const PATH: usize = 4096;
/// `common` sleeps in slices, after which it looks again: so short a limit is none.
const SLICE: u64 = 100_000_000;

/// What a thread waits for that sleeps in the call which `line` tells, at the kernel's place `place`.
pub(super) fn wait(line: &[u8], place: &str, memory: &mut Memory) -> Wait {
    let other = || by_place(place);
    let Ok(line) = str::from_utf8(line) else { return other() };
    let mut words = line.split_ascii_whitespace();
    let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
        return other();
    };
    let mut arguments = [0; 6];
    for argument in &mut arguments {
        let word = words.next().and_then(|word| word.strip_prefix("0x"));
        match word.map(|word| u64::from_str_radix(word, 16)) {
            Some(Ok(value)) => *argument = value,
            _ => return other(),
        }
    }
    let call = TABLE.iter().find(|(known, _)| *known == number);
    call.and_then(|(_, call)| decode(*call, arguments, memory)).unwrap_or_else(other)
}

/// A descriptor among the arguments: the upper half of the word means nothing.
fn descriptor(argument: u64) -> i32 {
    argument as u32 as i32
}

fn decode(call: Call, arguments: [u64; 6], memory: &mut Memory) -> Option<Wait> {
    let [first, second, third, fourth, ..] = arguments;
    let one = |direction| Wait::Descriptors {
        any_of: vec![(descriptor(first), direction)],
        limited: false,
    };
    Some(match call {
        Call::Read => one(Direction::Read),
        Call::Write => one(Direction::Write),
        // Whether it waits for input or for room, the arguments do not tell.
        Call::Move => return None,
        Call::Connect => one(Direction::Write),
        Call::Poll => polled(first, second, third as i32 >= 0, memory)?,
        Call::PollTimed => polled(first, second, third != 0, memory)?,
        Call::Select => {
            let (count, limited) = (first.min(WATCHED as u64) as usize, arguments[4] != 0);
            let sets = [(second, Direction::Read), (third, Direction::Write)];
            let mut any_of = Vec::new();
            for (address, direction) in sets {
                let mut set = [0; WATCHED / 8];
                if address != 0 && memory.peek(address, &mut set[..count.div_ceil(8)]).is_some() {
                    let is_in = |number: &usize| set[number / 8] & (1 << (number % 8)) != 0;
                    let numbers = (0..count).filter(is_in);
                    any_of.extend(numbers.map(|number| (number as i32, direction)));
                }
            }
            watched(any_of, limited)
        }
        Call::Epoll => Wait::Descriptors {
            any_of: vec![(descriptor(first), Direction::Read)],
            limited: fourth as i32 >= 0,
        },
        Call::Open => opened(first, second, memory),
        Call::OpenAt => opened(second, third, memory),
        Call::FileLock => Wait::FileLock { descriptor: descriptor(first) },
        Call::Fcntl => {
            // F_SETLKW, and F_OFD_SETLKW.
            if !matches!(second, 7 | 38) {
                return None;
            }
            Wait::FileLock { descriptor: descriptor(first) }
        }
        Call::Futex => {
            // WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2
            if !matches!(second & 0x7f, 0 | 6 | 9 | 11 | 13) {
                return None;
            }
            let shared = second & 0x80 == 0;
            let in_slices = second & 0x7f == 0 && shared;
            let mut limit = [0; 16];
            let short = in_slices && memory.peek(fourth, &mut limit).is_some() && {
                let (seconds, nanoseconds) = limit.split_at(8);
                word(seconds) == 0 && word(nanoseconds) <= SLICE
            };
            Wait::Futex { value: third as u32, shared, limited: fourth != 0 && !short }
        }
        Call::Wait4 => Wait::Child(match first as i32 {
            id if id > 0 => Which::Id(id),
            _ => Which::Any,
        }),
        Call::WaitId => Wait::Child(match first {
            1 => Which::Id(second as i32),
            3 => Which::Descriptor(descriptor(second)),
            _ => Which::Any,
        }),
        Call::Sleep => Wait::Sleeps,
        Call::Pause => Wait::Signal,
        Call::SignalTimed if third == 0 => Wait::Signal,
        Call::SignalTimed => Wait::Sleeps,
        Call::MessageSend => Wait::Message { id: first as i32, direction: Direction::Write },
        Call::MessageReceive => Wait::Message { id: first as i32, direction: Direction::Read },
        Call::QueueSend | Call::QueueReceive => Wait::Descriptors {
            any_of: vec![(
                descriptor(first),
                if call == Call::QueueSend { Direction::Write } else { Direction::Read },
            )],
            limited: arguments[4] != 0,
        },
        Call::SemaphoreTimed if fourth != 0 => return None,
        Call::Semaphore | Call::SemaphoreTimed => Wait::Semaphore { id: first as i32 },
        Call::Start => Wait::Start,
    })
}

/// `poll` without descriptors is a sleep, or, without a limit either, a wait for a signal.
fn watched(any_of: Vec<(i32, Direction)>, limited: bool) -> Wait {
    match (any_of.is_empty(), limited) {
        (true, true) => Wait::Sleeps,
        (true, false) => Wait::Signal,
        (false, _) => Wait::Descriptors { any_of, limited },
    }
}

fn polled(address: u64, count: u64, limited: bool, memory: &mut Memory) -> Option<Wait> {
    let mut entries = vec![0; count.min(WATCHED as u64) as usize * 8];
    if count > 0 {
        memory.peek(address, &mut entries)?;
    }
    let mut any_of = Vec::new();
    for entry in entries.chunks_exact(8) {
        let number = i32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let events = u16::from_ne_bytes([entry[4], entry[5]]);
        // POLLOUT and nothing to read; without any event it waits for the other end to be closed.
        let writes = events & 0x4 != 0 && events & 0x1 == 0;
        if number >= 0 {
            any_of.push((number, if writes { Direction::Write } else { Direction::Read }));
        }
    }
    Some(watched(any_of, limited))
}

fn opened(path: u64, flags: u64, memory: &mut Memory) -> Wait {
    // Of `openat2` the flags lie behind an address, which no flag resembles.
    Wait::Open { path: memory.text(path, PATH).unwrap_or_default(), writing: flags & 3 == 1 }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(u64::MAX, u64::from_ne_bytes)
}

/// Where the call is not told, or is of no help, as after a stop: the kernel's place says a little.
fn by_place(place: &str) -> Wait {
    match place {
        "do_wait" | "kernel_wait4" => Wait::Child(Which::Any),
        "hrtimer_nanosleep" | "do_nanosleep" => Wait::Sleeps,
        "__do_sys_pause" | "sys_pause" | "sigsuspend" => Wait::Signal,
        "wait_for_partner" | "fifo_open" => Wait::Open { path: Vec::new(), writing: false },
        _ => Wait::Other(place.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(table: &[(u64, Call)], call: Call) -> Vec<u64> {
        table.iter().filter(|(_, other)| *other == call).map(|(number, _)| *number).collect()
    }

    #[test]
    fn no_number_stands_twice_in_a_table() {
        for table in [X86_64, AARCH64] {
            assert!(table.is_sorted_by(|one, other| one.0 < other.0), "{table:?}");
        }
        assert_eq!(known(X86_64, Call::Futex), [202]);
        assert_eq!(known(AARCH64, Call::Futex), [98]);
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_known_by_the_place() {
        let mut memory = Memory::none();
        for line in ["running", "", "-1 0x0 0x0", "0 0x3", "0 3 4 5 6 7 8", "\u{fffd}"] {
            let wait = wait(line.as_bytes(), "do_wait", &mut memory);
            assert_eq!(wait, Wait::Child(Which::Any), "{line}");
        }
        let unknown = wait(b"99999 0x0 0x0 0x0 0x0 0x0 0x0", "somewhere", &mut memory);
        assert_eq!(unknown, Wait::Other("somewhere".to_string()));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn arguments_say_what_is_waited_for() {
        let mut memory = Memory::none();
        let mut of = |line: &str| wait(format!("{line} 0x1 0x2").as_bytes(), "", &mut memory);
        assert_eq!(
            of("0 0x3 0x0 0x0 0x0 0x0 0x0"),
            Wait::Descriptors { any_of: vec![(3, Direction::Read)], limited: false }
        );
        assert_eq!(of("61 0xffffffff 0x0 0x0 0x0 0x0 0x0"), Wait::Child(Which::Any));
        assert_eq!(of("61 0x7 0x0 0x0 0x0 0x0 0x0"), Wait::Child(Which::Id(7)));
        assert_eq!(of("247 0x3 0x5 0x0 0x0 0x0 0x0"), Wait::Child(Which::Descriptor(5)));
        assert_eq!(of("271 0x0 0x0 0x0 0x0 0x0 0x0"), Wait::Signal);
        assert_eq!(of("7 0x0 0x0 0x3e8 0x0 0x0 0x0"), Wait::Sleeps);
        assert_eq!(
            of("202 0x1000 0x80 0x2 0x0 0x0 0xffffffff"),
            Wait::Futex { value: 2, shared: false, limited: false }
        );
        assert_eq!(of("72 0x3 0x26 0x0 0x0 0x0 0x0"), Wait::FileLock { descriptor: 3 });
        assert_eq!(
            of("257 0xffffff9c 0x0 0x80001 0x0 0x0 0x0"),
            Wait::Open { path: vec![], writing: true }
        );
    }
}
