//! A ring of items in shared memory: how they lie there ([`algorithm`]), and where ([`memory`]).

pub(crate) mod algorithm;
mod memory;

// What the algorithm is built from. `tools/model` has the same beside it, on other words.
use crate::sync::algorithm::{event_count, lock};
use crate::sync::word;

pub(crate) use algorithm::{MOST, NotGot, NotPut};
pub(crate) use memory::RingMemory;
