//! Which types a manager's server can make objects of.

use super::message::Failure;
use super::object::{Call, Object};
use super::{dict, event, list, lock, namespace, queue, set};
use crate::codec;
use crate::sys::entry::{self, Distance};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const NO_HANDLES: &str = "a handle cannot go to an object of a manager; give the program's own processes \
                          the handle";

/// A type of the program whose objects live in a manager (in Python: what is given to `register`).
///
/// ```
/// use common::manager::{Managed, Manager, Methods};
///
/// struct Counter(u64);
///
/// impl Managed for Counter {
///     type Argument = u64;
///
///     fn create(start: u64) -> Self {
///         Self(start)
///     }
///
///     fn methods(methods: &mut Methods<Self>) {
///         methods.add("add", |counter, step: u64| {
///             counter.0 += step;
///             counter.0
///         });
///         methods.add("value", |counter, ()| counter.0);
///     }
/// }
///
/// # common::init();
/// let manager = Manager::builder().register::<Counter>("Counter").start()?;
/// let counter = manager.create::<Counter>("Counter", &10)?;
/// assert_eq!(counter.call::<u64>("add", &5u64)?, 15);
/// assert_eq!(counter.call::<u64>("value", &())?, 15);
/// # common::Result::Ok(())
/// ```
pub trait Managed: Sized + Send + 'static {
    /// What an object is made from.
    type Argument: Serialize + DeserializeOwned;

    /// A new object, in the server.
    fn create(argument: Self::Argument) -> Self;

    /// Names the methods that a proxy may call, once in each server.
    fn methods(methods: &mut Methods<Self>);
}

/// The methods of a [`Managed`] type.
pub struct Methods<T>(HashMap<String, Method<T>>);

type Method<T> = Box<dyn Fn(&mut T, &[u8]) -> Result<Vec<u8>, Failure> + Send + Sync>;

impl<T: 'static> Methods<T> {
    /// Adds a method, or puts it in the place of one that has the name. One call of an object runs at a
    /// time; where one panics, its caller is told, and the object goes on.
    pub fn add<A, R>(&mut self, name: &str, method: impl Fn(&mut T, A) -> R + Send + Sync + 'static)
    where
        A: DeserializeOwned,
        R: Serialize,
    {
        let call = move |object: &mut T, argument: &[u8]| {
            let argument = codec::decode(argument, Vec::new())
                .map_err(|error| Failure::Argument(error.to_string()))?;
            let result = method(object, argument);
            codec::encode_data(&result, NO_HANDLES)
                .map_err(|error| Failure::Failed(error.to_string()))
        };
        self.0.insert(name.to_string(), Box::new(call));
    }
}

/// What can make objects.
trait Type: Send + Sync {
    fn create(&self, call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure>;
}

impl<F> Type for F
where
    F: Fn(&mut Call<'_>) -> Result<Box<dyn Object>, Failure> + Send + Sync,
{
    fn create(&self, call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
        self(call)
    }
}

/// A type of the program.
pub(super) struct Own(Box<dyn Type>);

/// An object of such a type.
struct OwnObject<T> {
    kind: String,
    methods: std::sync::Arc<Methods<T>>,
    object: Mutex<T>,
}

impl<T: Send> Object for OwnObject<T> {
    fn kind(&self) -> &str {
        &self.kind
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let Some(method) = self.methods.0.get(call.method) else {
            return call.unknown(&self.kind);
        };
        let mut object = self.object.lock().unwrap_or_else(PoisonError::into_inner);
        let result = method(&mut object, call.arguments.rest())?;
        call.reply.extend_from_slice(&result);
        Ok(())
    }
}

/// Makes a type known: to be called in the server.
pub(super) fn own<T: Managed>() -> Own {
    let mut methods = Methods(HashMap::new());
    T::methods(&mut methods);
    let methods = std::sync::Arc::new(methods);
    Own(Box::new(move |call: &mut Call<'_>| {
        let argument = codec::decode(call.arguments.rest(), Vec::new())
            .map_err(|error| Failure::Argument(error.to_string()))?;
        let object = Mutex::new(T::create(argument));
        let (kind, methods) = (call.method.to_string(), std::sync::Arc::clone(&methods));
        Ok(Box::new(OwnObject { kind, methods, object }) as Box<dyn Object>)
    }))
}

/// The types of a server, by their names.
pub(super) struct Registry(HashMap<String, Own>);

impl Registry {
    /// The types that every manager has, and these.
    pub(super) fn new(own: &[(String, Distance)]) -> Self {
        let mut types = HashMap::new();
        macro_rules! every_manager_has {
            ($($name:literal $create:path,)*) => {
                $(types.insert($name.to_string(), Own(Box::new($create)));)*
            };
        }
        every_manager_has! {
            "list" list::create,
            "dict" dict::create,
            "Namespace" namespace::create,
            "Lock" lock::create_lock,
            "RLock" lock::create_rlock,
            "Condition" lock::create_condition,
            "Event" event::create_event,
            "Semaphore" event::create_semaphore,
            "BoundedSemaphore" event::create_bounded_semaphore,
            "Barrier" event::create_barrier,
            "Queue" queue::create,
            "set" set::create,
        }
        for (name, hook) in own {
            if let Some(hook) = entry::hook::<Own>(*hook) {
                types.insert(name.clone(), hook());
            }
        }
        Self(types)
    }

    /// A new object of the type that the call names.
    pub(super) fn create(&self, call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
        let own =
            self.0.get(call.method).ok_or_else(|| Failure::NoType(call.method.to_string()))?;
        own.0.create(call)
    }
}

/// What makes an object of a type that only its proxy knows.
pub(super) type Maker = fn(Vec<u8>) -> Result<Box<dyn Object>, Failure>;

/// A new object by a maker of this program.
pub(super) fn make(maker: Distance, arguments: &[u8]) -> Result<Box<dyn Object>, Failure> {
    let maker: Maker = entry::target(maker).ok_or(Failure::OtherProgram)?;
    maker(arguments.to_vec())
}
