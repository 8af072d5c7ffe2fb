//! Reads a tree of processes from `/proc`, without stopping any of them.
//!
//! Everything read here belongs to processes that go on meanwhile. A file may be gone, refused or make no
//! sense; then less is known, and nobody is told. Names come from the program and are made harmless.
//!
//! # Bounds
//!
//! At most [`TASKS`] threads and [`DESCRIPTORS`] descriptors are looked at, and no longer than [`PATIENCE`].
//! A single read can take long, when the machine is short of memory or a process holds the lock of its own;
//! so a thread reads, and hands over each process as soon as it is read. Who asked waits for as long as it
//! has patience, and takes what is there.
//!
//! # Two looks
//!
//! One that runs when it is looked at may be about to sleep, and two that sleep may take turns. So states
//! and times are read first, and again [`PAUSE`] later with everything else. Who runs both times, or has
//! run for half of the time in between, is [busy](Task::is_busy). Who has not run at all is
//! [still](Task::is_still): what it waits for, it has waited for all the time, together with all others who
//! are still. Who waits for a lock of `common` wakes now and then and looks again, and counts as still.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::call::{self, Wait};
use super::notes::{self, Note};
use super::sockets::{self, Sockets};
use crate::text;

/// How many threads are looked at.
pub const TASKS: usize = 2_000;
/// How many descriptors.
pub const DESCRIPTORS: usize = 100_000;
/// How long a look takes at most.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// Which part of the time is kept for handing over, in which nothing new is begun.
const RESERVE: u32 = 10;
/// Which part of the time the first look takes at most.
const FIRST: u32 = 3;
/// How long after the first look the second comes.
const PAUSE: Duration = Duration::from_millis(30);
/// How often, and how long after another, one is looked at that runs just now.
const AGAIN: (u32, Duration) = (4, Duration::from_millis(2));
/// How often one who waits for a lock of `common` may have been awake between the looks.
const AWAKE: u64 = 3;

/// How much of a file is read.
const READ: usize = 1 << 20;
/// How much of a name is shown.
const NAME: usize = 64;

/// A program's processes as they were found.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// In the order in which they were started.
    pub processes: Vec<Process>,
    /// Who has locked which file, and who waits for that.
    pub locks: Vec<FileLock>,
    /// Whether everything was looked at that was to be.
    pub is_complete: bool,
    /// Whether nobody has ended meanwhile, which might wake others.
    pub is_settled: bool,
    /// Which sockets belong together.
    pub(super) sockets: Sockets,
    /// The pipes and sockets of this process itself: the other end of the program's input and output.
    pub(super) ours: HashSet<u64>,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id, as this process sees it.
    pub pid: i32,
    /// Its id as it sees it itself, which is another one in a sandbox.
    pub inner: i32,
    /// In how many namespaces of processes it is.
    pub depth: usize,
    /// Its parent's id, as this process sees it.
    pub parent: i32,
    /// Its name, as `ps` shows it.
    pub name: String,
    /// When it was started, in ticks since the machine was.
    pub started: u64,
    /// Its threads; the main one first.
    pub tasks: Vec<Task>,
    /// Its descriptors.
    pub descriptors: Vec<Descriptor>,
    /// Whether it has a timer that will signal it.
    pub has_timer: bool,
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id, as this process sees it.
    pub tid: i32,
    /// Its id as it sees it itself.
    pub inner: i32,
    /// What it does.
    pub wait: Wait,
    /// Whether it computes.
    pub is_busy: bool,
    /// Whether it has waited for the same all the time.
    pub is_still: bool,
    /// What it has noted, if the program uses `common`.
    pub note: Option<Note>,
}

/// A descriptor.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// Its number.
    pub number: i32,
    /// What it leads to.
    pub target: Target,
    /// Whether it can be read from.
    pub reads: bool,
    /// Whether it can be written to.
    pub writes: bool,
    /// Whether a file is locked through it.
    pub locks: bool,
}

/// What a descriptor leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A pipe, by its number.
    Pipe(u64),
    /// A named pipe, by its number and path.
    Fifo(u64, PathBuf),
    /// A socket, by its number.
    Socket(u64),
    /// A process, by its id as this process sees it.
    Process(i32),
    /// What watches other descriptors, by their numbers.
    Epoll(Vec<i32>),
    /// A file.
    File(PathBuf),
    /// Anything else.
    Other(String),
}

/// A lock on a file: `/proc/locks` has a line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLock {
    /// Which lock it is; who waits for it bears the same number.
    pub number: u64,
    /// Who has taken it, or wants to; -1 where it belongs to an open file.
    pub pid: i32,
    /// Whether it is waited for.
    pub waits: bool,
}

/// What the reading thread hands over.
enum Found {
    Process(Box<Process>),
    Around { locks: Vec<FileLock>, sockets: Sockets, ours: HashSet<u64> },
    End { is_complete: bool, is_settled: bool },
}

/// Looks at the tree below `root`, no longer than `patience`; `root` itself belongs to it if `with_root`.
pub(super) fn look(root: i32, with_root: bool, patience: Duration) -> Snapshot {
    let patience = patience.min(PATIENCE);
    let end = Instant::now() + patience;
    let enough = Arc::new(AtomicBool::new(false));
    let (sender, found) = mpsc::channel();
    let mut reader = Reader {
        first: end - patience / FIRST * 2,
        end: end - patience / RESERVE,
        enough: Arc::clone(&enough),
        tasks: TASKS,
        descriptors: DESCRIPTORS,
    };
    let read = move || reader.read_all(root, with_root, &sender);
    let mut snapshot = Snapshot::default();
    // Without a thread nothing is known, which is no error.
    if thread::Builder::new().name("look".to_string()).spawn(read).is_err() {
        return snapshot;
    }
    while let Ok(found) = found.recv_timeout(end.saturating_duration_since(Instant::now())) {
        match found {
            Found::Process(process) => snapshot.processes.push(*process),
            Found::Around { locks, sockets, ours } => {
                (snapshot.locks, snapshot.sockets, snapshot.ours) = (locks, sockets, ours);
            }
            Found::End { is_complete, is_settled } => {
                (snapshot.is_complete, snapshot.is_settled) = (is_complete, is_settled);
                break;
            }
        }
    }
    enough.store(true, Ordering::Relaxed);
    snapshot.processes.sort_by_key(|process| (process.started, process.pid));
    snapshot
}

struct Reader {
    /// When the first look has to come to an end, and when all.
    first: Instant,
    end: Instant,
    /// Nobody waits for the rest.
    enough: Arc<AtomicBool>,
    /// How many are still looked at.
    tasks: usize,
    descriptors: usize,
}

impl Reader {
    fn is_over(&self) -> bool {
        self.enough.load(Ordering::Relaxed) || Instant::now() >= self.end
    }

    fn read_all(&mut self, root: i32, with_root: bool, found: &Sender<Found>) {
        let begun = Instant::now();
        let (first, all) = self.first_look(root, with_root);
        thread::sleep(PAUSE.saturating_sub(begun.elapsed()).min(PAUSE));
        let (mut is_complete, mut is_settled) = (all, true);
        let (mut known, mut held) = (Vec::new(), HashSet::new());
        for (pid, tasks) in first {
            if self.is_over() {
                is_complete = false;
                break;
            }
            let Some(process) = self.process(pid, &tasks) else {
                is_settled = false;
                continue;
            };
            is_settled &= process.tasks.len() == tasks.len();
            known.push(process.pid);
            held.extend(process.descriptors.iter().filter_map(|descriptor| {
                matches!(descriptor.target, Target::Socket(_))
                    .then(|| descriptor.target.number())?
            }));
            // Nobody listens any more only if the time is up.
            if found.send(Found::Process(Box::new(process))).is_err() {
                return;
            }
        }
        // What has the other end of the program's pipes lies in this process, which goes on meanwhile too.
        let own = self.descriptors_of("self");
        let ours = own.iter().filter_map(|descriptor| descriptor.target.number()).collect();
        let locks = read("/proc/locks").map(|text| file_locks(&text)).unwrap_or_default();
        let sockets =
            if held.is_empty() { Sockets::default() } else { sockets::read(&known, &held) };
        is_complete &= self.tasks > 0 && self.descriptors > 0 && !self.is_over();
        for last in [Found::Around { locks, sockets, ours }, Found::End { is_complete, is_settled }]
        {
            let _ = found.send(last);
        }
    }

    /// The processes and their threads, with what these have done so far; and whether those are all.
    fn first_look(&mut self, root: i32, with_root: bool) -> (Vec<(i32, Tasks)>, bool) {
        let mut found = Vec::new();
        let (mut queue, mut seen) = (VecDeque::from([root]), HashSet::from([root]));
        let (mut everybody, mut all) = (None, true);
        let is_over = |this: &Self| this.is_over() || Instant::now() >= this.first;
        while let Some(pid) = queue.pop_front() {
            if is_over(self) || self.tasks == 0 {
                return (found, false);
            }
            let mut tasks = Tasks::new();
            let mut children = Vec::new();
            for tid in numbers(format!("/proc/{pid}/task")) {
                if is_over(self) || self.tasks == 0 {
                    all = false;
                    break;
                }
                let folder = format!("/proc/{pid}/task/{tid}");
                match read(format!("{folder}/children")) {
                    Some(list) => {
                        children
                            .extend(list.split(u8::is_ascii_whitespace).flat_map(number::<i32>));
                    }
                    // Not every kernel has that list.
                    None => children.extend(
                        everybody.get_or_insert_with(parents).get(&pid).into_iter().flatten(),
                    ),
                }
                if pid != root || with_root {
                    self.tasks -= 1;
                    tasks.insert(tid, Done::of(&folder));
                }
            }
            queue.extend(children.into_iter().filter(|child| seen.insert(*child)));
            if !tasks.is_empty() {
                found.push((pid, tasks));
            }
        }
        (found, all)
    }

    fn process(&mut self, pid: i32, tasks: &Tasks) -> Option<Process> {
        let folder = format!("/proc/{pid}");
        let stat = Stat::of(&read(format!("{folder}/stat"))?)?;
        let mut memory = Memory::of(pid);
        let mut notes = notes::notes(&mut memory);
        let (depth, inner) = within(&folder).unwrap_or((1, pid));
        let mut process = Process {
            pid,
            inner,
            depth,
            parent: stat.parent,
            name: stat.name,
            started: stat.started,
            tasks: Vec::new(),
            descriptors: self.descriptors_of(&pid.to_string()),
            has_timer: read(format!("{folder}/timers")).is_some_and(|timers| !timers.is_empty()),
        };
        for (&tid, before) in tasks {
            let folder = format!("{folder}/task/{tid}");
            let inner = if tid == pid {
                process.inner
            } else {
                within(&folder).map_or(tid, |(_, inner)| inner)
            };
            let Some((mut now, mut wait)) = self.task(&folder, &mut memory) else { continue };
            let runs = wait == Wait::Runs && before.state == Some(b'R');
            let passed = now.at.saturating_duration_since(before.at);
            let worked = now.worked.saturating_sub(before.worked) >= passed / 2;
            for _ in 0..AGAIN.0 {
                // Between two of its calls, which says nothing of either.
                let is_between = wait == Wait::Runs || wait == Wait::Other("0".to_string());
                if runs || worked || !is_between || self.is_over() {
                    break;
                }
                thread::sleep(AGAIN.1);
                match self.task(&folder, &mut memory) {
                    Some(later) => (now, wait) = later,
                    None => break,
                }
            }
            let turns = now.turns.zip(before.turns).map(|(now, before)| now.wrapping_sub(before));
            let allowed = if matches!(wait, Wait::Futex { shared: true, .. }) { AWAKE } else { 0 };
            let is_still = turns.is_some_and(|turns| turns <= allowed);
            let (is_busy, note) = (runs || worked, notes.remove(&inner));
            process.tasks.push(Task { tid, inner, wait, is_busy, is_still, note });
        }
        process.tasks.sort_by_key(|task| (task.tid != pid, task.tid));
        Some(process)
    }

    /// What a thread has done, and does now.
    fn task(&self, folder: &str, memory: &mut Memory) -> Option<(Done, Wait)> {
        if self.is_over() {
            return None;
        }
        let now = Done::of(folder);
        let wait = match now.state? {
            b'Z' | b'X' | b'x' => Wait::Ended,
            b'T' | b't' => Wait::Stopped,
            b'R' => Wait::Runs,
            _ => {
                let place = read(format!("{folder}/wchan")).unwrap_or_default();
                let place = text::clean_line(&place, NAME);
                let line = read(format!("{folder}/syscall")).unwrap_or_default();
                call::wait(&line, &place, memory)
            }
        };
        Some((now, wait))
    }

    fn descriptors_of(&mut self, process: &str) -> Vec<Descriptor> {
        let mut descriptors = Vec::new();
        for number in numbers(format!("/proc/{process}/fd")) {
            if self.descriptors == 0 || (number % 256 == 0 && self.is_over()) {
                break;
            }
            self.descriptors -= 1;
            let path = PathBuf::from(format!("/proc/{process}/fd/{number}"));
            let Ok(link) = fs::read_link(&path) else { continue };
            // The link's own mode says what the descriptor was opened for.
            let mode = fs::symlink_metadata(&path).map_or(0, |link| link.mode());
            let (reads, writes) = (mode & 0o400 != 0, mode & 0o200 != 0);
            let about = || read(format!("/proc/{process}/fdinfo/{number}")).unwrap_or_default();
            let target = Target::of(&link, &path, about);
            let is_file = matches!(&target, Target::File(path) if !path.starts_with("/dev"));
            let lock = |line: &[u8]| line.starts_with(b"lock:");
            let locks = is_file && about().split(|byte| *byte == b'\n').any(lock);
            descriptors.push(Descriptor { number, target, reads, writes, locks });
        }
        descriptors.sort_by_key(|descriptor| descriptor.number);
        descriptors
    }
}

/// The threads of a process and what they have done.
type Tasks = BTreeMap<i32, Done>;

/// What a thread has done so far.
#[derive(Clone, Copy, Debug)]
struct Done {
    /// When that was.
    at: Instant,
    state: Option<u8>,
    /// How long it has run.
    worked: Duration,
    /// How often it was its turn to run.
    turns: Option<u64>,
}

impl Done {
    fn of(folder: &str) -> Done {
        let state = read(format!("{folder}/stat")).and_then(|stat| Stat::of(&stat));
        let schedule = read(format!("{folder}/schedstat")).unwrap_or_default();
        // How long it has run and has waited for that, in nanoseconds, and how often.
        let mut numbers = schedule.split(u8::is_ascii_whitespace).map(number::<u64>);
        let worked = Duration::from_nanos(numbers.next().flatten().unwrap_or(0));
        let at = Instant::now();
        Done { at, state: state.map(|stat| stat.state), worked, turns: numbers.nth(1).flatten() }
    }
}

/// `/proc/PID/stat`.
struct Stat {
    name: String,
    state: u8,
    parent: i32,
    started: u64,
}

impl Stat {
    /// `1234 (name) S 1200 ...`, where the name may hold anything, parentheses too.
    fn of(line: &[u8]) -> Option<Stat> {
        let opening = line.iter().position(|&byte| byte == b'(')?;
        let closing = line.iter().rposition(|&byte| byte == b')')?;
        let name = text::clean_line(line.get(opening + 1..closing)?, NAME);
        let mut fields = line.get(closing + 1..)?.split(u8::is_ascii_whitespace).skip(1);
        let state = *fields.next()?.first()?;
        let parent = number(fields.next()?)?;
        let started = number(fields.nth(17)?)?;
        Some(Stat { name, state, parent, started })
    }
}

impl Target {
    /// `about` is what the kernel says besides.
    fn of(link: &Path, path: &Path, about: impl Fn() -> Vec<u8>) -> Target {
        let bytes = link.as_os_str().as_bytes();
        let numbered = |prefix: &[u8]| number(bytes.strip_prefix(prefix)?.strip_suffix(b"]")?);
        if let Some(inode) = numbered(b"pipe:[") {
            return Target::Pipe(inode);
        }
        if let Some(inode) = numbered(b"socket:[") {
            return Target::Socket(inode);
        }
        let lines = |prefix: &[u8]| -> Vec<i32> {
            let about = about();
            let rest =
                about.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(prefix));
            let words = rest.filter_map(|rest| {
                rest.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())
            });
            words.filter_map(number).collect()
        };
        match bytes {
            b"anon_inode:[pidfd]" => match lines(b"Pid:").first() {
                Some(pid) => Target::Process(*pid),
                None => Target::Other("process".to_string()),
            },
            b"anon_inode:[eventpoll]" => Target::Epoll(lines(b"tfd:")),
            // On newer kernels, where processes have a file system of their own.
            _ if bytes.starts_with(b"pidfd:") => lines(b"Pid:")
                .first()
                .map_or(Target::Other(String::new()), |pid| Target::Process(*pid)),
            [b'/', ..] => {
                let fifo = fs::metadata(path).ok().filter(|file| file.file_type().is_fifo());
                match fifo {
                    Some(fifo) => Target::Fifo(fifo.ino(), link.to_path_buf()),
                    None => Target::File(link.to_path_buf()),
                }
            }
            other => Target::Other(text::clean_line(other, NAME)),
        }
    }

    /// The number of the pipe or socket.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Target::Pipe(inode) | Target::Fifo(inode, _) | Target::Socket(inode) => Some(*inode),
            _ => None,
        }
    }
}

/// The memory of a process, read as it goes on.
pub(super) struct Memory {
    pid: i32,
    file: Option<File>,
}

impl Memory {
    fn of(pid: i32) -> Memory {
        Memory { pid, file: File::open(format!("/proc/{pid}/mem")).ok() }
    }

    /// That of nobody.
    #[cfg(test)]
    pub(super) fn none() -> Memory {
        Memory { pid: 0, file: None }
    }

    /// Fills `room` with what lies at `address`; all of it or nothing.
    pub(super) fn peek(&mut self, address: u64, room: &mut [u8]) -> Option<()> {
        // A file has no negative offsets.
        i64::try_from(address).ok()?;
        self.file.as_ref()?.read_exact_at(room, address).ok()
    }

    /// The text at `address` up to its end, of at most `most` bytes.
    pub(super) fn text(&mut self, address: u64, most: usize) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        while text.len() < most {
            // Up to the end of the page: the next may not be there.
            let at = address.checked_add(text.len() as u64)?;
            let mut part = vec![0; (4096 - (at % 4096) as usize).min(256)];
            self.peek(at, &mut part)?;
            let end = part.iter().position(|byte| *byte == 0);
            text.extend_from_slice(&part[..end.unwrap_or(part.len())]);
            if end.is_some() {
                return Some(text).filter(|text| text.len() <= most);
            }
        }
        None
    }

    /// Where the variables of the program lie that exist from its start.
    pub(super) fn variables(&self) -> Vec<(u64, u64)> {
        let program = fs::read_link(format!("/proc/{}/exe", self.pid)).unwrap_or_default();
        let maps = read(format!("/proc/{}/maps", self.pid)).unwrap_or_default();
        if program.as_os_str().is_empty() {
            return Vec::new();
        }
        variables(&maps, program.as_os_str().as_bytes())
    }
}

/// What may be written of the program's file, and what without a file adjoins to that.
fn variables(maps: &[u8], program: &[u8]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for line in maps.split(|byte| *byte == b'\n') {
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else { continue };
        let file = fields.nth(3).unwrap_or_default().trim_ascii();
        let Some((start, end)) = str::from_utf8(range).ok().and_then(|range| range.split_once('-'))
        else {
            continue;
        };
        let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16))
        else {
            continue;
        };
        let adjoins = ranges.last().is_some_and(|(_, before)| *before == start);
        if rights.starts_with(b"rw") && (file == program || (file.is_empty() && adjoins)) {
            ranges.push((start, end));
        }
    }
    ranges
}

/// In how many namespaces a process or thread is, and its id as it sees it itself.
fn within(folder: &str) -> Option<(usize, i32)> {
    let status = read(format!("{folder}/status"))?;
    let mut lines = status.split(|byte| *byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(b"NSpid:"))?;
    let ids: Vec<i32> = line.split(u8::is_ascii_whitespace).filter_map(number).collect();
    ids.last().map(|inner| (ids.len(), *inner))
}

/// Who has which children, by all processes there are.
fn parents() -> HashMap<i32, Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in numbers("/proc") {
        let stat = read(format!("/proc/{pid}/stat"));
        if let Some(stat) = stat.and_then(|stat| Stat::of(&stat)) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    children
}

/// `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`, with `->` behind the number for one who waits.
fn file_locks(text: &[u8]) -> Vec<FileLock> {
    let lock = |line: &[u8]| {
        let mut words =
            line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).peekable();
        let number = number(words.next()?.strip_suffix(b":")?)?;
        let waits = words.next_if(|word| *word == b"->").is_some();
        let pid = words.nth(3).and_then(self::number)?;
        Some(FileLock { number, pid, waits })
    };
    text.split(|byte| *byte == b'\n').filter_map(lock).collect()
}

/// The entries of a folder that are numbers.
fn numbers(folder: impl AsRef<Path>) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| number(entry.file_name().as_encoded_bytes()))
}

pub(super) fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// The beginning of a file, if it can be read.
pub(super) fn read(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let mut text = Vec::new();
    // Most of these files are shorter, and have no size that would tell.
    let mut part = [0; 4096];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Some(text),
            Ok(len) => text.extend_from_slice(&part[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
        if text.len() >= READ {
            return Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let line = b"42 (a) R 1 (\x1b b) S 17 42 42 0 -1 0 0 0 0 0 7 8 0 0 20 0 1 0 4242 9";
        let stat = Stat::of(line).unwrap();
        assert_eq!(stat.name, "a) R 1 (\\u{1b} b");
        assert_eq!((stat.state, stat.parent, stat.started), (b'S', 17, 4242));
        assert!(Stat::of(b"42 (a) S 1").is_none());
        assert!(Stat::of(b"").is_none());
    }

    #[test]
    fn locks_and_who_waits_for_them_have_the_same_number() {
        let text = b"1: FLOCK  ADVISORY  WRITE 11 fe:00:9 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 12 fe:00:9 0 EOF\n\
            2: OFDLCK ADVISORY  READ  -1 00:01:7 0 0\nnonsense\n";
        let lock = |number, pid, waits| FileLock { number, pid, waits };
        assert_eq!(file_locks(text), [lock(1, 11, false), lock(1, 12, true), lock(2, -1, false)]);
    }

    #[test]
    fn variables_are_the_programs_own() {
        let maps = b"1000-2000 r--p 00000000 fe:00 9                /tmp/a b\n\
            2000-3000 rw-p 00001000 fe:00 9                /tmp/a b\n\
            3000-5000 rw-p 00000000 00:00 0 \n\
            6000-7000 rw-p 00000000 00:00 0 \n\
            7000-8000 rw-p 00000000 00:00 0                [heap]\nxyz\n";
        assert_eq!(variables(maps, b"/tmp/a b"), [(0x2000, 0x3000), (0x3000, 0x5000)]);
    }

    #[test]
    fn a_process_that_is_not_there_is_no_error() {
        let snapshot = look(i32::MAX, true, PATIENCE);
        assert!(snapshot.processes.is_empty());
        assert!(snapshot.is_complete);
    }

    #[test]
    fn what_it_has_the_other_end_of_is_known_and_its_own_memory_can_be_read() {
        let own = std::process::id() as i32;
        let snapshot = look(own, true, PATIENCE);
        let this = snapshot.processes.iter().find(|process| process.pid == own).unwrap();
        assert!(this.tasks.iter().any(|task| task.tid == own));
        let mut memory = Memory::of(own);
        let text = c"a text in memory";
        let address = text.as_ptr().addr() as u64;
        assert_eq!(memory.text(address, 100).unwrap(), text.to_bytes());
        assert_eq!(memory.text(address, 3), None);
        assert_eq!(memory.text(8, 100), None);
        assert_eq!(memory.peek(u64::MAX, &mut [0; 8]), None);
        assert!(!memory.variables().is_empty());
    }
}
