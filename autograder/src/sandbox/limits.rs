//! The limits of single processes, and how the memory of a run is divided.
//!
//! | resource | limit |
//! | --- | --- |
//! | CPU | the run's whole time, as a second fence: the launcher watches the sum |
//! | AS | only where no control group bounds memory: see [`Shares`] |
//! | FSIZE, NOFILE | as the assignment says |
//! | NPROC | the run's processes and threads; counted per user namespace |
//! | CORE | nothing, so that a crash leaves no file and calls no helper of the host |
//! | STACK | 8 MiB |
//! | MSGQUEUE, MEMLOCK, RTPRIO, NICE | little or nothing |

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::Pid;

use super::plan::Caps;

/// The stack of a program's first thread.
const STACK: u64 = 8 << 20;

/// Bytes in POSIX message queues.
const MESSAGE_QUEUES: u64 = 1 << 20;

/// Memory that may be locked.
const LOCKED: u64 = 8 << 20;

/// How much more processes than allowed may be started before the kernel refuses, where a control
/// group refuses earlier and tells.
const BEHIND_THE_GROUP: u32 = 8;

/// How the memory of a run is divided.
///
/// A control group counts all of it together. Without one, a quarter goes to the file systems in
/// memory, and the rest is divided among the processes, as address space: whatever they do, all
/// together cannot have more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// `/dev/shm`.
    pub(super) shared: u64,
    /// `/tmp` and `/box`, each.
    pub(super) scratch: u64,
    /// The address space of one process, where no control group bounds memory.
    pub(super) space: u64,
}

impl Shares {
    pub(super) fn of(caps: &Caps) -> Shares {
        let shared = caps.memory / 8;
        let scratch = caps.memory / 16;
        let space = (caps.memory - shared - 2 * scratch) / u64::from(caps.sharers.max(1));
        Shares { shared, scratch, space }
    }
}

/// Limits the calling process, and with it all that it starts. `others` are the processes and threads
/// that its user has besides, where no user namespace tells them apart.
pub(super) fn apply(caps: &Caps, grouped: bool, others: u32) -> io::Result<()> {
    let seconds = caps.cpu.as_secs() + 1;
    let processes = caps.processes + others + if grouped { BEHIND_THE_GROUP } else { 1 };
    let limits = [
        (Resource::RLIMIT_CPU, seconds, seconds + 1),
        (Resource::RLIMIT_FSIZE, caps.file_size, caps.file_size),
        (Resource::RLIMIT_NOFILE, caps.files.into(), caps.files.into()),
        (Resource::RLIMIT_NPROC, processes.into(), processes.into()),
        (Resource::RLIMIT_CORE, 0, 0),
        (Resource::RLIMIT_STACK, STACK, STACK),
        (Resource::RLIMIT_MSGQUEUE, MESSAGE_QUEUES, MESSAGE_QUEUES),
        (Resource::RLIMIT_MEMLOCK, LOCKED, LOCKED),
        (Resource::RLIMIT_RTPRIO, 0, 0),
        (Resource::RLIMIT_NICE, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        lower(resource, soft, hard)?;
    }
    if !grouped {
        let space = Shares::of(caps).space;
        lower(Resource::RLIMIT_AS, space, space)?;
    }
    Ok(())
}

/// Leaves the calling process, and with it all that it starts, the first so many of its processors.
pub(super) fn keep_to(processors: u32) -> nix::Result<()> {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this)?;
    let mut few = CpuSet::new();
    let available = (0..CpuSet::count()).filter(|&number| all.is_set(number).unwrap_or(false));
    for number in available.take(processors as usize) {
        few.set(number)?;
    }
    sched_setaffinity(this, &few)
}

/// Sets a limit, but never above what is allowed already.
fn lower(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let (_, most) = nix::sys::resource::getrlimit(resource)?;
    setrlimit(resource, soft.min(most), hard.min(most))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn all_shares_together_are_at_most_the_whole() {
        for (memory, processes) in [(512 << 20, 16), (2_u64 << 30, 33), (1 << 20, 1)] {
            let sharers = processes;
            let cpu = Duration::ZERO;
            let caps =
                Caps { cpu, memory, processes, file_size: 0, files: 0, sharers, processors: None };
            let shares = Shares::of(&caps);
            let all = shares.shared + 2 * shares.scratch + shares.space * u64::from(processes);
            assert!(all <= memory);
            assert!(all + u64::from(processes) >= memory);
        }
    }
}
