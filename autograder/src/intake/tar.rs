//! The sources of a tar archive, packed by gzip or not.
//!
//! The archive is read twice from front to back: the first time the headers, the second time the
//! chosen members. Nobody can change it in between, because it lies in memory. What gzip unpacks to
//! is counted, and reading ends at the limit, so that a stream without an end has one.
//!
//! The crate is asked for one header at a time, and not for long names: to put one together it reads
//! as much as the archive says, and we read at most [`MAX_EXTENSION`].
//!
//! | header | meaning here |
//! | --- | --- |
//! | file, contiguous file, folder | a member |
//! | long name (GNU `L`, the `path` of pax) | the name of the next member |
//! | long link (GNU `K`), global pax header | read over; the link itself is refused |
//! | symbolic link, hard link | refused |
//! | device, FIFO | refused |
//! | sparse file, several volumes, the `size` of pax (for files over 8 GiB) | refused |
//! | mode, owner, times, extended attributes | not looked at |

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType, Header};

use super::choose::{self, Choice};
use super::name::{self, Kind, Member};
use super::refusal::Refusal;
use super::{MAX_FILE, MAX_MEMBERS, MAX_RATIO, MAX_UNPACKED, Sources};

/// The size of a header.
const BLOCK: usize = 512;

/// The longest header that describes the next one.
const MAX_EXTENSION: u64 = 64 << 10;

/// Whether a file that begins like this is a tar archive: its first header adds up.
pub(super) fn begins(head: &[u8]) -> bool {
    let Some(head) = head.first_chunk::<BLOCK>() else { return false };
    let sum: u32 = head.iter().enumerate().fold(0, |sum, (index, &byte)| {
        let byte = if (148..156).contains(&index) { b' ' } else { byte };
        sum + u32::from(byte)
    });
    head[0] != 0 && Header::from_byte_slice(head).cksum().is_ok_and(|stated| stated == sum)
}

/// Takes the sources of an archive.
pub(super) fn take(archive: &[u8], packed: bool, sources: &mut Sources) -> Result<Choice, Refusal> {
    let mut members = Vec::new();
    pass(archive, packed, |_, member, _| {
        members.push(member);
        if members.len() > MAX_MEMBERS { Err(Refusal::ManyMembers) } else { Ok(()) }
    })?;
    let choice = choose::choose(&members)?;
    drop(members);
    let mut left: BTreeMap<usize, &String> =
        choice.picks.iter().map(|(&index, path)| (index, path)).collect();
    pass(archive, packed, |index, _, content| match left.remove(&index) {
        Some(path) => sources.add(path.clone(), path, content, damaged),
        None => Ok(()),
    })?;
    Ok(choice)
}

/// Reads the archive once and shows every member: its number, what it is, what is in it.
fn pass(
    archive: &[u8],
    packed: bool,
    visit: impl FnMut(usize, Member, &mut dyn Read) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if !packed {
        return each(archive, visit);
    }
    let limit = MAX_UNPACKED.min(MAX_FILE.max(archive.len() as u64 * MAX_RATIO));
    let over = Cell::new(false);
    let mut unpacked = Capped { inner: MultiGzDecoder::new(archive), left: limit, over: &over };
    let mut head = Vec::new();
    let result = match (&mut unpacked).take(BLOCK as u64).read_to_end(&mut head) {
        Ok(_) if begins(&head) => each(head.chain(&mut unpacked), visit),
        Ok(_) => Err(Refusal::ForeignArchive("packed with gzip, and there is no tar in it")),
        Err(error) => Err(damaged(error)),
    };
    // The error of the reader comes back in any wrapping; the flag does not.
    if over.get() {
        return Err(Refusal::Bomb(format!(
            "it unpacks to more than {} MiB from {} KiB",
            limit >> 20,
            archive.len().div_ceil(1024),
        )));
    }
    result
}

fn each(
    reader: impl Read,
    mut visit: impl FnMut(usize, Member, &mut dyn Read) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut archive = Archive::new(reader);
    let mut index = 0;
    let mut total = 0_u64;
    let mut long_name: Option<Vec<u8>> = None;
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let size = entry.size();
        total = total.saturating_add(size);
        if total > MAX_UNPACKED {
            return Err(Refusal::Bomb("it says that it unpacks to more than 64 MiB".to_string()));
        }
        let raw = long_name.take();
        let named = |header: &Header| {
            let name = raw.clone().unwrap_or_else(|| header.path_bytes().into_owned());
            let unsupported = |fault| Refusal::unsupported(name::shown(&name), fault);
            let kind = match header.entry_type() {
                // The oldest archives have no type for a folder.
                EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => Kind::Folder,
                EntryType::Regular | EntryType::Continuous => Kind::File,
                EntryType::Directory => Kind::Folder,
                EntryType::Symlink => Kind::Link("symbolic"),
                EntryType::Link => Kind::Link("hard"),
                EntryType::Char | EntryType::Block => Kind::Special("a device"),
                EntryType::Fifo => Kind::Special("a FIFO"),
                EntryType::GNUSparse => return Err(unsupported("is a sparse file")),
                _ => return Err(unsupported("is of a type that only special tools write")),
            };
            Member::of_archive(&name, kind)
        };
        match entry.header().entry_type() {
            EntryType::GNULongName => {
                let mut name = extension(&mut entry, size)?;
                while name.last() == Some(&0) {
                    name.pop();
                }
                long_name = Some(name);
            }
            EntryType::XHeader => {
                let records = extension(&mut entry, size)?;
                long_name = path_of(&records)?.or(raw);
            }
            EntryType::GNULongLink | EntryType::XGlobalHeader => {
                extension(&mut entry, size)?;
                long_name = raw;
            }
            _ => {
                let member = named(entry.header())?;
                let is_file = member.kind == Kind::File;
                let mut content = Counted { inner: &mut entry, count: 0, ended: false };
                visit(index, member, &mut content)?;
                if is_file && content.ended && content.count != size {
                    return Err(damaged("it breaks off in the middle"));
                }
                index += 1;
            }
        }
    }
    if long_name.is_some() {
        return Err(damaged("its last header describes a member that is not there"));
    }
    Ok(())
}

/// The content of a header that describes the next one.
fn extension(entry: &mut impl Read, size: u64) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    if size > MAX_EXTENSION {
        return Err(damaged("it has a header of more than 64 KiB"));
    }
    entry.read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 != size {
        return Err(damaged("it breaks off in the middle"));
    }
    Ok(bytes)
}

/// The name in a pax header: records of the form `length key=value\n`, where the length counts all
/// of the record. (The crate takes them for lines; a value may hold line breaks.)
fn path_of(mut records: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let mut path = None;
    while !records.is_empty() {
        let (key, value, rest) =
            first_record(records).ok_or_else(|| damaged("it has a malformed pax header"))?;
        match key {
            b"path" => path = Some(value.to_vec()),
            b"size" => return Err(Refusal::unsupported("a member", "is made for over 8 GiB")),
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(Refusal::unsupported("a member", "is a sparse file"));
            }
            _ => {}
        }
        records = rest;
    }
    Ok(path)
}

/// Key and value of the first record, and the other records.
fn first_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|&byte| byte == b' ')?;
    let length: usize = str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

fn damaged(error: impl ToString) -> Refusal {
    Refusal::Damaged(name::shown(error.to_string().as_bytes()))
}

/// A reader that fails after so many bytes, and remembers that it did.
struct Capped<'a, R> {
    inner: R,
    left: u64,
    over: &'a Cell<bool>,
}

impl<R: Read> Read for Capped<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.over.set(true);
            return Err(io::Error::other("it unpacks to too much"));
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..room])?;
        self.left -= count as u64;
        Ok(count)
    }
}

/// A reader that counts, so that an archive that breaks off is told from a shorter file.
struct Counted<R> {
    inner: R,
    count: u64,
    ended: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        self.ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}
