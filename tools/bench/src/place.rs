//! On which cores the two sides of a benchmark run.

use crate::kernel::{exit_status, fork};

/// Pins the calling thread to one core.
pub fn pin(core: usize) {
    set_affinity(core..core + 1);
}

/// Undoes [`pin`].
pub fn unpin() {
    set_affinity(0..libc::CPU_SETSIZE as usize);
}

fn set_affinity(cores: std::ops::Range<usize>) {
    // SAFETY: a set of no cores is all zeroes, and the kernel reads it only.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for core in cores {
            libc::CPU_SET(core, &mut set);
        }
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

/// Where parent and child run. It is part of a metric's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The parent on core 0, the child on core 1.
    Two,
    /// Both on core 0.
    Same,
    /// As the scheduler likes.
    Free,
}

impl Place {
    /// Puts the calling process where the parent is to run.
    pub fn parent(self) {
        match self {
            Self::Two | Self::Same => pin(0),
            Self::Free => unpin(),
        }
    }

    /// Puts the calling process where the child is to run.
    pub fn child(self) {
        match self {
            Self::Two => pin(1),
            Self::Same => pin(0),
            Self::Free => unpin(),
        }
    }

    /// How the name of a metric ends.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Two => "",
            Self::Same => "_samecore",
            Self::Free => "_free",
        }
    }
}

/// Runs `child` in a forked process and `parent` here; waits for the child.
///
/// # Panics
///
/// Where the child fails.
pub fn with_child<R>(place: Place, child: impl FnOnce(), parent: impl FnOnce() -> R) -> R {
    let pid = fork(|| {
        place.child();
        child();
    });
    place.parent();
    let result = parent();
    let status = exit_status(pid);
    unpin();
    assert_eq!(status, 0, "the child failed");
    result
}
