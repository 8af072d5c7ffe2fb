//! What is planted where, and how a model must fail. Read by the build as well.

/// From here to the algorithms of `sync`.
pub(crate) const FOLDER: &str = "../../common/src/sync/algorithm";

/// All algorithms.
pub(crate) const ALGORITHMS: &[&str] = &[
    "barrier",
    "condition",
    "event",
    "event_count",
    "lock",
    "members",
    "ring",
    "rlock",
    "semaphore",
];

/// From here to the file of an algorithm.
pub(crate) fn file_of(algorithm: &str) -> String {
    match algorithm {
        "ring" => "../../common/src/shared/ring/algorithm.rs".to_owned(),
        of_sync => format!("{FOLDER}/{of_sync}.rs"),
    }
}

#[path = "ring.rs"]
mod ring;
#[path = "sync.rs"]
mod sync;

/// All mutants.
pub(crate) fn mutants() -> impl Iterator<Item = &'static Mutant> {
    sync::MUTANTS.iter().chain(ring::MUTANTS)
}

/// How a model fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// All threads wait.
    Deadlock,
    /// Memory is touched by two threads in no order.
    Race,
    /// A thread looks again and again at what does not change.
    Endless,
    /// What must hold does not: an assertion of the model or the machine, whose text has this part.
    Assertion(&'static str),
}

/// An algorithm with a planted bug.
#[derive(Debug)]
pub(crate) struct Mutant {
    /// What the bug does.
    pub(crate) name: &'static str,
    pub(crate) algorithm: &'static str,
    /// Stands once in the algorithm's file.
    pub(crate) snippet: &'static str,
    pub(crate) replacement: &'static str,
    /// The model that must fail: file and function.
    pub(crate) model: &'static str,
    pub(crate) fails: Failure,
}
