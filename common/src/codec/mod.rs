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

use crate::sys::descriptor::Descriptor;
use bounded::{Bounded, BoundedSeed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::cell::RefCell;
use std::mem::{self, ManuallyDrop};
use std::os::fd::OwnedFd;
use std::sync::Arc;

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

/// An encoded value.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<Arc<Descriptor>>,
}

/// What the handles of the message under way find.
enum List {
    /// No message is under way: a handle cannot be serialised.
    None,
    /// Handles leave their descriptors here.
    Leave(Vec<Arc<Descriptor>>),
    /// The message is for a place where descriptors cannot go; the text says where they can.
    Refuse(&'static str),
    /// Handles take their descriptors from here.
    Take(Vec<Option<Descriptor>>),
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
    let message = UnderWay::begin(List::Leave(Vec::new()));
    let bytes = encode_with(value)?;
    match message.list() {
        List::Leave(descriptors) => Ok(Message { bytes, descriptors }),
        _ => Err(EncodeError("a value of its own message took the list of handles".into())),
    }
}

/// The descriptors of the handles inside `value`, which is encoded for that and not kept.
pub(crate) fn handles<T: Serialize + ?Sized>(
    value: &T,
) -> Result<Vec<Arc<Descriptor>>, EncodeError> {
    let message = UnderWay::begin(List::Leave(Vec::new()));
    let nowhere = bincode::enc::write::SizeWriter::default();
    bincode::serde::encode_into_writer(Bounded(value), nowhere, bincode::config::standard())
        .map_err(|error| EncodeError(plain(&error.to_string())))?;
    match message.list() {
        List::Leave(descriptors) => Ok(descriptors),
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

/// Decodes all of `bytes`; handles take their descriptors from `descriptors`, the rest is closed.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<T, DecodeError> {
    let list = descriptors.into_iter().map(|descriptor| Some(descriptor.into())).collect();
    let _message = UnderWay::begin(List::Take(list));
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
    let place = LIST.with_borrow_mut(|list| match &mut **list {
        List::Leave(descriptors) => {
            descriptors.push(Arc::clone(descriptor));
            Ok(descriptors.len() as u64 - 1)
        }
        List::Refuse(way) => Err(ser::Error::custom(way)),
        List::None | List::Take(_) => Err(ser::Error::custom(
            "a handle travels only in the argument of a Process or in a message of a connection",
        )),
    })?;
    place.serialize(serializer)
}

/// Deserialises a descriptor: to be called from a handle's `Deserialize`.
pub(crate) fn deserialize_descriptor<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Descriptor, D::Error> {
    let place = u64::deserialize(deserializer)?;
    LIST.with_borrow_mut(|list| match &mut **list {
        List::Take(descriptors) => usize::try_from(place)
            .ok()
            .and_then(|place| descriptors.get_mut(place)?.take())
            .ok_or_else(|| de::Error::custom("the message names a handle that did not come")),
        _ => Err(de::Error::custom("a handle arrives only in a message of a connection")),
    })
}

#[cfg(test)]
impl Message {
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
