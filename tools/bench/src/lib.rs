//! What the benchmark programs of all peers share.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`run`] | the command line, repetitions on a quiet machine, one JSON line a figure |
//! | [`measure`] | time an operation, or bytes a second |
//! | [`place`] | on which cores the two sides run |
//! | [`kernel`] | descriptors, shared mappings, futexes and processes, with nothing around them |
//! | [`ring`] | the yardsticks: the least that queues and locks in shared memory cost |
//!
//! A program is one peer. It answers to `PROGRAM [--list] [--exact] [--reps N] [METRIC]`.

pub mod kernel;
pub mod measure;
pub mod place;
pub mod ring;
pub mod run;

pub use measure::{gib_s, ms, ns_per, read_all, sink, us_per};
pub use place::{Place, pin, unpin, with_child};
pub use run::Run;

/// Bytes.
pub const MIB: usize = 1 << 20;
