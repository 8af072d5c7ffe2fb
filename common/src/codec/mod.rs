//! A value as a message, bytes and descriptors, and back (in Python: `pickle`).
//!
//! The bytes are bincode's; no other folder names it, so that another format can take
//! its place. What is decoded is always bounded: in depth ([`MAX_DEPTH`]), in elements, in bytes,
//! and to the last byte, so that garbage is an error and never a crash or a loop.
//!
//! # Handles
//!
//! A handle (a [`Connection`](crate::Connection), an [`Event`](crate::sync::Event)) is a descriptor.
//! serde has no place for one, so while a message is being encoded, a list belongs to this thread;
//! a handle that is serialised leaves its descriptor there and writes its place in the list. The
//! list belongs to *one* message: it is put away when another begins inside it, and emptied when
//! the message ends, also by an error or a panic. While a message is being decoded, a handle takes
//! its descriptor out of the list; what nobody takes is closed.

mod bounded;

use crate::shared::arena::{Arena, Slot};
use crate::sys::descriptor::Descriptor;
use bincode::enc::write::{SizeWriter, SliceWriter, Writer};
use bounded::{Bounded, BoundedSeed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::mem::{self, ManuallyDrop};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub use bounded::MAX_DEPTH;

/// How many bytes a message may have unless a caller says otherwise: 16 GiB.
pub const MAX_BYTES: usize = 16 << 30;

/// A value that could not be made a message.
#[derive(Debug, thiserror::Error)]
#[error("the value cannot be encoded: {0}")]
pub struct EncodeError(String);

/// Bytes that are no message of the type that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the message cannot be decoded: {0}")]
pub struct DecodeError(String);

impl DecodeError {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

/// An encoded value.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<Arc<Descriptor>>,
    /// Their counts travel with it.
    slots: Counted,
}

/// Slots that were counted up for a receiver, and are counted down if none gets them.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<Vec<Arc<Slot>>>);

impl Counted {
    fn slots(&self) -> MutexGuard<'_, Vec<Arc<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The receiver has them: the counts are its own now.
    pub(crate) fn hand_over(&self) {
        self.slots().clear();
    }

    /// In a forked child that was given them: what it has to count down at its end. It leaves without
    /// dropping what it has of its parent's memory, and there may be further clones.
    pub(crate) fn keep(&self) -> Vec<Weak<Slot>> {
        let keep = |slot: Arc<Slot>| {
            slot.keep();
            Arc::downgrade(&slot)
        };
        self.slots().drain(..).map(keep).collect()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        for slot in self.slots().drain(..) {
            slot.count_down();
        }
    }
}

impl Message {
    /// It was sent: what travels in it belongs to the receiver.
    pub(crate) fn hand_over(&self) {
        self.slots.hand_over();
    }
}

/// The handles inside a value, for a child that is forked with them.
pub(crate) struct Given {
    pub(crate) descriptors: Vec<Arc<Descriptor>>,
    pub(crate) slots: Counted,
}

/// What the handles of the message under way find.
enum List {
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
struct Leaving {
    descriptors: Vec<Arc<Descriptor>>,
    slots: Counted,
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
enum Taking {
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
struct UnderWay(List);

impl UnderWay {
    fn begin(list: List) -> Self {
        Self(replace_list(list))
    }

    fn list(&self) -> List {
        replace_list(List::None)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // What is dropped here are descriptors that nobody took.
        drop(replace_list(mem::replace(&mut self.0, List::None)));
    }
}

fn encode_with<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    bincode::serde::encode_to_vec(Bounded(value), bincode::config::standard())
        .map_err(|error| EncodeError(plain(&error.to_string())))
}

/// Encodes `value`; handles inside it travel as descriptors.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Message, EncodeError> {
    let message = UnderWay::begin(List::Leave(Leaving::default()));
    let bytes = encode_with(value)?;
    match message.list() {
        List::Leave(Leaving { descriptors, slots, .. }) => {
            Ok(Message { bytes, descriptors, slots })
        }
        _ => Err(EncodeError("a value of its own message took the list of handles".into())),
    }
}

/// The handles inside `value`, which is encoded for that and not kept.
pub(crate) fn handles<T: Serialize + ?Sized>(value: &T) -> Result<Given, EncodeError> {
    let message = UnderWay::begin(List::Leave(Leaving::default()));
    let nowhere = SizeWriter::default();
    bincode::serde::encode_into_writer(Bounded(value), nowhere, bincode::config::standard())
        .map_err(|error| EncodeError(plain(&error.to_string())))?;
    match message.list() {
        List::Leave(Leaving { descriptors, slots, .. }) => Ok(Given { descriptors, slots }),
        _ => Err(EncodeError("a value of its own message took the list of handles".into())),
    }
}

/// Encodes `value` for a place where no descriptor can go: a handle is an error that says `way`.
pub(crate) fn encode_data<T: Serialize + ?Sized>(
    value: &T,
    way: &'static str,
) -> Result<Vec<u8>, EncodeError> {
    let _message = UnderWay::begin(List::Refuse(way));
    encode_with(value)
}

/// Encodes `value` as [`encode_data`] does, behind what `buffer` holds; false where that would be more than
/// `most` bytes, and the buffer holds a part.
pub(crate) fn encode_data_into<T: Serialize + ?Sized>(
    value: &T,
    way: &'static str,
    buffer: &mut Vec<u8>,
    most: usize,
) -> Result<bool, EncodeError> {
    struct Bounds<'a> {
        buffer: &'a mut Vec<u8>,
        most: usize,
        is_over: &'a mut bool,
    }
    impl Writer for Bounds<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
            if bytes.len() > self.most - self.buffer.len().min(self.most) {
                *self.is_over = true;
                return Err(bincode::error::EncodeError::UnexpectedEnd);
            }
            self.buffer.extend_from_slice(bytes);
            Ok(())
        }
    }
    let mut is_over = false;
    let result = encode_data_to(value, way, Bounds { buffer, most, is_over: &mut is_over });
    if is_over { Ok(false) } else { result.map(|()| true) }
}

/// How many bytes [`encode_data`] makes of `value`.
pub(crate) fn data_len<T: Serialize + ?Sized>(
    value: &T,
    way: &'static str,
) -> Result<usize, EncodeError> {
    let mut counter = SizeWriter::default();
    encode_data_to(value, way, &mut counter)?;
    Ok(counter.bytes_written)
}

/// Encodes `value` as [`encode_data`] does, into bytes of just its length.
pub(crate) fn encode_data_in_place<T: Serialize + ?Sized>(
    value: &T,
    way: &'static str,
    bytes: &mut [u8],
) -> Result<(), EncodeError> {
    let len = bytes.len();
    let mut writer = SliceWriter::new(bytes);
    encode_data_to(value, way, &mut writer)?;
    match writer.bytes_written() {
        written if written == len => Ok(()),
        _ => Err(EncodeError("it has another length each time that it is encoded".into())),
    }
}

fn encode_data_to<T: Serialize + ?Sized>(
    value: &T,
    way: &'static str,
    writer: impl Writer,
) -> Result<(), EncodeError> {
    let _message = UnderWay::begin(List::Refuse(way));
    bincode::serde::encode_into_writer(Bounded(value), writer, bincode::config::standard())
        .map_err(|error| EncodeError(plain(&error.to_string())))
}

/// Decodes all of `bytes`; handles take their descriptors from `descriptors`, the rest is closed.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<T, DecodeError> {
    let list =
        descriptors.into_iter().map(|descriptor| Taking::Descriptor(descriptor.into())).collect();
    let _message = UnderWay::begin(List::Take(list));
    decode_all(bytes)
}

fn decode_all<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let seed = BoundedSeed::<T>::new(bytes.len());
    let (value, read): (T, usize) =
        bincode::serde::seed_decode_from_slice(seed, bytes, bincode::config::standard())
            .map_err(|error| DecodeError(plain(&error.to_string())))?;
    match bytes.len() - read {
        0 => Ok(value),
        rest => Err(DecodeError(format!("{rest} bytes are left over; it is of another type"))),
    }
}

/// bincode shows its own errors as Rust debug text; the text of ours inside them is what counts.
fn plain(error: &str) -> String {
    let text = error.strip_prefix("OtherString(\"").and_then(|text| text.strip_suffix("\")"));
    text.unwrap_or(error).replace("\\\"", "\"")
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

/// Encodes `value` for a manager, behind what `buffer` holds; the numbers of what it refers to.
pub(crate) fn encode_for_manager<T: Serialize + ?Sized>(
    value: &T,
    manager: u64,
    buffer: &mut Vec<u8>,
) -> Result<Vec<u64>, EncodeError> {
    struct Behind<'a>(&'a mut Vec<u8>);
    impl Writer for Behind<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    let message = UnderWay::begin(List::Store { manager, numbers: Vec::new() });
    bincode::serde::encode_into_writer(Bounded(value), Behind(buffer), bincode::config::standard())
        .map_err(|error| EncodeError(plain(&error.to_string())))?;
    match message.list() {
        List::Store { numbers, .. } => Ok(numbers),
        _ => Err(EncodeError("a value of its own message took the list of proxies".into())),
    }
}

/// Decodes a value of a manager's, which refers to objects of these numbers; also those that nobody took.
pub(crate) fn decode_from_manager<T: DeserializeOwned>(
    bytes: &[u8],
    way: Arc<dyn Any + Send + Sync>,
    numbers: Vec<u64>,
) -> (Result<T, DecodeError>, Vec<u64>) {
    let numbers = numbers.into_iter().map(Some).collect();
    let message = UnderWay::begin(List::Fetch { way, numbers });
    let value = decode_all(bytes);
    let left = match message.list() {
        List::Fetch { numbers, .. } => numbers.into_iter().flatten().collect(),
        _ => Vec::new(),
    };
    (value, left)
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

#[cfg(test)]
impl Message {
    pub(crate) fn raw(bytes: Vec<u8>, descriptors: Vec<Arc<Descriptor>>) -> Self {
        Self { bytes, descriptors, slots: Counted::default() }
    }

    /// The descriptors as a receiver would have them.
    pub(crate) fn copy_descriptors(&self) -> Vec<OwnedFd> {
        use std::os::fd::AsFd;
        self.descriptors.iter().map(|fd| fd.as_fd().try_clone_to_owned().unwrap()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_value_comes_back() {
        let value = (BTreeMap::from([("a".to_string(), -1i64)]), Some(2.5f64), 'ß');
        let message = encode(&value).unwrap();
        assert!(message.descriptors.is_empty());
        assert_eq!(
            decode::<(BTreeMap<String, i64>, Option<f64>, char)>(&message.bytes, vec![]).unwrap(),
            value
        );
    }

    #[test]
    fn bytes_left_over_are_refused() {
        let bytes = encode(&(1u64, 2u64)).unwrap().bytes;
        let error = decode::<u64>(&bytes, vec![]).unwrap_err();
        assert!(error.to_string().contains("1 bytes are left over"), "{error}");
    }

    #[test]
    fn every_cut_and_many_changes_are_refused_or_decoded_but_never_worse() {
        let bytes = encode(&vec![("key".to_string(), vec![1u64, 300]); 3]).unwrap().bytes;
        for cut in 0..bytes.len() {
            assert!(decode::<Vec<(String, Vec<u64>)>>(&bytes[..cut], vec![]).is_err());
        }
        for at in 0..bytes.len() {
            for byte in 0..=u8::MAX {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let _ = decode::<Vec<(String, Vec<u64>)>>(&changed, vec![]);
            }
        }
    }

    /// A value whose encoding fails after a handle has been serialised.
    struct Fails(Arc<Descriptor>);

    impl Serialize for Fails {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serialize_descriptor(&self.0, serializer)?;
            Err(ser::Error::custom("on purpose"))
        }
    }

    #[test]
    fn a_failed_message_leaves_nothing_for_the_next() {
        let memory = crate::sys::memory::anonymous("test", 1).unwrap();
        let descriptor = Arc::new(Descriptor::from(memory));
        let error = encode(&Fails(Arc::clone(&descriptor))).unwrap_err();
        assert_eq!(error.to_string(), "the value cannot be encoded: on purpose");
        assert_eq!(Arc::strong_count(&descriptor), 1);
        assert!(encode(&1u8).unwrap().descriptors.is_empty());
    }
}
