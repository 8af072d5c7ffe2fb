//! What each primitive does with its words: state machines without memory, handles or errors.
//!
//! They use nothing but [`super::word`], so that `tools/model` can run the same files on loom's words
//! and try every order of their steps.
//!
//! | file | built from |
//! | --- | --- |
//! | [`event`] | |
//! | [`lock`] | |
//! | [`rlock`] | a lock |
//! | [`event_count`] | |
//! | [`members`] | |
//! | [`semaphore`], [`condition`], [`barrier`] | a lock, an event count, members |

pub(crate) mod barrier;
pub(crate) mod condition;
pub(crate) mod event;
pub(crate) mod event_count;
pub(crate) mod lock;
pub(crate) mod members;
pub(crate) mod rlock;
pub(crate) mod semaphore;
