//! A queue in a manager (in Python: `Queue` and `JoinableQueue` of a `SyncManager`).

use super::error::ManagerError;
use super::frame::Write as _;
use super::message::Failure;
use super::object::{Call, Element, Object};
use super::proxy::{Arguments, Reply, proxy_type};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

proxy_type! {
    /// A queue that lives in a manager (in Python: the `Queue` or `JoinableQueue` of a manager). Between processes of
    /// one machine [`Queue`](crate::Queue) does the same without a server; an item of this one may hold proxies.
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let queue = manager.queue::<String>(0)?;
    /// queue.put(&"hello".to_string())?;
    /// assert_eq!(queue.get()?, "hello");
    /// queue.task_done()?;
    /// queue.join()?;
    /// # common::Result::Ok(())
    /// ```
    QueueProxy<T> "Queue"
}

impl<T: Serialize + DeserializeOwned> QueueProxy<T> {
    /// Puts an item at the end; waits while as many wait as may.
    ///
    /// # Errors
    ///
    /// [`ManagerError::ShutDown`], and see [`ManagerError`], here and below.
    pub fn put(&self, item: &T) -> Result<(), ManagerError> {
        self.put_within(item, None)
    }

    /// The same without waiting (in Python: `put_nowait`).
    ///
    /// # Errors
    ///
    /// [`ManagerError::Full`].
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, item: &T) -> Result<(), ManagerError> {
        self.put_within(item, Some(Duration::ZERO))
    }

    /// The same, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Full`].
    pub fn put_timeout(&self, item: &T, limit: Duration) -> Result<(), ManagerError> {
        self.put_within(item, Some(limit))
    }

    fn put_within(&self, item: &T, limit: Option<Duration>) -> Result<(), ManagerError> {
        let write = |to: &mut Arguments<'_>| to.limit(limit).value(item).map(drop);
        self.remote.call("put", write, |_| Ok(()))
    }

    /// Takes the first item; waits for one.
    ///
    /// # Errors
    ///
    /// [`ManagerError::ShutDown`] where none is left and none will come.
    pub fn get(&self) -> Result<T, ManagerError> {
        self.get_within(None)
    }

    /// The same without waiting (in Python: `get_nowait`).
    ///
    /// # Errors
    ///
    /// [`ManagerError::Empty`].
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<T, ManagerError> {
        self.get_within(Some(Duration::ZERO))
    }

    /// The same, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Empty`].
    pub fn get_timeout(&self, limit: Duration) -> Result<T, ManagerError> {
        self.get_within(Some(limit))
    }

    fn get_within(&self, limit: Option<Duration>) -> Result<T, ManagerError> {
        self.remote.wait("get", limit, |reply| reply.value())
    }

    fn look(&self) -> Result<(u64, bool), ManagerError> {
        let read = |reply: &mut Reply<'_>| Ok((reply.number()?, reply.truth()?));
        self.remote.call("look", |_| Ok(()), read)
    }

    /// How many items wait at this moment (in Python: `qsize`).
    #[doc(alias = "qsize")]
    pub fn len(&self) -> Result<usize, ManagerError> {
        Ok(self.look()?.0 as usize)
    }

    /// Whether none waits at this moment (in Python: `empty`).
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> Result<bool, ManagerError> {
        Ok(self.look()?.0 == 0)
    }

    /// Whether as many wait at this moment as may (in Python: `full`).
    #[doc(alias = "full")]
    pub fn is_full(&self) -> Result<bool, ManagerError> {
        Ok(self.look()?.1)
    }

    /// Says that an item that was taken is done.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NothingInHand`] where that was said for all of them.
    pub fn task_done(&self) -> Result<(), ManagerError> {
        self.remote.tell("task_done")
    }

    /// Waits until every item that was put is done.
    pub fn join(&self) -> Result<(), ManagerError> {
        self.join_within(None).map(drop)
    }

    /// The same, at most for `limit`; whether they are.
    pub fn join_timeout(&self, limit: Duration) -> Result<bool, ManagerError> {
        self.join_within(Some(limit))
    }

    fn join_within(&self, limit: Option<Duration>) -> Result<bool, ManagerError> {
        self.remote.wait("join", limit, |reply| reply.truth())
    }

    /// Lets nothing more come in; what waits can be taken (in Python: `shutdown`, from 3.13 on).
    pub fn shutdown(&self) -> Result<(), ManagerError> {
        self.remote.tell("shutdown")
    }
}

#[derive(Default)]
struct Items {
    waiting: VecDeque<Element>,
    unfinished: u64,
    is_shut: bool,
}

struct Queue {
    items: Mutex<Items>,
    changed: Condvar,
    /// How many may wait.
    most: usize,
}

/// A queue in which so many items may wait, or any number where that is 0.
pub(super) fn create(call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    let most = match call.arguments.u64()? {
        0 => usize::MAX,
        most => usize::try_from(most).unwrap_or(usize::MAX),
    };
    Ok(Box::new(Queue { items: Mutex::default(), changed: Condvar::new(), most }))
}

impl Object for Queue {
    fn kind(&self) -> &str {
        "Queue"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        match call.method {
            "put" => {
                let limit = call.limit()?;
                let item = call.element()?;
                let has_room = |items: &mut Items| {
                    (items.is_shut || items.waiting.len() < self.most).then_some(())
                };
                let (mut items, room) = call.wait(&self.items, &self.changed, limit, has_room);
                if items.is_shut {
                    return Err(Failure::ShutDown);
                }
                room.ok_or(Failure::Full(items.waiting.len() as u64))?;
                items.waiting.push_back(item);
                items.unfinished += 1;
            }
            "get" => {
                let limit = call.limit()?;
                let take = |items: &mut Items| match items.waiting.pop_front() {
                    Some(item) => Some(Some(item)),
                    None => items.is_shut.then_some(None),
                };
                let (items, taken) = call.wait(&self.items, &self.changed, limit, take);
                drop(items);
                let item = taken.ok_or(Failure::Empty)?.ok_or(Failure::ShutDown)?;
                // Who has gone meanwhile takes none along.
                if call.is_left() {
                    self.lock().waiting.push_front(item);
                } else {
                    call.give(&item);
                }
            }
            "look" => {
                let waiting = self.lock().waiting.len();
                call.reply.put_u64(waiting as u64);
                call.reply.put_u8((waiting >= self.most).into());
                return Ok(());
            }
            "task_done" => {
                let mut items = self.lock();
                let in_hand = items.unfinished - items.waiting.len() as u64;
                if in_hand == 0 {
                    return Err(Failure::NothingInHand);
                }
                items.unfinished -= 1;
            }
            "join" => {
                let limit = call.limit()?;
                let is_done = |items: &mut Items| (items.unfinished == 0).then_some(());
                let done = call.wait(&self.items, &self.changed, limit, is_done).1;
                call.reply.put_u8(done.is_some().into());
            }
            "shutdown" => self.lock().is_shut = true,
            _ => return call.unknown("Queue"),
        }
        self.changed.notify_all();
        Ok(())
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Items> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
