//! What can be done with a manager by whoever has a way to it: make objects, publish and find them.

use super::frame::Write as _;
use super::link::Link;
use super::message as m;
use super::proxy::sealed::Over as _;
use super::proxy::{Arguments, Remote};
use super::{
    ArrayProxy, BarrierProxy, BoundedSemaphoreProxy, ConditionProxy, DictProxy, EventProxy,
    ListProxy, LockProxy, Managed, ManagerError, NamespaceProxy, PoolProxy, Proxied, Proxy,
    QueueProxy, RLockProxy, SemaphoreProxy, SetProxy, ValueProxy, pool, registry, value,
};
use crate::codec;
use crate::connection::Address;
use crate::sys::entry;
use crate::value::Plain;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// A name has at most so many bytes.
const LONGEST: usize = 255;

/// Uses a manager's server that somebody else has started (in Python: a `BaseManager` after `connect`), or one's
/// own.
///
/// One that is reached by an address has everything but what needs functions of the program, or its memory: no
/// `update`, no `sort`, no pools; and it makes no values and arrays, but uses those that are there.
#[derive(Clone)]
pub struct ManagerClient {
    pub(super) link: Arc<Link>,
}

impl ManagerClient {
    /// Where the manager is served, if it is (in Python: `address`).
    ///
    /// # Errors
    ///
    /// See [`ManagerError`].
    pub fn address(&self) -> Result<Option<Address>, ManagerError> {
        Ok(self.link.about()?.1.unwrap_or(None))
    }

    /// Has the object be found by a name, also where no proxy of it is left. One that was found by it before is
    /// no more.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OtherManager`], [`ManagerError::LongName`].
    pub fn publish(&self, name: &str, proxy: &impl Proxied) -> Result<(), ManagerError> {
        let remote = proxy.remote();
        if remote.link().manager() != self.link.manager() {
            return Err(ManagerError::OtherManager);
        }
        if name.len() > LONGEST {
            return Err(ManagerError::LongName(name.len()));
        }
        self.link.request(
            |to| {
                to.put_u8(m::PUBLISH);
                to.put_u64(remote.number());
                to.put_name(name);
                Ok(())
            },
            |_| Ok(()),
        )
    }

    /// The object that is published under this name.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NoName`], [`ManagerError::OtherKind`].
    pub fn find<P: Proxied>(&self, name: &str) -> Result<P, ManagerError> {
        if name.len() > LONGEST {
            return Err(ManagerError::NoName(name.to_string()));
        }
        let (number, kind) = self.link.request(
            |to| {
                to.put_u8(m::FIND);
                to.put_name(name);
                Ok(())
            },
            |mut answer| {
                let number = answer.u64().map_err(m::Failure::from)?;
                Ok((number, answer.name().map_err(m::Failure::from)?.to_string()))
            },
        )?;
        let remote = Remote::counted(Arc::clone(&self.link), number);
        // A type of the program's own has any name.
        if P::KIND.is_empty() || kind == P::KIND {
            Ok(P::over(remote))
        } else {
            Err(ManagerError::OtherKind { name: name.to_string(), kind })
        }
    }

    /// A list of these elements (in Python: `list`).
    ///
    /// # Errors
    ///
    /// See [`ManagerError`].
    pub fn list<T: Serialize + DeserializeOwned>(
        &self,
        elements: impl IntoIterator<Item = T>,
    ) -> Result<ListProxy<T>, ManagerError> {
        let elements: Vec<T> = elements.into_iter().collect();
        let remote = Remote::create(&self.link, "list", |to| to.values(&elements).map(drop))?;
        Ok(ListProxy::over(remote))
    }

    /// A set of these items (in Python: `set`, from 3.14 on).
    ///
    /// # Errors
    ///
    /// See [`ManagerError`].
    pub fn set<T: Serialize + DeserializeOwned>(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> Result<SetProxy<T>, ManagerError> {
        let items: Vec<T> = items.into_iter().collect();
        let remote = Remote::create(&self.link, "set", |to| to.values(&items).map(drop))?;
        Ok(SetProxy::over(remote))
    }

    /// A dictionary of these entries (in Python: `dict`).
    ///
    /// # Errors
    ///
    /// See [`ManagerError`].
    pub fn dict<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<DictProxy<K, V>, ManagerError> {
        let dict = DictProxy::over(Remote::create(&self.link, "dict", |_| Ok(()))?);
        let entries: Vec<(K, V)> = entries.into_iter().collect();
        if !entries.is_empty() {
            dict.extend(entries.iter().map(|(key, value)| (key, value)))?;
        }
        Ok(dict)
    }

    /// A namespace without names (in Python: `Namespace`).
    ///
    /// # Errors
    ///
    /// See [`ManagerError`], here and below.
    pub fn namespace(&self) -> Result<NamespaceProxy, ManagerError> {
        self.plain()
    }

    /// A lock that nobody holds (in Python: `Lock`).
    pub fn lock(&self) -> Result<LockProxy, ManagerError> {
        self.plain()
    }

    /// A lock that its holder may take again (in Python: `RLock`).
    pub fn rlock(&self) -> Result<RLockProxy, ManagerError> {
        self.plain()
    }

    /// A condition over an [`RLockProxy`] of its own (in Python: `Condition()`).
    pub fn condition(&self) -> Result<ConditionProxy, ManagerError> {
        self.plain()
    }

    /// A condition over a lock (in Python: `Condition(lock)`).
    pub fn condition_with(&self, lock: &LockProxy) -> Result<ConditionProxy, ManagerError> {
        let write = |to: &mut Arguments<'_>| to.value(lock).map(drop);
        Ok(ConditionProxy::over(Remote::create(&self.link, ConditionProxy::KIND, write)?))
    }

    /// An event that is not set (in Python: `Event`).
    pub fn event(&self) -> Result<EventProxy, ManagerError> {
        self.plain()
    }

    /// A semaphore of so many permits (in Python: `Semaphore`).
    pub fn semaphore(&self, permits: u32) -> Result<SemaphoreProxy, ManagerError> {
        self.of_number(permits.into())
    }

    /// A semaphore that has never more than so many permits (in Python: `BoundedSemaphore`).
    pub fn bounded_semaphore(&self, permits: u32) -> Result<BoundedSemaphoreProxy, ManagerError> {
        self.of_number(permits.into())
    }

    /// A barrier of so many parties, at least one (in Python: `Barrier`).
    pub fn barrier(&self, parties: u32) -> Result<BarrierProxy, ManagerError> {
        self.of_number(parties.into())
    }

    /// A queue in which at most so many items wait, or any number where that is 0 (in Python: `Queue`,
    /// `JoinableQueue`).
    #[doc(alias = "JoinableQueue")]
    pub fn queue<T: Serialize + DeserializeOwned>(
        &self,
        maxsize: usize,
    ) -> Result<QueueProxy<T>, ManagerError> {
        self.of_number(maxsize as u64)
    }

    /// A number, or other plain data (in Python: `Value`).
    pub fn value<T: Plain + 'static>(&self, value: T) -> Result<ValueProxy<T>, ManagerError> {
        let maker = entry::of_target(value::make_value::<T> as registry::Maker);
        let remote = Remote::make(&self.link, maker, bytemuck::bytes_of(&value))?;
        Ok(ValueProxy::over(remote))
    }

    /// Numbers, or other plain data (in Python: `Array`).
    pub fn array<T: Plain + 'static>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<ArrayProxy<T>, ManagerError> {
        let values: Vec<T> = values.into_iter().collect();
        let maker = entry::of_target(value::make_array::<T> as registry::Maker);
        let remote = Remote::make(&self.link, maker, bytemuck::cast_slice(&values))?;
        Ok(ArrayProxy::over(remote))
    }

    /// A pool of so many workers, which are children of the server (in Python: `Pool`).
    pub fn pool(&self, workers: usize) -> Result<PoolProxy, ManagerError> {
        let maker = entry::of_target(pool::make as registry::Maker);
        let remote = Remote::make(&self.link, maker, &(workers as u64).to_le_bytes())?;
        Ok(PoolProxy::over(remote))
    }

    /// An object that is made from nothing.
    fn plain<P: Proxied>(&self) -> Result<P, ManagerError> {
        Ok(P::over(Remote::create(&self.link, P::KIND, |_| Ok(()))?))
    }

    /// An object that is made from a number.
    fn of_number<P: Proxied>(&self, number: u64) -> Result<P, ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.number(number);
            Ok(())
        };
        Ok(P::over(Remote::create(&self.link, P::KIND, write)?))
    }

    /// An object of a type that was [registered](super::ManagerBuilder::register) under this name.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NoType`], [`ManagerError::Failed`] where its making panics.
    pub fn create<T: Managed>(
        &self,
        name: &str,
        argument: &T::Argument,
    ) -> Result<Proxy<T>, ManagerError> {
        let argument = codec::encode_data(argument, "an object is made from data")?;
        let remote = Remote::create(&self.link, name, |to| {
            to.bytes(&argument);
            Ok(())
        })?;
        Ok(Proxy::over(remote))
    }

    /// How many objects there are at this moment.
    ///
    /// # Errors
    ///
    /// See [`ManagerError`].
    #[doc(alias = "_number_of_objects")]
    pub fn number_of_objects(&self) -> Result<usize, ManagerError> {
        self.link.request(
            |to| {
                to.put_u8(m::COUNT);
                Ok(())
            },
            |mut answer| Ok(answer.u64().map_err(m::Failure::from)? as usize),
        )
    }
}

impl fmt::Debug for ManagerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManagerClient").field(&self.link).finish()
    }
}
