//! The very files that `common` is built from.

use crate::word;

#[path = "../../../common/src/sync/algorithm/barrier.rs"]
pub(crate) mod barrier;
#[path = "../../../common/src/sync/algorithm/condition.rs"]
pub(crate) mod condition;
#[path = "../../../common/src/sync/algorithm/event.rs"]
pub(crate) mod event;
#[path = "../../../common/src/sync/algorithm/event_count.rs"]
pub(crate) mod event_count;
#[path = "../../../common/src/sync/algorithm/lock.rs"]
pub(crate) mod lock;
#[path = "../../../common/src/sync/algorithm/members.rs"]
pub(crate) mod members;
#[path = "../../../common/src/shared/ring/algorithm.rs"]
pub(crate) mod ring;
#[path = "../../../common/src/sync/algorithm/rlock.rs"]
pub(crate) mod rlock;
#[path = "../../../common/src/sync/algorithm/semaphore.rs"]
pub(crate) mod semaphore;
