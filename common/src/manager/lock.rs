//! Locks in a manager, and conditions over them (in Python: `Lock`, `RLock`, `Condition` of a `SyncManager`).

use super::error::ManagerError;
use super::frame::Write as _;
use super::message::Failure;
use super::object::{Call, Caller, Limit, Object};
use super::proxy::{Arguments, Remote, Reply, proxy_type};
use crate::sys::thread;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

proxy_type! {
    /// A lock that lives in a manager (in Python: the `Lock` of a manager). Between processes of one machine
    /// [`sync::Lock`](crate::sync::Lock) does the same without a server.
    ///
    /// Whoever holds it is a process: another one may release it, as in Python. Where the holder's process ends, the
    /// next one gets it, and is [told](ManagedGuard::previous_holder_died).
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let lock = manager.lock()?;
    /// let guard = lock.acquire()?;
    /// assert!(lock.try_acquire()?.is_none());
    /// drop(guard);
    /// assert!(!lock.is_locked()?);
    /// # common::Result::Ok(())
    /// ```
    LockProxy "Lock"
}

proxy_type! {
    /// A lock that the thread that holds it may acquire again (in Python: the `RLock` of a manager).
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let lock = manager.rlock()?;
    /// let outer = lock.acquire()?;
    /// let inner = lock.acquire()?;
    /// drop((inner, outer));
    /// assert!(lock.release().is_err());
    /// # common::Result::Ok(())
    /// ```
    RLockProxy "RLock"
}

macro_rules! lock_methods {
    ($type:ident) => {
        impl $type {
            /// Waits until nobody else holds it.
            ///
            /// # Errors
            ///
            /// See [`ManagerError`], here and below.
            pub fn acquire(&self) -> Result<ManagedGuard, ManagerError> {
                acquire(&self.remote, None)?.ok_or(ManagerError::Ended)
            }

            /// Takes it if nobody else holds it (in Python: `acquire(False)`).
            pub fn try_acquire(&self) -> Result<Option<ManagedGuard>, ManagerError> {
                acquire(&self.remote, Some(Duration::ZERO))
            }

            /// Waits for it, at most for `limit` (in Python: `acquire(timeout=...)`).
            pub fn acquire_timeout(
                &self,
                limit: Duration,
            ) -> Result<Option<ManagedGuard>, ManagerError> {
                acquire(&self.remote, Some(limit))
            }

            /// Releases it, where a guard was [kept](ManagedGuard::keep).
            ///
            /// # Errors
            ///
            /// [`ManagerError::NotOwner`] where it is not held.
            pub fn release(&self) -> Result<(), ManagerError> {
                self.remote.tell("release")
            }

            /// Whether somebody holds it at this moment (in Python: `locked`).
            #[doc(alias = "locked")]
            pub fn is_locked(&self) -> Result<bool, ManagerError> {
                self.remote.call("locked", |_| Ok(()), |reply| reply.truth())
            }
        }
    };
}
lock_methods!(LockProxy);
lock_methods!(RLockProxy);

fn acquire(remote: &Remote, limit: Option<Duration>) -> Result<Option<ManagedGuard>, ManagerError> {
    let taken = |reply: &mut Reply<'_>| Ok((reply.truth()?, reply.truth()?));
    let (is_taken, died) = remote.wait("acquire", limit, taken)?;
    let guard = || ManagedGuard { remote: Some(remote.clone()), thread: thread::id(), died };
    Ok(is_taken.then(guard))
}

/// A managed lock that is held; released when this is dropped, by whichever thread.
#[must_use = "the lock is released when this is dropped"]
pub struct ManagedGuard {
    remote: Option<Remote>,
    /// Which thread has acquired it: for the server that one holds it, wherever the guard is.
    thread: u32,
    died: bool,
}

impl ManagedGuard {
    /// Whether the process that held the lock before has ended without releasing it: what it was changing may
    /// be half done.
    #[must_use]
    pub fn previous_holder_died(&self) -> bool {
        self.died
    }

    /// Keeps the lock; [`release`](LockProxy::release) gives it back, from any process.
    pub fn keep(mut self) {
        self.remote = None;
    }
}

impl Drop for ManagedGuard {
    fn drop(&mut self) {
        // A copy that a fork has made is no guard.
        if let Some(remote) = self.remote.as_ref().filter(|remote| remote.is_own()) {
            // Where the manager has ended, or somebody else has released it, nothing is left to do.
            let _ = remote.call_as(self.thread, "release", |_| Ok(()), |_| Ok(()));
        }
    }
}

impl fmt::Debug for ManagedGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedGuard").field("of", &self.remote).finish_non_exhaustive()
    }
}

/// Who holds a lock.
#[derive(Default)]
struct Held {
    by: Option<Caller>,
    /// How many times.
    depth: u32,
    /// The last holder's process has ended.
    died: bool,
}

/// A lock, in the server. Conditions over it wait for the same changes.
pub(super) struct Core {
    held: Mutex<Held>,
    changed: Condvar,
    /// Its holder may take it again, and nobody else release it.
    reentrant: bool,
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_take(&self, held: &Held, caller: Caller) -> bool {
        held.by.is_none() || self.reentrant && held.by == Some(caller)
    }

    /// Takes it for the caller; whether the last holder has died, if it did take it.
    fn take(&self, call: &Call<'_>, limit: Limit) -> Option<bool> {
        let caller = call.caller;
        let (mut held, free) = call.wait(&self.held, &self.changed, limit, |held| {
            self.may_take(held, caller).then_some(())
        });
        free?;
        held.by = Some(caller);
        held.depth += 1;
        Some(std::mem::take(&mut held.died))
    }

    fn release(&self, caller: Caller) -> Result<(), Failure> {
        let mut held = self.lock();
        let is_theirs = match held.by {
            None => false,
            Some(holder) => !self.reentrant || holder == caller,
        };
        if !is_theirs {
            return Err(Failure::NotOwner);
        }
        held.depth -= 1;
        if held.depth == 0 {
            held.by = None;
            self.changed.notify_all();
        }
        Ok(())
    }

    fn forget(&self, client: u64) {
        let mut held = self.lock();
        if held.by.is_some_and(|holder| holder.client == client) {
            *held = Held { died: true, ..Held::default() };
            self.changed.notify_all();
        }
    }
}

/// The methods of a lock.
fn call_lock(core: &Core, call: &mut Call<'_>, kind: &str) -> Result<(), Failure> {
    match call.method {
        "acquire" => {
            let limit = call.limit()?;
            let taken = core.take(call, limit);
            call.reply.put_u8(taken.is_some().into());
            call.reply.put_u8(taken.unwrap_or(false).into());
        }
        "release" => core.release(call.caller)?,
        "locked" => {
            let is_locked = core.lock().by.is_some();
            call.reply.put_u8(is_locked.into());
        }
        _ => return call.unknown(kind),
    }
    Ok(())
}

struct Lock(Arc<Core>);

fn create(reentrant: bool) -> Box<dyn Object> {
    let core = Core { held: Mutex::default(), changed: Condvar::new(), reentrant };
    Box::new(Lock(Arc::new(core)))
}

/// A lock.
pub(super) fn create_lock(_: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    Ok(create(false))
}

/// A lock that its holder may take again.
pub(super) fn create_rlock(_: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    Ok(create(true))
}

impl Object for Lock {
    fn kind(&self) -> &str {
        if self.0.reentrant { "RLock" } else { "Lock" }
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        call_lock(&self.0, call, self.kind())
    }

    fn forget(&self, client: u64) {
        self.0.forget(client);
    }

    fn lock(&self) -> Option<Arc<Core>> {
        Some(Arc::clone(&self.0))
    }
}

proxy_type! {
    /// A condition that lives in a manager, over a lock of it (in Python: the `Condition` of a manager).
    ///
    /// ```
    /// use common::Process;
    /// use common::manager::{ConditionProxy, ListProxy};
    ///
    /// fn produce((condition, list): (ConditionProxy, ListProxy<u32>)) -> common::Result<()> {
    ///     let guard = condition.acquire()?;
    ///     list.push(&1)?;
    ///     condition.notify(&guard, 1)?;
    ///     Ok(())
    /// }
    ///
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let (condition, list) = (manager.condition()?, manager.list([])?);
    /// let child = Process::new(produce, (condition.clone(), list.clone())).start()?;
    /// let mut guard = condition.acquire()?;
    /// while list.is_empty()? {
    ///     condition.wait(&mut guard)?;
    /// }
    /// assert_eq!(list.pop()?, Some(1));
    /// drop(guard);
    /// child.join()?;
    /// # common::Result::Ok(())
    /// ```
    ConditionProxy "Condition"
}
lock_methods!(ConditionProxy);

impl ConditionProxy {
    /// Releases the lock, waits to be notified, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotOwner`] where the guard is of another lock, and see [`ManagerError`].
    pub fn wait(&self, guard: &mut ManagedGuard) -> Result<(), ManagerError> {
        self.wait_until(guard, None).map(drop)
    }

    /// The same, at most for `limit`; false where nobody notified it in time.
    pub fn wait_timeout(
        &self,
        guard: &mut ManagedGuard,
        limit: Duration,
    ) -> Result<bool, ManagerError> {
        self.wait_until(guard, Some(limit))
    }

    /// Waits as long as `is_to_wait` says so, which is asked with the lock held (in Python: `wait_for`, of the
    /// opposite).
    #[doc(alias = "wait_for")]
    pub fn wait_while(
        &self,
        guard: &mut ManagedGuard,
        mut is_to_wait: impl FnMut() -> bool,
    ) -> Result<(), ManagerError> {
        while is_to_wait() {
            self.wait(guard)?;
        }
        Ok(())
    }

    /// The same, at most for `limit`; false where it still says so then.
    pub fn wait_while_timeout(
        &self,
        guard: &mut ManagedGuard,
        limit: Duration,
        mut is_to_wait: impl FnMut() -> bool,
    ) -> Result<bool, ManagerError> {
        let end = Instant::now().checked_add(limit);
        while is_to_wait() {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            self.wait_until(guard, left)?;
        }
        Ok(true)
    }

    fn wait_until(
        &self,
        guard: &mut ManagedGuard,
        limit: Option<Duration>,
    ) -> Result<bool, ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.limit(limit);
            Ok(())
        };
        let read = |reply: &mut Reply<'_>| Ok((reply.truth()?, reply.truth()?));
        let (is_notified, died) = self.remote.call_as(guard.thread, "wait", write, read)?;
        guard.died = died;
        Ok(is_notified)
    }

    /// Wakes at most `count` of those who wait, the first ones; they go on when the lock is released.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotOwner`] where the guard is of another lock, and see [`ManagerError`].
    pub fn notify(&self, guard: &ManagedGuard, count: usize) -> Result<(), ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.number(count as u64);
            Ok(())
        };
        self.remote.call_as(guard.thread, "notify", write, |_| Ok(()))
    }

    /// Wakes all who wait.
    ///
    /// # Errors
    ///
    /// As for [`notify`](ConditionProxy::notify).
    pub fn notify_all(&self, guard: &ManagedGuard) -> Result<(), ManagerError> {
        self.notify(guard, usize::MAX)
    }
}

/// A condition, in the server. Who waits has a number; what lies here changes with the lock's state in hand.
struct Condition {
    core: Arc<Core>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// In the order in which they came, and whether they are notified.
    tickets: VecDeque<(u64, bool)>,
}

impl Waiting {
    fn notify(&mut self, count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let sleeping = self.tickets.iter_mut().filter(|(_, is_notified)| !is_notified);
        sleeping.take(count).for_each(|(_, is_notified)| *is_notified = true);
    }

    /// Takes a ticket back; whether it is notified.
    fn leave(&mut self, ticket: u64) -> bool {
        let place = self.tickets.iter().position(|(number, _)| *number == ticket);
        place.and_then(|place| self.tickets.remove(place)).is_some_and(|(_, notified)| notified)
    }

    fn is_notified(&self, ticket: u64) -> bool {
        self.tickets.iter().any(|(number, is_notified)| *number == ticket && *is_notified)
    }
}

/// A condition over the lock that the call brings, or over one of its own.
pub(super) fn create_condition(call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    let lock = call.references.next();
    let core = match lock.and_then(|entry| entry.object.lock()) {
        Some(core) => core,
        None => create(true).lock().ok_or(Failure::Garbled)?,
    };
    Ok(Box::new(Condition { core, waiting: Mutex::default() }))
}

impl Condition {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits to be notified; whether it was, and whether the last holder of the lock has died.
    fn wait(&self, call: &Call<'_>, limit: Limit) -> Result<(bool, bool), Failure> {
        let core = &self.core;
        let mut held = core.lock();
        if held.by != Some(call.caller) {
            return Err(Failure::NotOwner);
        }
        let depth = std::mem::take(&mut held.depth);
        held.by = None;
        let mut waiting = self.waiting();
        let ticket = waiting.next;
        waiting.next += 1;
        waiting.tickets.push_back((ticket, false));
        drop(waiting);
        core.changed.notify_all();
        drop(held);
        let (held, _) = call.wait(&core.held, &core.changed, limit, |_| {
            self.waiting().is_notified(ticket).then_some(())
        });
        let is_notified = self.waiting().leave(ticket);
        drop(held);
        let taken = core.take(call, Limit::NEVER);
        let Some(died) = taken else {
            // The caller has gone; what woke it is for another one.
            if is_notified {
                let _held = core.lock();
                self.waiting().notify(1);
                core.changed.notify_all();
            }
            return Err(Failure::NotOwner);
        };
        core.lock().depth = depth;
        Ok((is_notified, died))
    }
}

impl Object for Condition {
    fn kind(&self) -> &str {
        "Condition"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        match call.method {
            "wait" => {
                let limit = call.limit()?;
                let (is_notified, died) = self.wait(call, limit)?;
                call.reply.put_u8(is_notified.into());
                call.reply.put_u8(died.into());
                Ok(())
            }
            "notify" => {
                let count = call.arguments.u64()?;
                let held = self.core.lock();
                if held.by != Some(call.caller) {
                    return Err(Failure::NotOwner);
                }
                self.waiting().notify(count);
                self.core.changed.notify_all();
                Ok(())
            }
            _ => call_lock(&self.core, call, self.kind()),
        }
    }

    fn forget(&self, client: u64) {
        self.core.forget(client);
    }
}
