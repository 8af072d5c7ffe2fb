//! Where a listener can be found.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

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
    pub fn tcp(host: &str, port: u16) -> io::Result<Self> {
        let unknown = || io::Error::other(format!("no address is known of {host:?}"));
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

/// As it is shown: `@` and a name, a host and a port, or else a path.
///
/// ```
/// use common::connection::Address;
///
/// assert_eq!("@name".parse::<Address>()?, Address::abstract_name("name"));
/// assert_eq!("127.0.0.1:80".parse::<Address>()?.to_string(), "127.0.0.1:80");
/// assert_eq!("./127.0.0.1:80".parse::<Address>()?, Address::from("./127.0.0.1:80"));
/// # std::io::Result::Ok(())
/// ```
impl FromStr for Address {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        if let Some(name) = text.strip_prefix('@') {
            return Ok(Self::abstract_name(name));
        }
        let place = text.rsplit_once(':').filter(|_| !text.contains('/'));
        match place.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            Some((host, port)) => Self::tcp(host.trim_matches(['[', ']']), port),
            None => Ok(Self::from(text)),
        }
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
