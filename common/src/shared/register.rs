//! The named blocks of a family of processes: which there are, for whoever has to remove them.
//!
//! A register is shared memory with a slot for each block. A process lists a block before it gives it
//! its name and strikes it off after it has taken the name away, so at whatever instant it is killed,
//! a block with a name is in the register. An entry names the block by its [`Inode`] too, so that
//! another block which bears the same name later is never taken for it.
//!
//! # States of a slot
//!
//! | word | meaning |
//! | --- | --- |
//! | `4n + FREE` | for anyone to take |
//! | `4n + TAKEN` | being filled; it stays so if its process is killed at that moment |
//! | `4n + LISTED` | holds an entry |
//!
//! Each step goes to a larger word by compare and swap, so a step of one who has seen an older state
//! fails. Other processes write here, so what is read is checked, and what makes no sense is no entry.

use super::Region;
use crate::sys::descriptor::Descriptor;
use crate::sys::named::{self, Inode};
use crate::sys::{lock, memory};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const LISTED: u32 = 2;
/// The lowest bits of a word are its state.
const STATE: u32 = 3;

/// Where the slots begin; the word at 0 counts the trackers that were started.
const HEADER: usize = 64;
/// A slot: its word, device, inode, the length of the name, the name. 14 of them fill a page.
const SLOT: usize = (NAME + MAX_NAME).next_multiple_of(8);
const DEVICE: usize = 8;
const NUMBER: usize = 16;
const LEN: usize = 24;
const NAME: usize = 32;
/// A name has at most as many bytes.
pub(crate) const MAX_NAME: usize = 255;
/// How many bytes a register has at first.
const FIRST: usize = HEADER + 14 * SLOT;

/// A register; it travels as a handle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Register {
    region: Region,
}

/// A block that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) inode: Inode,
}

impl Register {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { region: Region::new("register", FIRST)? })
    }

    /// The same register, over a descriptor that was opened anew: it shares no lock with this one.
    pub(crate) fn open_anew(&self) -> io::Result<Self> {
        Self::over(lock::open_anew(self)?)
    }

    fn over(file: OwnedFd) -> io::Result<Self> {
        let len = memory::len(&file)?;
        Ok(Self { region: Region::map(Arc::new(file.into()), len)? })
    }

    /// Its descriptor itself.
    pub(crate) fn descriptor(&self) -> Arc<Descriptor> {
        Arc::clone(&self.region.memory)
    }

    /// How many trackers were started for it.
    pub(crate) fn trackers(&self) -> Option<&AtomicU32> {
        self.region.word32(0)
    }

    /// Lists a block.
    pub(crate) fn list(&mut self, entry: &Entry) -> io::Result<()> {
        loop {
            let free = self.slots().find_map(|slot| self.change(slot, FREE, TAKEN).map(|_| slot));
            if let Some(slot) = free {
                let Inode { device, number } = entry.inode;
                for (at, value) in
                    [(DEVICE, device), (NUMBER, number), (LEN, entry.name.len() as u64)]
                {
                    let _ = self.region.copy_in(slot + at, &value.to_ne_bytes());
                }
                let _ = self.region.copy_in(slot + NAME, entry.name.as_bytes());
                let _ = self.change(slot, TAKEN, LISTED);
                return Ok(());
            }
            let len = self.region.len();
            self.region.renew()?;
            if self.region.len() == len {
                self.region.grow(len * 2)?;
            }
        }
    }

    /// Strikes a block off; nothing where it is not listed.
    pub(crate) fn strike(&mut self, entry: &Entry) -> io::Result<()> {
        for look_again in [true, false] {
            for slot in self.slots() {
                let Some(word) = self.state(slot, LISTED) else { continue };
                if self.entry(slot).as_ref() == Some(entry) {
                    let _ = self.step(slot, word, FREE);
                    return Ok(());
                }
            }
            if look_again {
                self.region.renew()?;
            }
        }
        Ok(())
    }

    /// All that is listed.
    fn entries(&mut self) -> io::Result<Vec<Entry>> {
        self.region.renew()?;
        let listed = self.slots().filter(|&slot| self.state(slot, LISTED).is_some());
        Ok(listed.filter_map(|slot| self.entry(slot)).collect())
    }

    /// Removes every block that is still listed and tells what came of it, one line; `None` where none
    /// was left to remove.
    ///
    /// To be called when no process can use them any more.
    pub(crate) fn clean_up(&mut self) -> io::Result<Option<String>> {
        let entries = self.entries()?;
        let mut found = false;
        let mut told = Vec::new();
        for entry in &entries {
            let fate = match named::unlink(&entry.name, entry.inode) {
                Ok(false) => "gone already".to_string(),
                Ok(true) => {
                    found = true;
                    "removed now".to_string()
                }
                Err(error) => {
                    found = true;
                    format!("cannot be removed: {error}")
                }
            };
            told.push(format!("{:?} ({fate})", entry.name));
            self.strike(entry)?;
        }
        if !found {
            return Ok(None);
        }
        let blocks = if entries.len() == 1 { "block" } else { "blocks" };
        let mut text = format!("{} leaked {blocks} of shared memory: ", entries.len());
        let _ = write!(text, "{}", told[..told.len().min(SHOWN)].join(", "));
        if told.len() > SHOWN {
            let _ = write!(text, " and {} more", told.len() - SHOWN);
        }
        text += "; the program was killed, or ended without unlink()";
        Ok(Some(text))
    }

    fn slots(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.region.len().saturating_sub(HEADER) / SLOT;
        (0..count).map(|place| HEADER + place * SLOT)
    }

    /// The word of a slot, if it is in this state.
    fn state(&self, slot: usize, state: u32) -> Option<u32> {
        let word = self.region.word32(slot)?.load(Ordering::Acquire);
        (word & STATE == state).then_some(word)
    }

    /// Brings a slot from one state to another; `None` where it is in neither, or somebody was faster.
    fn change(&self, slot: usize, from: u32, to: u32) -> Option<()> {
        let word = self.state(slot, from)?;
        self.step(slot, word, to)
    }

    fn step(&self, slot: usize, word: u32, to: u32) -> Option<()> {
        let next = (word & !STATE).wrapping_add(if to == FREE { STATE + 1 } else { 0 }) | to;
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        self.region.word32(slot)?.compare_exchange(word, next, order.0, order.1).ok().map(drop)
    }

    /// What a slot holds; `None` where it makes no sense.
    fn entry(&self, slot: usize) -> Option<Entry> {
        let word = |at: usize| {
            let bytes = self.region.copy_out(slot + at, 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let inode = Inode { device: word(DEVICE)?, number: word(NUMBER)? };
        let len = usize::try_from(word(LEN)?).ok().filter(|len| (1..=MAX_NAME).contains(len))?;
        let name = String::from_utf8(self.region.copy_out(slot + NAME, len)?).ok()?;
        (!name.contains(['/', '\0'])).then_some(Entry { name, inode })
    }
}

/// How many names a report tells.
const SHOWN: usize = 10;

/// Locks on it are those of its family.
impl AsFd for Register {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.region.memory.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry { name: format!("common-test:{number}\n"), inode: Inode { device: 1, number } }
    }

    #[test]
    fn what_is_listed_is_there_until_it_is_struck_off() {
        let mut register = Register::new().unwrap();
        for number in 0..40 {
            register.list(&entry(number)).unwrap();
        }
        let mut other = register.open_anew().unwrap();
        for number in (0..40).step_by(2) {
            other.strike(&entry(number)).unwrap();
        }
        let odd: Vec<Entry> = (1..40).step_by(2).map(entry).collect();
        assert_eq!(register.entries().unwrap(), odd);
        // The name alone is not enough.
        let another = Entry { inode: Inode { device: 2, number: 1 }, ..entry(1) };
        other.strike(&another).unwrap();
        assert_eq!(other.entries().unwrap(), odd);
    }

    #[test]
    fn a_slot_that_is_free_again_is_used_again() {
        let mut register = Register::new().unwrap();
        for number in 0..1000 {
            register.list(&entry(number)).unwrap();
            register.strike(&entry(number)).unwrap();
        }
        assert_eq!(register.region.len(), FIRST);
    }

    #[test]
    fn threads_list_and_strike_off_beside_each_other() {
        let register = Register::new().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let mut register = register.clone();
                scope.spawn(move || {
                    for number in 0..500 {
                        register.list(&entry(thread * 1000 + number)).unwrap();
                        if number % 10 != 0 {
                            register.strike(&entry(thread * 1000 + number)).unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(register.clone().entries().unwrap().len(), 200);
    }

    #[test]
    fn what_makes_no_sense_is_no_entry() {
        let mut register = Register::new().unwrap();
        register.list(&entry(1)).unwrap();
        for len in [0, 256, u64::MAX] {
            assert!(register.region.copy_in(HEADER + LEN, &len.to_ne_bytes()));
            assert_eq!(register.entries().unwrap(), []);
        }
        assert!(register.region.copy_in(HEADER + LEN, &4u64.to_ne_bytes()));
        for name in [*b"a/..", *b"\xff\xff\xff\xff", *b"a\0bc"] {
            assert!(register.region.copy_in(HEADER + NAME, &name));
            assert_eq!(register.clean_up().unwrap(), None);
        }
    }

    #[test]
    fn what_is_left_is_removed_and_told() {
        let mut register = Register::new().unwrap();
        let name = |number: u64| format!("common-test-{}-left-{number}", std::process::id());
        let files: Vec<_> = (0..2).map(|_| named::unnamed(1, b"").unwrap()).collect();
        for (number, file) in (0..).zip(&files) {
            let entry = Entry { name: name(number), inode: named::inode(file).unwrap() };
            register.list(&entry).unwrap();
            named::link(file, &entry.name).unwrap();
            if number == 0 {
                assert!(named::unlink(&entry.name, entry.inode).unwrap());
            }
        }
        let told = register.clean_up().unwrap().unwrap();
        assert!(told.starts_with("2 leaked blocks of shared memory: "), "{told}");
        assert!(told.contains(&format!("{:?} (gone already)", name(0))), "{told}");
        assert!(told.contains(&format!("{:?} (removed now)", name(1))), "{told}");
        assert_eq!(named::find(&name(1)).unwrap(), None);
        assert_eq!(register.clean_up().unwrap(), None);
    }
}
