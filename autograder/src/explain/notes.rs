//! What the threads of a program have noted that uses `common`: the point that each passed last, and what
//! it holds.
//!
//! Where the environment of a program has `COMMON_WAITS`, `common` keeps these notes in a variable of the
//! program; `common/src/point/notes.rs` says how they lie there, and this is the reader of that layout.
//! They begin at a page, so the beginning of each page of the program's variables is looked at, as
//! `/proc/PID/maps` tells where those are.
//!
//! A program can write there whatever it likes: every length is bounded, every text made harmless, and
//! what makes no sense is no note.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::proc::Memory;
use crate::text;

const MAGIC: &[u8; 16] = b"common: waits 1\n";
const PAGE: usize = 4096;
/// How much of a program's variables is looked through.
const LOOKED_AT: usize = 8 << 20;
/// How much is read at once.
const CHUNK: usize = 64 * PAGE;

const HEAD: usize = 8;
const SLOTS: usize = 64;
const SLOT: usize = 80;
const HOLDS: usize = 6;
const NUMBER: usize = 2;
const OPERATION: usize = 3;
const OBJECT: usize = 5;
const FILE: usize = 12;
const HELD: usize = 16;
const HOLD: usize = 10;
const QUIET: u64 = 1 << 32;
const PERHAPS: u64 = 1 << 63;
/// How much of a file's name is read.
const NAME: usize = 400;

/// A line of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file: the last two parts of its path.
    pub file: String,
    /// The line.
    pub line: u32,
}

/// What a thread was about to do when it noted something last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The operation, such as `acquire`.
    pub operation: String,
    /// The object, such as `Lock-2`.
    pub object: String,
    /// Where it stands.
    pub place: Place,
    /// Whether it was followed by work of `common`'s own.
    pub is_quiet: bool,
    /// What it holds.
    pub held: Vec<Held>,
}

/// Something that a thread holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub object: String,
    /// Where it was taken.
    pub place: Place,
    /// Whether that is certain.
    pub is_certain: bool,
}

/// The notes of a process, by the thread's id as the process knows it.
pub(super) fn notes(memory: &mut Memory) -> HashMap<i32, Note> {
    let Some(address) = find(memory) else { return HashMap::new() };
    let mut slots = vec![0; SLOTS * SLOT * 8];
    if memory.peek(address + HEAD as u64 * 8, &mut slots).is_none() {
        return HashMap::new();
    }
    let mut notes = HashMap::new();
    for (number, bytes) in slots.chunks_exact(SLOT * 8).enumerate() {
        let slot = words(bytes);
        let (thread, sequence) = (slot[0], slot[1]);
        if thread == 0 {
            continue;
        }
        // It must not have changed since, so that it is of one piece.
        let at = address + ((HEAD + number * SLOT + 1) * 8) as u64;
        let mut again = [0; 8];
        let unchanged = sequence % 2 == 0
            && memory.peek(at, &mut again).is_some()
            && u64::from_ne_bytes(again) == sequence;
        if let (true, Ok(thread), Some(note)) =
            (unchanged, i32::try_from(thread), note(&slot, memory))
        {
            notes.insert(thread, note);
        }
    }
    notes
}

fn note(slot: &[u64], memory: &mut Memory) -> Option<Note> {
    if slot[NUMBER] == 0 {
        return None;
    }
    let place = place(&slot[FILE..FILE + 3], memory)?;
    let mut held = Vec::new();
    for hold in slot[HELD..].chunks_exact(HOLD).take(HOLDS) {
        let (object, at) = hold.split_at(FILE - OBJECT);
        if object[0] != 0 {
            let is_certain = at[2] & PERHAPS == 0;
            let object = shown(object);
            held.extend(self::place(at, memory).map(|place| Held { object, place, is_certain }));
        }
    }
    Some(Note {
        operation: shown(&slot[OPERATION..OBJECT]),
        object: shown(&slot[OBJECT..FILE]),
        place,
        is_quiet: slot[NUMBER] & QUIET != 0,
        held,
    })
}

/// Address and length of the file's name, and the line.
fn place(words: &[u64], memory: &mut Memory) -> Option<Place> {
    let &[address, len, line] = words else { return None };
    let mut name = vec![0; usize::try_from(len).ok().filter(|len| *len <= NAME)?];
    memory.peek(address, &mut name)?;
    // Where it was compiled is nobody's business.
    let mut parts = name.rsplit(|byte| *byte == b'/');
    let (file, folder) = (parts.next()?, parts.next().filter(|folder| !folder.is_empty()));
    let name = folder.map_or(file.to_vec(), |folder| [folder, file].join(&b'/'));
    Some(Place { file: text::clean_line(&name, 100), line: line as u32 })
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let word = |eight: &[u8]| eight.try_into().map_or(0, u64::from_ne_bytes);
    bytes.chunks_exact(8).map(word).collect()
}

fn shown(words: &[u64]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    text::clean_line(&bytes[..end], 100)
}

/// Where the notes begin.
fn find(memory: &mut Memory) -> Option<u64> {
    let mut room = LOOKED_AT;
    let mut chunk = vec![0; CHUNK];
    for (start, end) in memory.variables() {
        let mut at = start;
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            room = room.checked_sub(len)?;
            if memory.peek(at, &mut chunk[..len]).is_some() {
                let pages = chunk[..len].chunks(PAGE);
                let found = pages.zip(0..).find(|(page, _)| page.starts_with(MAGIC));
                if let Some((_, page)) = found {
                    return Some(at + page * PAGE as u64);
                }
            }
            at += len as u64;
        }
    }
    None
}
