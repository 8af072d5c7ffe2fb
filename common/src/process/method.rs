//! The three ways to make a process, and which one is meant when none is named.

use super::Process;
use super::outcome::Outcome;
use super::state;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How a child comes to be (in Python: `"spawn"`, `"forkserver"`, `"fork"`).
///
/// The same program runs under each without a change: the child gets its argument and the handles
/// in it, and nothing else of common's.
///
/// | | a child is | costs | right when |
/// | --- | --- | --- | --- |
/// | [`Spawn`](StartMethod::Spawn) | this executable, started again | most | always |
/// | [`ForkServer`](StartMethod::ForkServer) | a copy of a small helper process | little | always; what the program has done before is not in the child |
/// | [`Fork`](StartMethod::Fork) | a copy of this process | little, and more with each MB | this process has one thread |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StartMethod {
    /// The executable is started again, and the child finds its target in it.
    #[default]
    Spawn,
    /// A helper process, started again once, is copied for each child. It is renewed when the
    /// working directory, the environment or the standard streams of this process change.
    ForkServer,
    /// This process is copied, with all its memory. Where it has several threads it is refused,
    /// because a lock that another thread holds stays locked in the child for ever.
    Fork,
}

impl StartMethod {
    /// All of them, the default first (in Python: `get_all_start_methods`).
    #[doc(alias = "get_all_start_methods")]
    pub const ALL: [Self; 3] = [Self::Spawn, Self::ForkServer, Self::Fork];

    /// Its name, as Python writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::ForkServer => "forkserver",
            Self::Fork => "fork",
        }
    }
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No start method has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no start method {0:?}; choose spawn, forkserver or fork")]
pub struct UnknownStartMethod(String);

impl FromStr for StartMethod {
    type Err = UnknownStartMethod;

    fn from_str(name: &str) -> Result<Self, UnknownStartMethod> {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| UnknownStartMethod(name.to_string()))
    }
}

/// The default was fixed before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the start method is {0} already; set it once, before the first process, or name one at the \
     process itself"
)]
pub struct StartMethodAlreadySet(pub StartMethod);

/// Fixes the start method of every process that names none.
///
/// ```
/// use common::StartMethod;
///
/// common::set_start_method(StartMethod::ForkServer)?;
/// assert_eq!(common::process::start_method(), StartMethod::ForkServer);
/// # Ok::<(), common::process::StartMethodAlreadySet>(())
/// ```
///
/// # Errors
///
/// Where it is fixed already: by this function, by [`start_method`], by the first process that was
/// started without naming one; and in a child, whose default is what started it.
pub fn set_start_method(method: StartMethod) -> Result<(), StartMethodAlreadySet> {
    let mut state = state::lock();
    match state.method {
        Some(fixed) => Err(StartMethodAlreadySet(fixed)),
        None => {
            state.method = Some(method);
            Ok(())
        }
    }
}

/// As [`set_start_method`], fixed already or not; `None` makes it open again (in Python:
/// `set_start_method(method, force=True)`).
pub fn force_start_method(method: Option<StartMethod>) {
    state::lock().method = method;
}

/// The start method of a process that names none; from now on it is fixed (in Python:
/// `get_start_method()`).
#[doc(alias = "get_start_method")]
#[must_use]
pub fn start_method() -> StartMethod {
    *state::lock().method.get_or_insert_default()
}

/// The start method if it is fixed (in Python: `get_start_method(allow_none=True)`).
#[must_use]
pub fn start_method_if_set() -> Option<StartMethod> {
    state::lock().method
}

/// Makes processes that all start in one way, whatever the default is (in Python: `get_context`).
///
/// ```
/// use common::StartMethod;
/// use common::process::Context;
///
/// # common::init();
/// let context = Context::new(StartMethod::ForkServer);
/// let child = context.process(|number: i32| number, 3).start()?;
/// assert_eq!(child.join()?.code(), Some(3));
/// assert_eq!(common::process::start_method_if_set(), None);
/// # common::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    method: StartMethod,
}

impl Context {
    /// A context of this start method.
    #[doc(alias = "get_context")]
    #[must_use]
    pub const fn new(method: StartMethod) -> Self {
        Self { method }
    }

    /// Its start method.
    #[must_use]
    pub const fn start_method(&self) -> StartMethod {
        self.method
    }

    /// As [`Process::new`], started in this context's way.
    pub fn process<A, R>(&self, target: fn(A) -> R, argument: A) -> Process<A, R>
    where
        A: Serialize + DeserializeOwned,
        R: Outcome,
    {
        Process::new(target, argument).start_method(self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_parsed_from_its_name() {
        for method in StartMethod::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        let error = "vfork".parse::<StartMethod>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no start method \"vfork\"; choose spawn, forkserver or fork"
        );
    }
}
