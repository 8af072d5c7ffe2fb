//! Wait for what another process does (in Python: `multiprocessing`'s synchronisation primitives).
//!
//! | you want to | take |
//! | --- | --- |
//! | keep others out while you change something | [`Lock`] |
//! | let others go on once something has happened | [`Event`] |
//!
//! A primitive is a word or two in anonymous shared memory: it has no name, there is nothing to
//! unlink, and it is gone when the last process that holds it ends.

mod algorithm;
mod event;
mod lock;
mod word;

pub use event::Event;
pub use lock::{Lock, LockGuard, NotOwner};
