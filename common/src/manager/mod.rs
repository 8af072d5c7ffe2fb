//! Objects that live in a server process and are used from any other (in Python: `Manager`).
//!
//! [`Manager::new`] starts the server. What it makes there (a list, a dictionary, an object of a type of
//! your own) is used through *proxies*: a proxy has the methods of its object, and each call of one goes to the server,
//! is done there, and comes back. Proxies travel like any handle: in the argument of a
//! [`Process`], in a message, in an element of another object.
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
mod client;
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

use crate::connection::{Client, Handle, ListenerBuilder};
use crate::point::quietly;
use crate::process::{Child, Finalizer, Process, Signal, StartMethod};
use crate::sys::entry::{self, Distance};
use crate::sys::process::random;
use crate::sys::{signal, socket};
use frame::Write as _;
use link::Link;
use message as m;
use registry::Registry;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use server::Server;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub use client::ManagerClient;
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

impl<I> fmt::Debug for ManagerBuilder<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.types.iter().map(|(name, _)| name).collect();
        f.debug_struct("ManagerBuilder").field("types", &names).finish_non_exhaustive()
    }
}
