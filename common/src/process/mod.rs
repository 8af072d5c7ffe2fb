//! Start a function in a process of its own, wait for it, end it (in Python: `Process`).
//!
//! A [`Process`] is made, named and started; what runs then is a [`Child`]. In the child, [`init`],
//! the first line of `main`, receives the function (as its distance in the executable) and its
//! argument over a socket that the parent gave it, calls it, and leaves. It never returns to the
//! child's `main`. Three [`StartMethod`]s do the same in three ways.
//!
//! A child holds the standard streams, what its argument brings, what tells it that its parent lives,
//! and the sign that it belongs to this program; no other descriptor, whatever the parent has open. (A
//! forked child keeps what the program has opened by other means than this crate.)
//!
//! # The end of main
//!
//! When a process ends by itself, its finalizers run ([`Finalizer`], [`at_exit`]), its daemons are
//! terminated, and killed after a second, and its other children are waited for. When it is killed,
//! the kernel kills its daemons with it; its other children live on and can see it: [`parent`].
//!
//! | | reads |
//! | --- | --- |
//! | [`Process::start`]: what the parent does, and both sides in one table | `start.rs` |
//! | [`init`]: what the child does | `begin.rs` |
//! | a process that makes children by copying itself | `server.rs` |
//! | the one behind [`StartMethod::ForkServer`] | `forkserver.rs` |
//! | the one that makes the workers of a pool | `zygote.rs` |
//! | the end | `exit.rs` |
//! | who belongs to a program, and when its last process has ended | `family.rs` |

mod begin;
mod child;
mod current;
mod exit;
pub(crate) mod family;
mod forkserver;
mod method;
mod outcome;
mod server;
mod start;
mod state;
mod zygote;

pub use crate::sys::signal::{Signal, UnknownSignal};
pub use begin::{init, init_before_main, is_child};
pub use child::{Child, Exit, JoinError, StillRunning};
pub use current::{AuthKey, Current, Parent, active_children, args, current, parent, set_authkey};
pub use exit::{Finalizer, at_exit};
pub use forkserver::{Preload, set_forkserver_preload};
pub use method::{
    Context, StartMethod, StartMethodAlreadySet, UnknownStartMethod, force_start_method,
    set_start_method, start_method, start_method_if_set,
};
pub use outcome::{Outcome, Run};
pub use server::OnError;
pub use start::StartError;

pub(crate) use exit::is_leaving;
pub(crate) use start::{Starting, launch};
pub(crate) use state::Origin;
pub(crate) use zygote::Zygote;

use crate::point::{self, Name, Operation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A process that has not been started (in Python: `Process`).
///
/// The target is a function of one argument; a tuple or a struct holds several. A closure will do
/// where it captures nothing: what it needs goes into the argument.
///
/// ```
/// use common::Process;
///
/// fn add((a, b): (u32, u32)) {
///     println!("{}", a + b);
/// }
///
/// # common::init();
/// let child = Process::new(add, (1, 2)).name("adder").start()?;
/// assert_eq!(child.name(), "adder");
/// child.join()?;
/// # common::Result::Ok(())
/// ```
///
/// What is captured cannot travel, and the compiler says so:
///
/// ```compile_fail
/// let secret = 7;
/// common::Process::new(|x: u32| println!("{}", x + secret), 1);
/// ```
///
/// It is started once:
///
/// ```compile_fail
/// let process = common::Process::new(|()| (), ());
/// process.start();
/// process.start();
/// ```
#[derive(Debug)]
#[must_use = "a process runs after start()"]
pub struct Process<A, R> {
    target: fn(A) -> R,
    argument: A,
    name: String,
    daemon: bool,
    /// It may start processes although it is a daemon.
    worker: bool,
    /// It is nobody's child to see or wait for.
    hidden: bool,
    /// It belongs to no family, and nothing ends it with this process.
    alone: bool,
    method: Option<StartMethod>,
    forced: bool,
    /// Who makes it, where a pool has somebody for that.
    zygote: Option<Arc<Zygote>>,
    identity: Vec<u64>,
}

impl<A: Serialize + DeserializeOwned, R: Outcome> Process<A, R> {
    /// A process that will call `target` with `argument`.
    ///
    /// It is named `Process-N`, N counting those that this process has made; `Process-N:M` where
    /// this one is the Nth of its parent. It is a daemon if this one is.
    pub fn new(target: fn(A) -> R, argument: A) -> Self {
        let mut state = state::lock();
        let identity = state.next_identity();
        let numbers: Vec<String> = identity.iter().map(u64::to_string).collect();
        let daemon = state.life.as_ref().is_some_and(|life| life.daemon);
        Self {
            target,
            argument,
            name: format!("Process-{}", numbers.join(":")),
            daemon,
            worker: false,
            hidden: false,
            alone: false,
            method: None,
            forced: false,
            zygote: None,
            identity,
        }
    }

    /// A process that runs `value`: see [`Run`].
    pub fn of(value: A) -> Self
    where
        A: Run<R>,
    {
        Self::new(A::run, value)
    }

    /// A worker of a pool: a daemon that may start processes.
    pub(crate) fn worker(target: fn(A) -> R, argument: A) -> Self {
        Self { daemon: true, worker: true, ..Self::new(target, argument) }
    }

    /// It is a copy of the zygote.
    pub(crate) fn by(self, zygote: Option<Arc<Zygote>>) -> Self {
        Self { zygote, ..self }
    }

    /// A process of this crate's own, which the program does not see.
    fn helper(name: &str, target: fn(A) -> R, argument: A) -> Self {
        Self {
            target,
            argument,
            name: name.to_string(),
            daemon: true,
            worker: true,
            hidden: true,
            alone: false,
            method: Some(StartMethod::Spawn),
            forced: false,
            zygote: None,
            identity: Vec::new(),
        }
    }

    /// A helper that outlives this process and its family.
    pub(crate) fn helper_alone(name: &str, target: fn(A) -> R, argument: A) -> Self {
        Self { daemon: false, alone: true, ..Self::helper(name, target, argument) }
    }

    /// Names it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Makes it a daemon (in Python: `daemon=True`): it ends when this process ends, however that
    /// happens, and it may not start processes.
    pub fn daemon(mut self) -> Self {
        self.daemon = true;
        self
    }

    /// Makes it no daemon, whatever this process is (in Python: `daemon=False`).
    pub fn no_daemon(mut self) -> Self {
        self.daemon = false;
        self
    }

    /// Starts it in this way, whatever the default is.
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// Lets [`StartMethod::Fork`] copy a process of several threads.
    ///
    /// The child has only the thread that forks. A lock that another one holds at that moment (in
    /// the standard library's output, in a C library, in the program) is never released in it; the
    /// caller knows that the child will not need one.
    pub fn even_with_threads(mut self) -> Self {
        self.forced = true;
        self
    }

    /// The name that it will have.
    #[must_use]
    pub fn get_name(&self) -> &str {
        &self.name
    }

    /// Whether it will be a daemon.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// Starts it, and returns when it has its argument. This process's copy of the argument is
    /// dropped, so a connection inside it is open in the child only.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; nothing is left running then.
    #[track_caller]
    pub fn start(self) -> Result<Child, StartError> {
        point::before_of(Operation::Start, || Name::of_process(&self.identity));
        point::quietly(|| launch(self)?.begun())
    }
}

/// The name of this process.
pub(crate) fn own_name() -> String {
    state::lock().name().to_string()
}

/// This process, as others know it.
pub(crate) fn origin() -> std::io::Result<Origin> {
    state::lock().origin()
}

/// The numbers of this process, and of those that it comes from.
pub(crate) fn path() -> Vec<u64> {
    state::lock().path()
}
