//! What a program leaves behind that is no process: memory, semaphores, queues, files, sockets.
//!
//! A [`Snapshot`] lists all there is where it is taken: in a private namespace that is what the program
//! made, elsewhere also what others made. [`left_behind`] compares two, so either way the difference
//! is what came in between. (Left processes are found by [`tree`](crate::tree).)
//!
//! | what | where it is listed |
//! | --- | --- |
//! | named shared memory and semaphores | `/dev/shm` |
//! | POSIX message queues | `/dev/mqueue` |
//! | System V memory, semaphores, message queues | `/proc/sysvipc/{shm,sem,msg}` |
//! | abstract sockets | `/proc/net/unix` |
//! | files | the folder of the run |
//!
//! What is not there, such as `/dev/mqueue` in a container, has nothing in it. Links are not followed.
//! However much there is, a snapshot holds at most a few thousand names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::text;

/// How many names of one kind are kept.
const NAMES: usize = 1000;

/// How long a name is kept.
const NAME_BYTES: usize = 200;

/// The kinds of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A name in `/dev/shm`: memory of `SharedMemory::create`, or a named semaphore.
    SharedMemory,
    /// A name in `/dev/mqueue`.
    MessageQueue,
    /// A segment of System V shared memory.
    SysvMemory,
    /// A set of System V semaphores.
    SysvSemaphores,
    /// A System V message queue.
    SysvQueue,
    /// A socket whose name is no file.
    AbstractSocket,
    /// A socket in the folder of the run.
    Socket,
    /// A named pipe in the folder of the run.
    NamedPipe,
    /// A file, a folder or a link in the folder of the run.
    File,
}

impl Kind {
    /// What it is called, and what should have been done.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::SharedMemory => ("shared memory", "its owner calls `unlink` at the end"),
            Kind::MessageQueue => ("message queue", "its owner calls `unlink` at the end"),
            Kind::SysvMemory => ("System V shared memory", "its owner removes it at the end"),
            Kind::SysvSemaphores => ("System V semaphores", "their owner removes them at the end"),
            Kind::SysvQueue => ("System V message queue", "its owner removes it at the end"),
            Kind::AbstractSocket => ("socket", "it is closed when its last holder ends"),
            Kind::Socket => ("socket", "its owner removes the file at the end"),
            Kind::NamedPipe => ("named pipe", "its owner removes the file at the end"),
            Kind::File => ("file", "whoever made it removes it at the end"),
        }
    }
}

/// One thing that was left behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leftover {
    /// What it is.
    pub kind: Kind,
    /// Its name, chosen by the program and made safe to print; for System V objects key and id.
    pub name: String,
}

impl fmt::Display for Leftover {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, advice) = self.kind.words();
        write!(out, "{what} {}; {advice}", self.name)
    }
}

/// What there is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    names: BTreeMap<Kind, BTreeSet<String>>,
}

impl Snapshot {
    /// Looks around, from within whatever namespaces the caller is in, and in the folder of the run if
    /// there is one.
    pub fn take(folder: Option<&Path>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.folder(Path::new("/dev/shm"), |_| Kind::SharedMemory);
        snapshot.folder(Path::new("/dev/mqueue"), |_| Kind::MessageQueue);
        for (file, kind) in
            [("shm", Kind::SysvMemory), ("sem", Kind::SysvSemaphores), ("msg", Kind::SysvQueue)]
        {
            snapshot.sysv(&read(&format!("/proc/sysvipc/{file}")), kind);
        }
        snapshot.abstract_sockets(&read("/proc/net/unix"));
        if let Some(folder) = folder {
            snapshot.folder(folder, |file| match file {
                file if file.is_socket() => Kind::Socket,
                file if file.is_fifo() => Kind::NamedPipe,
                _ => Kind::File,
            });
        }
        snapshot
    }

    fn add(&mut self, kind: Kind, name: String) {
        let names = self.names.entry(kind).or_default();
        if names.len() < NAMES {
            names.insert(name);
        }
    }

    fn is_full(&self, kind: Kind) -> bool {
        self.names.get(&kind).is_some_and(|names| names.len() >= NAMES)
    }

    /// Everything below a folder, by its path from there; folders themselves only if empty.
    fn folder(&mut self, root: &Path, kind: impl Fn(fs::FileType) -> Kind) {
        let mut waiting = vec![root.to_path_buf()];
        while let Some(folder) = waiting.pop() {
            let mut is_empty = true;
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                is_empty = false;
                let Ok(file) = entry.file_type() else { continue };
                if file.is_dir() {
                    waiting.push(entry.path());
                    continue;
                }
                if self.is_full(kind(file)) {
                    return;
                }
                self.add(kind(file), name_below(root, &entry.path()));
            }
            if is_empty
                && folder != root
                && let Ok(found) = fs::symlink_metadata(&folder)
            {
                self.add(kind(found.file_type()), name_below(root, &folder) + "/");
            }
        }
    }

    /// `       key      shmid perms ...`, then a line for each.
    fn sysv(&mut self, table: &str, kind: Kind) {
        for line in table.lines().skip(1) {
            let mut fields = line.split_whitespace();
            if let (Some(key), Some(id)) = (fields.next(), fields.next()) {
                self.add(kind, format!("with key {key} and id {id}"));
            }
        }
    }

    /// `Num RefCount Protocol Flags Type St Inode Path`, where the path of an abstract one begins
    /// with `@`.
    fn abstract_sockets(&mut self, table: &str) {
        for line in table.lines().skip(1) {
            if let Some(name) = line.splitn(8, ' ').nth(7).map(str::trim_start)
                && let Some(at) = name.find('@')
            {
                // In front of the name stands the inode, filled up with blanks.
                if name[..at].chars().all(|c| c.is_ascii_digit() || c == ' ') {
                    let name = text::clean_line(&name.as_bytes()[at..], NAME_BYTES);
                    self.add(Kind::AbstractSocket, name);
                }
            }
        }
    }
}

fn read(path: &str) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn name_below(root: &Path, path: &Path) -> String {
    let name = path.strip_prefix(root).unwrap_or(path);
    text::clean_line(name.as_os_str().as_bytes(), NAME_BYTES)
}

/// What is in the second snapshot and not in the first.
pub fn left_behind(before: &Snapshot, after: &Snapshot) -> Vec<Leftover> {
    let mut left = vec![];
    for (&kind, names) in &after.names {
        let old = before.names.get(&kind);
        let new = names.iter().filter(|&name| old.is_none_or(|old| !old.contains(name)));
        left.extend(new.map(|name| Leftover { kind, name: name.clone() }));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    fn named(left: &[Leftover], kind: Kind, name: &str) -> bool {
        left.iter().any(|leftover| leftover.kind == kind && leftover.name == name)
    }

    #[test]
    fn files_pipes_and_sockets_in_the_folder_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old"), "").unwrap();
        let before = Snapshot::take(Some(folder.path()));
        fs::create_dir_all(folder.path().join("deep/empty")).unwrap();
        fs::write(folder.path().join("deep/new\u{1b}[2J"), "").unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
        let left = left_behind(&before, &Snapshot::take(Some(folder.path())));
        assert!(named(&left, Kind::File, "deep/empty/"), "{left:?}");
        assert!(named(&left, Kind::File, "deep/new\\u{1b}[2J"), "{left:?}");
        assert!(named(&left, Kind::File, "link"), "{left:?}");
        assert!(named(&left, Kind::NamedPipe, "pipe"), "{left:?}");
        assert!(named(&left, Kind::Socket, "socket"), "{left:?}");
        assert!(!left.iter().any(|leftover| leftover.name == "old"), "{left:?}");
    }

    #[test]
    fn memory_and_abstract_sockets_are_found_while_they_exist() {
        let before = Snapshot::take(None);
        let label = format!("left-behind-{}", std::process::id());
        let memory = Path::new("/dev/shm").join(&label);
        fs::write(&memory, "x").unwrap();
        let socket =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&label).unwrap()).unwrap();
        let between = left_behind(&before, &Snapshot::take(None));
        fs::remove_file(&memory).unwrap();
        drop(socket);
        assert!(named(&between, Kind::SharedMemory, &label), "{between:?}");
        assert!(named(&between, Kind::AbstractSocket, &format!("@{label}")), "{between:?}");
        let after = left_behind(&before, &Snapshot::take(None));
        assert!(!after.iter().any(|leftover| leftover.name.contains(&label)), "{after:?}");
    }

    #[test]
    fn tables_of_system_v_are_read() {
        let mut snapshot = Snapshot::default();
        let table = "       key      msqid perms      cbytes\n        42          7   600  0\n";
        snapshot.sysv(table, Kind::SysvQueue);
        let left = left_behind(&Snapshot::default(), &snapshot);
        assert_eq!(
            left[0].to_string(),
            "System V message queue with key 42 and id 7; its owner removes it at the end"
        );
    }

    #[test]
    fn a_thousand_names_are_enough() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..NAMES + 500 {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        let snapshot = Snapshot::take(Some(folder.path()));
        assert_eq!(snapshot.names[&Kind::File].len(), NAMES);
    }
}
