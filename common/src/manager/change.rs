//! Functions of the program that a manager's server calls: what knows their types.
//!
//! They travel as distances in the executable, so only a process of the same program can name one, and only by the
//! door; the server refuses them from anybody else.

use super::message::Failure;
use super::object::{Change, Element};
use crate::codec;
use crate::sys::entry::{self, Distance};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cmp::Ordering;

const NO_HANDLES: &str = "what a function of the manager gives holds data only";

/// The distance of what knows the types.
pub(super) fn of(change: Change) -> Option<Distance> {
    entry::of_pair_target(change)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    codec::decode(bytes, Vec::new()).map_err(|error| Failure::Argument(error.to_string()))
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    codec::encode_data(value, NO_HANDLES).map_err(|error| Failure::Failed(error.to_string()))
}

/// A value becomes another.
pub(super) fn whole<T: Serialize + DeserializeOwned>(
    function: Distance,
    value: Option<Vec<u8>>,
) -> Result<Vec<u8>, Failure> {
    let function = entry::target::<T, T>(function).ok_or(Failure::OtherProgram)?;
    encode(&function(decode(&value.ok_or(Failure::Garbled)?)?))
}

/// A value that may be there becomes one that is.
pub(super) fn option<T: Serialize + DeserializeOwned>(
    function: Distance,
    value: Option<Vec<u8>>,
) -> Result<Vec<u8>, Failure> {
    let function = entry::target::<Option<T>, T>(function).ok_or(Failure::OtherProgram)?;
    encode(&function(value.map(|value| decode(&value)).transpose()?))
}

/// Packed values come into an order.
pub(super) fn sorted<T: DeserializeOwned>(
    compare: Distance,
    values: Option<Vec<u8>>,
) -> Result<Vec<u8>, Failure> {
    let packed = values.ok_or(Failure::Garbled)?;
    let mut values = Vec::new();
    for bytes in unpacked(&packed)? {
        values.push((decode::<T>(bytes)?, bytes));
    }
    let compare = entry::pair_target::<&T, &T, Ordering>(compare).ok_or(Failure::OtherProgram)?;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|left, right| compare(&values[*left].0, &values[*right].0));
    let sorted: Vec<&[u8]> = order.into_iter().map(|place| values[place].1).collect();
    Ok(packed_bytes(&sorted))
}

/// Values one behind the other, as one.
pub(super) fn packed(values: &[&[u8]]) -> Element {
    Element { bytes: packed_bytes(values).into(), refers: Vec::new() }
}

fn packed_bytes(values: &[&[u8]]) -> Vec<u8> {
    let mut packed = Vec::new();
    for value in values {
        packed.extend_from_slice(&(value.len() as u32).to_le_bytes());
        packed.extend_from_slice(value);
    }
    packed
}

/// The values that [`packed`] has put together.
pub(super) fn unpacked(mut packed: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    let mut values = Vec::new();
    while let Some((len, rest)) = packed.split_first_chunk() {
        let (value, rest) =
            rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or(Failure::Garbled)?;
        values.push(value);
        packed = rest;
    }
    if packed.is_empty() { Ok(values) } else { Err(Failure::Garbled) }
}
