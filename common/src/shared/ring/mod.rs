//! A ring of items in shared memory: how they lie there ([`algorithm`]), and where ([`memory`]).

pub(crate) mod algorithm;
mod memory;

pub(crate) use algorithm::{MOST, NotGot, NotPut};
pub(crate) use memory::RingMemory;
