//! The models, a file for each algorithm, and one for the machine they run on.

pub(crate) mod event;
pub(crate) mod lock;
pub(crate) mod machine;
