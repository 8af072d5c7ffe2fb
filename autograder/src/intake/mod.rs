//! Which submissions are taken in, and what of them.
//!
//! | given | read by | how |
//! | --- | --- | --- |
//! | one `.rs` file | this file | it becomes `src/main.rs` |
//! | a folder | `folder.rs` | by descriptors; no link is followed |
//! | a `.zip` | `zip.rs` | first its directory, then the sources alone |
//! | a `.tar`, `.tar.gz`, `.tgz` | `tar.rs` | twice from front to back: first the headers, then the sources |
//!
//! What a file is, its first bytes say; its name counts only where they say nothing. A folder or an
//! archive is taken in three steps:
//!
//! 1. **List** every member. What an archive must not hold is refused here, before any content is
//!    unpacked: names that lead out of it, links, devices, too many members, sizes of a bomb.
//! 2. **Choose** (`choose.rs`): `src/**/*.rs`, or `main.rs` alone; at the top, or in one folder there.
//!    Everything else is ignored and named in [`Submission::ignored`].
//! 3. **Read** the chosen ones into memory, under the limits below.
//!
//! No library ever unpacks anything to disk. What is written there later is written under the names
//! that were checked here.
//!
//! # Limits
//!
//! | what | at most |
//! | --- | --- |
//! | one source | [`MAX_FILE`] |
//! | all sources | [`MAX_SOURCES`], [`MAX_TOTAL`] |
//! | an archive | [`MAX_ARCHIVE`] |
//! | what it unpacks to | [`MAX_UNPACKED`]; beyond 1 MiB, [`MAX_RATIO`] times its size |
//! | members of a folder or an archive | [`MAX_MEMBERS`] |
//! | folders inside each other | [`MAX_DEPTH`] |

mod choose;
mod folder;
mod hygiene;
mod name;
mod refusal;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use self::choose::Choice;
use self::name::Kind;
pub use self::refusal::Refusal;
use crate::text;

/// The largest source that is taken in, in bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// The most that all sources of a submission may come to, in bytes.
pub const MAX_TOTAL: u64 = 4 << 20;

/// The most sources that a submission may have.
pub const MAX_SOURCES: usize = 200;

/// The largest archive that is opened, in bytes.
pub const MAX_ARCHIVE: u64 = 16 << 20;

/// The most that an archive may unpack to, in bytes, with everything that is ignored.
pub const MAX_UNPACKED: u64 = 64 << 20;

/// How many times its own size an archive or a member may unpack to, if that is more than
/// [`MAX_FILE`]. Source code comes to ten or twenty.
pub const MAX_RATIO: u64 = 200;

/// The most members that an archive may have, or a folder where sources are looked for.
pub const MAX_MEMBERS: usize = 10_000;

/// How deep folders may lie inside each other.
pub const MAX_DEPTH: usize = 16;

/// How many ignored names are kept.
pub const MAX_IGNORED: usize = 100;

/// A submission that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The name of what was handed in, without its folder, safe to print.
    pub name: String,
    /// The sources, sorted by path; `src/main.rs` is among them.
    pub files: Vec<Source>,
    /// What was not taken in, sorted, safe to print; a folder that was left out as a whole once,
    /// with `/` at its end. At most [`MAX_IGNORED`] names.
    pub ignored: Vec<String>,
    /// How many more were not taken in.
    pub ignored_more: usize,
    /// What a reader of the sources should know, safe to print.
    pub notes: Vec<String>,
}

impl Submission {
    /// One of a single source that was never handed in: a starter, a solution.
    pub(crate) fn of_text(name: &str, source: &str) -> Submission {
        let files = vec![Source { path: "src/main.rs".to_string(), bytes: source.into() }];
        let name = name.to_string();
        Submission { name, files, ignored: vec![], ignored_more: 0, notes: vec![] }
    }
}

/// One source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `src/main.rs` or another path below `src/`: printable ASCII, without `..`, `.`, `\`, and
    /// without parts that begin with a dot.
    pub path: String,
    /// What stands in it.
    pub bytes: Vec<u8>,
}

/// The name of a submission as it is printed: no folder, nothing that a terminal acts upon.
pub fn display_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    text::clean_line(name.as_encoded_bytes(), 100)
}

/// Takes in a file, a folder or an archive.
///
/// # Errors
///
/// The [`Refusal`], if it is not what a submission may be.
pub fn take(path: &Path) -> Result<Submission, Refusal> {
    let before = fs::symlink_metadata(path).map_err(unreadable)?;
    let kind = before.file_type();
    if kind.is_symlink() {
        return Err(Refusal::link("it", "symbolic"));
    }
    let mut sources = Sources::default();
    let choice = if kind.is_dir() {
        let folder = open(path, OFlag::O_DIRECTORY)?;
        let is_src = path.file_name().is_some_and(|name| name == "src");
        folder::take(&folder, is_src, &mut sources)?
    } else if kind.is_file() {
        let file = open(path, OFlag::O_NONBLOCK)?;
        let opened = file.metadata().map_err(unreadable)?;
        // The name may mean something else by now.
        if !opened.is_file() {
            return Err(Refusal::Changed("it".to_string()));
        }
        let owner = fs::metadata(folder_of(path)).map_err(unreadable)?.uid();
        refuse_foreign_link(&opened, owner, "it")?;
        take_file(file, path, &mut sources)?
    } else {
        return Err(Refusal::special("it", special(kind)));
    };
    sources.files.sort_by(|one, other| one.path.cmp(&other.path));
    let mut notes = choice.notes;
    notes.extend(hygiene::notes(&sources.files));
    let mut ignored: Vec<String> = choice.ignored.into_iter().collect();
    let ignored_more = ignored.len().saturating_sub(MAX_IGNORED);
    ignored.truncate(MAX_IGNORED);
    Ok(Submission { name: display_name(path), files: sources.files, ignored, ignored_more, notes })
}

/// Takes in one file, by what its first bytes say that it is.
fn take_file(mut file: File, path: &Path, sources: &mut Sources) -> Result<Choice, Refusal> {
    let mut bytes = Vec::new();
    (&mut file).take(512).read_to_end(&mut bytes).map_err(unreadable)?;
    let form = Form::of(&bytes);
    if form == Form::Text {
        if path.extension().is_none_or(|extension| extension != "rs") {
            return Err(Refusal::NotRust);
        }
        sources.add("src/main.rs".to_string(), "it", bytes.chain(file), unreadable)?;
        return Ok(Choice::default());
    }
    if let Form::Foreign(what) = form {
        return Err(Refusal::ForeignArchive(what));
    }
    // All of it into memory: nobody can change the directory of an archive after we have checked it.
    file.take(MAX_ARCHIVE + 1 - bytes.len() as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_ARCHIVE {
        return Err(Refusal::LargeArchive);
    }
    match form {
        Form::Zip => zip::take(&bytes, sources),
        _ => tar::take(&bytes, form == Form::Gzip, sources),
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Zip,
    Gzip,
    Tar,
    /// An archive of a kind that is not taken.
    Foreign(&'static str),
    /// Nothing of these, so it may be a source.
    Text,
}

impl Form {
    /// By the first 512 bytes. None of these begins a file that `rustc` would take.
    fn of(head: &[u8]) -> Form {
        const SIGNATURES: &[(&[u8], Form)] = &[
            (b"PK\x03\x04", Form::Zip),
            (b"PK\x05\x06", Form::Zip),
            (b"PK\x07\x08", Form::Foreign("a zip in several parts")),
            (b"\x1f\x8b", Form::Gzip),
            (b"7z\xbc\xaf\x27\x1c", Form::Foreign("a 7z archive")),
            (b"Rar!\x1a\x07", Form::Foreign("a rar archive")),
            (b"BZh91AY&SY", Form::Foreign("packed with bzip2")),
            (b"\xfd7zXZ\x00", Form::Foreign("packed with xz")),
            (b"\x28\xb5\x2f\xfd", Form::Foreign("packed with zstd")),
            (b"\x1f\x9d", Form::Foreign("packed with compress")),
        ];
        let signature = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature));
        match signature {
            Some(&(_, form)) => form,
            None if tar::begins(head) => Form::Tar,
            None => Form::Text,
        }
    }
}

/// The sources read so far.
#[derive(Default)]
struct Sources {
    files: Vec<Source>,
    total: u64,
}

impl Sources {
    /// Reads one more, and never more of it than a source may have. `shown` names it in a refusal.
    fn add(
        &mut self,
        path: String,
        shown: &str,
        reader: impl Read,
        fault: impl FnOnce(io::Error) -> Refusal,
    ) -> Result<(), Refusal> {
        let mut bytes = Vec::new();
        reader.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(fault)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(Refusal::LargeFile(shown.to_string()));
        }
        self.total += bytes.len() as u64;
        if self.total > MAX_TOTAL {
            return Err(Refusal::LargeTotal);
        }
        self.files.push(Source { path, bytes });
        Ok(())
    }
}

/// Opens what was given, unless it has become a link.
fn open(path: &Path, flags: OFlag) -> Result<File, Refusal> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
    File::options().read(true).custom_flags(flags.bits()).open(path).map_err(|error| {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ELOOP | Errno::ENOTDIR) => Refusal::Changed("it".to_string()),
            _ => unreadable(error),
        }
    })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A second name for a file of one's own is harmless; one for somebody else's may be the way to
/// read, through the grader, what one may not read oneself.
fn refuse_foreign_link(file: &fs::Metadata, owner: u32, shown: &str) -> Result<(), Refusal> {
    if file.nlink() > 1 && file.uid() != owner {
        return Err(Refusal::link(shown, "hard"));
    }
    Ok(())
}

/// What a file is that is neither a file nor a folder nor a link.
fn special(kind: fs::FileType) -> &'static str {
    if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// The kind of what lies in a folder.
fn kind_of(kind: fs::FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link("symbolic")
    } else {
        Kind::Special(special(kind))
    }
}

fn unreadable(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::NotThere,
        _ => Refusal::Unreadable(error.to_string()),
    }
}
