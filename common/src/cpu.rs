//! How many processors there are, and on which of them a process runs (in Python: `cpu_count`,
//! `os.process_cpu_count`, `os.sched_setaffinity`).
//!
//! ```
//! assert!(common::cpu::usable() <= common::cpu::count());
//! ```

use crate::sys::cpu;
use std::io;

/// How many processors the machine has online (in Python: `cpu_count`).
///
/// Never less than one. How many of them this process may use tells [`usable`].
#[doc(alias = "cpu_count")]
#[must_use]
pub fn count() -> usize {
    cpu::online().map_or(1, |count| count.max(1))
}

/// On how many processors the calling thread may run (in Python: `os.process_cpu_count`,
/// `len(os.sched_getaffinity(0))`): the right size for a pool.
///
/// Less than [`count`] where somebody has set an affinity, as containers and batch systems do. A
/// share of time (a quota of a control group) is not looked at.
#[doc(alias = "process_cpu_count")]
#[must_use]
pub fn usable() -> usize {
    affinity().map_or_else(|_| count(), |cpus| cpus.len().clamp(1, count()))
}

/// The numbers of the processors on which the calling thread may run.
///
/// # Errors
///
/// Where the kernel has more processors than a set can tell (1024).
#[doc(alias = "sched_getaffinity")]
pub fn affinity() -> io::Result<Vec<usize>> {
    cpu::affinity()
}

/// Has the calling thread, and the threads and processes that it starts later, run on these
/// processors only.
///
/// ```
/// let all = common::cpu::affinity()?;
/// common::cpu::set_affinity(&all[..1])?;
/// assert_eq!(common::cpu::usable(), 1);
/// common::cpu::set_affinity(&all)?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// EINVAL where none of them exists, or a number is too large.
#[doc(alias = "sched_setaffinity")]
pub fn set_affinity(cpus: &[usize]) -> io::Result<()> {
    cpu::set_affinity(cpus)
}
