//! How the processes of a program ended, as far as can be known.

use std::collections::HashMap;

use super::{Exit, ProcessRecord};
use crate::sandbox::pidfd::Pidfd;

/// How many processes are held at once; each takes a descriptor.
const HELD: usize = 256;

/// How many ends are remembered: more than there are processes described one by one.
const KNOWN: usize = 4096;

/// Holds on to processes from their first sight until they have ended.
#[derive(Debug, Default)]
pub(super) struct Exits {
    held: HashMap<i32, Pidfd>,
    known: HashMap<i32, i32>,
}

impl Exits {
    /// Whether this process is held, or was.
    pub(super) fn knows(&self, pid: i32) -> bool {
        self.held.contains_key(&pid) || self.known.contains_key(&pid)
    }

    /// A process has begun. If it has already gone, how it ended is not known.
    pub(super) fn hold(&mut self, pid: i32) {
        // Who bore this number before is another one.
        self.known.remove(&pid);
        self.held.remove(&pid);
        if self.held.len() < HELD
            && let Ok(process) = Pidfd::open(pid)
        {
            self.held.insert(pid, process);
        }
    }

    /// Asks all, and lets go of those that have ended.
    pub(super) fn collect(&mut self) {
        self.held.retain(|&pid, process| match process.wait_status() {
            Ok(None) => true,
            Ok(Some(status)) => {
                if self.known.len() < KNOWN {
                    self.known.insert(pid, status);
                }
                false
            }
            // This kernel does not tell.
            Err(_) => false,
        });
    }

    /// Enters what is known. Of several processes with the same number it is the last one's.
    pub(super) fn enter(mut self, list: &mut [ProcessRecord]) {
        self.collect();
        for record in list.iter_mut().rev().filter(|record| record.ended.is_some()) {
            record.exit = self.known.remove(&record.pid).map(Exit::from_wait_status);
        }
    }
}
