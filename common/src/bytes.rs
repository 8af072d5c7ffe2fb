//! Numbers that travel whole, for `#[serde(with = "common::bytes")]`.
//!
//! serde takes a `Vec` of numbers apart, and a message holds each of them in as few bytes as it needs. Where
//! there are many, copying them as they lie in memory is several times faster. An item of a
//! [`Queue`](crate::Queue) and an argument or a result of a [`Pool`](crate::Pool) that *is* such a `Vec` is copied
//! so anyway, and a `Vec<u8>` wherever it lies; this is for a field of a struct:
//!
//! ```
//! use common::Queue;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Frame {
//!     time: u64,
//!     #[serde(with = "common::bytes")]
//!     samples: Vec<f32>,
//! }
//!
//! let queue = Queue::new()?;
//! queue.put(Frame { time: 7, samples: vec![0.5; 1000] })?;
//! assert_eq!(queue.get()?.samples.len(), 1000);
//! # common::Result::Ok(())
//! ```
//!
//! The bytes are those of this machine, so they are no file format.

use crate::value::Plain;
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use std::fmt;
use std::marker::PhantomData;

/// Serialises numbers, or other [plain data](Plain), whole.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<T: Plain, S: Serializer>(
    values: impl AsRef<[T]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytemuck::cast_slice(values.as_ref()))
}

/// Deserialises what [`serialize`] has written.
///
/// # Errors
///
/// Those of the deserializer, and where the bytes are no whole number of values.
pub fn deserialize<'de, T: Plain, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Values<T>(PhantomData<T>);

    impl<T: Plain> Visitor<'_> for Values<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "values of {} bytes each", size_of::<T>())
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<T>, E> {
            let size = size_of::<T>();
            if size == 0 || !bytes.len().is_multiple_of(size) {
                return Err(E::invalid_length(bytes.len(), &self));
            }
            let value = bytemuck::checked::try_pod_read_unaligned;
            bytes.chunks_exact(size).map(value).collect::<Result<_, _>>().map_err(E::custom)
        }
    }

    deserializer.deserialize_bytes(Values(PhantomData))
}

#[cfg(test)]
mod tests {
    use crate::codec;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Frame {
        name: String,
        #[serde(with = "crate::bytes")]
        samples: Vec<u64>,
    }

    #[test]
    fn values_come_back_and_are_copied_whole() {
        for len in [0, 1, 1000] {
            let frame = Frame { name: "a".to_string(), samples: vec![3; len] };
            let bytes = codec::encode(&frame).unwrap().bytes;
            assert!(bytes.len() >= 8 * len && bytes.len() <= 8 * len + 2 + 3, "{}", bytes.len());
            assert_eq!(codec::decode::<Frame>(&bytes, Vec::new()).unwrap(), frame);
        }
    }

    #[test]
    fn what_is_no_such_value_is_an_error() {
        #[derive(Serialize, Deserialize)]
        struct Truths(#[serde(with = "crate::bytes")] Vec<bool>);
        let bytes = codec::encode(&Truths(vec![true, false])).unwrap().bytes;
        assert_eq!(codec::decode::<Truths>(&bytes, Vec::new()).unwrap().0, [true, false]);
        assert!(codec::decode::<Truths>(&[2, 1, 2], Vec::new()).is_err());
    }

    #[test]
    fn half_a_value_is_an_error() {
        let error = codec::decode::<Frame>(&[1, b'a', 3, 1, 2, 3], Vec::new()).unwrap_err();
        assert!(error.to_string().contains("invalid length 3"), "{error}");
        assert!(codec::decode::<Frame>(&[1, b'a', 9, 1, 2, 3], Vec::new()).is_err());
    }
}
