//! Objects that live in a server process and are used from any other (in Python: `Manager`).
//!
//! [`Manager::new`] starts the server. What it makes there (a list, a dictionary, an object of a type of
//! your own) is used through *proxies*: a proxy has the methods of its object, and each call of one goes to the server,
//! is done there, and comes back. Proxies travel like any handle: in the argument of a
//! [`Process`](crate::Process), in a message, in an element of another object.
//!
//! An object is there as long as somebody refers to it: a proxy in any process, a message on its way, an
//! element of another object. Who is killed refers to nothing and holds no lock any more. Objects that refer to
//! each other in a circle stay until the manager ends, as in Python.
//!
//! One call is one step: no other process sees it half done. Two calls are two: what was read may have been changed
//! before it is written again. For that, an object has [`update`](ListProxy::update), or a lock beside it.
//!
//! The server ends with its manager: when that is shut down or dropped, and when its process is killed. A call fails
//! from then on with [`ManagerError::Ended`].
//!
//! ```
//! use common::manager::{DictProxy, ListProxy};
//! use common::{Manager, Process};
//!
//! fn work((list, dict): (ListProxy<u32>, DictProxy<String, u32>)) -> common::Result<()> {
//!     list.push(&7)?;
//!     dict.insert(&"seven".to_string(), &7)?;
//!     Ok(())
//! }
//!
//! # common::init();
//! let manager = Manager::new()?;
//! let (list, dict) = (manager.list([])?, manager.dict([])?);
//! Process::new(work, (list.clone(), dict.clone())).start()?.join()?;
//! assert_eq!(list.to_vec()?, [7]);
//! assert_eq!(dict.get(&"seven".to_string())?, Some(7));
//! # common::Result::Ok(())
//! ```
//!
//! # System calls
//!
//! `socketpair(2)`, `sendmsg(2)`, `recvmsg(2)`.

mod change;
mod dict;
mod error;
mod event;
mod frame;
mod link;
mod list;
mod lock;
mod message;
mod namespace;
mod object;
mod pool;
mod proxy;
mod queue;
mod registry;
mod server;
mod set;
mod value;

use crate::codec;
use crate::connection::{Address, Client, Handle, ListenerBuilder};
use crate::point::quietly;
use crate::process::{Child, Finalizer, Process, Signal, StartMethod};
use crate::sys::entry::{self, Distance};
use crate::sys::process::random;
use crate::sys::{signal, socket};
use crate::value::Plain;
use frame::Write as _;
use link::Link;
use message as m;
use proxy::sealed::Over as _;
use proxy::{Arguments, Remote};
use registry::Registry;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use server::Server;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub use dict::DictProxy;
pub use error::ManagerError;
pub use event::{BarrierProxy, BoundedSemaphoreProxy, EventProxy, ManagedPermit, SemaphoreProxy};
pub use list::ListProxy;
pub use lock::{ConditionProxy, LockProxy, ManagedGuard, RLockProxy};
pub use namespace::NamespaceProxy;
pub use pool::PoolProxy;
pub use proxy::{Proxied, Proxy};
pub use queue::QueueProxy;
pub use registry::{Managed, Methods};
pub use set::SetProxy;
pub use value::{ArrayProxy, ValueProxy};

/// How long the server may take to end, before it is terminated, and then killed.
const GRACE: Duration = Duration::from_secs(1);
/// When a manager ends, among what is done at the end of a process: before the pools' priority it is still
/// of use to their workers.
const EXIT_PRIORITY: i32 = 10;

/// A server process and the way to it (in Python: `SyncManager`, what `multiprocessing.Manager()` gives). See
/// the [module](self).
///
/// What it can make and say is what any [`ManagerClient`] can.
#[must_use = "dropping it ends its server"]
pub struct Manager {
    client: ManagerClient,
    child: Child,
    end: Finalizer,
}

/// Uses a manager's server that somebody else has started (in Python: a `BaseManager` after `connect`), or one's
/// own.
///
/// One that is reached by an address has everything but what needs functions of the program, or its memory: no
/// `update`, no `sort`, no pools; and it makes no values and arrays, but uses those that are there.
#[derive(Clone)]
pub struct ManagerClient {
    link: Arc<Link>,
}

impl Deref for Manager {
    type Target = ManagerClient;

    fn deref(&self) -> &ManagerClient {
        &self.client
    }
}

/// What the server begins with.
#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "I: DeserializeOwned"))]
struct Start<I: Serialize> {
    door: Handle,
    manager: u64,
    listener: Option<ListenerBuilder>,
    types: Vec<(String, Distance)>,
    initializer: Option<(Distance, I)>,
}

/// The life of a server process; its exit code.
fn serve<I: Serialize + DeserializeOwned>(start: Start<I>) -> i32 {
    // Ctrl-C is for the program; the server ends with it.
    let _ = signal::silence(Signal::INT);
    if let Some((function, argument)) = start.initializer {
        let Some(function) = entry::target::<I, ()>(function) else { return 1 };
        function(argument);
    }
    let Ok(door) = start.door.into_fd() else { return 1 };
    let listener = start.listener.map(ListenerBuilder::bind).transpose();
    let served = match &listener {
        Ok(listener) => Ok(listener.as_ref().map(|listener| listener.address().clone())),
        Err(error) => Err(error.to_string()),
    };
    let server = Server::new(Registry::new(&start.types), door, (start.manager, served));
    if let Ok(Some(listener)) = listener
        && server.listen(listener).is_err()
    {
        return 1;
    }
    server.serve();
    0
}

impl Manager {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Start`].
    #[doc(alias = "SyncManager")]
    pub fn new() -> Result<Self, ManagerError> {
        Self::builder().start()
    }

    /// A manager that is started in another way.
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder::default()
    }

    /// Uses the manager that is served at the address of `client`, by its key (in Python: `connect`).
    ///
    /// ```
    /// use common::Manager;
    /// use common::connection::{Client, Listener};
    /// use common::manager::QueueProxy;
    ///
    /// # common::init();
    /// let listener = Listener::builder().authkey(b"secret");
    /// let manager = Manager::builder().serve(listener).start()?;
    /// manager.publish("jobs", &manager.queue::<String>(0)?)?;
    ///
    /// // In any other program, on this machine or, through a tunnel, on another one:
    /// let address = manager.address()?.expect("it is served");
    /// let there = Manager::connect(Client::new(address).authkey(b"secret"))?;
    /// let jobs: QueueProxy<String> = there.find("jobs")?;
    /// jobs.put(&"hello".to_string())?;
    /// # common::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ManagerError::Ended`] where nobody listens there; [`ManagerError::Io`] with what else went wrong, such as
    /// another key.
    pub fn connect(client: Client) -> Result<ManagerClient, ManagerError> {
        Ok(ManagerClient { link: Link::to(client)? })
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Ends the server, and waits for that; dropping the manager does the same. Calls that wait fail, and so do all
    /// others from then on.
    pub fn shutdown(self) {
        self.end.run();
    }
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
    /// See [`ManagerError`].
    pub fn publish(&self, name: &str, proxy: &impl Proxied) -> Result<(), ManagerError> {
        let number = proxy.remote().number();
        self.link.request(
            |to| {
                to.put_u8(m::PUBLISH);
                to.put_u64(number);
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

    /// An object of a type that was [registered](ManagerBuilder::register) under this name.
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

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manager({:?}, pid {})", self.child.name(), self.child.pid())
    }
}

/// Ends a server: it is asked to, then terminated, then killed.
fn end(link: &Link, child: &Child) {
    quietly(|| {
        let asked = link.request(
            |to| {
                to.put_u8(m::SHUTDOWN);
                Ok(())
            },
            |_| Ok(()),
        );
        let is_over = |limit| matches!(child.join_timeout(limit), Ok(Some(_)) | Err(_));
        if asked.is_ok() && is_over(GRACE) {
            return;
        }
        // One that cannot be told has ended.
        let _ = child.terminate();
        if !is_over(GRACE) {
            let _ = child.kill();
            let _ = child.join();
        }
    });
}

/// How a manager is started; [`start`](ManagerBuilder::start) starts it (in Python: `BaseManager`).
#[must_use = "start() starts the manager"]
pub struct ManagerBuilder<I = ()> {
    types: Vec<(String, Option<Distance>)>,
    method: Option<StartMethod>,
    listener: Option<ListenerBuilder>,
    initializer: Option<(fn(I), I)>,
}

impl Default for ManagerBuilder {
    fn default() -> Self {
        Self { types: Vec::new(), method: None, listener: None, initializer: None }
    }
}

impl<I> ManagerBuilder<I> {
    /// Makes a type of the program known to the server under a name: see [`Managed`].
    pub fn register<T: Managed>(mut self, name: &str) -> Self {
        self.types.push((name.to_string(), entry::of_hook(registry::own::<T>)));
        self
    }

    /// How the server is started, whatever the default is.
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// Has the server call `function` with `argument` before anything else (in Python: `initializer`,
    /// `initargs` of `start`).
    #[doc(alias = "initargs")]
    pub fn initializer<J>(self, function: fn(J), argument: J) -> ManagerBuilder<J> {
        let Self { types, method, listener, .. } = self;
        ManagerBuilder { types, method, listener, initializer: Some((function, argument)) }
    }

    /// Serves the manager at an address as well, to whoever knows the key, which is needed: see
    /// [`Manager::connect`].
    pub fn serve(mut self, listener: ListenerBuilder) -> Self {
        self.listener = Some(listener);
        self
    }
}

impl<I: Serialize + DeserializeOwned> ManagerBuilder<I> {
    /// Starts the server.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Start`]; [`ManagerError::OtherProgram`] where a type or the initializer is code of a
    /// dynamic library.
    pub fn start(self) -> Result<Manager, ManagerError> {
        let known = |(name, hook): (String, Option<Distance>)| Some((name, hook?));
        let types: Option<Vec<_>> = self.types.into_iter().map(known).collect();
        let types = types.ok_or(ManagerError::OtherProgram)?;
        let initializer = match self.initializer {
            None => None,
            Some((function, argument)) => {
                Some((entry::of_target(function).ok_or(ManagerError::OtherProgram)?, argument))
            }
        };
        if self.listener.as_ref().is_some_and(|listener| !listener.has_key()) {
            return Err(ManagerError::NoKey);
        }
        let is_served = self.listener.is_some();
        let manager = u64::from_ne_bytes(random()?);
        let (ours, theirs) = socket::door()?;
        let link = Link::new(manager, Arc::new(ours.into()))?;
        let (door, listener) = (theirs.into(), self.listener);
        let start = Start { door, manager, listener, types, initializer };
        let mut process = Process::worker(serve::<I>, start);
        let name = process.get_name().replacen("Process", "SyncManager", 1);
        process = process.name(name);
        if let Some(method) = self.method {
            process = process.start_method(method);
        }
        let child = quietly(|| process.start())?;
        let ended = (Arc::clone(&link), child.clone());
        let end = Finalizer::at_exit(EXIT_PRIORITY, move || end(&ended.0, &ended.1));
        let manager = Manager { client: ManagerClient { link }, child, end };
        if is_served && let (_, Err(problem)) = manager.client.link.about()? {
            return Err(ManagerError::NotServed(problem));
        }
        Ok(manager)
    }
}

impl fmt::Debug for ManagerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManagerClient").field(&self.link).finish()
    }
}

impl<I> fmt::Debug for ManagerBuilder<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.types.iter().map(|(name, _)| name).collect();
        f.debug_struct("ManagerBuilder").field("types", &names).finish_non_exhaustive()
    }
}
