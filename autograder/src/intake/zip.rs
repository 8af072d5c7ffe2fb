//! The sources of a zip archive.
//!
//! A zip says everything twice: in a directory at its end, and in a header before each member.
//! Tools differ in what they believe, and in where they look for the directory. An archive is taken
//! only if there is nothing to differ about:
//!
//! * its end record is the last thing in it, and the directory lies directly before that, as long as
//!   it says; nothing stands before the first member, and no zip64 record between;
//! * every header agrees with the directory, no two members overlap, no header is left out of the
//!   directory, and no name comes twice (the crate's `validate_header_consistency`);
//! * the sizes that it states make no bomb.
//!
//! Then the chosen members are unpacked, and no others. Each ends where the directory says, with the
//! checksum that stands there, and at [`MAX_FILE`] in any case: a size that is a lie costs nothing.

use std::io::{self, Cursor};

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config, ZipFileEntry};
use zip::result::ZipError;

use super::choose::{self, Choice};
use super::name::{self, Kind, Member};
use super::refusal::Refusal;
use super::{MAX_FILE, MAX_MEMBERS, MAX_RATIO, MAX_UNPACKED, Sources};

/// Takes the sources of an archive.
pub(super) fn take(bytes: &[u8], sources: &mut Sources) -> Result<Choice, Refusal> {
    let end = End::find(bytes)?;
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive = ZipArchive::with_config(config, Cursor::new(bytes)).map_err(damaged)?;
    if archive.has_duplicate_names() {
        return Err(Refusal::Double("two members have the same name".to_string()));
    }
    archive.validate_header_consistency().map_err(damaged)?;

    let mut members = Vec::new();
    let mut total = 0_u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(damaged)?;
        end.refuse_more_than_stated(bytes, index, entry.central_header_start())?;
        total = total.saturating_add(entry.size());
        refuse_bomb(&entry, total)?;
        members.push(Member::of_archive(entry.name_raw(), kind(&entry))?);
    }

    let choice = choose::choose(&members)?;
    for (&index, path) in &choice.picks {
        let member = archive.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
                Refusal::Encrypted(path.clone())
            }
            ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
                Refusal::unsupported(path, "is compressed in an unusual way")
            }
            error => damaged(error),
        })?;
        let size = member.size();
        sources.add(path.clone(), path, member, |error| match error.kind() {
            io::ErrorKind::Unsupported => {
                Refusal::unsupported(path, "is compressed in an unusual way")
            }
            _ => damaged(format!("{path}: {error}")),
        })?;
        // If it is longer, the crate refuses it; if it is shorter, it does not.
        if sources.files.last().is_some_and(|source| source.bytes.len() as u64 != size) {
            return Err(damaged(format!("{path} is not as long as it says")));
        }
    }
    Ok(choice)
}

/// The end record, the one place where everybody begins to read.
struct End {
    /// How many members there are.
    count: usize,
    /// Where it begins, and the directory ends.
    start: usize,
}

impl End {
    const SIGNATURE: &[u8] = b"PK\x05\x06";
    const SIZE: usize = 22;

    /// Finds it from behind, as everybody does, and takes no other than that.
    fn find(bytes: &[u8]) -> Result<End, Refusal> {
        let longest = Self::SIZE + usize::from(u16::MAX);
        let from = bytes.len().saturating_sub(longest);
        let found = bytes[from..].windows(4).rposition(|window| window == Self::SIGNATURE);
        let start = from + found.ok_or_else(|| damaged("its end is missing"))?;
        let short = |at: usize| number::<2>(bytes, start + at);
        let long = |at: usize| number::<4>(bytes, start + at);
        let (Some(comment), Some(size), Some(offset)) = (short(20), long(12), long(16)) else {
            return Err(damaged("it breaks off in the middle"));
        };
        if start + Self::SIZE + comment != bytes.len() {
            return Err(damaged("something stands behind its end"));
        }
        let locator = start.checked_sub(20).and_then(|at| bytes.get(at..at + 4));
        if locator == Some(b"PK\x06\x07".as_slice()) {
            return Err(Refusal::unsupported("the archive", "is a zip64, made for over 4 GiB"));
        }
        let counts = (short(8), short(10));
        let (Some(count), true) = (counts.1, counts.0 == counts.1) else {
            return Err(damaged("it is one of several parts"));
        };
        if (short(4), short(6)) != (Some(0), Some(0)) {
            return Err(damaged("it is one of several parts"));
        }
        if offset.checked_add(size) != Some(start) {
            return Err(damaged("its directory is not where it says"));
        }
        if count > MAX_MEMBERS {
            return Err(Refusal::ManyMembers);
        }
        Ok(End { count, start })
    }

    /// The directory ends with the last of the members that are counted.
    fn refuse_more_than_stated(
        &self,
        bytes: &[u8],
        index: usize,
        header: u64,
    ) -> Result<(), Refusal> {
        if index + 1 < self.count {
            return Ok(());
        }
        // 46 bytes, then name, extra fields and comment, whose lengths stand in it.
        let end = usize::try_from(header).ok().and_then(|header| {
            let lengths = [28, 30, 32].map(|at| number::<2>(bytes, header.checked_add(at)?));
            header.checked_add(46)?.checked_add(lengths.into_iter().sum::<Option<usize>>()?)
        });
        if end == Some(self.start) {
            Ok(())
        } else {
            Err(damaged("its directory is not as long as it says"))
        }
    }
}

/// A number of `N` bytes, the lowest first.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(N)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}

fn refuse_bomb(entry: &ZipFileEntry<'_>, total: u64) -> Result<(), Refusal> {
    if total > MAX_UNPACKED {
        return Err(Refusal::Bomb("it says that it unpacks to more than 64 MiB".to_string()));
    }
    let fair = entry.compressed_size().saturating_mul(MAX_RATIO).max(MAX_FILE);
    if entry.size() > fair {
        let member = name::shown(entry.name_raw());
        return Err(Refusal::Bomb(format!(
            "{member} says that it unpacks to over 200 times its size"
        )));
    }
    Ok(())
}

/// What a member is: by its Unix mode, which counts wherever the archive says that it was made, and
/// by its name if there is none.
fn kind(entry: &ZipFileEntry<'_>) -> Kind {
    match entry.external_attributes() >> 16 & 0o170_000 {
        0o120_000 => Kind::Link("symbolic"),
        0o010_000 => Kind::Special("a FIFO"),
        0o140_000 => Kind::Special("a socket"),
        0o020_000 | 0o060_000 => Kind::Special("a device"),
        0o040_000 => Kind::Folder,
        0 | 0o100_000 if entry.name_raw().ends_with(b"/") => Kind::Folder,
        0 | 0o100_000 => Kind::File,
        _ => Kind::Special("of a type that is not known"),
    }
}

fn damaged(error: impl ToString) -> Refusal {
    Refusal::Damaged(name::shown(error.to_string().as_bytes()))
}
