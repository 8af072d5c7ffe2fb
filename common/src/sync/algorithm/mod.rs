//! What each primitive does with its words: state machines without memory, handles or errors.
//!
//! They use nothing but [`super::word`], so that `tools/model` can run the same files on loom's words
//! and try every order of their steps.

pub(crate) mod event;
pub(crate) mod lock;
