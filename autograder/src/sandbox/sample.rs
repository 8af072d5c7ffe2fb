//! What all processes below this one take together, read from `/proc`.
//!
//! A stand-in for control groups where there are none. It misses what happens between two looks, and
//! the CPU time of children whose parent ignores that they end.

use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeVal;
use nix::unistd::{SysconfVar, sysconf};

use super::plan::Sample;
use crate::tree;

/// The file systems in memory, whose files take memory without any process.
const IN_MEMORY: [&str; 3] = ["/dev/shm", "/tmp", "/box"];

impl Sample {
    /// Looks once more: the most of everything so far, but the number of tasks as it is now.
    pub(super) fn take(&mut self) -> io::Result<()> {
        let ticks = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100).max(1) as u64;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.unwrap_or(4096) as u64;
        let (mut cpu, mut memory, mut tasks) = (0, 0, 0);
        let census = tree::census()?;
        for process in census.living.iter().chain(&census.ended) {
            // What has ended between the two steps is counted by its parent, the next time.
            let Some(stat) = Stat::of(process.pid) else { continue };
            cpu += stat.cpu;
            memory += stat.own_pages * page;
            tasks += stat.threads;
        }
        if std::process::id() == 1 {
            memory += IN_MEMORY.iter().map(|path| files_in_memory(path)).sum::<u64>();
            self.created = tasks_created();
        }
        self.cpu = self.cpu.max(Duration::from_millis(cpu * 1000 / ticks));
        self.memory = self.memory.max(memory);
        self.tasks = tasks;
        Ok(())
    }
}

/// Whether a process runs or waits for a processor, and for nothing else.
pub(super) fn is_runnable(pid: i32) -> bool {
    // What has ended in the meantime is in nobody's way.
    matches!(state(pid), Some(b'R' | b'Z' | b'X') | None)
}

/// Whether a process has ended, if nobody may have collected it yet.
pub(super) fn has_ended(pid: i32) -> bool {
    matches!(state(pid), Some(b'Z' | b'X') | None)
}

/// The letter in `/proc/PID/stat`; none if there is no such process.
fn state(pid: i32) -> Option<u8> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let closing = stat.iter().rposition(|&byte| byte == b')')?;
    stat.get(closing + 2).copied()
}

/// How many processes and threads this namespace has had, apart from its first one. The last field of
/// `/proc/loadavg` is the last process id that was given.
pub(super) fn tasks_created() -> Option<u32> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let last: u32 = text.split_whitespace().last()?.parse().ok()?;
    Some(last.saturating_sub(1))
}

pub(super) fn duration(time: TimeVal) -> Duration {
    Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
}

fn files_in_memory(path: &str) -> u64 {
    statvfs(path).map_or(0, |stat| (stat.blocks() - stat.blocks_free()) * stat.fragment_size())
}

/// What one process takes.
struct Stat {
    /// Its own time and that of the children it has waited for, in ticks.
    cpu: u64,
    threads: u32,
    /// What it does not share with a file.
    own_pages: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Stat> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let memory = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        Stat::parse(&stat, &memory)
    }

    fn parse(stat: &[u8], memory: &str) -> Option<Stat> {
        let closing = stat.iter().rposition(|&byte| byte == b')')?;
        let rest = str::from_utf8(stat.get(closing + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        // proc_pid_stat(5) counts from 1 and includes the two that lie before.
        let cpu = (14..=17).map(|field| number(field - 3)).sum::<Option<u64>>()?;
        let threads = number(20 - 3)? as u32;
        let mut pages = memory.split_whitespace().skip(1).map(str::parse::<u64>);
        let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
        Some(Stat { cpu, threads, own_pages: resident.saturating_sub(shared) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_stat_are_counted_behind_the_name() {
        let stat = b"42 (a) b) S 1 42 42 0 -1 0 0 0 0 0 5 6 7 8 20 0 3 0 99 0 0";
        let stat = Stat::parse(stat, "100 50 20 1 0 30 0\n").unwrap();
        assert_eq!((stat.cpu, stat.threads, stat.own_pages), (26, 3, 30));
    }

    #[test]
    fn the_machine_has_had_processes() {
        assert!(tasks_created().unwrap() > 0);
    }
}
