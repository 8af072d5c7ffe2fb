//! The processors of the machine, and those on which this process may run.
//!
//! # System calls
//!
//! `sysconf(3)` (`_SC_NPROCESSORS_ONLN`), `sched_getaffinity(2)`, `sched_setaffinity(2)`.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::io;

/// This thread, for the affinity calls.
const SELF: Pid = Pid::from_raw(0);

/// How many processors are online.
pub(crate) fn online() -> io::Result<usize> {
    let count = sysconf(SysconfVar::_NPROCESSORS_ONLN)?;
    count.and_then(|count| usize::try_from(count).ok()).ok_or_else(|| Errno::ENOSYS.into())
}

/// The processors on which this thread may run.
pub(crate) fn affinity() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(SELF)?;
    Ok((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect())
}

/// Has this thread run on `cpus` only.
pub(crate) fn set_affinity(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    Ok(sched_setaffinity(SELF, &set)?)
}
