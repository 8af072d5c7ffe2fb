//! Events, semaphores and barriers in a manager (in Python: `Event`, `Semaphore`, `BoundedSemaphore`,
//! `Barrier` of a `SyncManager`).

use super::error::ManagerError;
use super::frame::Write as _;
use super::message::Failure;
use super::object::{Call, Object};
use super::proxy::{Remote, Reply, proxy_type};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

proxy_type! {
    /// An event that lives in a manager (in Python: the `Event` of a manager).
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let event = manager.event()?;
    /// assert!(!event.is_set()?);
    /// event.set()?;
    /// event.wait()?;
    /// event.clear()?;
    /// # common::Result::Ok(())
    /// ```
    EventProxy "Event"
}

impl EventProxy {
    /// Lets all who wait go on, until it is cleared.
    ///
    /// # Errors
    ///
    /// See [`ManagerError`], here and below.
    pub fn set(&self) -> Result<(), ManagerError> {
        self.remote.tell("set")
    }

    /// Has those who wait from now on wait.
    pub fn clear(&self) -> Result<(), ManagerError> {
        self.remote.tell("clear")
    }

    /// Whether it is set at this moment.
    pub fn is_set(&self) -> Result<bool, ManagerError> {
        self.remote.call("is_set", |_| Ok(()), |reply| reply.truth())
    }

    /// Waits until it is set.
    pub fn wait(&self) -> Result<(), ManagerError> {
        self.remote.wait("wait", None, |_| Ok(()))
    }

    /// The same, at most for `limit`; whether it is set.
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool, ManagerError> {
        self.remote.wait("wait", Some(limit), |reply| reply.truth())
    }
}

#[derive(Default)]
struct Event {
    is_set: Mutex<bool>,
    changed: Condvar,
}

/// An event that is not set.
pub(super) fn create_event(_: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    Ok(Box::<Event>::default())
}

impl Object for Event {
    fn kind(&self) -> &str {
        "Event"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let is_set = match call.method {
            "set" => {
                *lock(&self.is_set) = true;
                self.changed.notify_all();
                true
            }
            "clear" => std::mem::take(&mut *lock(&self.is_set)),
            "is_set" => *lock(&self.is_set),
            "wait" => {
                let limit = call.limit()?;
                let is_set = |is_set: &mut bool| is_set.then_some(());
                call.wait(&self.is_set, &self.changed, limit, is_set).1.is_some()
            }
            _ => return call.unknown("Event"),
        };
        call.reply.put_u8(is_set.into());
        Ok(())
    }
}

proxy_type! {
    /// A semaphore that lives in a manager (in Python: the `Semaphore` of a manager).
    ///
    /// The permit of a guard returns when the process that holds it ends, however that happens.
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let semaphore = manager.semaphore(1)?;
    /// let permit = semaphore.acquire()?;
    /// assert!(semaphore.try_acquire()?.is_none());
    /// drop(permit);
    /// semaphore.release()?;
    /// assert_eq!(semaphore.value()?, 2);
    /// # common::Result::Ok(())
    /// ```
    SemaphoreProxy "Semaphore"
}

proxy_type! {
    /// A semaphore that has never more permits than at first (in Python: the `BoundedSemaphore` of a
    /// manager).
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// assert!(manager.bounded_semaphore(1)?.release().is_err());
    /// # common::Result::Ok(())
    /// ```
    BoundedSemaphoreProxy "BoundedSemaphore"
}

macro_rules! semaphore_methods {
    ($type:ident) => {
        impl $type {
            /// Waits for a permit.
            ///
            /// # Errors
            ///
            /// See [`ManagerError`], here and below.
            pub fn acquire(&self) -> Result<ManagedPermit, ManagerError> {
                self.take(None)?.ok_or(ManagerError::Ended)
            }

            /// Takes a permit if there is one.
            pub fn try_acquire(&self) -> Result<Option<ManagedPermit>, ManagerError> {
                self.take(Some(Duration::ZERO))
            }

            /// Waits for a permit, at most for `limit`.
            pub fn acquire_timeout(
                &self,
                limit: Duration,
            ) -> Result<Option<ManagedPermit>, ManagerError> {
                self.take(Some(limit))
            }

            fn take(&self, limit: Option<Duration>) -> Result<Option<ManagedPermit>, ManagerError> {
                let is_taken = self.remote.wait("acquire", limit, |reply| reply.truth())?;
                Ok(is_taken.then(|| ManagedPermit(Some(self.remote.clone()))))
            }

            /// Adds a permit: one that was [kept](ManagedPermit::keep), or a new one.
            ///
            /// # Errors
            ///
            /// [`ManagerError::OverRelease`] where a bounded semaphore has all of them.
            pub fn release(&self) -> Result<(), ManagerError> {
                self.remote.tell("release")
            }

            /// How many permits there are at this moment (in Python: `get_value`).
            #[doc(alias = "get_value")]
            pub fn value(&self) -> Result<u32, ManagerError> {
                self.remote.call("value", |_| Ok(()), |reply| Ok(reply.number()? as u32))
            }
        }
    };
}
semaphore_methods!(SemaphoreProxy);
semaphore_methods!(BoundedSemaphoreProxy);

/// A permit of a managed semaphore; given back when this is dropped.
#[must_use = "the permit is given back when this is dropped"]
pub struct ManagedPermit(Option<Remote>);

impl ManagedPermit {
    /// Keeps the permit, also when the process ends; `release` gives it back, from any process.
    ///
    /// # Errors
    ///
    /// See [`ManagerError`].
    pub fn keep(mut self) -> Result<(), ManagerError> {
        self.0.take().map_or(Ok(()), |remote| remote.tell("keep"))
    }
}

impl Drop for ManagedPermit {
    fn drop(&mut self) {
        // A copy that a fork has made is no permit.
        if let Some(remote) = self.0.as_ref().filter(|remote| remote.is_own()) {
            // Where the manager has ended, nothing is left to give back.
            let _ = remote.tell("give_back");
        }
    }
}

impl fmt::Debug for ManagedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManagedPermit").field(&self.0).finish()
    }
}

struct Permits {
    free: u32,
    /// The permits of guards, by the processes that have them.
    held: HashMap<u64, u32>,
}

struct Semaphore {
    permits: Mutex<Permits>,
    changed: Condvar,
    most: Option<u32>,
}

fn create_of(call: &mut Call<'_>, is_bounded: bool) -> Result<Box<dyn Object>, Failure> {
    let free = u32::try_from(call.arguments.u64()?).map_err(|_| Failure::Garbled)?;
    let permits = Mutex::new(Permits { free, held: HashMap::new() });
    Ok(Box::new(Semaphore { permits, changed: Condvar::new(), most: is_bounded.then_some(free) }))
}

/// A semaphore of so many permits.
pub(super) fn create_semaphore(call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    create_of(call, false)
}

/// One that never has more.
pub(super) fn create_bounded_semaphore(call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    create_of(call, true)
}

impl Semaphore {
    fn add(&self, permits: &mut Permits, count: u32) -> Result<(), Failure> {
        let free = permits.free.saturating_add(count);
        if let Some(most) = self.most.filter(|most| free > *most) {
            return Err(Failure::OverRelease(most));
        }
        permits.free = free;
        self.changed.notify_all();
        Ok(())
    }
}

impl Object for Semaphore {
    fn kind(&self) -> &str {
        if self.most.is_some() { "BoundedSemaphore" } else { "Semaphore" }
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let client = call.caller.client;
        let release_held = |permits: &mut Permits| match permits.held.get_mut(&client) {
            Some(held) if *held > 0 => {
                *held -= 1;
                true
            }
            _ => false,
        };
        match call.method {
            "acquire" => {
                let limit = call.limit()?;
                let take = |permits: &mut Permits| {
                    permits.free = permits.free.checked_sub(1)?;
                    *permits.held.entry(client).or_default() += 1;
                    Some(())
                };
                let taken = call.wait(&self.permits, &self.changed, limit, take).1;
                call.reply.put_u8(taken.is_some().into());
            }
            "release" => self.add(&mut lock(&self.permits), 1)?,
            "give_back" => {
                let mut permits = lock(&self.permits);
                if release_held(&mut permits) {
                    self.add(&mut permits, 1)?;
                }
            }
            "keep" => drop(release_held(&mut lock(&self.permits))),
            "value" => {
                let free = lock(&self.permits).free;
                call.reply.put_u64(free.into());
            }
            _ => return call.unknown(self.kind()),
        }
        Ok(())
    }

    fn forget(&self, client: u64) {
        let mut permits = lock(&self.permits);
        if let Some(held) = permits.held.remove(&client) {
            // One that was released by hand meanwhile is not given back twice.
            let room = self.most.map_or(held, |most| held.min(most - permits.free.min(most)));
            let _ = self.add(&mut permits, room);
        }
    }
}

proxy_type! {
    /// A barrier that lives in a manager (in Python: the `Barrier` of a manager). It breaks where a process that waits
    /// at it ends.
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let barrier = manager.barrier(1)?;
    /// assert_eq!(barrier.wait()?, 0);
    /// assert_eq!((barrier.parties()?, barrier.n_waiting()?, barrier.is_broken()?), (1, 0, false));
    /// # common::Result::Ok(())
    /// ```
    BarrierProxy "Barrier"
}

impl BarrierProxy {
    /// Waits until all parties do; which of them this one is, from 0 on, in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`ManagerError::BrokenBarrier`], and see [`ManagerError`], here and below.
    pub fn wait(&self) -> Result<u32, ManagerError> {
        self.remote.wait("wait", None, |reply| Ok(reply.number()? as u32))
    }

    /// The same, at most for `limit`: then the barrier breaks.
    pub fn wait_timeout(&self, limit: Duration) -> Result<u32, ManagerError> {
        self.remote.wait("wait", Some(limit), |reply| Ok(reply.number()? as u32))
    }

    /// Breaks it: all who wait get an error, and all who come.
    pub fn abort(&self) -> Result<(), ManagerError> {
        self.remote.tell("abort")
    }

    /// Makes it as it was at first; who waits gets an error.
    pub fn reset(&self) -> Result<(), ManagerError> {
        self.remote.tell("reset")
    }

    fn look(&self) -> Result<(u64, u64, bool), ManagerError> {
        let read = |reply: &mut Reply<'_>| Ok((reply.number()?, reply.number()?, reply.truth()?));
        self.remote.call("look", |_| Ok(()), read)
    }

    /// How many have to come.
    pub fn parties(&self) -> Result<u32, ManagerError> {
        Ok(self.look()?.0 as u32)
    }

    /// How many wait at this moment.
    pub fn n_waiting(&self) -> Result<u32, ManagerError> {
        Ok(self.look()?.1 as u32)
    }

    /// Whether it is broken.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> Result<bool, ManagerError> {
        Ok(self.look()?.2)
    }
}

#[derive(Default)]
struct Round {
    number: u64,
    waiting: u64,
    is_broken: bool,
    /// The rounds that ended before all had come, and how many have not seen it yet.
    failed: HashMap<u64, u64>,
}

impl Round {
    /// Ends it before all have come.
    fn fail(&mut self) {
        if self.waiting > 0 {
            self.failed.insert(self.number, self.waiting);
        }
        self.waiting = 0;
        self.number += 1;
    }

    /// Whether a round has failed, for one who waited in it.
    fn has_failed(&mut self, number: u64) -> bool {
        let Some(left) = self.failed.get_mut(&number) else { return false };
        *left -= 1;
        if *left == 0 {
            self.failed.remove(&number);
        }
        true
    }
}

struct Barrier {
    parties: u64,
    round: Mutex<Round>,
    changed: Condvar,
}

/// A barrier of so many parties.
pub(super) fn create_barrier(call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    let parties = call.arguments.u64()?.max(1);
    Ok(Box::new(Barrier { parties, round: Mutex::default(), changed: Condvar::new() }))
}

impl Barrier {
    /// Waits for the others; which one the caller is.
    fn wait(&self, call: &mut Call<'_>) -> Result<u64, Failure> {
        let limit = call.limit()?;
        let mut round = lock(&self.round);
        if round.is_broken {
            return Err(Failure::BrokenBarrier);
        }
        let (place, number) = (round.waiting, round.number);
        round.waiting += 1;
        if round.waiting == self.parties {
            round.waiting = 0;
            round.number += 1;
            self.changed.notify_all();
            return Ok(place);
        }
        drop(round);
        let is_over = |round: &mut Round| (round.number != number).then_some(());
        let (mut round, over) = call.wait(&self.round, &self.changed, limit, is_over);
        if over.is_none() {
            self.destroy(&mut round);
        }
        if round.has_failed(number) { Err(Failure::BrokenBarrier) } else { Ok(place) }
    }

    fn destroy(&self, round: &mut Round) {
        round.fail();
        round.is_broken = true;
        self.changed.notify_all();
    }
}

impl Object for Barrier {
    fn kind(&self) -> &str {
        "Barrier"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        match call.method {
            "wait" => {
                let place = self.wait(call)?;
                call.reply.put_u64(place);
            }
            "abort" => self.destroy(&mut lock(&self.round)),
            "reset" => {
                let mut round = lock(&self.round);
                round.fail();
                round.is_broken = false;
                self.changed.notify_all();
            }
            "look" => {
                let round = lock(&self.round);
                call.reply.put_u64(self.parties);
                call.reply.put_u64(round.waiting);
                call.reply.put_u8(round.is_broken.into());
            }
            _ => return call.unknown("Barrier"),
        }
        Ok(())
    }
}
