//! A namespace in a manager (in Python: the `Namespace` of a `SyncManager`).

use super::error::ManagerError;
use super::frame::Write as _;
use super::message::Failure;
use super::object::{Call, Element, Object};
use super::proxy::{Arguments, proxy_type};
use crate::codec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

proxy_type! {
    /// Values of any types under names, in a manager (in Python: `NamespaceProxy`, whose names are attributes).
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let namespace = manager.namespace()?;
    /// namespace.set("x", &42)?;
    /// namespace.set("name", "Bob")?;
    /// assert_eq!(namespace.get::<i32>("x")?, Some(42));
    /// assert_eq!(namespace.names()?, ["name", "x"]);
    /// assert!(namespace.remove("x")?);
    /// assert_eq!(namespace.get::<i32>("x")?, None);
    /// # common::Result::Ok(())
    /// ```
    NamespaceProxy "Namespace"
}

impl NamespaceProxy {
    /// Sets the value of a name (in Python: `namespace.name = value`).
    ///
    /// # Errors
    ///
    /// See [`ManagerError`], here and below.
    #[doc(alias = "__setattr__")]
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), ManagerError> {
        let write = |to: &mut Arguments<'_>| to.value(name)?.value(value).map(drop);
        self.remote.call("set", write, |_| Ok(()))
    }

    /// A copy of the value of a name, if it has one.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Decode`] where it is of another type, as far as that can be seen.
    #[doc(alias = "__getattr__")]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ManagerError> {
        self.remote.call("get", |to| to.value(name).map(drop), |reply| reply.option())
    }

    /// Forgets a name and its value; whether there was one (in Python: `del`).
    #[doc(alias = "__delattr__")]
    pub fn remove(&self, name: &str) -> Result<bool, ManagerError> {
        self.remote.call("remove", |to| to.value(name).map(drop), |reply| reply.truth())
    }

    /// Whether the name has a value (in Python: `hasattr`).
    pub fn contains(&self, name: &str) -> Result<bool, ManagerError> {
        self.remote.call("contains", |to| to.value(name).map(drop), |reply| reply.truth())
    }

    /// All names, in the order of the alphabet.
    pub fn names(&self) -> Result<Vec<String>, ManagerError> {
        self.remote.call("names", |_| Ok(()), |reply| reply.values())
    }
}

#[derive(Default)]
struct Namespace(Mutex<BTreeMap<String, Element>>);

/// An empty namespace.
pub(super) fn create(_: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    Ok(Box::<Namespace>::default())
}

impl Object for Namespace {
    fn kind(&self) -> &str {
        "Namespace"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if call.method == "names" {
            for name in values.keys() {
                let bytes = codec::encode_data(name, "a name is text")
                    .map_err(|error| Failure::Failed(error.to_string()))?;
                call.give(&Element { bytes: bytes.into(), refers: Vec::new() });
            }
            return Ok(());
        }
        let name: String = codec::decode(&call.element()?.bytes, Vec::new())
            .map_err(|error| Failure::Argument(error.to_string()))?;
        // Dropped without the lock: it may take other objects along.
        let gone = match call.method {
            "set" => values.insert(name, call.element()?),
            "get" => {
                call.give_option(values.get(&name));
                None
            }
            "remove" => {
                let gone = values.remove(&name);
                call.reply.put_u8(gone.is_some().into());
                gone
            }
            "contains" => {
                call.reply.put_u8(values.contains_key(&name).into());
                None
            }
            _ => return call.unknown("Namespace"),
        };
        drop(values);
        drop(gone);
        Ok(())
    }
}
