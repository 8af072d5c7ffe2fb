//! Bounds around any serde format: how deep a value may nest, how many elements it may claim.
//!
//! Serde recurses once for each level of a value, and loops once for each element that a message
//! claims to hold. So without bounds a long linked list overflows the stack of its sender, and a
//! dozen hostile bytes keep their receiver busy for years, or make it ask for more memory than
//! there is; a few thousand overflow its stack.
//!
//! The adapters here stand between a value and its format. [`Outgoing`] wraps the [`Serializer`]
//! and whatever it hands out, [`Incoming`] the [`Deserializer`] with its visitors, accesses and
//! seeds, so that every level of the recursion passes through one of them. The bytes stay the same.
//!
//! | bound | counts | limit |
//! | --- | --- | --- |
//! | depth, both ways | sequence, tuple, map, struct, variant's content, newtype, `Some` | [`MAX_DEPTH`] |
//! | elements, incoming | elements of sequences, entries of maps | message's bytes + [`EMPTY_ELEMENTS`] |
//! | memory, incoming | lengths of strings and bytes | what the message holds: they are borrowed first |
//!
//! The depth travels by value, each level holding one less than the level around it: there is
//! nothing to restore on the way back. The elements are one counter for the whole message. Fields
//! of structs and tuples are not counted, because the type fixes their number and the message
//! cannot claim more. What is left to count takes at least a byte each, or else it is empty;
//! therefore an honest message never exceeds the limit, unless it holds more than
//! [`EMPTY_ELEMENTS`] empty elements.
//!
//! A `Vec<u8>`, of which serde sees one number after the other, is written and read whole wherever it lies; its
//! bytes are the same either way. For other numbers there is [`bytes`](crate::bytes).
//!
//! [`Bounded`] and [`BoundedSeed`] are for formats that keep their serializer to themselves and
//! take a value or a seed instead, as bincode does.

use std::any::type_name;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use castaway::cast;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess};
use serde::de::{VariantAccess, Visitor};
use serde::ser::{self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant};
use serde::ser::{SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer};
use serde::{Deserialize, Serialize};

/// How many containers may lie inside each other, the outermost included.
pub const MAX_DEPTH: u32 = 128;

/// How many elements a message may hold beyond one for each of its bytes: room for `()` and so on.
pub(crate) const EMPTY_ELEMENTS: u64 = 1 << 20;

/// Serializes `value`, refusing one that nests more than [`MAX_DEPTH`] levels deep.
#[inline]
pub(crate) fn serialize<T: Serialize + ?Sized, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Outgoing { inner: value, levels: Levels(MAX_DEPTH) }.serialize(serializer)
}

/// Deserializes a `T` from a message of `bytes` bytes, refusing one that nests more than
/// [`MAX_DEPTH`] levels deep or holds more than `bytes` + [`EMPTY_ELEMENTS`] elements.
#[inline]
pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    bytes: u64,
) -> Result<T, D::Error> {
    let budget = Cell::new(bytes.saturating_add(EMPTY_ELEMENTS));
    let bounds = Bounds { levels: Levels(MAX_DEPTH), budget: &budget, counted: true };
    Incoming { inner: PhantomData::<T>, bounds }.deserialize(deserializer)
}

/// A value that serializes through [`serialize`].
pub(crate) struct Bounded<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: Serialize + ?Sized> Serialize for Bounded<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0, serializer)
    }
}

/// The wish for a `T` that deserializes through [`deserialize`].
pub(crate) struct BoundedSeed<T> {
    bytes: usize,
    wanted: PhantomData<T>,
}

impl<T> BoundedSeed<T> {
    /// For a message of `bytes` bytes.
    #[inline]
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, wanted: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for BoundedSeed<T> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserialize(deserializer, self.bytes as u64)
    }
}

/// What went beyond a bound.
#[derive(Debug, thiserror::Error)]
enum Excess {
    #[error("value is nested more than {MAX_DEPTH} levels deep; flatten it or send it in parts")]
    Depth,
    #[error(
        "message claims more elements than its bytes can hold; it is damaged or of another type, \
         or else send a number in place of more than {EMPTY_ELEMENTS} empty elements"
    )]
    Elements,
}

/// How many more levels there may be inside.
#[derive(Clone, Copy)]
struct Levels(u32);

impl Levels {
    /// The levels left inside a container; `refuse` makes the format's error if it has no room.
    #[inline]
    fn enter<E>(self, refuse: fn(Excess) -> E) -> Result<Self, E> {
        match self.0.checked_sub(1) {
            Some(left) => Ok(Self(left)),
            None => Err(refuse(Excess::Depth)),
        }
    }
}

/// A serializer, a compound that it opened, or a value on its way into one.
struct Outgoing<X> {
    inner: X,
    levels: Levels,
}

impl<T: Serialize + ?Sized> Serialize for Outgoing<&T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(bytes) = cast!(self.inner, &Vec<u8>) {
            self.levels.enter(ser::Error::custom)?;
            return serializer.serialize_bytes(bytes);
        }
        self.inner.serialize(Outgoing { inner: serializer, levels: self.levels })
    }
}

/// Methods of [`Serializer`] that hold nothing inside: they only forward.
macro_rules! write_plain {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method(self, $($arg: $type),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($arg),*)
        }
    )*};
}

/// Methods of [`Serializer`] that hold one value, a level further in.
macro_rules! write_nested {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method<T: Serialize + ?Sized>(
            self,
            $($arg: $type,)*
            value: &T,
        ) -> Result<S::Ok, S::Error> {
            let levels = self.levels.enter(ser::Error::custom)?;
            self.inner.$method($($arg,)* &Outgoing { inner: value, levels })
        }
    )*};
}

/// Methods of [`Serializer`] that open a compound, whose elements are a level further in.
macro_rules! write_compound {
    ($($method:ident($($arg:ident: $type:ty),*) -> $compound:ident;)*) => {$(
        type $compound = Outgoing<S::$compound>;

        #[inline]
        fn $method(self, $($arg: $type),*) -> Result<Self::$compound, S::Error> {
            let levels = self.levels.enter(ser::Error::custom)?;
            Ok(Outgoing { inner: self.inner.$method($($arg),*)?, levels })
        }
    )*};
}

impl<S: Serializer> Serializer for Outgoing<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    write_plain! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    write_nested! {
        serialize_some();
        serialize_newtype_struct(name: &'static str);
        serialize_newtype_variant(name: &'static str, index: u32, variant: &'static str);
    }

    write_compound! {
        serialize_seq(len: Option<usize>) -> SerializeSeq;
        serialize_tuple(len: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct;
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeStructVariant;
    }

    #[inline]
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// A compound's trait: methods that take a value, perhaps after its key, then what else it has.
macro_rules! compound {
    ($trait:ident: $($method:ident($($key:ident: $type:ty)?)),*; $($other:item)*) => {
        impl<C: $trait> $trait for Outgoing<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            $(#[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: $type,)?
                value: &T,
            ) -> Result<(), C::Error> {
                self.inner.$method($($key,)? &Outgoing { inner: value, levels: self.levels })
            })*

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }

            $($other)*
        }
    };
}

compound! { SerializeSeq: serialize_element(); }
compound! { SerializeTuple: serialize_element(); }
compound! { SerializeTupleStruct: serialize_field(); }
compound! { SerializeTupleVariant: serialize_field(); }
compound! { SerializeMap: serialize_key(), serialize_value(); }
compound! {
    SerializeStruct: serialize_field(key: &'static str);

    #[inline]
    fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
        self.inner.skip_field(key)
    }
}
compound! {
    SerializeStructVariant: serialize_field(key: &'static str);

    #[inline]
    fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
        self.inner.skip_field(key)
    }
}

/// A deserializer, a visitor or seed on its way into one, or an access that it opened.
struct Incoming<'b, X> {
    inner: X,
    bounds: Bounds<'b>,
}

/// What is left of the bounds at one place of a message.
#[derive(Clone, Copy)]
struct Bounds<'b> {
    levels: Levels,
    /// The elements that the whole message may still hold.
    budget: &'b Cell<u64>,
    /// Whether the message, not the type, says how many elements there are here.
    counted: bool,
}

impl Bounds<'_> {
    /// The bounds inside a container.
    #[inline]
    fn enter<E>(self, refuse: fn(Excess) -> E) -> Result<Self, E> {
        Ok(Self { levels: self.levels.enter(refuse)?, ..self })
    }

    /// Takes one element from the budget.
    #[inline]
    fn pay<E>(self, refuse: fn(Excess) -> E) -> Result<(), E> {
        if self.counted {
            match self.budget.get().checked_sub(1) {
                Some(left) => self.budget.set(left),
                None => return Err(refuse(Excess::Elements)),
            }
        }
        Ok(())
    }

    /// A number of elements to expect that does not promise what the budget cannot keep.
    #[inline]
    fn hint(self, hint: Option<usize>) -> Option<usize> {
        let budget = usize::try_from(self.budget.get()).unwrap_or(usize::MAX);
        hint.map(|hint| if self.counted { hint.min(budget) } else { hint })
    }
}

/// Methods of [`Deserializer`]; `counted` is whether the message says how long what they find is.
macro_rules! read {
    (counted: $counted:literal; $($method:ident($($arg:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(
            self,
            $($arg: $type,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            let bounds = Bounds { counted: $counted, ..self.bounds };
            self.inner.$method($($arg,)* Incoming { inner: visitor, bounds })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Incoming<'_, D> {
    type Error = D::Error;

    read! {
        counted: true;
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_bytes();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    read! {
        counted: false;
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
    }

    // The owned forms are only hints that the visitor would like to own what it gets. Bincode
    // answers them with a buffer as long as the message claims, before it looks whether the message
    // is that long, and a failed allocation aborts. Asked to lend, it looks first.

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Methods of [`Visitor`] that bring a plain value: they only forward.
macro_rules! visit {
    ($($method:ident($($arg:ident: $type:ty)?);)*) => {$(
        #[inline]
        fn $method<E: de::Error>(self, $($arg: $type)?) -> Result<V::Value, E> {
            self.inner.$method($($arg)?)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Incoming<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(formatter)
    }

    visit! {
        visit_bool(value: bool);
        visit_i8(value: i8);
        visit_i16(value: i16);
        visit_i32(value: i32);
        visit_i64(value: i64);
        visit_i128(value: i128);
        visit_u8(value: u8);
        visit_u16(value: u16);
        visit_u32(value: u32);
        visit_u64(value: u64);
        visit_u128(value: u128);
        visit_f32(value: f32);
        visit_f64(value: f64);
        visit_char(value: char);
        visit_str(value: &str);
        visit_borrowed_str(value: &'de str);
        visit_string(value: String);
        visit_bytes(value: &[u8]);
        visit_borrowed_bytes(value: &'de [u8]);
        visit_byte_buf(value: Vec<u8>);
        visit_none();
        visit_unit();
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let bounds = self.bounds.enter(de::Error::custom)?;
        self.inner.visit_some(Incoming { inner: deserializer, bounds })
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        let bounds = self.bounds.enter(de::Error::custom)?;
        self.inner.visit_newtype_struct(Incoming { inner: deserializer, bounds })
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        let bounds = self.bounds.enter(de::Error::custom)?;
        self.inner.visit_seq(Incoming { inner: seq, bounds })
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let bounds = self.bounds.enter(de::Error::custom)?;
        self.inner.visit_map(Incoming { inner: map, bounds })
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Incoming { inner: data, bounds: self.bounds })
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Incoming<'_, T> {
    type Value = T::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        let mut value = None;
        if let Ok(bytes) = cast!(&mut value, &mut Option<Vec<u8>>)
            && is_no_seed_of_its_own::<T>()
        {
            self.bounds.enter(de::Error::custom)?;
            *bytes = Some(deserializer.deserialize_bytes(Copied)?);
            return value.ok_or_else(|| de::Error::custom("bytes were read and are not there"));
        }
        self.inner.deserialize(Incoming { inner: deserializer, bounds: self.bounds })
    }
}

/// Whether the wish for bytes is for bytes as they are, by its name: who could be taken for another has the
/// same bytes.
fn is_no_seed_of_its_own<T>() -> bool {
    type_name::<T>() == type_name::<PhantomData<Vec<u8>>>()
}

/// Copies bytes.
struct Copied;

impl Visitor<'_> for Copied {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Incoming<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        let element =
            self.inner.next_element_seed(Incoming { inner: seed, bounds: self.bounds })?;
        if element.is_some() {
            self.bounds.pay(de::Error::custom)?;
        }
        Ok(element)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.bounds.hint(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Incoming<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let key = self.inner.next_key_seed(Incoming { inner: seed, bounds: self.bounds })?;
        if key.is_some() {
            self.bounds.pay(de::Error::custom)?;
        }
        Ok(key)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.next_value_seed(Incoming { inner: seed, bounds: self.bounds })
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.bounds.hint(self.inner.size_hint())
    }
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for Incoming<'b, A> {
    type Error = A::Error;
    type Variant = Incoming<'b, A::Variant>;

    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self::Variant), A::Error> {
        let bounds = self.bounds;
        let (value, variant) = self.inner.variant_seed(Incoming { inner: seed, bounds })?;
        Ok((value, Incoming { inner: variant, bounds }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Incoming<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        let bounds = self.bounds.enter(de::Error::custom)?;
        self.inner.newtype_variant_seed(Incoming { inner: seed, bounds })
    }

    // These two enter their level where the visitor meets the fields.

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let bounds = Bounds { counted: false, ..self.bounds };
        self.inner.tuple_variant(len, Incoming { inner: visitor, bounds })
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let bounds = Bounds { counted: false, ..self.bounds };
        self.inner.struct_variant(fields, Incoming { inner: visitor, bounds })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::ffi::CString;
    use std::fmt::Debug;
    use std::time::{Duration, Instant};

    use bincode::config::standard;
    use bincode::error::{DecodeError, EncodeError};

    use super::*;

    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
        bincode::serde::encode_to_vec(Bounded(value), standard())
    }

    fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
        let seed = BoundedSeed::new(bytes.len());
        let (value, read) = bincode::serde::seed_decode_from_slice(seed, bytes, standard())?;
        assert_eq!(read, bytes.len(), "the message has trailing bytes");
        Ok(value)
    }

    /// The value comes back, and its bytes are those of bincode without bounds.
    fn round_trip<T: Serialize + for<'de> Deserialize<'de> + PartialEq + Debug>(value: T) {
        let bytes = encode(&value).unwrap();
        assert_eq!(bytes, bincode::serde::encode_to_vec(&value, standard()).unwrap());
        assert_eq!(decode::<T>(&bytes).unwrap(), value);
    }

    fn refusal<T>(result: Result<T, impl fmt::Display>) -> String {
        match result {
            Ok(_) => panic!("was accepted"),
            Err(error) => error.to_string(),
        }
    }

    /// A length as bincode writes it, with nothing behind it.
    fn claim(length: u64) -> Vec<u8> {
        bincode::encode_to_vec(length, standard()).unwrap()
    }

    const TOO_DEEP: &str = "nested more than 128 levels deep; flatten it";
    const TOO_MANY: &str = "claims more elements than its bytes can hold;";

    #[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
    struct Unit;

    #[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
    struct Meters(f64);

    #[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
    struct Pair(u8, Option<Meters>);

    #[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
    enum Shape {
        Empty,
        Circle(Meters),
        Line(Pair, i16),
        Named { name: String, parts: Vec<Shape> },
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Everything {
        numbers: (bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, char),
        wide: (i128, u128),
        unit: ((), Unit),
        options: [Option<Option<u32>>; 3],
        shapes: Vec<Shape>,
        map: BTreeMap<String, HashMap<i32, Vec<Pair>>>,
        raw: CString,
        result: Result<u8, String>,
        time: Duration,
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        let pair = Pair(3, Some(Meters(4.5)));
        let named = Shape::Named {
            name: "both".to_string(),
            parts: vec![Shape::Empty, Shape::Circle(Meters(0.5))],
        };
        round_trip(Everything {
            numbers: (true, -1, -2, -3, i64::MIN, 1, 2, 3, u64::MAX, 0.5, -0.25, 'ß'),
            wide: (i128::MIN, u128::MAX),
            unit: ((), Unit),
            options: [None, Some(None), Some(Some(7))],
            shapes: vec![Shape::Line(pair.clone(), -9), named, Shape::Empty],
            map: BTreeMap::from([("a".to_string(), HashMap::from([(-1, vec![pair])]))]),
            raw: CString::new("raw").unwrap(),
            result: Err("no".to_string()),
            time: Duration::from_millis(1500),
        });
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Borrowed<'a> {
        text: &'a str,
        bytes: &'a [u8],
    }

    #[test]
    fn bytes_are_the_same_whole_and_one_by_one() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Named {
            before: u32,
            bytes: Vec<u8>,
        }
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for len in [0, 1, 250, 251, 1000] {
            let bytes = bytes[..len].to_vec();
            let one_by_one: Vec<Option<u8>> = bytes.iter().copied().map(Some).collect();
            let whole = encode(&bytes).unwrap();
            // Options of bytes have a byte more each.
            assert_eq!(whole.len() + len, encode(&one_by_one).unwrap().len());
            // By way of a box, which hides what it holds.
            assert_eq!(whole, encode(&bytes.clone().into_boxed_slice()).unwrap());
            assert_eq!(decode::<Box<[u8]>>(&whole).unwrap()[..], bytes);
            round_trip(bytes.clone());
            round_trip((1u8, bytes.clone(), "text".to_string()));
            round_trip(Some(bytes.clone()));
            round_trip(vec![bytes.clone(), Vec::new(), bytes.clone()]);
            round_trip(Named { before: 7, bytes });
        }
        // A length beyond the message is an error, and costs nothing.
        refusal(decode::<(u8, Vec<u8>)>(&[&[1][..], &claim(1 << 40)].concat()));
        refusal(decode::<Vec<u8>>(&[&claim(3)[..], &[1, 2]].concat()));
    }

    #[test]
    fn borrowed_text_and_bytes_point_into_the_message() {
        let message = encode(&Borrowed { text: "text", bytes: b"bytes" }).unwrap();
        let value: Borrowed<'_> = decode(&message).unwrap();
        assert_eq!(value, Borrowed { text: "text", bytes: b"bytes" });
        assert!(message.as_ptr_range().contains(&value.text.as_ptr()));
        assert!(message.as_ptr_range().contains(&value.bytes.as_ptr()));
    }

    struct Displayed;

    impl Serialize for Displayed {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            assert!(!serializer.is_human_readable());
            serializer.collect_str(&format_args!("{}-{}", 1, 2))
        }
    }

    #[test]
    fn collected_text_arrives_as_text() {
        assert_eq!(decode::<String>(&encode(&Displayed).unwrap()).unwrap(), "1-2");
    }

    /// The message nests as deep as it may, or one level deeper: both directions agree about it.
    fn both_ways_agree<T: Serialize + for<'de> Deserialize<'de>>(bytes: &[u8], fits: bool) {
        let (value, _) = bincode::serde::decode_from_slice::<T, _>(bytes, standard()).unwrap();
        if fits {
            assert_eq!(encode(&value).unwrap(), bytes);
            assert_eq!(encode(&decode::<T>(bytes).unwrap()).unwrap(), bytes);
        } else {
            assert!(refusal(encode(&value)).contains(TOO_DEEP));
            assert!(refusal(decode::<T>(bytes)).contains(TOO_DEEP));
        }
    }

    /// Checks a recursive type at both sides of the limit. A level of it takes `costs` of the bound
    /// and begins with the bytes `level`; the innermost is `end`, which takes `end_costs`.
    fn check_depth<T>(costs: u32, level: &[u8], end_costs: u32, end: &[u8])
    where
        T: Serialize + for<'de> Deserialize<'de>,
    {
        let fitting = (MAX_DEPTH - end_costs) / costs;
        for (levels, fits) in [(fitting, true), (fitting + 1, false)] {
            both_ways_agree::<T>(&[&level.repeat(levels as usize), end].concat(), fits);
        }
    }

    #[derive(Serialize, Deserialize)]
    enum List {
        Nil,
        Cons(Box<List>),
        Two(u8, Box<List>),
        Named { next: Box<List> },
    }

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Seq(Vec<Seq>);

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Optional(Option<Box<Optional>>);

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Map(BTreeMap<u8, Map>);

    #[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
    #[serde(transparent)]
    struct Keys(BTreeMap<Keys, ()>);

    #[derive(Serialize, Deserialize)]
    struct Struct {
        next: Option<Box<Struct>>,
    }

    #[derive(Serialize, Deserialize)]
    struct Newtype(Option<Box<Newtype>>);

    #[derive(Serialize, Deserialize)]
    struct TupleStruct(u8, Option<Box<TupleStruct>>);

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Tuple((u8, Option<Box<Tuple>>));

    #[test]
    fn every_container_counts_as_one_level_both_ways() {
        check_depth::<List>(1, &[1], 0, &[0]);
        check_depth::<List>(1, &[2, 9], 0, &[0]);
        check_depth::<List>(1, &[3], 0, &[0]);
        check_depth::<Seq>(1, &[1], 1, &[0]);
        check_depth::<Optional>(1, &[1], 0, &[0]);
        check_depth::<Map>(1, &[1, 5], 1, &[0]);
        check_depth::<Keys>(1, &[1], 1, &[0]);
        check_depth::<Struct>(2, &[1], 1, &[0]);
        check_depth::<Newtype>(2, &[1], 1, &[0]);
        check_depth::<TupleStruct>(2, &[9, 1], 1, &[9, 0]);
        check_depth::<Tuple>(2, &[9, 1], 1, &[9, 0]);
    }

    #[test]
    fn neighbours_do_not_add_to_the_depth() {
        let part = [vec![1; 100], vec![0]].concat();
        let bytes = [vec![200], part.repeat(200)].concat();
        let lists: Vec<List> = decode(&bytes).unwrap();
        assert_eq!(encode(&lists).unwrap(), bytes);
    }

    /// A list of so many levels, without the list: dropping one a million deep would overflow too.
    struct Deep(u32);

    impl Serialize for Deep {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                0 => serializer.serialize_unit_variant("List", 0, "Nil"),
                n => serializer.serialize_newtype_variant("List", 1, "Cons", &Deep(n - 1)),
            }
        }
    }

    #[test]
    fn a_million_levels_are_refused_both_ways() {
        assert!(matches!(decode(&encode(&Deep(100)).unwrap()).unwrap(), List::Cons(_)));
        assert!(refusal(encode(&Deep(1_000_000))).contains(TOO_DEEP));
        for variant in [1, 2, 3] {
            assert!(refusal(decode::<List>(&vec![variant; 1_000_000])).contains(TOO_DEEP));
        }
        assert!(refusal(decode::<Seq>(&vec![1; 1_000_000])).contains(TOO_DEEP));
        assert!(refusal(decode::<Keys>(&vec![1; 1_000_000])).contains(TOO_DEEP));
        assert!(refusal(decode::<Newtype>(&vec![1; 1_000_000])).contains(TOO_DEEP));
    }

    #[test]
    fn the_deepest_list_fits_a_small_stack() {
        let worker = std::thread::Builder::new().stack_size(512 << 10).spawn(|| {
            let bytes = encode(&Deep(MAX_DEPTH)).unwrap();
            encode(&decode::<List>(&bytes).unwrap()).unwrap() == bytes
        });
        assert!(worker.unwrap().join().unwrap());
    }

    #[test]
    fn endless_empty_elements_are_refused_soon() {
        let start = Instant::now();
        let nested = [claim(1000), claim(1 << 60)].concat();
        assert!(refusal(decode::<Vec<()>>(&claim(1 << 60))).contains(TOO_MANY));
        assert!(refusal(decode::<Vec<Unit>>(&claim(u64::MAX))).contains(TOO_MANY));
        assert!(refusal(decode::<BTreeMap<(), ()>>(&claim(1 << 60))).contains(TOO_MANY));
        assert!(refusal(decode::<(u16, Vec<()>)>(&nested)).contains(TOO_MANY));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn empty_elements_pass_up_to_the_limit() {
        round_trip(vec![(); 1000]);
        let spare = |length: u64| EMPTY_ELEMENTS + claim(length).len() as u64;
        let most = spare(EMPTY_ELEMENTS);
        assert_eq!(decode::<Vec<()>>(&claim(most)).unwrap().len() as u64, most);
        assert!(refusal(decode::<Vec<()>>(&claim(most + 1))).contains(TOO_MANY));
    }

    #[test]
    fn the_budget_is_for_the_whole_message() {
        let half = EMPTY_ELEMENTS / 2 + 100;
        let bytes = [claim(2), claim(half), claim(half)].concat();
        assert!(refusal(decode::<Vec<Vec<()>>>(&bytes)).contains(TOO_MANY));
    }

    #[test]
    fn honest_elements_of_one_byte_always_pass() {
        // More than EMPTY_ELEMENTS, and wrapped, so that counting the fields too would refuse them.
        round_trip(vec![((7_u8,),); 2 << 20]);
        round_trip(vec![vec![Some(1_u8)]; 1 << 19]);
    }

    /// Looks at the hint that a careless visitor would reserve memory for.
    struct Hint;

    impl<'de> Visitor<'de> for Hint {
        type Value = Option<usize>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Option<usize>, A::Error> {
            Ok(seq.size_hint())
        }
    }

    impl<'de> Deserialize<'de> for Hint {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let hint = deserializer.deserialize_seq(Hint)?;
            assert_eq!(hint, Some(EMPTY_ELEMENTS as usize + 9));
            Ok(Hint)
        }
    }

    #[test]
    fn a_length_beyond_the_message_allocates_little() {
        for length in [1 << 20, 1 << 40, 1 << 60, u64::MAX] {
            assert!(decode::<Vec<u64>>(&claim(length)).is_err());
            assert!(decode::<String>(&claim(length)).is_err());
            assert!(decode::<CString>(&claim(length)).is_err());
            assert!(decode::<&[u8]>(&claim(length)).is_err());
            assert!(decode::<BTreeMap<String, String>>(&claim(length)).is_err());
        }
        assert!(decode::<Hint>(&claim(1 << 60)).is_ok());
    }
}
