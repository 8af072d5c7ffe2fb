//! An item as bytes, and back.
//!
//! | the type | lies in the ring as |
//! | --- | --- |
//! | a number, `bool`, `char` | its own bytes |
//! | `String`, and a `Vec` of numbers | its own bytes, copied whole |
//! | any other | what the [codec](crate::codec) makes of it |
//!
//! Which of them it is depends on the type alone, so both sides agree. What the codec makes of an item is
//! collected in a buffer that the thread keeps, before the queue is locked; where it is long, it is written
//! into the ring, and read there, without one.

use crate::codec::{self, DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::cell::RefCell;

/// An item of more bytes is encoded and decoded in place.
pub(crate) const LONG: usize = 64 << 10;

/// Why there is no handle in an item.
const WAY: &str = "an item of a queue holds data only; send a handle through a Connection, or put it into \
                   the argument of the Process";

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Has `work` use the buffer of this thread, which is empty, or another where that is in use or gone.
pub(crate) fn with_buffer<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut work = Some(work);
    let done = BUFFER.try_with(|buffer| {
        let mut buffer = buffer.try_borrow_mut().ok()?;
        buffer.clear();
        work.take().map(|work| work(&mut buffer))
    });
    match (done, work) {
        (Ok(Some(result)), _) => result,
        (_, Some(work)) => work(&mut Vec::new()),
        (_, None) => unreachable!("work that was taken has a result"),
    }
}

macro_rules! with_plain_types {
    ($macro:ident) => {
        $macro! { u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 usize isize f32 f64 }
    };
}

/// The bytes of an item that lie in it as they are.
#[inline]
pub(crate) fn plain_bytes<T: 'static>(item: &T) -> Option<&[u8]> {
    let item: &dyn Any = item;
    macro_rules! look {
        ($($type:ty)*) => {
            $(
                if let Some(number) = item.downcast_ref::<$type>() {
                    return Some(bytemuck::bytes_of(number));
                }
            )*
            $(
                if let Some(numbers) = item.downcast_ref::<Vec<$type>>() {
                    return Some(bytemuck::cast_slice(numbers));
                }
            )*
        };
    }
    with_plain_types!(look);
    if let Some(truth) = item.downcast_ref::<bool>() {
        return Some(bytemuck::bytes_of(truth));
    }
    if let Some(character) = item.downcast_ref::<char>() {
        return Some(bytemuck::bytes_of(character));
    }
    item.downcast_ref::<String>().map(String::as_bytes)
}

/// The bytes of an item that lie in it as they are, and are as many for each item of the type.
#[inline]
pub(crate) fn fixed_bytes<T: 'static>(item: &T) -> Option<&[u8]> {
    if is_fixed::<T>() { plain_bytes(item) } else { None }
}

/// Whether items of this type are plain, and all of `size_of::<T>()` bytes.
#[inline]
pub(crate) fn is_fixed<T: 'static>() -> bool {
    let nothing: &dyn Any = &None::<T>;
    macro_rules! look {
        ($($type:ty)*) => {
            false $(|| nothing.is::<Option<$type>>())*
        };
    }
    with_plain_types!(look) || nothing.is::<Option<bool>>() || nothing.is::<Option<char>>()
}

/// Whether items of this type lie in the ring as they are.
pub(crate) fn is_plain<T: 'static>() -> bool {
    let nothing = None::<T>;
    let nothing: &dyn Any = &nothing;
    macro_rules! look {
        ($($type:ty)*) => {
            false $(|| nothing.is::<Option<$type>>() || nothing.is::<Option<Vec<$type>>>())*
        };
    }
    with_plain_types!(look)
        || nothing.is::<Option<bool>>()
        || nothing.is::<Option<char>>()
        || nothing.is::<Option<String>>()
}

/// The item of a plain type that has these bytes.
pub(crate) fn from_plain<T: 'static>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut item = None::<T>;
    fill(&mut item, bytes).and(item).ok_or_else(|| {
        DecodeError::new(format!("{} bytes are no {}", bytes.len(), std::any::type_name::<T>()))
    })
}

/// Inlined, so that of all these types only one is left.
#[inline(always)]
fn fill(item: &mut dyn Any, bytes: &[u8]) -> Option<()> {
    macro_rules! look {
        ($($type:ty)*) => {
            $(
                if let Some(number) = item.downcast_mut::<Option<$type>>() {
                    *number = bytemuck::try_pod_read_unaligned(bytes).ok();
                    return Some(());
                }
            )*
            $(
                if let Some(numbers) = item.downcast_mut::<Option<Vec<$type>>>() {
                    *numbers = copied(bytes);
                    return Some(());
                }
            )*
        };
    }
    with_plain_types!(look);
    if let Some(truth) = item.downcast_mut::<Option<bool>>() {
        *truth = bytemuck::checked::try_pod_read_unaligned(bytes).ok();
    } else if let Some(character) = item.downcast_mut::<Option<char>>() {
        *character = bytemuck::checked::try_pod_read_unaligned(bytes).ok();
    } else if let Some(text) = item.downcast_mut::<Option<String>>() {
        *text = std::str::from_utf8(bytes).ok().map(str::to_owned);
    }
    Some(())
}

/// Numbers that lie one behind the other.
fn copied<T: bytemuck::Pod>(bytes: &[u8]) -> Option<Vec<T>> {
    if !bytes.len().is_multiple_of(size_of::<T>()) {
        return None;
    }
    Some(bytemuck::allocation::pod_collect_to_vec(bytes))
}

/// Encodes an item of another type into `buffer`; false where it is too long for that.
pub(crate) fn encode<T: Serialize>(item: &T, buffer: &mut Vec<u8>) -> Result<bool, EncodeError> {
    codec::encode_data_into(item, WAY, buffer, LONG)
}

/// How many bytes an item takes that is encoded in place.
pub(crate) fn len<T: Serialize>(item: &T) -> Result<usize, EncodeError> {
    codec::data_len(item, WAY)
}

pub(crate) fn encode_in_place<T: Serialize>(item: &T, bytes: &mut [u8]) -> Result<(), EncodeError> {
    codec::encode_data_in_place(item, WAY, bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    codec::decode(bytes, Vec::new())
}

/// Writes an item of any type behind what `buffer` holds; a handle in it is an error that says `way`.
pub(crate) fn append<T: Serialize + 'static>(
    item: &T,
    way: &'static str,
    buffer: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if let Some(bytes) = plain_bytes(item) {
        buffer.extend_from_slice(bytes);
        return Ok(());
    }
    codec::encode_data_into(item, way, buffer, usize::MAX).map(|_| ())
}

/// The item that [`append`] has written.
pub(crate) fn read<T: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<T, DecodeError> {
    if is_plain::<T>() { from_plain(bytes) } else { decode(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn comes_back<T: PartialEq + Debug + Clone + 'static>(items: &[T]) {
        assert!(is_plain::<T>());
        for item in items {
            let bytes = plain_bytes(item).unwrap();
            assert_eq!(from_plain::<T>(bytes).unwrap(), *item);
            let mut longer = bytes.to_vec();
            longer.push(255);
            assert!(from_plain::<T>(&longer).map_or(true, |other| other != *item));
        }
    }

    #[test]
    fn plain_items_come_back_as_they_were() {
        comes_back(&[0u8, 255]);
        comes_back(&[i64::MIN, 7]);
        comes_back(&[1.5f32]);
        comes_back(&[true, false]);
        comes_back(&['ß', '\u{10ffff}']);
        comes_back(&[String::new(), "grüß".to_string()]);
        comes_back(&[Vec::<u8>::new(), vec![1, 2, 3]]);
        comes_back(&[vec![1u64 << 40, 3], vec![]]);
        assert!(!is_plain::<(u8, u8)>() && plain_bytes(&(1u8, 2u8)).is_none());
        assert!(!is_plain::<Option<u8>>() && plain_bytes(&Some(1u8)).is_none());
    }

    #[test]
    fn bytes_that_are_no_such_item_are_an_error() {
        assert!(from_plain::<bool>(&[2]).is_err());
        assert!(from_plain::<char>(&0xd800u32.to_ne_bytes()).is_err());
        assert!(from_plain::<String>(&[255]).is_err());
        assert!(from_plain::<u32>(&[1, 2]).is_err());
        assert!(from_plain::<Vec<u16>>(&[1, 2, 3]).is_err());
        let error = from_plain::<u32>(&[1]).unwrap_err();
        assert!(error.to_string().ends_with("1 bytes are no u32"), "{error}");
    }

    #[test]
    fn the_buffer_may_be_asked_for_inside_itself() {
        with_buffer(|outer| {
            outer.push(1);
            with_buffer(|inner| {
                assert!(inner.is_empty());
                inner.push(2);
            });
            assert_eq!(*outer, [1]);
        });
    }
}
