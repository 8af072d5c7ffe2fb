//! Any descriptor, made able to travel (in Python: `send_handle` and the pickling of sockets).

use crate::codec;
use crate::sys::descriptor::Descriptor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A descriptor of the program's own, such as a file or a socket, that may be part of an argument or
/// a message; what arrives in the other process is a descriptor of the same thing.
///
/// ```
/// use common::connection::{Handle, pipe};
/// use std::fs::File;
/// use std::io::Read;
/// use std::os::fd::OwnedFd;
///
/// let (left, right) = pipe::<Handle, ()>()?;
/// left.send(&Handle::from(OwnedFd::from(File::open("/proc/self/comm")?)))?;
///
/// let mut file = File::from(right.recv()?.into_fd()?);
/// let mut name = String::new();
/// file.read_to_string(&mut name)?;
/// assert!(!name.is_empty());
/// # common::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Handle(Arc<Descriptor>);

impl Handle {
    pub(crate) fn from_descriptor(descriptor: Descriptor) -> Self {
        Self(Arc::new(descriptor))
    }

    pub(crate) fn from_shared(descriptor: Arc<Descriptor>) -> Self {
        Self(descriptor)
    }

    /// The same descriptor again, not a copy of it.
    pub(crate) fn share(&self) -> Arc<Descriptor> {
        Arc::clone(&self.0)
    }

    /// The descriptor itself.
    ///
    /// # Errors
    ///
    /// EBADF where this process was forked and not given it.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        match Arc::try_unwrap(self.0) {
            Ok(descriptor) => descriptor.into_owned(),
            // A clone, or a message under way, holds it as well.
            Err(shared) => shared.as_fd().try_clone_to_owned(),
        }
    }
}

impl<F: Into<OwnedFd>> From<F> for Handle {
    fn from(descriptor: F) -> Self {
        Self(Arc::new(descriptor.into().into()))
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::serialize_descriptor(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Arc::new(codec::deserialize_descriptor(deserializer)?)))
    }
}
