//! A pool in a manager (in Python: the `Pool` of a `SyncManager`).

use super::error::ManagerError;
use super::message::Failure;
use super::object::{Call, Element, Object};
use super::proxy::{Arguments, proxy_type};
use crate::Pool;
use crate::codec;
use crate::pool::MapError;
use crate::sys::entry::{self, Distance};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::sync::Arc;

proxy_type! {
    /// A pool whose workers are children of the manager's server, for any process that has the proxy (in Python:
    /// `PoolProxy`).
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let pool = manager.pool(2)?;
    /// assert_eq!(pool.apply(|x: u64| x + 1, &1)?, 2);
    /// assert_eq!(pool.map(|x: u64| x * x, &[1, 2, 3])?, [1, 4, 9]);
    /// # common::Result::Ok(())
    /// ```
    PoolProxy "Pool"
}

const NO_HANDLES: &str = "what a pool of a manager gives holds data only";

/// What knows the types of a call.
type Trampoline = fn(Distance, &mut Work) -> Result<Vec<u8>, Failure>;

/// A call of a function by the pool.
struct Work {
    pool: Arc<Pool>,
    argument: Element,
}

impl PoolProxy {
    /// Calls `function` with `argument` in a worker, and waits for the value.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Failed`] where the call panicked or its worker died; see [`ManagerError`] for the rest.
    pub fn apply<A, R>(&self, function: fn(A) -> R, argument: &A) -> Result<R, ManagerError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.work(apply::<A, R>, entry::of_target(function), argument)
    }

    /// Calls `function` for each input, and waits for the values, which stand in the order of the inputs.
    ///
    /// # Errors
    ///
    /// As for [`apply`](PoolProxy::apply), of the first call that failed.
    pub fn map<A, R>(&self, function: fn(A) -> R, inputs: &[A]) -> Result<Vec<R>, ManagerError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.work(map::<A, R>, entry::of_target(function), inputs)
    }

    fn work<R: DeserializeOwned>(
        &self,
        trampoline: Trampoline,
        function: Option<Distance>,
        argument: &(impl Serialize + ?Sized),
    ) -> Result<R, ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.function(entry::of_trampoline(trampoline), function)?.value(argument).map(drop)
        };
        self.remote.call("work", write, |reply| reply.value())
    }
}

fn failed(error: impl Display) -> Failure {
    Failure::Failed(error.to_string())
}

fn apply<A, R>(function: Distance, work: &mut Work) -> Result<Vec<u8>, Failure>
where
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    let function = entry::target::<A, R>(function).ok_or(Failure::OtherProgram)?;
    let argument = codec::decode(&work.argument.bytes, Vec::new()).map_err(failed)?;
    let value = work.pool.apply(function, argument).map_err(failed)?;
    codec::encode_data(&value, NO_HANDLES).map_err(failed)
}

fn map<A, R>(function: Distance, work: &mut Work) -> Result<Vec<u8>, Failure>
where
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    let function = entry::target::<A, R>(function).ok_or(Failure::OtherProgram)?;
    let inputs: Vec<A> = codec::decode(&work.argument.bytes, Vec::new()).map_err(failed)?;
    let values = work.pool.map(function, inputs).map_err(|error: MapError<R>| failed(error))?;
    codec::encode_data(&values, NO_HANDLES).map_err(failed)
}

struct Kept(Arc<Pool>);

/// A pool of so many workers, in the server.
pub(super) fn make(workers: Vec<u8>) -> Result<Box<dyn Object>, Failure> {
    let workers = workers.try_into().map_err(|_| Failure::Garbled)?;
    let pool = Pool::new(u64::from_le_bytes(workers) as usize).map_err(failed)?;
    Ok(Box::new(Kept(Arc::new(pool))))
}

impl Object for Kept {
    fn kind(&self) -> &str {
        "Pool"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        if call.method != "work" {
            return call.unknown("Pool");
        }
        let (trampoline, function) = (call.arguments.u64()?, call.arguments.u64()?);
        let trampoline: Option<Trampoline> = entry::trampoline(trampoline).filter(|_| call.is_kin);
        let trampoline = trampoline.ok_or(Failure::OtherProgram)?;
        let mut work = Work { pool: Arc::clone(&self.0), argument: call.element()? };
        let bytes = trampoline(function, &mut work)?;
        call.give(&Element { bytes: bytes.into(), refers: Vec::new() });
        Ok(())
    }
}
