//! Which submissions are taken in: one `.rs` file of at most 1 MiB, and nothing that only looks
//! like one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::text;

/// The largest file that is taken in, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// A submission that was taken in.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The name of the file, without its folder, safe to print.
    pub name: String,
    /// What stands in it.
    pub source: Vec<u8>,
}

/// A submission that was not taken in, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is nothing at that path.
    #[error("there is no such file; give the path of your main.rs")]
    NotThere,
    /// A symbolic link.
    #[error("it is a symbolic link; give the file itself")]
    Symlink,
    /// A folder, a pipe, a device.
    #[error("it is not a regular file; give one .rs file")]
    NotAFile,
    /// A name that does not end in `.rs`.
    #[error("its name does not end in .rs; give one Rust source file")]
    NotRust,
    /// Larger than [`MAX_BYTES`].
    #[error("it is larger than 1 MiB; hand in source code only")]
    TooLarge,
    /// The operating system would not let us read it.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// The name of a submission as it is printed: no folder, nothing that a terminal acts upon.
pub fn display_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    text::clean_line(name.as_encoded_bytes(), 100)
}

/// Takes in one file.
///
/// # Errors
///
/// The [`Refusal`], if it is not what a submission may be.
pub fn take(path: &Path) -> Result<Submission, Refusal> {
    let kind = fs::symlink_metadata(path).map_err(refusal)?.file_type();
    if kind.is_symlink() {
        return Err(Refusal::Symlink);
    }
    if !kind.is_file() {
        return Err(Refusal::NotAFile);
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return Err(Refusal::NotRust);
    }
    // Once more on what was really opened: the name may mean something else by now.
    let file = File::options()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(refusal)?;
    if !file.metadata().map_err(refusal)?.is_file() {
        return Err(Refusal::NotAFile);
    }
    let mut source = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut source).map_err(refusal)?;
    if source.len() as u64 > MAX_BYTES {
        return Err(Refusal::TooLarge);
    }
    Ok(Submission { name: display_name(path), source })
}

fn refusal(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::NotThere,
        _ => Refusal::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_regular_rust_file_of_fair_size_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("good.rs"), "fn main() {}").unwrap();
        fs::write(at("good.txt"), "fn main() {}").unwrap();
        fs::write(at("large.rs"), vec![b' '; MAX_BYTES as usize + 1]).unwrap();
        fs::create_dir(at("folder.rs")).unwrap();
        symlink(at("good.rs"), at("link.rs")).unwrap();

        assert_eq!(take(&at("good.rs")).unwrap().source, b"fn main() {}");
        for (name, expected) in [
            ("absent.rs", Refusal::NotThere),
            ("good.rs/main.rs", Refusal::NotThere),
            ("link.rs", Refusal::Symlink),
            ("folder.rs", Refusal::NotAFile),
            ("good.txt", Refusal::NotRust),
            ("large.rs", Refusal::TooLarge),
        ] {
            assert_eq!(take(&at(name)).unwrap_err(), expected, "{name}");
        }
    }

    #[test]
    fn a_name_is_printed_without_its_folder_and_without_tricks() {
        assert_eq!(display_name(Path::new("/home/ada/main.rs")), "main.rs");
        assert_eq!(display_name(Path::new("a\u{1b}[2Jb.rs")), "a\\u{1b}[2Jb.rs");
    }
}
