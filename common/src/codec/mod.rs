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
mod travel;

use crate::shared::arena::Slot;
use crate::sys::descriptor::Descriptor;
use bincode::enc::write::{SizeWriter, SliceWriter, Writer};
use bounded::{Bounded, BoundedSeed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use travel::{Leaving, List, Taking, UnderWay};

pub use bounded::MAX_DEPTH;
pub(crate) use travel::{
    Parcel, deserialize_descriptor, deserialize_proxy, leave_slot, serialize_descriptor,
    serialize_proxy, take_arena,
};

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
    use serde::{Serializer, ser};
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
