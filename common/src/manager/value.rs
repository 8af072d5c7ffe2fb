//! Values and arrays in a manager (in Python: `Value` and `Array` of a `SyncManager`).
//!
//! They lie in shared memory, which the manager's server keeps: a proxy that was used once reads and writes it
//! without asking the server.

use super::error::ManagerError;
use super::message::Failure;
use super::object::{Call, Object};
use super::proxy::proxy_type;
use crate::array::OutOfRange;
use crate::codec;
use crate::{Array, Plain, Value};
use serde::Serialize;
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

/// A handle that the server keeps, and gives to whoever asks.
struct Kept<H> {
    kind: &'static str,
    handle: H,
}

impl<H: Serialize + Send + Sync> Object for Kept<H> {
    fn kind(&self) -> &str {
        self.kind
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        match call.method {
            "fetch" if call.is_kin => {
                let message = codec::encode(&self.handle)
                    .map_err(|error| Failure::Failed(error.to_string()))?;
                call.reply.extend_from_slice(&message.bytes);
                call.message = Some(message);
                Ok(())
            }
            "fetch" => Err(Failure::OtherProgram),
            _ => call.unknown(self.kind),
        }
    }
}

fn kept<H: Serialize + Send + Sync + 'static>(
    kind: &'static str,
    handle: io::Result<H>,
) -> Result<Box<dyn Object>, Failure> {
    let handle = handle.map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(Box::new(Kept { kind, handle }))
}

/// A value of these bytes, in the server.
pub(super) fn make_value<T: Plain>(bytes: Vec<u8>) -> Result<Box<dyn Object>, Failure> {
    let value = bytemuck::checked::try_pod_read_unaligned::<T>(&bytes);
    let value = value.map_err(|error| Failure::Argument(error.to_string()))?;
    kept("Value", Value::new(value))
}

/// An array of these bytes, in the server.
pub(super) fn make_array<T: Plain>(bytes: Vec<u8>) -> Result<Box<dyn Object>, Failure> {
    let mut values = Vec::new();
    if size_of::<T>() > 0 {
        for bytes in bytes.chunks_exact(size_of::<T>()) {
            let value = bytemuck::checked::try_pod_read_unaligned(bytes);
            values.push(value.map_err(|error| Failure::Argument(error.to_string()))?);
        }
    }
    kept("Array", Array::<T>::from_slice(&values))
}

impl<T: Plain> ValueProxy<T> {
    /// The shared value itself, with all that it can do; only the first use asks the server.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OtherProgram`] where the manager is on another machine, or another program's; see
    /// [`ManagerError`] for the rest, here and below.
    pub fn shared(&self) -> Result<&Value<T>, ManagerError> {
        self.remote.local()
    }

    /// What it is at this moment.
    pub fn get(&self) -> Result<T, ManagerError> {
        Ok(self.shared()?.get())
    }

    /// Makes it this.
    pub fn set(&self, value: T) -> Result<(), ManagerError> {
        self.shared()?.set(value);
        Ok(())
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

impl<T: Plain> ArrayProxy<T> {
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
        Ok(self.shared()?.get(index)?)
    }

    /// Makes the element at `index` this.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OutOfRange`] where there is none.
    pub fn set(&self, index: usize, value: T) -> Result<(), ManagerError> {
        Ok(self.shared()?.set(index, value)?)
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
        Ok(self.shared()?.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool, ManagerError> {
        Ok(self.len()? == 0)
    }

    /// A copy of all of them, as they are at one moment.
    pub fn to_vec(&self) -> Result<Vec<T>, ManagerError> {
        Ok(self.shared()?.to_vec())
    }
}
