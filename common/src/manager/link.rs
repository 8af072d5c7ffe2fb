//! The way from this process to a manager's server.
//!
//! It leads through the door, or to an address. A process has one link for each manager, whatever number of proxies it has. A request goes over a connection
//! that nobody uses at the moment, or over a new one: so a thread that waits at the server keeps no other one
//! waiting.
//!
//! What a message carries is a *parcel*: the door, where there is one, and a connection of a client that is no process. It holds the
//! objects while the message is on its way; the receiver takes the connection over, with all it holds. Where
//! nobody receives the message, the kernel closes the connection, and nothing is held any more.

use super::error::ManagerError;
use super::frame::{Read, Stream, Write};
use super::message::{self as m, Failure};
use crate::codec;
use crate::connection::{Address, Client, ConnectError};
use crate::sys::descriptor::Descriptor;
use crate::sys::process::random;
use crate::sys::{socket, thread};
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// So many connections are kept that nobody uses.
const IDLE: usize = 8;

/// Where a manager is served, if it is; or why it is not.
pub(super) type Served = Result<Option<Address>, String>;

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Link {
    manager: u64,
    way: Way,
    state: Mutex<State>,
}

/// How this process comes to the server.
#[derive(Debug)]
enum Way {
    Door(Arc<Descriptor>),
    Address(Client),
}

#[derive(Debug)]
struct State {
    /// A fork has copied it with connections that are its parent's.
    epoch: u32,
    client: u64,
    idle: Vec<Stream>,
}

/// The links of this process.
static LINKS: Mutex<Vec<Weak<Link>>> = Mutex::new(Vec::new());

impl Link {
    /// The link to a new manager of this number.
    pub(super) fn new(manager: u64, door: Arc<Descriptor>) -> io::Result<Arc<Self>> {
        let link = Self::of(manager, Way::Door(door))?;
        let mut links = LINKS.lock().unwrap_or_else(PoisonError::into_inner);
        links.push(Arc::downgrade(&link));
        Ok(link)
    }

    /// The link to the manager that is served at an address.
    pub(super) fn to(client: Client) -> Result<Arc<Self>, ManagerError> {
        let link = Self::of(0, Way::Address(client))?;
        let (manager, _) = link.about()?;
        let mut links = LINKS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = Self::known(&mut links, manager).filter(|link| link.is_open()) {
            return Ok(known);
        }
        let Some(Self { way, .. }) = Arc::into_inner(link) else { return Err(ManagerError::Ended) };
        let link = Self::of(manager, way)?;
        links.push(Arc::downgrade(&link));
        Ok(link)
    }

    fn of(manager: u64, way: Way) -> io::Result<Arc<Self>> {
        let client = u64::from_ne_bytes(random()?);
        let state = Mutex::new(State { epoch: thread::epoch(), client, idle: Vec::new() });
        Ok(Arc::new(Self { manager, way, state }))
    }

    fn known(links: &mut Vec<Weak<Self>>, manager: u64) -> Option<Arc<Self>> {
        links.retain(|link| link.strong_count() > 0);
        links.iter().filter_map(Weak::upgrade).find(|link| link.manager == manager)
    }

    /// Whether it leads anywhere: a fork that was not given the door has a link without a way.
    fn is_open(&self) -> bool {
        match &self.way {
            Way::Door(door) => door.is_open(),
            Way::Address(_) => true,
        }
    }

    /// The manager's number, and where it is served, or why it is not.
    pub(super) fn about(&self) -> Result<(u64, Served), ManagerError> {
        self.request(
            |to| {
                to.put_u8(m::ABOUT);
                Ok(())
            },
            |mut answer| Ok(codec::decode(answer.rest(), Vec::new())?),
        )
    }

    /// The link to the manager whose parcel has arrived: the way in, and a connection that holds what came with
    /// it.
    pub(super) fn arrived(
        manager: u64,
        client: Option<Client>,
        mut parcel: Vec<Descriptor>,
    ) -> Result<Arc<Self>, ManagerError> {
        let holder = parcel.pop().ok_or(ManagerError::Ended)?;
        let mut links = LINKS.lock().unwrap_or_else(PoisonError::into_inner);
        let door = parcel.pop();
        let known = Self::known(&mut links, manager);
        let known = known.filter(|link| link.is_open() || door.is_some());
        let link = match (known, client, door) {
            (Some(link), _, door) => {
                if let (Way::Door(known), Some(door)) = (&link.way, door) {
                    known.or_be(door);
                }
                link
            }
            (None, client, door) => {
                let way = match (client, door) {
                    (Some(client), _) => Way::Address(client),
                    (None, Some(door)) => Way::Door(Arc::new(door)),
                    (None, None) => return Err(ManagerError::Ended),
                };
                let link = Self::of(manager, way)?;
                links.push(Arc::downgrade(&link));
                link
            }
        };
        drop(links);
        let mut stream = Stream::new(Arc::new(holder));
        stream.outgoing().put_u8(m::JOIN);
        stream.outgoing().put_u64(link.state().client);
        exchange(&mut stream, None)?;
        link.put_back(stream);
        Ok(link)
    }

    /// What is said of the way to it in a message; nothing of a door, which goes along.
    pub(super) fn way(&self) -> Option<Client> {
        match &self.way {
            Way::Door(_) => None,
            Way::Address(client) => Some(client.clone()),
        }
    }

    /// Which manager it leads to.
    pub(super) fn manager(&self) -> u64 {
        self.manager
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.epoch != thread::epoch() {
            state.epoch = thread::epoch();
            state.idle.clear();
            // Where the system gives no random number, a number that no other process has here.
            state.client = random().map_or(thread::id().into(), u64::from_ne_bytes);
        }
        state
    }

    /// A connection that nobody uses.
    fn stream(&self) -> io::Result<Stream> {
        let mut state = self.state();
        let client = state.client;
        if let Some(stream) = state.idle.pop() {
            return Ok(stream);
        }
        drop(state);
        self.connect(client)
    }

    /// A new connection of a client.
    fn connect(&self, client: u64) -> io::Result<Stream> {
        let ours = match &self.way {
            Way::Door(door) => {
                let (ours, theirs) = socket::pair()?;
                socket::send(door.as_fd(), &[IoSlice::new(&[0])], &[theirs.as_raw_fd()])?;
                ours
            }
            Way::Address(client) => client.connect_stream().map_err(|error| match error {
                ConnectError::Nobody(_) => ErrorKind::ConnectionRefused.into(),
                ConnectError::Io(_, error) => error,
                other => io::Error::other(other),
            })?,
        };
        let mut stream = Stream::new(Arc::new(ours.into()));
        stream.outgoing().put_u8(m::HELLO);
        stream.outgoing().put_u64(client);
        stream.seal()?;
        Ok(stream)
    }

    fn put_back(&self, stream: Stream) {
        let mut state = self.state();
        if state.idle.len() < IDLE {
            state.idle.push(stream);
        }
    }

    /// Sends what `write` writes, and reads the answer.
    pub(super) fn request<R>(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), ManagerError>,
        read: impl FnOnce(Read<'_>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        self.converse(write, None, read)
    }

    /// The same, of an answer that comes with descriptors.
    pub(super) fn request_handles<R>(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), ManagerError>,
        read: impl FnOnce(Read<'_>, Vec<OwnedFd>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        let descriptors = RefCell::new(Vec::new());
        self.converse(write, Some(&descriptors), |answer| read(answer, descriptors.take()))
    }

    fn converse<R>(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), ManagerError>,
        descriptors: Option<&RefCell<Vec<OwnedFd>>>,
        read: impl FnOnce(Read<'_>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        let mut stream = self.stream()?;
        if let Err(error) = write(stream.outgoing()) {
            stream.take_back();
            self.put_back(stream);
            return Err(error);
        }
        let exchanged = match descriptors {
            Some(descriptors) => exchange(&mut stream, Some(&mut descriptors.borrow_mut())),
            None => exchange(&mut stream, None),
        };
        let result = match exchanged {
            Ok(()) => read(Read(&stream.incoming()[1..])),
            Err(ManagerError::Ended) => return Err(ManagerError::Ended),
            Err(ManagerError::Io(error)) if error.kind() != ErrorKind::InvalidInput => {
                return Err(ManagerError::Io(error));
            }
            // The connection is as good as before: it was an answer, or nothing was sent.
            Err(error) => Err(error),
        };
        self.put_back(stream);
        result
    }

    /// Sends what has no answer; where the server has ended, that is no matter.
    fn tell(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Ok(mut stream) = self.stream() {
            write(stream.outgoing());
            if stream.send().is_ok() {
                self.put_back(stream);
            }
        }
    }

    /// One proxy of an object is gone.
    pub(super) fn release(&self, number: u64) {
        self.tell(|to| {
            to.put_u8(m::RELEASE);
            to.put_u64(number);
        });
    }

    /// What carries proxies in a message.
    pub(super) fn parcel(&self) -> io::Result<Arc<dyn codec::Parcel>> {
        let stream = self.connect(u64::from_ne_bytes(random()?))?;
        let holder = stream.socket();
        let door = match &self.way {
            Way::Door(door) => Some(Arc::clone(door)),
            Way::Address(_) => None,
        };
        Ok(Arc::new(Parcel { door, holder, stream: Mutex::new(stream) }))
    }
}

/// Sends the frame that was written, and receives the answer.
fn exchange(
    stream: &mut Stream,
    descriptors: Option<&mut Vec<OwnedFd>>,
) -> Result<(), ManagerError> {
    stream.send()?;
    if !stream.receive(descriptors)? {
        return Err(ManagerError::Ended);
    }
    match stream.incoming() {
        [m::DONE, ..] => Ok(()),
        [m::FAILED, failure @ ..] => Err(codec::decode::<Failure>(failure, Vec::new())?.into()),
        _ => Err(Failure::Garbled.into()),
    }
}

/// See the top of this file.
struct Parcel {
    door: Option<Arc<Descriptor>>,
    holder: Arc<Descriptor>,
    stream: Mutex<Stream>,
}

impl codec::Parcel for Parcel {
    fn hold(&self, number: u64) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.outgoing().put_u8(m::KEEP);
        stream.outgoing().put_u64(number);
        exchange(&mut stream, None).map_err(io::Error::other)
    }

    fn descriptors(&self) -> Vec<Arc<Descriptor>> {
        self.door.iter().chain([&self.holder]).cloned().collect()
    }
}
