//! One look at the processes of a program, through `/proc`.
//!
//! The program is what descends from a launcher and has called `execve` since the look began. A
//! process that was forked and has not called it still has the launcher's image: its code and its
//! stack lie where those of the launcher lie.
//!
//! A child whose parent has ended becomes the child of another process. So a process that was seen
//! once is looked for by its number, and the children of this process count as well if it adopts
//! orphans ([`tree::adopt_orphans`](crate::tree::adopt_orphans)).
//!
//! # Files
//!
//! `/proc/PID/stat`, `/proc/PID/task/TID/{stat,schedstat,children}`: proc(5).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use std::{fs, io, process, thread};

use nix::sys::prctl;

use crate::text;

/// A living process of the program.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) name: String,
    /// When it began, in the kernel's ticks: tells two processes with the same number apart.
    pub(super) started: u64,
    /// Whether it belongs to the program, and not to the launcher.
    pub(super) counts: bool,
    pub(super) threads: Vec<SeenThread>,
}

/// One of its threads.
#[derive(Debug)]
pub(super) struct SeenThread {
    pub(super) tid: i32,
    pub(super) is_runnable: bool,
    /// Nanoseconds on a processor.
    pub(super) work: u64,
}

/// How long a launcher may take to become what it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where code and stack of a process lie.
type Image = [u64; 3];

/// Whom to look at.
#[derive(Debug)]
pub(super) struct Watched {
    launcher: i32,
    /// When it began, and its image.
    started: u64,
    image: Image,
    adopts: bool,
    /// Children of this process that are none of the program's.
    strangers: HashSet<i32>,
    known: HashMap<i32, Known>,
}

#[derive(Debug)]
struct Known {
    started: u64,
    counts: bool,
    threads: Vec<i32>,
}

impl Watched {
    /// The program that `launcher` will become or start.
    pub(super) fn new(launcher: i32) -> io::Result<Watched> {
        let stat = complete_stat(launcher)?;
        // Without this file, which some kernels lack, nobody's children are known.
        fs::metadata(format!("/proc/{launcher}/task/{launcher}/children"))?;
        Ok(Watched {
            launcher,
            started: stat.started,
            image: stat.image,
            adopts: prctl::get_child_subreaper().unwrap_or(false),
            strangers: children(process::id() as i32).into_iter().collect(),
            known: HashMap::new(),
        })
    }

    /// All who live now.
    pub(super) fn look(&mut self) -> Vec<Seen> {
        // Those who are looked for by number have to be who they were: it may be a stranger's by now.
        let mut waiting = vec![(self.launcher, Some(self.started))];
        waiting.extend(self.known.iter().map(|(&pid, known)| (pid, Some(known.started))));
        if self.adopts {
            let own = children(process::id() as i32).into_iter();
            let own = own.filter(|pid| !self.strangers.contains(pid));
            waiting.extend(own.map(|pid| (pid, None)));
        }
        let mut visited = HashSet::new();
        let mut all = vec![];
        while let Some((pid, started)) = waiting.pop() {
            if visited.insert(pid)
                && let Some((seen, children)) = self.visit(pid, started)
            {
                waiting.extend(children.into_iter().map(|child| (child, None)));
                all.push(seen);
            }
        }
        self.look_again(&mut all);
        let known = all.iter().map(|seen| {
            let threads = seen.threads.iter().map(|thread| thread.tid).collect();
            (seen.pid, Known { started: seen.started, counts: seen.counts, threads })
        });
        self.known = known.collect();
        all.sort_by_key(|seen| (seen.started, seen.pid));
        all
    }

    /// Who was looked at before it called `execve`, and its children after they had: it was the program too,
    /// and its children are not where it began.
    fn look_again(&self, all: &mut [Seen]) {
        loop {
            let parents: HashSet<i32> =
                all.iter().filter(|seen| seen.counts).map(|seen| seen.parent).collect();
            let mut is_done = true;
            for seen in all.iter_mut().filter(|seen| !seen.counts && parents.contains(&seen.pid)) {
                if let Some((now, _)) = self.visit(seen.pid, Some(seen.started))
                    && now.counts
                {
                    *seen = now;
                    is_done = false;
                }
            }
            if is_done {
                break;
            }
        }
    }

    /// A process and its children; none if it has ended, or is another one by now.
    fn visit(&self, pid: i32, started: Option<u64>) -> Option<(Seen, Vec<i32>)> {
        let stat = Stat::read(&format!("/proc/{pid}/stat"))?;
        let has_ended = matches!(stat.state, b'Z' | b'X') && stat.threads <= 1;
        let is_another = started.is_some_and(|started| started != stat.started);
        if has_ended || is_another {
            return None;
        }
        let known = self.known.get(&pid).filter(|known| known.started == stat.started);
        let has_called_execve = stat.has_image() && stat.image != self.image;
        let counts = known.is_some_and(|known| known.counts) || has_called_execve;
        let mut tids = if stat.threads == 1 { vec![pid] } else { threads(pid) };
        // The list can leave out one who is there, when another ends while it is read.
        for &tid in known.iter().flat_map(|known| &known.threads) {
            if !tids.contains(&tid) {
                tids.push(tid);
            }
        }
        let mut seen = Seen {
            pid,
            parent: stat.parent,
            name: stat.name.clone(),
            started: stat.started,
            counts,
            threads: vec![],
        };
        let mut offspring = vec![];
        for tid in tids {
            let folder = format!("/proc/{pid}/task/{tid}");
            let own = if tid == pid && stat.threads == 1 {
                Some(stat.clone())
            } else {
                Stat::read(&format!("{folder}/stat"))
            };
            if let Some(own) = own.filter(|own| !matches!(own.state, b'Z' | b'X')) {
                let work = schedstat(&folder).unwrap_or(own.work);
                let is_runnable = own.state == b'R';
                seen.threads.push(SeenThread { tid, is_runnable, work });
            }
            offspring.extend(children_of_thread(&folder));
        }
        Some((seen, offspring))
    }
}

/// What `stat` says of a launcher that may itself be in the middle of `execve`: whoever started it is
/// told at once, and only then its image is filled in.
fn complete_stat(launcher: i32) -> io::Result<Stat> {
    let ended = || io::Error::new(io::ErrorKind::NotFound, "the launcher has ended");
    let began = Instant::now();
    loop {
        let stat = Stat::read(&format!("/proc/{launcher}/stat")).ok_or_else(ended)?;
        if stat.has_image() || began.elapsed() > PATIENCE {
            return Ok(stat);
        }
        thread::sleep(Duration::from_micros(100));
    }
}

fn threads(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn children(pid: i32) -> Vec<i32> {
    let folders = threads(pid).into_iter().map(|tid| format!("/proc/{pid}/task/{tid}"));
    folders.flat_map(|folder| children_of_thread(&folder)).collect()
}

fn children_of_thread(folder: &str) -> Vec<i32> {
    let list = fs::read_to_string(format!("{folder}/children")).unwrap_or_default();
    list.split_whitespace().flat_map(str::parse).collect()
}

/// The first number is nanoseconds on a processor.
fn schedstat(folder: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("{folder}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok().filter(|&nanoseconds| nanoseconds > 0)
}

/// What `stat` says of a process or a thread.
#[derive(Clone, Debug)]
struct Stat {
    name: String,
    state: u8,
    parent: i32,
    threads: u64,
    started: u64,
    image: Image,
    /// The same as in schedstat, a hundred times a second.
    work: u64,
}

impl Stat {
    fn read(path: &str) -> Option<Stat> {
        Stat::parse(&fs::read(path).ok()?)
    }

    /// In the middle of `execve` and of its end a process has none.
    fn has_image(&self) -> bool {
        self.image[0] != 0
    }

    /// `1234 (name) S 1200 ...`, where the name may hold anything, parentheses too.
    fn parse(stat: &[u8]) -> Option<Stat> {
        let opening = stat.iter().position(|&byte| byte == b'(')?;
        let closing = stat.iter().rposition(|&byte| byte == b')')?;
        let name = text::clean_line(stat.get(opening + 1..closing)?, 32);
        let rest = str::from_utf8(stat.get(closing + 1..)?).ok()?;
        // proc(5) counts from 1, and the state is its third.
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let tick = 10_000_000;
        Some(Stat {
            name,
            state: *fields.first()?.as_bytes().first()?,
            parent: number(4)? as i32,
            threads: number(20)?,
            started: number(22)?,
            image: [number(26)?, number(27)?, number(28)?],
            work: (number(14)? + number(15)?) * tick,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_parentheses_moves_no_field() {
        let rest = (5..=52).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        let stat = Stat::parse(format!("42 (a) R 1 (b) S 17 {rest}\n").as_bytes()).unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.parent), ("a) R 1 (b", b'S', 17));
        assert_eq!((stat.threads, stat.started, stat.image), (20, 22, [26, 27, 28]));
        assert_eq!(stat.work, 290_000_000);
    }

    #[test]
    fn a_launcher_does_not_count_and_the_program_that_it_becomes_does() {
        let script = "read _; exec cat";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut watched = Watched::new(child.id() as i32).unwrap();
        assert!(watched.look().iter().all(|seen| !seen.counts));
        let mut stdin = child.stdin.take().unwrap();
        io::Write::write_all(&mut stdin, b"\n").unwrap();
        while !watched.look().iter().any(|seen| seen.counts && seen.name == "cat") {
            thread::yield_now();
        }
        drop(stdin);
        child.wait().unwrap();
        assert!(watched.look().is_empty());
    }
}
