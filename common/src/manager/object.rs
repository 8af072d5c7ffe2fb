//! What a manager's server keeps: objects that answer calls, and elements that may refer to objects.

use super::frame::{Garbled, Read, Write};
use super::lock::Core;
use super::message::Failure;
use super::server::Server;
use crate::codec::Message;
use crate::sys::entry::{self, Distance};
use crate::sys::socket;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::vec;

/// An object of the server. Several threads call it at the same time.
pub(super) trait Object: Send + Sync {
    /// What it is, by the name of its type.
    fn kind(&self) -> &str;

    /// Does what a client asks for.
    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure>;

    /// A client has gone, however it ended: what it holds is free.
    fn forget(&self, _client: u64) {}

    /// The lock that it is, for a condition over it.
    fn lock(&self) -> Option<Arc<Core>> {
        None
    }
}

/// An object, and its number. It is gone when nobody refers to it: no client, no element.
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) object: Box<dyn Object>,
    pub(super) server: Arc<Server>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.server.strike(self.number);
    }
}

/// A value as its client has encoded it, and what it refers to.
#[derive(Clone, Default)]
pub(super) struct Element {
    pub(super) bytes: Box<[u8]>,
    pub(super) refers: Vec<Arc<Entry>>,
}

/// Two are the same if their encodings are.
impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |element: &Self| -> Vec<u64> {
            element.refers.iter().map(|entry| entry.number).collect()
        };
        self.bytes == other.bytes && numbers(self) == numbers(other)
    }
}

/// Who calls: which client, and which of its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    pub(super) client: u64,
    pub(super) thread: u32,
}

/// A call that is being made.
pub(super) struct Call<'a> {
    pub(super) server: &'a Arc<Server>,
    pub(super) caller: Caller,
    pub(super) method: &'a str,
    pub(super) arguments: Read<'a>,
    /// What the arguments refer to, in their order.
    pub(super) references: vec::IntoIter<Arc<Entry>>,
    pub(super) reply: &'a mut Vec<u8>,
    /// What the reply refers to, in its order.
    pub(super) answers: Vec<Arc<Entry>>,
    /// A message that goes with the reply, for its descriptors.
    pub(super) message: Option<Message>,
    /// Where the caller waits.
    pub(super) socket: BorrowedFd<'a>,
    /// Whether the caller runs the same program, so that its functions are known here.
    pub(super) is_kin: bool,
}

/// Makes a new value of one, or of none, by the function at a distance, of which it knows the types.
pub(super) type Change = fn(Distance, Option<Vec<u8>>) -> Result<Vec<u8>, Failure>;

/// How long a call waits before it looks whether its caller is still there.
const SLICE: Duration = Duration::from_millis(100);

impl Call<'_> {
    /// The next argument, a value.
    pub(super) fn element(&mut self) -> Result<Element, Garbled> {
        let count = self.arguments.u32()? as usize;
        let len = self.arguments.u32()? as usize;
        let bytes = self.arguments.take(len)?.into();
        if count > self.references.len() {
            return Err(Garbled);
        }
        Ok(Element { bytes, refers: self.references.by_ref().take(count).collect() })
    }

    /// All values that are left.
    pub(super) fn elements(&mut self) -> Result<Vec<Element>, Garbled> {
        let mut elements = Vec::new();
        while !self.arguments.0.is_empty() {
            elements.push(self.element()?);
        }
        Ok(elements)
    }

    /// Adds a value to the reply.
    pub(super) fn give(&mut self, element: &Element) {
        put_element(self.reply, element.refers.len(), &element.bytes);
        self.answers.extend(element.refers.iter().cloned());
    }

    /// Adds a value to the reply, or that there is none.
    pub(super) fn give_option(&mut self, element: Option<&Element>) {
        self.reply.put_u8(element.is_some().into());
        if let Some(element) = element {
            self.give(element);
        }
    }

    /// The next argument, a time limit.
    pub(super) fn limit(&mut self) -> Result<Limit, Garbled> {
        Ok(match self.arguments.u64()? {
            u64::MAX => Limit(None),
            nanoseconds => Limit(Instant::now().checked_add(Duration::from_nanos(nanoseconds))),
        })
    }

    /// What a function of the caller's makes of a value, which refers to nothing: the next arguments.
    pub(super) fn change(&mut self, value: Option<&Element>) -> Result<Element, Failure> {
        let (change, function) = (self.arguments.u64()?, self.arguments.u64()?);
        let change: Option<Change> = entry::pair_target(change).filter(|_| self.is_kin);
        let change = change.ok_or(Failure::OtherProgram)?;
        let bytes = value.map(|element| element.bytes.to_vec());
        Ok(Element { bytes: change(function, bytes)?.into(), refers: Vec::new() })
    }

    /// There is no such method.
    pub(super) fn unknown(&self, kind: &str) -> Result<(), Failure> {
        Err(Failure::NoMethod { kind: kind.to_string(), method: self.method.to_string() })
    }

    /// Whether the caller has gone.
    pub(super) fn is_left(&self) -> bool {
        socket::has_ended(self.socket)
    }

    /// Waits until there is `something` in what `state` guards; `None` when the time is up, or the caller
    /// has gone.
    pub(super) fn wait<'s, T, R>(
        &self,
        state: &'s Mutex<T>,
        changed: &Condvar,
        limit: Limit,
        mut something: impl FnMut(&mut T) -> Option<R>,
    ) -> (MutexGuard<'s, T>, Option<R>) {
        let mut guard = state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = something(&mut guard) {
                return (guard, Some(found));
            }
            let left = limit.left();
            if left.is_some_and(|left| left.is_zero()) || self.server.has_ended() {
                return (guard, None);
            }
            let slice = left.map_or(SLICE, |left| left.min(SLICE));
            let (next, waited) =
                changed.wait_timeout(guard, slice).unwrap_or_else(PoisonError::into_inner);
            guard = next;
            if waited.timed_out() && self.is_left() {
                return (guard, None);
            }
        }
    }
}

/// How long a call may wait; for ever, unless it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit(Option<Instant>);

impl Limit {
    /// For ever.
    pub(super) const NEVER: Self = Self(None);

    fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }
}

/// Writes a value that refers to so many objects.
pub(super) fn put_element(to: &mut Vec<u8>, references: usize, bytes: &[u8]) {
    to.put_u32(references as u32);
    to.put_u32(bytes.len() as u32);
    to.extend_from_slice(bytes);
}
