//! What all proxies have in common: the object that they refer to, calls, and travelling.

use super::error::ManagerError;
use super::frame::{Read, Write, put_numbers_at_the_end};
use super::link::Link;
use super::message::{self as m, Failure};
use super::object;
use crate::codec;
use crate::sys::entry::Distance;
use crate::sys::thread;
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::vec;

/// An object of a manager, which is there as long as somebody refers to it.
#[allow(unreachable_pub, reason = "the proxies' sealed trait names it")]
#[derive(Clone)]
pub struct Remote(Arc<Held>);

/// A reference that the server counts.
struct Held {
    link: Arc<Link>,
    number: u64,
    /// A fork has copied it; what it counts for is its parent's.
    epoch: u32,
    /// A handle that was fetched from the object.
    local: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.epoch == thread::epoch() {
            self.link.release(self.number);
        }
    }
}

impl Remote {
    /// A reference that the server has counted for this process.
    pub(super) fn counted(link: Arc<Link>, number: u64) -> Self {
        Self(Arc::new(Held { link, number, epoch: thread::epoch(), local: OnceLock::new() }))
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.0.link
    }

    pub(super) fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether this process has it, and not a copy that a fork has made.
    pub(super) fn is_own(&self) -> bool {
        self.0.epoch == thread::epoch()
    }

    /// Calls a method: `write` writes the arguments, `read` reads the result.
    pub(super) fn call<R>(
        &self,
        method: &str,
        write: impl FnOnce(&mut Arguments<'_>) -> Result<(), ManagerError>,
        read: impl FnOnce(&mut Reply<'_>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        self.call_as(thread::id(), method, write, read)
    }

    /// The same on behalf of a thread of this process.
    pub(super) fn call_as<R>(
        &self,
        thread: u32,
        method: &str,
        write: impl FnOnce(&mut Arguments<'_>) -> Result<(), ManagerError>,
        read: impl FnOnce(&mut Reply<'_>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        let link = self.link();
        link.request(
            |to| {
                self.begin_call(to, thread, method);
                Arguments::write(link, to, write)
            },
            |answer| Reply::read(link, answer, read),
        )
    }

    /// Calls a method that waits, for ever or at most for `limit`.
    pub(super) fn wait<R>(
        &self,
        method: &str,
        limit: Option<Duration>,
        read: impl FnOnce(&mut Reply<'_>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.limit(limit);
            Ok(())
        };
        self.call(method, write, read)
    }

    /// Calls a method without arguments that gives nothing.
    pub(super) fn tell(&self, method: &str) -> Result<(), ManagerError> {
        self.call(method, |_| Ok(()), |_| Ok(()))
    }

    /// The handle that the object keeps; it is asked for once.
    pub(super) fn local<H: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Result<&H, ManagerError> {
        let local = match self.0.local.get() {
            Some(local) => local,
            None => {
                let handle: H = self.fetch()?;
                self.0.local.get_or_init(|| Box::new(handle))
            }
        };
        let of_another = || ManagerError::Argument("the handle is of another type".to_string());
        local.downcast_ref().ok_or_else(of_another)
    }

    fn fetch<H: DeserializeOwned>(&self) -> Result<H, ManagerError> {
        self.link().request_handles(
            |to| {
                self.begin_call(to, thread::id(), "fetch");
                put_numbers_at_the_end(to, std::iter::empty());
                Ok(())
            },
            |mut answer, descriptors| {
                answer.numbers_at_the_end().map_err(Failure::from)?;
                Ok(codec::decode(answer.rest(), descriptors)?)
            },
        )
    }

    fn begin_call(&self, to: &mut Vec<u8>, thread: u32, method: &str) {
        to.put_u8(m::CALL);
        to.put_u64(self.number());
        to.put_u32(thread);
        to.put_name(method);
    }

    /// A new object of a type that the server knows by its name.
    pub(super) fn create(
        link: &Arc<Link>,
        kind: &str,
        write: impl FnOnce(&mut Arguments<'_>) -> Result<(), ManagerError>,
    ) -> Result<Self, ManagerError> {
        let number = link.request(
            |to| {
                to.put_u8(m::CREATE);
                to.put_name(kind);
                Arguments::write(link, to, write)
            },
            |mut answer| Ok(answer.u64().map_err(Failure::from)?),
        )?;
        Ok(Self::counted(Arc::clone(link), number))
    }

    /// A new object by a maker of this program.
    pub(super) fn make(
        link: &Arc<Link>,
        maker: Option<Distance>,
        arguments: &[u8],
    ) -> Result<Self, ManagerError> {
        let maker = maker.ok_or(ManagerError::OtherProgram)?;
        let number = link.request(
            |to| {
                to.put_u8(m::MAKE);
                to.put_u64(maker);
                to.extend_from_slice(arguments);
                put_numbers_at_the_end(to, std::iter::empty());
                Ok(())
            },
            |mut answer| Ok(answer.u64().map_err(Failure::from)?),
        )?;
        Ok(Self::counted(Arc::clone(link), number))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {}", self.number())
    }
}

impl Remote {
    /// Serialises a proxy of an object of this kind.
    pub(super) fn serialize_as<S: Serializer>(
        &self,
        kind: &str,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (kind, self).serialize(serializer)
    }

    /// Deserialises a proxy, which must be of an object of this kind.
    pub(super) fn deserialize_as<'de, D: Deserializer<'de>>(
        kind: &str,
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let (found, remote) = <(String, Self)>::deserialize(deserializer)?;
        if found != kind {
            return Err(de::Error::custom(format!("the object is a {found:?} and no {kind:?}")));
        }
        Ok(remote)
    }
}

impl Serialize for Remote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let link = self.link();
        let object = (link.manager(), self.number());
        codec::serialize_proxy(object, &link.way(), || link.parcel(), serializer)
    }
}

impl<'de> Deserialize<'de> for Remote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let open = |manager, client, parcel| -> io::Result<Arc<dyn Any + Send + Sync>> {
            Ok(Link::arrived(manager, client, parcel).map_err(io::Error::other)?)
        };
        let (way, number) = codec::deserialize_proxy(open, deserializer)?;
        let link = way.downcast::<Link>().map_err(|_| de::Error::custom("it leads elsewhere"))?;
        Ok(Self::counted(link, number))
    }
}

/// Writes the arguments of a call.
pub(super) struct Arguments<'a> {
    link: &'a Link,
    to: &'a mut Vec<u8>,
    references: Vec<u64>,
}

impl<'a> Arguments<'a> {
    fn write(
        link: &'a Link,
        to: &'a mut Vec<u8>,
        write: impl FnOnce(&mut Arguments<'_>) -> Result<(), ManagerError>,
    ) -> Result<(), ManagerError> {
        let mut arguments = Self { link, to, references: Vec::new() };
        write(&mut arguments)?;
        let Self { to, references, .. } = arguments;
        put_numbers_at_the_end(to, references.into_iter());
        Ok(())
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.to.put_u64(number);
        self
    }

    /// Bytes that the object knows how to read.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.to.extend_from_slice(bytes);
    }

    /// A value, which may hold proxies.
    pub(super) fn value<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<&mut Self, ManagerError> {
        let start = self.to.len();
        object::put_element(self.to, 0, &[]);
        let content = self.to.len();
        let numbers = codec::encode_for_manager(value, self.link.manager(), self.to)?;
        let len = (self.to.len() - content) as u32;
        self.to[start..start + 4].copy_from_slice(&(numbers.len() as u32).to_le_bytes());
        self.to[start + 4..content].copy_from_slice(&len.to_le_bytes());
        self.references.extend(numbers);
        Ok(self)
    }

    pub(super) fn values<'v, T: Serialize + 'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v T>,
    ) -> Result<&mut Self, ManagerError> {
        for value in values {
            self.value(value)?;
        }
        Ok(self)
    }

    /// How long the call may wait; for ever, unless it says.
    pub(super) fn limit(&mut self, limit: Option<Duration>) -> &mut Self {
        let most = u64::MAX - 1;
        let limit = limit.map_or(u64::MAX, |limit| {
            u64::try_from(limit.as_nanos()).map_or(most, |limit| limit.min(most))
        });
        self.number(limit)
    }

    /// A function, and what knows its types.
    pub(super) fn function(
        &mut self,
        change: Option<Distance>,
        function: Option<Distance>,
    ) -> Result<&mut Self, ManagerError> {
        let missing = || ManagerError::OtherProgram;
        let (change, function) = (change.ok_or_else(missing)?, function.ok_or_else(missing)?);
        Ok(self.number(change).number(function))
    }
}

/// Reads the result of a call.
pub(super) struct Reply<'a> {
    link: &'a Arc<Link>,
    bytes: Read<'a>,
    /// What the result refers to, counted for this process.
    numbers: vec::IntoIter<u64>,
}

impl<'a> Reply<'a> {
    fn read<R>(
        link: &'a Arc<Link>,
        mut answer: Read<'a>,
        read: impl FnOnce(&mut Reply<'_>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        let numbers = answer.numbers_at_the_end().map_err(Failure::from)?.into_iter();
        read(&mut Self { link, bytes: answer, numbers })
    }

    pub(super) fn number(&mut self) -> Result<u64, ManagerError> {
        Ok(self.bytes.u64().map_err(Failure::from)?)
    }

    pub(super) fn truth(&mut self) -> Result<bool, ManagerError> {
        Ok(self.bytes.u8().map_err(Failure::from)? != 0)
    }

    /// The next value.
    pub(super) fn value<T: DeserializeOwned>(&mut self) -> Result<T, ManagerError> {
        let count = self.bytes.u32().map_err(Failure::from)? as usize;
        let len = self.bytes.u32().map_err(Failure::from)? as usize;
        let bytes = self.bytes.take(len).map_err(Failure::from)?;
        let numbers = self.numbers.by_ref().take(count).collect();
        let way = Arc::clone(self.link) as Arc<dyn Any + Send + Sync>;
        let (value, left) = codec::decode_from_manager(bytes, way, numbers);
        left.into_iter().for_each(|number| self.link.release(number));
        Ok(value?)
    }

    /// The next value, if there is one.
    pub(super) fn option<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ManagerError> {
        self.truth()?.then(|| self.value()).transpose()
    }

    /// All values that are left.
    pub(super) fn values<T: DeserializeOwned, C: FromIterator<T>>(
        &mut self,
    ) -> Result<C, ManagerError> {
        std::iter::from_fn(|| (!self.is_empty()).then(|| self.value())).collect()
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.0.is_empty()
    }

    /// What is left, as it was encoded.
    pub(super) fn rest(&mut self) -> &[u8] {
        self.bytes.rest()
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        self.numbers.by_ref().for_each(|number| self.link.release(number));
    }
}

/// A proxy of an object of a manager.
pub trait Proxied: Sized + sealed::Over {}

pub(super) mod sealed {
    use super::Remote;

    #[allow(unreachable_pub, reason = "a public trait that nobody else can implement")]
    pub trait Over {
        /// The name of the type of its object.
        const KIND: &'static str;

        fn over(remote: Remote) -> Self;

        fn remote(&self) -> &Remote;
    }
}

/// Defines a proxy: its documentation, name, types, and the name of its object's type.
macro_rules! proxy_type {
    ($(#[$meta:meta])* $name:ident $(<$($parameter:ident),*>)? $kind:literal) => {
        $(#[$meta])*
        ///
        /// A clone, and what arrives in another process, refers to the same object.
        #[must_use = "the object is there as long as somebody refers to it"]
        pub struct $name $(<$($parameter),*>)? {
            remote: $crate::manager::proxy::Remote,
            types: ::std::marker::PhantomData<fn() -> ($($($parameter,)*)?)>,
        }

        impl $(<$($parameter),*>)? $crate::manager::proxy::sealed::Over for $name $(<$($parameter),*>)? {
            const KIND: &'static str = $kind;

            fn over(remote: $crate::manager::proxy::Remote) -> Self {
                Self { remote, types: ::std::marker::PhantomData }
            }

            fn remote(&self) -> &$crate::manager::proxy::Remote {
                &self.remote
            }
        }

        impl $(<$($parameter),*>)? $crate::manager::Proxied for $name $(<$($parameter),*>)? {}

        impl $(<$($parameter),*>)? Clone for $name $(<$($parameter),*>)? {
            fn clone(&self) -> Self {
                Self { remote: self.remote.clone(), types: ::std::marker::PhantomData }
            }
        }

        impl $(<$($parameter),*>)? ::std::fmt::Debug for $name $(<$($parameter),*>)? {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.remote)
            }
        }

        impl $(<$($parameter),*>)? ::serde::Serialize for $name $(<$($parameter),*>)? {
            fn serialize<Format: ::serde::Serializer>(
                &self,
                serializer: Format,
            ) -> Result<Format::Ok, Format::Error> {
                self.remote.serialize_as($kind, serializer)
            }
        }

        impl<'de, $($($parameter),*)?> ::serde::Deserialize<'de> for $name $(<$($parameter),*>)? {
            fn deserialize<Format: ::serde::Deserializer<'de>>(
                deserializer: Format,
            ) -> Result<Self, Format::Error> {
                let remote = $crate::manager::proxy::Remote::deserialize_as($kind, deserializer)?;
                Ok($crate::manager::proxy::sealed::Over::over(remote))
            }
        }
    };
}
pub(super) use proxy_type;

proxy_type! {
    /// A proxy of an object of a type of the program: see [`Managed`](super::Managed).
    Proxy<T> ""
}

impl<T> Proxy<T> {
    /// Calls a method by its name (in Python: `_callmethod`, or the method of an `AutoProxy`).
    ///
    /// # Errors
    ///
    /// [`ManagerError::NoMethod`], [`ManagerError::Argument`] where the method takes something else,
    /// [`ManagerError::Failed`] where it panicked; see [`ManagerError`] for the rest.
    pub fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        argument: &(impl Serialize + ?Sized),
    ) -> Result<R, ManagerError> {
        let argument =
            codec::encode_data(argument, "a handle cannot go to an object of a manager")?;
        self.remote.call(
            method,
            |arguments| {
                arguments.bytes(&argument);
                Ok(())
            },
            |reply| Ok(codec::decode(reply.rest(), Vec::new())?),
        )
    }
}
