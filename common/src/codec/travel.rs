//! What travels beside the bytes of a message: descriptors, counted slots, references to a manager's objects.
//!
//! A handle that is serialised leaves what it has in a list of this thread, and writes its place there; one that
//! is deserialised takes it out again. The list belongs to one message.

use super::Counted;
use crate::shared::arena::{Arena, Slot};
use crate::sys::descriptor::Descriptor;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::mem::{self, ManuallyDrop};
use std::sync::Arc;

/// What the handles of the message under way find.
pub(super) enum List {
    /// No message is under way: a handle cannot be serialised.
    None,
    /// Handles leave their descriptors here.
    Leave(Leaving),
    /// The message is for a place where descriptors cannot go; the text says where they can.
    Refuse(&'static str),
    /// Handles take their descriptors from here.
    Take(Vec<Taking>),
    /// The message is a value for a manager: proxies of its objects leave their numbers.
    Store { manager: u64, numbers: Vec<u64> },
    /// The message is a value of a manager's: proxies take their numbers, and the way to the manager.
    Fetch { way: Arc<dyn Any + Send + Sync>, numbers: Vec<Option<u64>> },
}

/// What the handles of a message have left.
#[derive(Default)]
pub(super) struct Leaving {
    pub(super) descriptors: Vec<Arc<Descriptor>>,
    pub(super) slots: Counted,
    /// The places of arenas, each of which goes once.
    arenas: HashMap<*const Descriptor, u64>,
    /// What goes along to refer to a manager's objects, and its place.
    parcels: HashMap<u64, (u64, Arc<dyn Parcel>)>,
}

/// What holds objects of a manager while a message is on its way, and leads its receiver to them.
pub(crate) trait Parcel {
    /// Holds an object.
    fn hold(&self, number: u64) -> io::Result<()>;

    /// What travels: the way in, where that is a descriptor, and what holds.
    fn descriptors(&self) -> Vec<Arc<Descriptor>>;
}

/// A descriptor that has come.
pub(super) enum Taking {
    Taken,
    Descriptor(Descriptor),
    /// Any number of slots lie in it.
    Arena(Arc<Arena>),
    /// Any number of proxies go this way.
    Way(Arc<dyn Any + Send + Sync>),
}

thread_local! {
    /// Without a destructor, so that exit hooks, which come after those, can send messages. Nothing is
    /// lost by that: between messages the list is empty.
    static LIST: RefCell<ManuallyDrop<List>> = const { RefCell::new(ManuallyDrop::new(List::None)) };
}

/// Puts `list` in place; what was there.
fn replace_list(list: List) -> List {
    ManuallyDrop::into_inner(LIST.replace(ManuallyDrop::new(list)))
}

/// Puts a list in place for one message, and what was there back when the message is done.
pub(super) struct UnderWay(List);

impl UnderWay {
    pub(super) fn begin(list: List) -> Self {
        Self(replace_list(list))
    }

    pub(super) fn list(&self) -> List {
        replace_list(List::None)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // What is dropped here are descriptors that nobody took.
        drop(replace_list(mem::replace(&mut self.0, List::None)));
    }
}

/// Serialises a descriptor: to be called from a handle's `Serialize`.
pub(crate) fn serialize_descriptor<S: Serializer>(
    descriptor: &Arc<Descriptor>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let place: Result<u64, S::Error> = leave(|leaving| {
        leaving.descriptors.push(Arc::clone(descriptor));
        leaving.descriptors.len() as u64 - 1
    });
    place?.serialize(serializer)
}

/// Leaves a slot and the descriptor of its arena; the place of the latter.
pub(crate) fn leave_slot<E: ser::Error>(
    slot: &Arc<Slot>,
    arena: &Arc<Descriptor>,
) -> Result<u64, E> {
    leave(|leaving| {
        slot.count_up();
        leaving.slots.slots().push(Arc::clone(slot));
        *leaving.arenas.entry(Arc::as_ptr(arena)).or_insert_with(|| {
            leaving.descriptors.push(Arc::clone(arena));
            leaving.descriptors.len() as u64 - 1
        })
    })
}

/// Leaves something in the list of the message under way.
fn leave<T, E: ser::Error>(what: impl FnOnce(&mut Leaving) -> T) -> Result<T, E> {
    LIST.with_borrow_mut(|list| match &mut **list {
        List::Leave(leaving) => Ok(what(leaving)),
        List::Refuse(way) => Err(E::custom(way)),
        List::Store { .. } => Err(E::custom(
            "an object of a manager holds data and proxies of that manager's objects; give a handle to the \
             processes themselves",
        )),
        List::None | List::Take(_) | List::Fetch { .. } => Err(E::custom(
            "a handle travels only in the argument of a Process or in a message of a connection",
        )),
    })
}

/// Deserialises a descriptor: to be called from a handle's `Deserialize`.
pub(crate) fn deserialize_descriptor<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Descriptor, D::Error> {
    let place = u64::deserialize(deserializer)?;
    take(place, |place| match mem::replace(place, Taking::Taken) {
        Taking::Descriptor(descriptor) => Some(Ok(descriptor)),
        Taking::Taken | Taking::Arena(_) | Taking::Way(_) => None,
    })
}

/// Takes the arena at `place`, which `open` opens when it is first asked for.
pub(crate) fn take_arena<E: de::Error>(
    place: u64,
    open: impl FnOnce(Descriptor) -> io::Result<Arc<Arena>>,
) -> Result<Arc<Arena>, E> {
    take(place, |place| match mem::replace(place, Taking::Taken) {
        Taking::Taken | Taking::Way(_) => None,
        Taking::Arena(arena) => {
            *place = Taking::Arena(Arc::clone(&arena));
            Some(Ok(arena))
        }
        Taking::Descriptor(descriptor) => Some(match open(descriptor) {
            Ok(arena) => {
                *place = Taking::Arena(Arc::clone(&arena));
                Ok(arena)
            }
            Err(error) => Err(E::custom(error)),
        }),
    })
}

/// Serialises a proxy of an object of a manager: to be called from its `Serialize`. Where it goes to another
/// process, what `way` says goes along.
pub(crate) fn serialize_proxy<W: Serialize, S: Serializer>(
    (manager, number): (u64, u64),
    way: &Option<W>,
    parcel: impl FnOnce() -> io::Result<Arc<dyn Parcel>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let stored = LIST.with_borrow_mut(|list| match &mut **list {
        List::Store { manager: here, .. } if *here != manager => Some(Err(ser::Error::custom(
            "a proxy of another manager's object; an object refers to those of its own manager",
        ))),
        List::Store { numbers, .. } => {
            numbers.push(number);
            Some(Ok(numbers.len() as u64 - 1))
        }
        _ => None,
    });
    if let Some(place) = stored {
        return (place?, manager, number, None::<W>).serialize(serializer);
    }
    let known: Result<_, S::Error> = leave(|leaving| leaving.parcels.get(&manager).cloned());
    let (place, parcel) = match known? {
        Some(known) => known,
        None => {
            // Not with the list in hand: it is made by messages of its own.
            let parcel = parcel().map_err(ser::Error::custom)?;
            let left: Result<_, S::Error> = leave(|leaving| {
                let place = leaving.descriptors.len() as u64;
                leaving.descriptors.extend(parcel.descriptors());
                leaving.parcels.insert(manager, (place, Arc::clone(&parcel)));
                place
            });
            (left?, parcel)
        }
    };
    parcel.hold(number).map_err(ser::Error::custom)?;
    (place, manager, number, way).serialize(serializer)
}

/// Deserialises a proxy: the way to its manager, and its number. `open` makes the way of the manager's
/// number, what was said of it, and the descriptors of the parcel.
pub(crate) fn deserialize_proxy<'de, W: Deserialize<'de>, D: Deserializer<'de>>(
    open: impl FnOnce(u64, Option<W>, Vec<Descriptor>) -> io::Result<Arc<dyn Any + Send + Sync>>,
    deserializer: D,
) -> Result<(Arc<dyn Any + Send + Sync>, u64), D::Error> {
    let (place, manager, number, said) = <(u64, u64, u64, Option<W>)>::deserialize(deserializer)?;
    let fetched = LIST.with_borrow_mut(|list| match &mut **list {
        List::Fetch { way, numbers } => {
            let number =
                usize::try_from(place).ok().and_then(|place| numbers.get_mut(place)?.take());
            Some(number.map(|number| (Arc::clone(way), number)))
        }
        _ => None,
    });
    if let Some(found) = fetched {
        return found
            .ok_or_else(|| de::Error::custom("the value names an object that did not come"));
    }
    let known: Result<_, D::Error> = take(place, |first| match first {
        Taking::Way(way) => Some(Ok(Some(Arc::clone(way)))),
        Taking::Descriptor(_) => Some(Ok(None)),
        Taking::Taken | Taking::Arena(_) => None,
    });
    if let Some(way) = known? {
        return Ok((way, number));
    }
    let next = |place| {
        take(place, |place| match mem::replace(place, Taking::Taken) {
            Taking::Descriptor(descriptor) => Some(Ok(descriptor)),
            Taking::Taken | Taking::Arena(_) | Taking::Way(_) => None,
        })
    };
    // A door, unless something else was said.
    let count = if said.is_some() { 1 } else { 2 };
    let parcel: Result<Vec<_>, D::Error> = (place..place.saturating_add(count)).map(next).collect();
    // Not with the list in hand, as above.
    let way = open(manager, said, parcel?).map_err(de::Error::custom)?;
    let kept: Result<(), D::Error> = take(place, |first| {
        *first = Taking::Way(Arc::clone(&way));
        Some(Ok(()))
    });
    kept.map(|()| (way, number))
}

/// Takes something out of the list of the message under way.
fn take<T, E: de::Error>(
    place: u64,
    what: impl FnOnce(&mut Taking) -> Option<Result<T, E>>,
) -> Result<T, E> {
    LIST.with_borrow_mut(|list| match &mut **list {
        List::Take(taking) => usize::try_from(place)
            .ok()
            .and_then(|place| what(taking.get_mut(place)?))
            .ok_or_else(|| E::custom("the message names a handle that did not come"))?,
        _ => Err(E::custom("a handle arrives only in a message of a connection")),
    })
}
