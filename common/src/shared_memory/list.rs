//! A list of plain values in shared memory, with the bytes of `CPython`'s (in Python: `ShareableList`).
//!
//! N is the number of items, all integers are of 64 bits in the machine's byte order, and every slot is
//! a multiple of 8 bytes:
//!
//! | offset | bytes | content |
//! | --- | --- | --- |
//! | 0 | 8 | N |
//! | 8 | 8 (N + 1) | where each slot starts in the data, and where the data ends |
//! | 8 (N + 2) | the last of these | the data |
//! | then | 8 N | how each item is written, as text filled up with zeros |
//! | then | N | what each item is: 0 a number or a bool, 1 text, 2 bytes, 3 none |
//!
//! | value | written as | its slot |
//! | --- | --- | --- |
//! | `Int` | `q` | the number |
//! | `Float` | `d` | the number |
//! | `Bool` | `xxxxxxx?` | 0 or 1 in the last byte |
//! | `None` | `xxxxxx?x` | zeros |
//! | `Text`, `Bytes` | `16s`, for a slot of 16 | the bytes, filled up with zeros |
//!
//! So says `CPython` from 3.9 on; 3.8 wrote it otherwise, and reads nonsense here.
//!
//! # Trust
//!
//! Anyone may write to the block. The number of items and the slots are read once, when the list is
//! opened, and checked against the length of the block; how an item is written is checked against its
//! slot at every read. What does not fit is an error, and nothing outside a slot is read or written.

use super::{Options, SharedMemory, SharedMemoryError};
use crate::point::{self, Kind, Name, Operation};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::iter;
use std::panic::Location;

const WORD: usize = 8;
/// How a value that is no text is written.
const INT: &str = "q";
const FLOAT: &str = "d";
const BOOL: &str = "xxxxxxx?";
const NONE: &str = "xxxxxx?x";

/// What a [`ShareableList`] can hold.
///
/// ```
/// use common::ShareableValue;
///
/// let values: [ShareableValue; 5] = [21.into(), 2.5.into(), "hello".into(), true.into(), ().into()];
/// assert_eq!(format!("{values:?}"), r#"[21, 2.5, "hello", true, None]"#);
/// ```
#[derive(Clone, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum ShareableValue {
    /// A whole number of 64 bits (in Python: `int`).
    Int(i64),
    /// A number (in Python: `float`).
    Float(f64),
    /// A truth value (in Python: `bool`).
    Bool(bool),
    /// Text (in Python: `str`). Zero characters at its end are lost.
    Text(String),
    /// Bytes (in Python: `bytes`). Zero bytes at their end are lost.
    Bytes(Vec<u8>),
    /// Nothing (in Python: `None`).
    None,
}

/// A list of a fixed number of plain values that several processes see, also those of Python programs.
///
/// An item can be replaced by one of another kind. Text and bytes have the room that the first value
/// in their place has got: its length in bytes, rounded up to a multiple of 8 that is larger; a
/// number, a bool or none has 8 bytes. (`CPython` counts the characters of a text instead, so
/// what it writes may lack its end; here nothing is cut off.)
///
/// Dropping it closes it; its block stays until [`unlink`](SharedMemory::unlink), as every block does:
/// see [`shared_memory`](super). It is serialised as the name of its block.
///
/// An item is not read or written in one piece: where one process writes and another reads the same
/// one at the same time, the value may be mixed, or be an error. Share a lock besides.
///
/// ```
/// use common::{ShareableList, ShareableValue};
///
/// # common::init();
/// let list = ShareableList::create(&[21.into(), 2.5.into(), "hello".into()])?;
/// list.set(0, 42)?;
/// list.set(2, "HI")?;
/// let other = ShareableList::open(list.name())?;
/// assert_eq!(other.get(0)?, ShareableValue::Int(42));
/// assert_eq!(format!("{:?}", other.to_vec()?), r#"[42, 2.5, "HI"]"#);
/// list.unlink()?;
/// # common::Result::Ok(())
/// ```
pub struct ShareableList {
    block: SharedMemory,
    /// Where each slot starts in the block, and where the last one ends.
    slots: Vec<usize>,
}

/// Why an item could not be read or replaced, or a list not be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// There is no such item (in Python: `IndexError`).
    #[error("the list has {len} items and none at index {index}")]
    OutOfRange {
        /// The index.
        index: usize,
        /// How many items there are.
        len: usize,
    },
    /// A text or bytes are longer than the room of an item (in Python: `ValueError`). The old
    /// value is still there.
    #[error(
        "{len} bytes do not fit into item {index}, which has {room}; make the list with a longer \
         value in that place"
    )]
    TooLong {
        /// The index.
        index: usize,
        /// How many bytes the value takes.
        len: usize,
        /// How many there is room for.
        room: usize,
    },
    /// The bytes of a text are no UTF-8: `CPython` has cut it off, or it was damaged.
    #[error("item {index} is text that is not UTF-8; the error holds its bytes")]
    NotText {
        /// The index.
        index: usize,
        /// What is there.
        bytes: Vec<u8>,
    },
    /// What is written in the block is no list, or not this item.
    #[error("shared memory {name:?} does not hold a list of Python 3.9 or newer: {reason}")]
    Damaged {
        /// The name of the block.
        name: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// The block could not be created or opened.
    #[error(transparent)]
    Memory(#[from] SharedMemoryError),
}

/// The longest text of how an item is written has seven digits.
const MAX_WIDTH: usize = 9_999_999;

impl ShareableList {
    /// Creates a list of `values`, in a block with a name of its own (in Python:
    /// `ShareableList(sequence)`).
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::create`]; [`TooLong`](ListError::TooLong) for a text or bytes of ten
    /// million bytes.
    #[track_caller]
    pub fn create(values: &[ShareableValue]) -> Result<Self, ListError> {
        let content = written(values)?;
        Self::over(SharedMemory::options().make(
            Name::new(Kind::SharedMemory),
            super::generated(),
            content.len(),
            &content,
        )?)
    }

    /// Creates a list of `values` in a block of this name (in Python: `ShareableList(sequence,
    /// name=name)`). Nobody sees it before it is complete.
    ///
    /// # Errors
    ///
    /// As for [`create`](ShareableList::create) and [`SharedMemory::create_named`].
    #[track_caller]
    pub fn create_named(name: &str, values: &[ShareableValue]) -> Result<Self, ListError> {
        Self::create_with(SharedMemory::options(), name, values)
    }

    /// As [`create_named`](ShareableList::create_named), with options: for a list that nobody removes
    /// when the program ends.
    ///
    /// # Errors
    ///
    /// As for [`create_named`](ShareableList::create_named).
    #[track_caller]
    pub fn create_with(
        options: Options,
        name: &str,
        values: &[ShareableValue],
    ) -> Result<Self, ListError> {
        let content = written(values)?;
        Self::over(options.make(
            super::will_be(name),
            iter::once(name.to_string()),
            content.len(),
            &content,
        )?)
    }

    /// Opens the list in the block of this name, whoever has made it (in Python:
    /// `ShareableList(name=name)`).
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::open`]; [`Damaged`](ListError::Damaged) where the block holds no list.
    #[track_caller]
    pub fn open(name: &str) -> Result<Self, ListError> {
        Self::over(SharedMemory::open(name)?)
    }

    fn over(block: SharedMemory) -> Result<Self, ListError> {
        let damaged = |reason| ListError::Damaged { name: block.name().to_string(), reason };
        let word = |place: usize| {
            let mut word = [0; WORD];
            block.load(place.checked_mul(WORD)?, &mut word).ok()?;
            usize::try_from(i64::from_ne_bytes(word)).ok()
        };
        let count = word(0).ok_or_else(|| damaged("it has no number of items"))?;
        // Each item takes more bytes than that, so the list of slots is no longer than the block.
        if count > block.len() / WORD {
            return Err(damaged("it has more items than bytes for them"));
        }
        let data = (count + 2) * WORD;
        let mut slots = Vec::with_capacity(count + 1);
        for place in 0..=count {
            let offset = word(1 + place).ok_or_else(|| damaged("a slot starts nowhere"))?;
            let begin = data.checked_add(offset).filter(|&begin| begin <= block.len());
            let begin = begin.ok_or_else(|| damaged("a slot starts outside the block"))?;
            let before = slots.last().copied().unwrap_or(data);
            if begin < before || !(begin - before).is_multiple_of(WORD) {
                return Err(damaged("its slots are not in order"));
            }
            slots.push(begin);
        }
        let end = slots[count] + count * (WORD + 1);
        if slots[0] != data || end > block.len() {
            return Err(damaged("its parts do not fit into the block"));
        }
        Ok(Self { block, slots })
    }

    /// The item at `index`, counted from 0. (Python's `list[-1]` is `list.get(list.len() - 1)`.)
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](ListError::OutOfRange), [`NotText`](ListError::NotText),
    /// [`Damaged`](ListError::Damaged).
    #[track_caller]
    pub fn get(&self, index: usize) -> Result<ShareableValue, ListError> {
        point::before(Operation::Get, &self.block);
        self.item(index)
    }

    fn item(&self, index: usize) -> Result<ShareableValue, ListError> {
        let slot = self.slot(index)?;
        let code = self.code(index)?;
        Ok(match (self.format_of(index)?, code) {
            (Format::Int, 0) => ShareableValue::Int(self.read(slot.start)?),
            (Format::Float, 0) => ShareableValue::Float(self.read(slot.start)?),
            (Format::Bool, 0) => ShareableValue::Bool(self.read::<u8>(slot.start + 7)? != 0),
            (Format::None, 3) => ShareableValue::None,
            (Format::Bytes(width), 1 | 2) => {
                let mut bytes = self
                    .block
                    .to_vec::<u8>(slot.start, width)
                    .map_err(|_| self.damaged("an item lies outside the block"))?;
                let len = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                bytes.truncate(len);
                if code == 2 {
                    ShareableValue::Bytes(bytes)
                } else {
                    let text = String::from_utf8(bytes);
                    ShareableValue::Text(
                        text.map_err(|error| ListError::NotText {
                            index,
                            bytes: error.into_bytes(),
                        })?,
                    )
                }
            }
            _ => return Err(self.damaged("an item is not what it is said to be")),
        })
    }

    /// Replaces the item at `index`.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](ListError::OutOfRange), [`TooLong`](ListError::TooLong),
    /// [`Damaged`](ListError::Damaged). The old value is still there.
    #[track_caller]
    pub fn set(&self, index: usize, value: impl Into<ShareableValue>) -> Result<(), ListError> {
        point::before(Operation::Set, &self.block);
        let value = value.into();
        let slot = self.slot(index)?;
        let room = slot.end - slot.start;
        let Some(text) = value.bytes() else {
            if room < WORD {
                return Err(self.damaged("an item has no room"));
            }
            self.write(self.format_place(index), &padded(value.format()))?;
            self.write(self.code_place(index), &[value.code()])?;
            return self.write(slot.start, &value.word());
        };
        if text.len() > room {
            return Err(ListError::TooLong { index, len: text.len(), room });
        }
        // A text in the place of a text keeps how it is written.
        let width = match self.format_of(index) {
            Ok(Format::Bytes(width)) if width >= text.len() => width,
            _ => room,
        };
        let format = format!("{width}s");
        if format.len() > WORD {
            return Err(self.damaged("an item has more room than can be written down"));
        }
        let mut filled = text.to_vec();
        filled.resize(width, 0);
        self.write(self.format_place(index), &padded(&format))?;
        self.write(self.code_place(index), &[value.code()])?;
        self.write(slot.start, &filled)
    }

    /// How many items it has; that never changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - 1
    }

    /// Whether it has no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items in their order, each read when it is its turn.
    #[track_caller]
    pub fn iter(&self) -> impl Iterator<Item = Result<ShareableValue, ListError>> {
        let made = Location::caller();
        (0..self.len()).map(move |index| {
            point::before_at(Operation::Get, &self.block, &made);
            self.item(index)
        })
    }

    /// A copy of all items.
    ///
    /// # Errors
    ///
    /// As for [`get`](ShareableList::get).
    #[track_caller]
    pub fn to_vec(&self) -> Result<Vec<ShareableValue>, ListError> {
        self.iter().collect()
    }

    /// How many items are equal to `value`. (In Python `1`, `1.0` and `True` are equal; here they are
    /// of different kinds.)
    ///
    /// # Errors
    ///
    /// As for [`get`](ShareableList::get).
    #[track_caller]
    pub fn count(&self, value: impl Into<ShareableValue>) -> Result<usize, ListError> {
        let value = value.into();
        self.iter().try_fold(0, |count, item| Ok(count + usize::from(item? == value)))
    }

    /// The index of the first item that is equal to `value` (in Python: `index`, which raises
    /// `ValueError` where there is none).
    ///
    /// # Errors
    ///
    /// As for [`get`](ShareableList::get).
    #[doc(alias = "index")]
    #[track_caller]
    pub fn position(&self, value: impl Into<ShareableValue>) -> Result<Option<usize>, ListError> {
        let value = value.into();
        for index in 0..self.len() {
            if self.get(index)? == value {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// How all items are written, in the words of Python's `struct`.
    ///
    /// # Errors
    ///
    /// [`Damaged`](ListError::Damaged).
    #[track_caller]
    pub fn format(&self) -> Result<String, ListError> {
        point::before(Operation::Get, &self.block);
        (0..self.len()).map(|index| Ok(self.format_of(index)?.to_string())).collect()
    }

    /// The block that it lies in (in Python: `shm`).
    #[doc(alias = "shm")]
    #[must_use]
    pub fn shared_memory(&self) -> &SharedMemory {
        &self.block
    }

    /// The name of its block.
    #[must_use]
    pub fn name(&self) -> &str {
        self.block.name()
    }

    /// Closes it, as dropping it does; its block stays.
    #[track_caller]
    pub fn close(self) {
        point::before(Operation::Close, &self.block);
    }

    /// As [`SharedMemory::unlink`] of its block.
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::unlink`].
    #[track_caller]
    pub fn unlink(&self) -> Result<(), SharedMemoryError> {
        self.block.unlink()
    }

    fn slot(&self, index: usize) -> Result<std::ops::Range<usize>, ListError> {
        match self.slots.get(index..).unwrap_or_default() {
            [begin, end, ..] => Ok(*begin..*end),
            _ => Err(ListError::OutOfRange { index, len: self.len() }),
        }
    }

    fn format_place(&self, index: usize) -> usize {
        self.slots[self.len()] + index * WORD
    }

    fn code_place(&self, index: usize) -> usize {
        self.slots[self.len()] + self.len() * WORD + index
    }

    fn code(&self, index: usize) -> Result<u8, ListError> {
        self.read(self.code_place(index))
    }

    /// How an item is written, if its slot has the room for it.
    fn format_of(&self, index: usize) -> Result<Format, ListError> {
        let slot = self.slot(index)?;
        let room = slot.end - slot.start;
        let text = self.read::<[u8; WORD]>(self.format_place(index))?;
        Format::parse(&text)
            .filter(|format| format.width() <= room)
            .ok_or_else(|| self.damaged("an item is written in no known way"))
    }

    fn read<T: bytemuck::Pod>(&self, offset: usize) -> Result<T, ListError> {
        let mut value = T::zeroed();
        let result = self.block.load(offset, bytemuck::bytes_of_mut(&mut value));
        result.map_err(|_| self.damaged("an item lies outside the block"))?;
        Ok(value)
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), ListError> {
        let result = self.block.store(offset, bytes);
        result.map_err(|_| self.damaged("an item lies outside the block"))
    }

    fn damaged(&self, reason: &'static str) -> ListError {
        ListError::Damaged { name: self.name().to_string(), reason }
    }
}

/// How an item is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Int,
    Float,
    Bool,
    None,
    Bytes(usize),
}

impl Format {
    fn parse(text: &[u8; WORD]) -> Option<Self> {
        let end = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let text = str::from_utf8(&text[..end]).ok()?;
        Some(match text {
            INT => Self::Int,
            FLOAT => Self::Float,
            BOOL => Self::Bool,
            NONE => Self::None,
            _ => {
                let digits = text.strip_suffix('s')?;
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                Self::Bytes(digits.parse().ok().filter(|_| plain)?)
            }
        })
    }

    /// How many bytes of its slot it takes.
    fn width(self) -> usize {
        match self {
            Self::Bytes(width) => width,
            _ => WORD,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int => f.write_str(INT),
            Self::Float => f.write_str(FLOAT),
            Self::Bool => f.write_str(BOOL),
            Self::None => f.write_str(NONE),
            Self::Bytes(width) => write!(f, "{width}s"),
        }
    }
}

/// The bytes of a whole list.
fn written(values: &[ShareableValue]) -> Result<Vec<u8>, ListError> {
    let (mut offsets, mut data, mut formats) = (vec![0], Vec::new(), Vec::new());
    for (index, value) in values.iter().enumerate() {
        if let Some(text) = value.bytes() {
            let width = WORD * (text.len() / WORD + 1);
            if width > MAX_WIDTH {
                let room = MAX_WIDTH / WORD * WORD - 1;
                return Err(ListError::TooLong { index, len: text.len(), room });
            }
            data.extend_from_slice(text);
            data.resize(offsets[index] + width, 0);
            formats.extend(padded(&format!("{width}s")));
        } else {
            data.extend(value.word());
            formats.extend(padded(value.format()));
        }
        offsets.push(data.len());
    }
    let words = [values.len()].into_iter().chain(offsets);
    let mut bytes: Vec<u8> = words.flat_map(|word| (word as u64).to_ne_bytes()).collect();
    bytes.extend(data);
    bytes.extend(formats);
    bytes.extend(values.iter().map(ShareableValue::code));
    Ok(bytes)
}

/// How a value is written, filled up with zeros.
fn padded(format: &str) -> [u8; WORD] {
    let mut bytes = [0; WORD];
    bytes[..format.len()].copy_from_slice(format.as_bytes());
    bytes
}

impl ShareableValue {
    /// What it is, as the list has it.
    fn code(&self) -> u8 {
        match self {
            Self::Int(_) | Self::Float(_) | Self::Bool(_) => 0,
            Self::Text(_) => 1,
            Self::Bytes(_) => 2,
            Self::None => 3,
        }
    }

    /// The bytes of a text or of bytes.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// How anything else is written.
    fn format(&self) -> &'static str {
        match self {
            Self::Int(_) => INT,
            Self::Float(_) => FLOAT,
            Self::Bool(_) => BOOL,
            _ => NONE,
        }
    }

    /// The slot of anything else.
    fn word(&self) -> [u8; WORD] {
        match self {
            Self::Int(number) => number.to_ne_bytes(),
            Self::Float(number) => number.to_ne_bytes(),
            Self::Bool(truth) => [0, 0, 0, 0, 0, 0, 0, u8::from(*truth)],
            _ => [0; WORD],
        }
    }
}

macro_rules! from {
    ($($variant:ident($($from:ty),*)),*) => {
        $($(
            impl From<$from> for ShareableValue {
                fn from(value: $from) -> Self {
                    Self::$variant(value.into())
                }
            }
        )*)*
    };
}

from!(Int(i64, i32, i16, i8, u32, u16, u8), Float(f64, f32), Bool(bool));
from!(Text(String, &str), Bytes(Vec<u8>, &[u8]));

impl<const N: usize> From<&[u8; N]> for ShareableValue {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<()> for ShareableValue {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl<T: Into<ShareableValue>> From<Option<T>> for ShareableValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

/// The bare value: `21`, `2.5`, `"hello"`, `b"hello"`, `true`, `None`.
impl fmt::Debug for ShareableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number:?}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Bool(truth) => write!(f, "{truth:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Self::None => f.write_str("None"),
        }
    }
}

/// `ShareableList([1, "two"], "psm_0a1b2c3d")`.
impl fmt::Debug for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareableList(")?;
        let items = self.iter().map(|item| match item {
            Ok(value) => format!("{value:?}"),
            Err(_) => "?".to_string(),
        });
        write!(f, "[{}], {:?})", items.collect::<Vec<_>>().join(", "), self.name())
    }
}

/// The name of its block.
impl Serialize for ShareableList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.block.serialize(serializer)
    }
}

/// Opens the list in the block of the name.
impl<'de> Deserialize<'de> for ShareableList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::over(SharedMemory::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// As `CPython` 3.13 wrote it.
    #[cfg(target_endian = "little")]
    #[test]
    fn the_bytes_are_those_of_python() {
        let values = [
            "howdy".into(),
            b"HoWdY".into(),
            (-273.154).into(),
            100.into(),
            ().into(),
            true.into(),
            42.into(),
            "exactly8".into(),
            false.into(),
            "encodé".into(),
        ];
        let expected = "
            0a00000000000000 0000000000000000 0800000000000000 1000000000000000
            1800000000000000 2000000000000000 2800000000000000 3000000000000000
            3800000000000000 4800000000000000 5000000000000000 5800000000000000
            686f776479000000 486f576459000000 5839b4c8761271c0 6400000000000000
            0000000000000000 0000000000000001 2a00000000000000 65786163746c7938
            0000000000000000 0000000000000000 656e636f64c3a900
            3873000000000000 3873000000000000 6400000000000000 7100000000000000
            7878787878783f78 787878787878783f 7100000000000000 3136730000000000
            787878787878783f 3873000000000000
            01020000030000010001";
        assert_eq!(written(&values).unwrap(), hex(expected));
    }

    #[test]
    fn a_format_is_one_of_five() {
        for (text, format) in [
            ("q", Some(Format::Int)),
            ("d", Some(Format::Float)),
            (BOOL, Some(Format::Bool)),
            (NONE, Some(Format::None)),
            ("8s", Some(Format::Bytes(8))),
            ("9999992s", Some(Format::Bytes(9_999_992))),
            ("", None),
            ("s", None),
            ("+8s", None),
            ("8x", None),
            ("8s8s", None),
            ("-1s", None),
        ] {
            assert_eq!(Format::parse(&padded(text)), format, "{text:?}");
        }
        assert_eq!(Format::parse(&[255; 8]), None);
    }

    fn list(values: &[ShareableValue]) -> ShareableList {
        let list = ShareableList::create(values).unwrap();
        list.unlink().unwrap();
        list
    }

    #[test]
    fn nothing_that_is_written_into_a_list_is_worse_than_an_error() {
        let values = ["text".into(), 7.into(), ().into(), b"bytes".into()];
        let content = written(&values).unwrap();
        // One byte at a time, everywhere, through a handle from before and a new one.
        let old = list(&values);
        for place in 0..content.len() {
            for byte in [0, 1, 2, 8, b's', b'9', 0x7f, 0x80, 0xff] {
                let mut changed = content.clone();
                changed[place] = byte;
                old.block.copy_in(0, &changed).unwrap();
                let block = SharedMemory::create(content.len()).unwrap();
                block.unlink().unwrap();
                block.copy_in(0, &changed).unwrap();
                let new = ShareableList::over(block);
                for list in [Some(&old), new.as_ref().ok()].into_iter().flatten() {
                    for index in 0..list.len().min(10) {
                        let _ = list.get(index);
                        let _ = list.set(index, "longer text");
                        let _ = list.set(index, 1);
                    }
                    let _ = (list.format(), list.count(7), list.position("x"));
                    let _ = format!("{list:?}");
                }
            }
        }
    }

    #[test]
    fn a_block_that_holds_no_list_is_refused() {
        let block = |len: usize, words: &[i64]| {
            let block = SharedMemory::create(len).unwrap();
            block.unlink().unwrap();
            block.copy_in(0, words).unwrap();
            ShareableList::over(block)
        };
        assert_eq!(block(16, &[0, 0]).unwrap().len(), 0);
        for (len, words) in [
            (7, &[][..]),
            (8, &[0]),
            (16, &[-1, 0]),
            (16, &[1, 0]),
            (16, &[i64::MAX, 0]),
            (16, &[0, 8]),
            (100, &[1, 8, 16]),
            (100, &[1, 0, 7]),
            (100, &[2, 0, 8, 0]),
            (100, &[1, 0, i64::MAX]),
            (32, &[1, 0, 8, 0]),
        ] {
            let error = block(len, words).unwrap_err();
            assert!(matches!(error, ListError::Damaged { .. }), "{len} {words:?}: {error:?}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_changes_nothing() {
        let list = list(&["seven 7".into(), 1.into()]);
        let error = list.set(0, "nine char").unwrap_err();
        assert!(matches!(error, ListError::TooLong { index: 0, len: 9, room: 8 }), "{error:?}");
        assert!(matches!(list.set(1, b"nine char"), Err(ListError::TooLong { .. })));
        assert_eq!(list.to_vec().unwrap(), ["seven 7".into(), 1.into()]);
        let long = ShareableValue::Bytes(vec![1; MAX_WIDTH]);
        assert!(matches!(written(&[long]), Err(ListError::TooLong { index: 0, .. })));
    }

    #[test]
    fn text_that_python_has_cut_off_is_given_as_bytes() {
        let list = list(&["日本".into()]);
        list.block.copy_in(list.slots[0], "日本日本".as_bytes().get(..8).unwrap()).unwrap();
        match list.get(0).unwrap_err() {
            ListError::NotText { index: 0, bytes } => assert_eq!(bytes, "日本日本".as_bytes()[..8]),
            error => panic!("{error:?}"),
        }
    }

    #[test]
    fn zeros_at_the_end_are_lost_and_those_inside_are_not() {
        let list = list(&[b"a\0b\0\0".into(), "\0".into()]);
        assert_eq!(list.to_vec().unwrap(), [b"a\0b".into(), "".into()]);
    }
}
