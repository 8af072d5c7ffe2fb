//! The thread that calls back, and that reads the reports of a job for which nobody waits.
//!
//! It is started by the first job that needs it, and sleeps while there is none. Where the system gives no
//! thread, whoever waits for something of the pool calls back. (In Python: the thread that handles the
//! results.)

use super::dispatch::{Callback, Dispatch, State};
use crate::sync::word::Deadline;
use crate::sys::thread;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// The thread, once there is one.
#[derive(Debug, Default)]
pub(super) struct Attendant {
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The kernel's id of it, or 0.
    id: Arc<AtomicU32>,
}

impl Attendant {
    /// Has somebody attend to a job until [`Dispatch::leave_alone`] is called for it.
    pub(super) fn attend(&self, dispatch: &Arc<Dispatch>) {
        let mut running = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            let (office, id) = (Arc::clone(dispatch), Arc::clone(&self.id));
            *running = Builder::new()
                .name("pool-attendant".to_string())
                .spawn(move || {
                    id.store(thread::id(), Ordering::Relaxed);
                    office.attend();
                })
                .ok();
        }
        let is_unattended = running.is_none();
        drop(running);
        let mut state = dispatch.lock();
        state.is_unattended = is_unattended;
        state.attended += 1;
        drop(state);
        dispatch.notify();
    }

    /// Waits until the thread has ended, which it does when it is told to.
    pub(super) fn join(&self) {
        let running = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The pool may be dropped by what it calls.
        if let Some(running) = running
            && self.id.load(Ordering::Relaxed) != thread::id()
        {
            let _ = running.join();
        }
    }
}

impl Dispatch {
    /// A job needs nobody's attention any more.
    pub(super) fn leave_alone(&self) {
        let mut state = self.lock();
        state.attended = state.attended.saturating_sub(1);
        drop(state);
        self.notify();
    }

    /// Has something called by the attendant.
    pub(super) fn call(&self, callback: Callback) {
        self.lock().callbacks.push_back(callback);
        self.notify();
    }

    /// Calls back.
    pub(super) fn call_back<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        callback: Callback,
    ) -> MutexGuard<'a, State> {
        state.is_calling = true;
        drop(state);
        // The hook has printed the panic's message; dropping what was thrown might panic again.
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(callback)) {
            std::mem::forget(panic);
        }
        let mut state = self.lock();
        state.is_calling = false;
        state
    }

    /// The life of the attendant.
    fn attend(&self) {
        loop {
            let mut state = self.wait_for_calls();
            if let Some(callback) = state.callbacks.pop_front() {
                drop(self.call_back(state, callback));
                self.notify();
            } else if state.has_ended {
                return;
            } else if state.can_close() {
                state.is_closing = false;
                drop(state);
                self.tasks.end();
                self.leave_alone();
            } else {
                drop(state);
                let has_work = |state: &State| {
                    !state.callbacks.is_empty()
                        || state.attended == 0
                        || state.can_close()
                        || state.has_ended
                };
                self.wait(Deadline::NEVER, |state| has_work(state).then_some(()));
            }
        }
    }
}
