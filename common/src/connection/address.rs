//! Where a listener can be found.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

/// Where a [`Listener`](super::Listener) can be found.
///
/// ```
/// use common::connection::Address;
///
/// let here = Address::from("/tmp/my-server");
/// assert_eq!(here, Address::Path("/tmp/my-server".into()));
/// let nameless = Address::abstract_name("my-server");
/// assert_eq!(nameless.to_string(), "@my-server");
/// let there = Address::tcp("localhost", 50_000)?;
/// assert!(there.is_loopback());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Address {
    /// A socket in the file system (in Python: `'AF_UNIX'`).
    Path(PathBuf),
    /// A name that belongs to this machine's network and is gone with its listener (in Python: an address of
    /// `'AF_UNIX'` that begins with a zero byte).
    Abstract(Vec<u8>),
    /// TCP (in Python: `'AF_INET'`).
    Tcp(SocketAddr),
}

impl Address {
    /// A name without a file.
    #[must_use]
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Self {
        Self::Abstract(name.as_ref().to_vec())
    }

    /// A host and a port; port 0 is any that is free.
    ///
    /// # Errors
    ///
    /// Where nobody knows the host.
    pub fn tcp(host: &str, port: u16) -> std::io::Result<Self> {
        let unknown = || std::io::Error::other(format!("no address is known of {host:?}"));
        let mut found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
        // As Python: the first of version 4, where there is one.
        found.sort_by_key(SocketAddr::is_ipv6);
        found.into_iter().next().map(Self::Tcp).ok_or_else(unknown)
    }

    /// Whether only this machine can come to it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Path(_) | Self::Abstract(_) => true,
            Self::Tcp(address) => match address.ip() {
                IpAddr::V4(ip) => ip.is_loopback(),
                IpAddr::V6(ip) => ip.is_loopback(),
            },
        }
    }
}

impl From<&str> for Address {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_path_buf())
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

/// A path, `@` and a name, or a host and a port.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}
