//! What a member is called, and what it may be called.
//!
//! A name is foreign bytes until it has passed here. It is split at `/` into parts; `.` and empty
//! parts mean nothing and are left out.
//!
//! | a name that | in an archive | in a folder |
//! | --- | --- | --- |
//! | leads out: `..`, a `/` or a drive in front | refuses the archive | cannot be |
//! | has a `\`, a NUL, or more than [`MAX_NAME`] bytes | refuses the archive | is ignored, or refused as a source |
//! | is no printable ASCII, as a source | refuses the archive | refuses the folder |
//! | is no printable ASCII, otherwise | is ignored, and shown escaped | the same |
//!
//! Only ASCII names a source because `rustc` looks for no module by another name (E0754); so no two
//! sources can look alike, hide a character, or be one to one system and two to the next.

use super::refusal::Refusal;
use crate::text;

/// The longest name of a member, in bytes.
pub(super) const MAX_NAME: usize = 1024;

/// The longest part of the name of a source, in bytes: every file system takes it.
const MAX_PART: usize = 120;

/// How much of a name is shown.
const SHOWN: usize = 100;

/// One member of a folder or an archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// The parts of its name: none is empty, `.` or `..`, none has a `/`.
    pub(super) parts: Vec<Vec<u8>>,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic or a hard link.
    Link(&'static str),
    /// A device, a FIFO, a socket.
    Special(&'static str),
}

impl Member {
    /// A member of an archive. What must not be in one is refused whether or not it would be taken:
    /// whoever unpacks the archive elsewhere would meet it.
    pub(super) fn of_archive(name: &[u8], kind: Kind) -> Result<Member, Refusal> {
        let parts = parts(name)?;
        match kind {
            Kind::Link(kind) => Err(Refusal::link(shown(name), kind)),
            Kind::Special(kind) => Err(Refusal::special(shown(name), kind)),
            Kind::File | Kind::Folder => Ok(Member { parts, kind }),
        }
    }

    /// Its name, safe to print.
    pub(super) fn shown(&self) -> String {
        shown(&self.parts.join(&b'/'))
    }
}

/// A name made safe to print.
pub(super) fn shown(name: &[u8]) -> String {
    text::clean_line(name, SHOWN)
}

/// The parts of the name of a member of an archive.
pub(super) fn parts(name: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let refuse = |fault| Err(Refusal::Path { member: shown(name), fault });
    if name.len() > MAX_NAME {
        return refuse("has a name of more than 1024 bytes");
    }
    if name.starts_with(b"/") {
        return refuse("begins at the root of the file system");
    }
    if name.contains(&b'\\') {
        return refuse("has a backslash in its name");
    }
    if name.contains(&0) {
        return refuse("has a NUL in its name");
    }
    if matches!(name, [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return refuse("begins with a drive");
    }
    let parts: Vec<Vec<u8>> = name
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .collect();
    if parts.iter().any(|part| part == b"..") {
        return refuse("leads out of its folder");
    }
    Ok(parts)
}

/// Whether a part of a name is hidden, as `.git`, or what other systems leave beside a file, such
/// as `._main.rs`.
pub(super) fn is_hidden(part: &[u8]) -> bool {
    part.starts_with(b".")
}

/// The path that a source is taken in under.
pub(super) fn source_path(parts: &[Vec<u8>]) -> Result<String, Refusal> {
    let fits = |part: &Vec<u8>| {
        let plain = |&byte: &u8| matches!(byte, b' '..=b'~') && byte != b'\\' && byte != b'/';
        part.len() <= MAX_PART && !is_hidden(part) && part.iter().all(plain)
    };
    let path = parts.join(&b'/');
    match String::from_utf8(path) {
        Ok(path) if parts.iter().all(fits) => Ok(path),
        _ => Err(Refusal::Name(shown(&parts.join(&b'/')))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_and_what_means_nothing_is_left_out() {
        for name in ["src/a/b.rs", "./src/a/b.rs", "src//a/./b.rs", "src/a/b.rs/"] {
            let expected = ["src", "a", "b.rs"].map(|part| part.as_bytes().to_vec());
            assert_eq!(parts(name.as_bytes()).unwrap(), expected, "{name}");
        }
        assert!(parts(b"./").unwrap().is_empty());
        assert_eq!(parts(b"a..b/...").unwrap().len(), 2);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let long = "a/".repeat(600);
        for name in [
            "../x",
            "a/../../x",
            "a/..",
            "..",
            "/etc/passwd",
            "//x",
            "C:\\x",
            "C:/x",
            "c:x",
            "src\\main.rs",
            "a\0b",
            &long,
        ] {
            let refusal = parts(name.as_bytes()).unwrap_err();
            assert_eq!(refusal.reason(), "path", "{name:?}");
            assert!(refusal.to_string().len() < 400, "{refusal}");
        }
    }

    #[test]
    fn a_source_has_a_plain_name() {
        let path = |name: &str| source_path(&parts(name.as_bytes()).unwrap());
        for name in ["src/main.rs", "src/a b/c-1.rs", "src/main (2).rs", "src/-rf;$(x).rs"] {
            assert_eq!(path(name).unwrap(), name);
        }
        let long = format!("src/{}.rs", "a".repeat(200));
        for name in
            ["src/a\nb.rs", "src/\u{202e}a.rs", "src/\u{1b}[2J.rs", "src/ä.rs", "src/.a.rs", &long]
        {
            assert_eq!(path(name).unwrap_err().reason(), "name", "{name:?}");
        }
        let invalid = [b"src".to_vec(), b"\xff.rs".to_vec()];
        assert_eq!(source_path(&invalid).unwrap_err(), Refusal::Name("src/\\xff.rs".to_string()));
    }
}
