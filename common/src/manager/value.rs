//! Values and arrays in a manager (in Python: `Value` and `Array` of a `SyncManager`).
//!
//! They lie in shared memory, which the manager's server keeps: a proxy that was used once reads and writes it
//! without asking the server. Who came to the manager by an address has calls instead.

use super::error::ManagerError;
use super::frame::Write as _;
use super::message::Failure;
use super::object::{Call, Object};
use super::proxy::{Arguments, Reply, proxy_type};
use crate::array::OutOfRange;
use crate::codec;
use crate::{Array, Plain, Value};
use serde::Serialize;
use std::fmt::Display;
use std::io;

proxy_type! {
    /// A number, or other plain data, that lives in a manager (in Python: `ValueProxy`).
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let value = manager.value(7)?;
    /// value.set(value.get()? + 1)?;
    /// assert_eq!(value.update(|number| number * 2)?, 16);
    /// # common::Result::Ok(())
    /// ```
    ValueProxy<T> "Value"
}

proxy_type! {
    /// Numbers, or other plain data, that live in a manager (in Python: `ArrayProxy`).
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let array = manager.array([1.0, 2.5, 3.0])?;
    /// array.set(1, 20.0)?;
    /// assert_eq!((array.get(1)?, array.len()?), (20.0, 3));
    /// assert_eq!(array.to_vec()?, [1.0, 20.0, 3.0]);
    /// # common::Result::Ok(())
    /// ```
    ArrayProxy<T> "Array"
}

/// A handle that the server keeps, and gives to whoever asks; who is far away has calls.
struct Kept<H>(H);

trait Shared: Serialize + Send + Sync + 'static {
    const KIND: &'static str;

    /// Does what somebody asks for who cannot have the handle; false where there is no such method.
    fn serve(&self, call: &mut Call<'_>) -> Result<bool, Failure>;
}

impl<H: Shared> Object for Kept<H> {
    fn kind(&self) -> &str {
        H::KIND
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        match call.method {
            "fetch" if call.is_kin => {
                let message =
                    codec::encode(&self.0).map_err(|error| Failure::Failed(error.to_string()))?;
                call.reply.extend_from_slice(&message.bytes);
                call.message = Some(message);
                Ok(())
            }
            "fetch" => Err(Failure::OtherProgram),
            _ => match self.0.serve(call)? {
                true => Ok(()),
                false => call.unknown(H::KIND),
            },
        }
    }
}

fn plain<T: Plain>(bytes: &[u8]) -> Result<T, Failure> {
    let value = bytemuck::checked::try_pod_read_unaligned(bytes);
    value.map_err(|error| Failure::Argument(error.to_string()))
}

fn failed(error: impl Display) -> Failure {
    Failure::Failed(error.to_string())
}

impl<T: Plain + 'static> Shared for Value<T> {
    const KIND: &'static str = "Value";

    fn serve(&self, call: &mut Call<'_>) -> Result<bool, Failure> {
        match call.method {
            "get" => call.reply.extend_from_slice(bytemuck::bytes_of(&self.get())),
            "set" => self.set(plain(call.arguments.rest())?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl<T: Plain + 'static> Shared for Array<T> {
    const KIND: &'static str = "Array";

    fn serve(&self, call: &mut Call<'_>) -> Result<bool, Failure> {
        let len = self.len() as u64;
        let place = |call: &mut Call<'_>| match call.arguments.u64()? {
            index if index < len => Ok(index as usize),
            index => Err(Failure::OutOfRange { index, len }),
        };
        match call.method {
            "len" => call.reply.put_u64(len),
            "all" => call.reply.extend_from_slice(bytemuck::cast_slice(&self.to_vec())),
            "get" => {
                let value = self.get(place(call)?).map_err(failed)?;
                call.reply.extend_from_slice(bytemuck::bytes_of(&value));
            }
            "set" => {
                let place = place(call)?;
                self.set(place, plain(call.arguments.rest())?).map_err(failed)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn kept<H: Shared>(handle: io::Result<H>) -> Result<Box<dyn Object>, Failure> {
    Ok(Box::new(Kept(handle.map_err(failed)?)))
}

/// A value of these bytes, in the server.
pub(super) fn make_value<T: Plain + 'static>(bytes: Vec<u8>) -> Result<Box<dyn Object>, Failure> {
    kept(Value::<T>::new(plain(&bytes)?))
}

/// An array of these bytes, in the server.
pub(super) fn make_array<T: Plain + 'static>(bytes: Vec<u8>) -> Result<Box<dyn Object>, Failure> {
    let mut values = Vec::new();
    if size_of::<T>() > 0 {
        for bytes in bytes.chunks_exact(size_of::<T>()) {
            values.push(plain(bytes)?);
        }
    }
    kept(Array::<T>::from_slice(&values))
}

impl<T: Plain + 'static> ValueProxy<T> {
    /// The shared value itself, with all that it can do; only the first use asks the server.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OtherProgram`] where the manager is on another machine, or another program's; see
    /// [`ManagerError`] for the rest, here and below.
    pub fn shared(&self) -> Result<&Value<T>, ManagerError> {
        self.remote.local()
    }

    /// What it is at this moment; by a call, where the manager is far away.
    pub fn get(&self) -> Result<T, ManagerError> {
        match self.shared() {
            Ok(shared) => Ok(shared.get()),
            Err(ManagerError::OtherProgram) => {
                self.remote.call("get", |_| Ok(()), |reply| Ok(plain(reply.rest())?))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes it this; by a call, where the manager is far away.
    pub fn set(&self, value: T) -> Result<(), ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.bytes(bytemuck::bytes_of(&value));
            Ok(())
        };
        match self.shared() {
            Ok(shared) => {
                shared.set(value);
                Ok(())
            }
            Err(ManagerError::OtherProgram) => self.remote.call("set", write, |_| Ok(())),
            Err(error) => Err(error),
        }
    }

    /// Makes it what `change` makes of it; nobody changes it meanwhile. Gives what it is now.
    pub fn update(&self, change: impl FnOnce(T) -> T) -> Result<T, ManagerError> {
        let change = |value: &mut T| {
            *value = change(*value);
            *value
        };
        Ok(self.shared()?.update(change))
    }
}

impl From<OutOfRange> for ManagerError {
    fn from(OutOfRange { index, len, .. }: OutOfRange) -> Self {
        Self::OutOfRange { index, len }
    }
}

impl<T: Plain + 'static> ArrayProxy<T> {
    /// The shared array itself, with all that it can do; only the first use asks the server.
    ///
    /// # Errors
    ///
    /// As for [`ValueProxy::shared`], here and below.
    pub fn shared(&self) -> Result<&Array<T>, ManagerError> {
        self.remote.local()
    }

    /// The element at `index`.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OutOfRange`] where there is none.
    pub fn get(&self, index: usize) -> Result<T, ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.number(index as u64);
            Ok(())
        };
        match self.shared() {
            Ok(shared) => Ok(shared.get(index)?),
            Err(ManagerError::OtherProgram) => {
                self.remote.call("get", write, |reply| Ok(plain(reply.rest())?))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the element at `index` this.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OutOfRange`] where there is none.
    pub fn set(&self, index: usize, value: T) -> Result<(), ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.number(index as u64).bytes(bytemuck::bytes_of(&value));
            Ok(())
        };
        match self.shared() {
            Ok(shared) => Ok(shared.set(index, value)?),
            Err(ManagerError::OtherProgram) => self.remote.call("set", write, |_| Ok(())),
            Err(error) => Err(error),
        }
    }

    /// Makes the element at `index` what `change` makes of it; nobody changes the array meanwhile. Gives what
    /// it is now.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OutOfRange`] where there is none.
    pub fn update(&self, index: usize, change: impl FnOnce(T) -> T) -> Result<T, ManagerError> {
        let change = |value: &mut T| {
            *value = change(*value);
            *value
        };
        Ok(self.shared()?.update(index, change)?)
    }

    /// How many elements there are.
    #[doc(alias = "__len__")]
    pub fn len(&self) -> Result<usize, ManagerError> {
        match self.shared() {
            Ok(shared) => Ok(shared.len()),
            Err(ManagerError::OtherProgram) => {
                self.remote.call("len", |_| Ok(()), |reply| Ok(reply.number()? as usize))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool, ManagerError> {
        Ok(self.len()? == 0)
    }

    /// A copy of all of them, as they are at one moment.
    pub fn to_vec(&self) -> Result<Vec<T>, ManagerError> {
        let read = |reply: &mut Reply<'_>| {
            let values = reply.rest().chunks_exact(size_of::<T>().max(1)).map(plain);
            Ok(values.collect::<Result<_, _>>()?)
        };
        match self.shared() {
            Ok(shared) => Ok(shared.to_vec()),
            Err(ManagerError::OtherProgram) => self.remote.call("all", |_| Ok(()), read),
            Err(error) => Err(error),
        }
    }
}
