//! The models, a file for each algorithm, and one for the machine they run on.

pub(crate) mod barrier;
pub(crate) mod condition;
pub(crate) mod event;
pub(crate) mod event_count;
pub(crate) mod lock;
pub(crate) mod machine;
pub(crate) mod members;
pub(crate) mod ring;
pub(crate) mod rlock;
pub(crate) mod semaphore;
