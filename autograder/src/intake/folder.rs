//! The sources of a folder.
//!
//! The folder may be written to meanwhile by whoever hands it in. So a name is looked up once, from
//! the descriptor of the folder that was given, and what counts is what was opened: `openat2` with
//! `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`, or where the kernel or a sandbox has no `openat2`,
//! one `openat` with `O_NOFOLLOW` per part of the name. A file that has become a link since it was
//! listed is refused as changed, and so is one that has become anything else.
//!
//! Only `src/` is walked to its end. Where there is no `main.rs` at the top, every folder there is
//! looked into for one. A folder that is itself called `src` and has `main.rs` in it stands for its
//! own folder.
//!
//! # System calls
//!
//! `openat2`, `openat`, `fstat`, `getdents64` (by way of `/proc/self/fd`, which names the very folder
//! that a descriptor holds open).

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

use super::choose::{self, Choice};
use super::name::{self, Kind, Member};
use super::refusal::Refusal;
use super::{MAX_DEPTH, MAX_MEMBERS, Sources, kind_of, refuse_foreign_link, unreadable};

/// Takes the sources of an open folder.
pub(super) fn take(folder: &File, is_src: bool, sources: &mut Sources) -> Result<Choice, Refusal> {
    let mut walk = Walk { folder: folder.as_fd(), members: Vec::new() };
    walk.list(&[], false)?;
    let top: Vec<Vec<u8>> = walk.folders();
    let alone = walk.members.iter().any(|member| member.parts == [b"main.rs"]);
    let mut above: &[&[u8]] = &[];
    if is_src && alone {
        above = &[b"src"];
        for name in top.into_iter().filter(|name| !name::is_hidden(name)) {
            walk.list(&[name], true)?;
        }
    } else {
        if top.iter().any(|name| name == b"src") {
            walk.list(&[b"src".to_vec()], true)?;
        }
        if !choose::has_main(&walk.members) {
            let others = |name: &Vec<u8>| !name::is_hidden(name) && name != b"src";
            for name in top.into_iter().filter(others) {
                walk.look_into(name)?;
            }
        }
    }
    let mut members = walk.members;
    let real: Vec<Vec<Vec<u8>>> = members.iter().map(|member| member.parts.clone()).collect();
    for member in &mut members {
        member.parts.splice(0..0, above.iter().map(|part| part.to_vec()));
    }

    let choice = choose::choose(&members)?;
    let owner = folder.metadata().map_err(unreadable)?.uid();
    for (&index, path) in &choice.picks {
        let file = File::from(opened(folder.as_fd(), &real[index], OFlag::O_NONBLOCK, path)?);
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Refusal::Changed(path.clone()));
        }
        refuse_foreign_link(&metadata, owner, path)?;
        sources.add(path.clone(), path, file, unreadable)?;
    }
    Ok(choice)
}

struct Walk<'a> {
    folder: BorrowedFd<'a>,
    members: Vec<Member>,
}

impl Walk<'_> {
    /// Lists what lies in one folder, or also in those below it.
    fn list(&mut self, at: &[Vec<u8>], deep: bool) -> Result<(), Refusal> {
        let shown = name::shown(&at.join(&b'/'));
        if at.len() > MAX_DEPTH {
            return Err(Refusal::Deep(shown));
        }
        let open = opened(self.folder, at, OFlag::O_DIRECTORY, &shown)?;
        let before = self.members.len();
        let entries = fs::read_dir(format!("/proc/self/fd/{}", open.as_raw_fd()));
        for entry in entries.map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            // What has gone meanwhile was not there.
            let Ok(kind) = entry.file_type() else { continue };
            let mut parts = at.to_vec();
            parts.push(entry.file_name().into_vec());
            self.members.push(Member { parts, kind: kind_of(kind) });
            if self.members.len() > MAX_MEMBERS {
                return Err(Refusal::ManyMembers);
            }
        }
        drop(open);
        if deep {
            for index in before..self.members.len() {
                let Member { parts, kind } = &self.members[index];
                let hidden = parts.last().is_some_and(|last| name::is_hidden(last));
                if *kind == Kind::Folder && !hidden {
                    self.list(&parts.clone(), true)?;
                }
            }
        }
        Ok(())
    }

    /// Lists a folder in which a `main.rs` may lie. One that cannot be read is left alone.
    fn look_into(&mut self, name: Vec<u8>) -> Result<(), Refusal> {
        let before = self.members.len();
        match self.list(std::slice::from_ref(&name), false) {
            Err(Refusal::Unreadable(_) | Refusal::Changed(_)) => self.members.truncate(before),
            result => result?,
        }
        let src = [name, b"src".to_vec()];
        let is_src = |member: &Member| member.parts == src && member.kind == Kind::Folder;
        if self.members[before..].iter().any(is_src) {
            self.list(&src, true)?;
        }
        Ok(())
    }

    /// The folders listed so far.
    fn folders(&self) -> Vec<Vec<u8>> {
        let folders = self.members.iter().filter(|member| member.kind == Kind::Folder);
        folders.filter_map(|member| member.parts.last().cloned()).collect()
    }
}

/// Opens what lies below a folder, for reading.
fn opened(
    folder: BorrowedFd<'_>,
    parts: &[Vec<u8>],
    flags: OFlag,
    shown: &str,
) -> Result<OwnedFd, Refusal> {
    let flags = flags | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let result = match open_at_once(folder, parts, flags) {
        Err(Errno::ENOSYS | Errno::EPERM | Errno::E2BIG | Errno::EINVAL) => {
            open_part_by_part(folder, parts, flags)
        }
        result => result,
    };
    result.map_err(|errno| match errno {
        Errno::ELOOP | Errno::ENOTDIR | Errno::ENOENT | Errno::ENXIO | Errno::EXDEV => {
            Refusal::Changed(shown.to_string())
        }
        errno => Refusal::Unreadable(format!("{shown}: {}", errno.desc())),
    })
}

fn open_at_once(folder: BorrowedFd<'_>, parts: &[Vec<u8>], flags: OFlag) -> Result<OwnedFd, Errno> {
    let path = if parts.is_empty() { b".".to_vec() } else { parts.join(&b'/') };
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    openat2(folder, path.as_slice(), OpenHow::new().flags(flags).resolve(resolve))
}

fn open_part_by_part(
    folder: BorrowedFd<'_>,
    parts: &[Vec<u8>],
    flags: OFlag,
) -> Result<OwnedFd, Errno> {
    let Some((last, above)) = parts.split_last() else {
        return openat(folder, ".", flags, Mode::empty());
    };
    let through = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut at = folder.try_clone_to_owned().map_err(|_| Errno::EMFILE)?;
    for part in above {
        at = openat(&at, part.as_slice(), through, Mode::empty())?;
    }
    openat(&at, last.as_slice(), flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    type Opener = fn(BorrowedFd<'_>, &[Vec<u8>], OFlag) -> Result<OwnedFd, Errno>;

    #[test]
    fn neither_way_of_opening_follows_a_link_or_leaves_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("inside/src")).unwrap();
        fs::write(at("inside/src/main.rs"), "inside").unwrap();
        fs::write(at("secret.rs"), "secret").unwrap();
        symlink(at("secret.rs"), at("inside/src/link.rs")).unwrap();
        symlink("main.rs", at("inside/src/near.rs")).unwrap();
        symlink(at(""), at("inside/up")).unwrap();
        let root = File::open(at("inside")).unwrap();
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;

        let openers: [(&str, Opener); 2] =
            [("openat2", open_at_once), ("openat", open_part_by_part)];
        for (way, open) in openers {
            let open = |path: &str| {
                let parts: Vec<Vec<u8>> = path.split('/').map(|part| part.into()).collect();
                open(root.as_fd(), &parts, flags)
            };
            match open("src/main.rs") {
                Ok(file) => {
                    let mut text = String::new();
                    File::from(file).read_to_string(&mut text).unwrap();
                    assert_eq!(text, "inside");
                }
                Err(Errno::ENOSYS | Errno::EPERM) => {
                    println!("not run: this machine has no {way}");
                    continue;
                }
                Err(errno) => panic!("{way}: {errno}"),
            }
            for path in ["src/link.rs", "src/near.rs", "up/secret.rs", "up/inside/src/main.rs"] {
                let errno = open(path).unwrap_err();
                assert!(matches!(errno, Errno::ELOOP | Errno::ENOTDIR), "{way} {path}: {errno}");
            }
        }
    }
}
