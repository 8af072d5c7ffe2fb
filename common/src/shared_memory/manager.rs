//! An owner of blocks, which all end with it (in Python: `SharedMemoryManager`).
//!
//! Python's manager is a server process, whose only work is to hold the names until it is told to
//! stop. Here the tracker holds them anyway, whoever is killed; so a manager is a list in the process
//! that owns it, and there is no server that could be asked before it was started, after it was stopped,
//! or from another process. Other processes get names, or the blocks themselves, as from Python's.

use super::{ListError, ShareableList, ShareableValue, SharedMemory, SharedMemoryError};
use crate::shared::register::Entry;
use std::fmt;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Creates blocks and lists that are unlinked when it is shut down or dropped (in Python:
/// `SharedMemoryManager`; `start` is its making, and the end of a `with` block its drop).
///
/// Where its process is killed, the tracker removes them when the program's last process has ended.
/// A block that somebody has unlinked before is no concern of it.
///
/// ```
/// use common::shared_memory::SharedMemoryManager;
/// use common::SharedMemory;
///
/// # common::init();
/// let manager = SharedMemoryManager::start();
/// let block = manager.shared_memory(64)?;
/// let list = manager.shareable_list(&[1.into(), "two".into()])?;
/// let name = block.name().to_string();
/// assert!(SharedMemory::open(&name).is_ok());
/// manager.shutdown();
/// assert!(SharedMemory::open(&name).is_err());
/// # common::Result::Ok(())
/// ```
#[must_use = "dropping it unlinks its blocks"]
pub struct SharedMemoryManager {
    blocks: Mutex<Vec<Entry>>,
    /// Whose manager it is: a copy in a forked child unlinks nothing.
    pid: u32,
}

impl SharedMemoryManager {
    /// A manager without any blocks. It is of use from here until it is dropped, so nothing can be
    /// asked of one that is not started or was shut down:
    ///
    /// ```compile_fail
    /// let manager = common::shared_memory::SharedMemoryManager::start();
    /// manager.shutdown();
    /// manager.shared_memory(64);
    /// ```
    pub fn start() -> Self {
        Self { blocks: Mutex::default(), pid: process::id() }
    }

    /// A new block of `len` bytes.
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::create`].
    #[doc(alias = "SharedMemory")]
    #[track_caller]
    pub fn shared_memory(&self, len: usize) -> Result<SharedMemory, SharedMemoryError> {
        let block = SharedMemory::create(len)?;
        self.blocks().push(block.entry());
        Ok(block)
    }

    /// A new list of `values`.
    ///
    /// # Errors
    ///
    /// As for [`ShareableList::create`].
    #[doc(alias = "ShareableList")]
    #[track_caller]
    pub fn shareable_list(&self, values: &[ShareableValue]) -> Result<ShareableList, ListError> {
        let list = ShareableList::create(values)?;
        self.blocks().push(list.shared_memory().entry());
        Ok(list)
    }

    /// Unlinks all its blocks, as dropping it does. Who has one open keeps it.
    pub fn shutdown(self) {}

    fn blocks(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SharedMemoryManager {
    fn drop(&mut self) {
        if self.pid != process::id() {
            return;
        }
        for block in self.blocks().drain(..) {
            // One that is unlinked already is what was wanted; for another the tracker is there.
            let _ = super::unlink(&block);
        }
    }
}

impl fmt::Debug for SharedMemoryManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = self.blocks();
        f.write_str("SharedMemoryManager")?;
        f.debug_list().entries(blocks.iter().map(|block| &block.name)).finish()
    }
}
