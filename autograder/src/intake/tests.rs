//! Attacks on intake, by the numbers of the corpus, and archives as the usual tools make them.
//!
//! Hostile archives are put together here byte by byte: no library writes them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ::tar::{EntryType, Header};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, chown, mkfifo};
use tempfile::TempDir;

use super::*;

const MAIN: &[u8] = b"fn main() {}\n";

/// A folder of its own for each test, and what was taken from it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Desk {
        Desk { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn take(&self, name: &str) -> Result<Submission, Refusal> {
        take(&self.at(name))
    }

    /// Everything that lies in it, to see that intake writes nothing.
    fn list(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                found.push(entry.path());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), found);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        found.sort();
        found
    }
}

/// Takes these bytes in as a file; nothing else may appear beside it.
fn take_bytes(name: &str, bytes: &[u8]) -> Result<Submission, Refusal> {
    let desk = Desk::new();
    let path = desk.write(name, bytes);
    let taken = take(&path);
    assert_eq!(desk.list(), [path], "intake has written something");
    taken
}

fn paths(submission: &Submission) -> Vec<&str> {
    submission.files.iter().map(|source| &source.path[..]).collect()
}

#[track_caller]
fn refused(taken: Result<Submission, Refusal>, reason: &str, text: &str) {
    let refusal = taken.unwrap_err();
    let said = refusal.to_string();
    assert_eq!(refusal.reason(), reason, "{said}");
    assert!(said.contains(text), "{said:?} has no {text:?}");
    assert!(said.len() < 600 && !said.contains(|c: char| c.is_control()), "{said:?}");
}

// ---- archives, byte by byte ------------------------------------------------------------------

/// A tar archive.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn file(self, name: &str, content: &[u8]) -> Tar {
        self.member(name.as_bytes(), EntryType::Regular, b"", content)
    }

    fn member(self, name: &[u8], kind: EntryType, link: &[u8], content: &[u8]) -> Tar {
        let size = content.len() as u64;
        self.lying(name, kind, link, content, size)
    }

    /// A member whose header states another size.
    fn lying(self, name: &[u8], kind: EntryType, link: &[u8], content: &[u8], size: u64) -> Tar {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name);
        old.linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        self.add(header, content)
    }

    fn add(mut self, mut header: Header, content: &[u8]) -> Tar {
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// The archive: two empty blocks end it.
    fn bytes(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A member of a zip archive, as its headers state it.
#[derive(Clone)]
struct Zipped {
    name: Vec<u8>,
    /// As it lies in the archive.
    packed: Vec<u8>,
    method: u16,
    flags: u16,
    mode: u32,
    crc: u32,
    size: u32,
    /// What the header before the member says that it is called, if not the same.
    local_name: Option<Vec<u8>>,
}

impl Zipped {
    fn new(name: &str, content: &[u8]) -> Zipped {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        Zipped {
            name: name.as_bytes().to_vec(),
            packed: deflate(content),
            method: 8,
            flags: 0x800,
            mode: 0o100_644,
            crc: crc.sum(),
            size: content.len() as u32,
            local_name: None,
        }
    }

    fn mode(self, mode: u32) -> Zipped {
        Zipped { mode, ..self }
    }

    /// What both headers have in common, from the version to the length of the name.
    fn common(&self, name: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for short in [20, self.flags, self.method, 0, 0x21] {
            bytes.extend(short.to_le_bytes());
        }
        for long in [self.crc, self.packed.len() as u32, self.size] {
            bytes.extend(long.to_le_bytes());
        }
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }
}

/// A zip archive whose parts can be wrong.
struct Zip {
    members: Vec<Zipped>,
    /// Where the directory says that a member lies, if not where it does.
    offsets: Vec<(usize, u32)>,
    /// Members that the directory leaves out.
    unlisted: Vec<usize>,
    prefix: Vec<u8>,
    before_end: Vec<u8>,
    comment: Vec<u8>,
    behind: Vec<u8>,
    /// The number that the end record states, if not the right one.
    count: Option<u16>,
}

impl Zip {
    fn new(members: impl IntoIterator<Item = Zipped>) -> Zip {
        Zip {
            members: members.into_iter().collect(),
            offsets: vec![],
            unlisted: vec![],
            prefix: vec![],
            before_end: vec![],
            comment: vec![],
            behind: vec![],
            count: None,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.prefix.clone();
        let mut starts = vec![];
        for member in &self.members {
            starts.push((bytes.len() - self.prefix.len()) as u32);
            let name = member.local_name.as_ref().unwrap_or(&member.name);
            bytes.extend(b"PK\x03\x04");
            bytes.extend(member.common(name));
            bytes.extend(name);
            bytes.extend(&member.packed);
        }
        for &(index, offset) in &self.offsets {
            starts[index] = offset;
        }
        let directory = bytes.len();
        let mut count = 0_u16;
        for (index, (member, start)) in self.members.iter().zip(&starts).enumerate() {
            if self.unlisted.contains(&index) {
                continue;
            }
            count += 1;
            bytes.extend(b"PK\x01\x02\x14\x03");
            bytes.extend(member.common(&member.name));
            bytes.extend([0; 6]);
            bytes.extend((member.mode << 16).to_le_bytes());
            bytes.extend(start.to_le_bytes());
            bytes.extend(&member.name);
        }
        let size = bytes.len() - directory;
        bytes.extend(&self.before_end);
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        let count = self.count.unwrap_or(count);
        bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
        bytes.extend((size as u32).to_le_bytes());
        bytes.extend(((directory - self.prefix.len()) as u32).to_le_bytes());
        bytes.extend((self.comment.len() as u16).to_le_bytes());
        bytes.extend(&self.comment);
        bytes.extend(&self.behind);
        bytes
    }
}

fn main_rs() -> Zipped {
    Zipped::new("src/main.rs", MAIN)
}

/// One member of this name beside `src/main.rs`, in each kind of archive.
fn archives_with(name: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut zipped = Zipped::new("", b"x");
    zipped.name = name.to_vec();
    let zip = Zip::new([main_rs(), zipped]).bytes();
    let tar = Tar::default()
        .file("src/main.rs", MAIN)
        .member(name, EntryType::Regular, b"", b"x")
        .bytes();
    let long = Tar::default()
        .file("src/main.rs", MAIN)
        .member(b"././@LongLink", EntryType::GNULongName, b"", &[name, b"\0"].concat())
        .file("harmless.txt", b"x")
        .bytes();
    let record = [b" path=".as_slice(), name, b"\n"].concat();
    let length = (record.len()..).find(|n| n.to_string().len() + record.len() == *n).unwrap();
    let record = [length.to_string().as_bytes(), &record].concat();
    let pax = Tar::default()
        .file("src/main.rs", MAIN)
        .member(b"PaxHeaders/x", EntryType::XHeader, b"", &record)
        .file("harmless.txt", b"x")
        .bytes();
    vec![("a.zip", zip), ("a.tgz", gzip(&tar)), ("a.tar", tar), ("l.tar", long), ("p.tar", pax)]
}

// ---- what is taken ---------------------------------------------------------------------------

#[test]
fn only_a_regular_rust_file_of_fair_size_is_taken() {
    let desk = Desk::new();
    desk.write("good.rs", MAIN);
    desk.write("good.txt", MAIN);
    desk.write("large.rs", &vec![b' '; MAX_FILE as usize + 1]);
    desk.write("fair.rs", &vec![b' '; MAX_FILE as usize]);
    desk.write("empty.rs", b"");
    symlink(desk.at("good.rs"), desk.at("link.rs")).unwrap();
    mkfifo(&desk.at("fifo.rs"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(desk.at("socket.rs")).unwrap();

    let good = desk.take("good.rs").unwrap();
    assert_eq!(good.files, [Source { path: "src/main.rs".into(), bytes: MAIN.to_vec() }]);
    assert_eq!((&good.name[..], good.ignored.len(), good.notes.len()), ("good.rs", 0, 0));
    assert_eq!(desk.take("fair.rs").unwrap().files[0].bytes.len() as u64, MAX_FILE);
    assert_eq!(desk.take("empty.rs").unwrap().files.len(), 1);
    for (name, reason, text) in [
        ("absent.rs", "missing", "there is no such file"),
        ("good.rs/main.rs", "missing", "there is no such file"),
        ("link.rs", "link", "it is a symbolic link"),
        ("fifo.rs", "type", "it is a FIFO, not a regular file"),
        ("socket.rs", "type", "it is a socket"),
        ("good.txt", "format", "does not end in .rs"),
        ("large.rs", "size", "larger than 1 MiB"),
    ] {
        refused(desk.take(name), reason, text);
    }
    refused(take(Path::new("/dev/null")), "type", "it is a device");
}

#[test]
fn a_name_is_printed_without_its_folder_and_without_tricks() {
    assert_eq!(display_name(Path::new("/home/ada/main.rs")), "main.rs");
    assert_eq!(display_name(Path::new("/home/ada/hello/")), "hello");
    assert_eq!(display_name(Path::new("a\u{1b}[2Jb.rs")), "a\\u{1b}[2Jb.rs");
}

#[test]
fn a_folder_a_zip_and_a_tar_of_the_same_are_taken_alike() {
    let files = [
        ("hello/src/main.rs", &b"mod grid;\nfn main() {}\n"[..]),
        ("hello/src/grid/mod.rs", b"pub mod cell;\n"),
        ("hello/src/grid/cell.rs", b""),
        ("hello/src/notes.txt", b"later"),
        ("hello/Cargo.toml", b"[package]"),
        ("hello/tests/public.rs", b"#[test]"),
        ("hello/.git/hooks/pre-commit", b"#!/bin/sh"),
    ];
    let desk = Desk::new();
    let mut tar = Tar::default();
    for (name, content) in files {
        desk.write(name, content);
        tar = tar.file(name, content);
    }
    let zip = Zip::new(files.map(|(name, content)| Zipped::new(name, content))).bytes();
    let tar = tar.bytes();
    let gz = gzip(&tar);
    // What a file is, its first bytes say; here every name lies.
    let taken = [
        desk.take("hello"),
        take_bytes("hello.tar", &zip),
        take_bytes("hello.rs", &tar),
        take_bytes("hello.zip", &gz),
    ];
    for taken in taken {
        let taken = taken.unwrap();
        assert_eq!(paths(&taken), ["src/grid/cell.rs", "src/grid/mod.rs", "src/main.rs"]);
        assert_eq!(taken.files[2].bytes, files[0].1);
        assert_eq!(taken.ignored, [".git/", "Cargo.toml", "src/notes.txt", "tests/"]);
        assert_eq!((taken.ignored_more, taken.notes.len()), (0, 0));
    }
}

#[test]
fn archives_of_the_usual_tools_are_taken() {
    let desk = Desk::new();
    desk.write("hello/src/main.rs", MAIN);
    desk.write("hello/src/grid/mod.rs", &b"// a line\n".repeat(5000));
    let long = format!("hello/src/{0}/{0}/a.rs", "a".repeat(90));
    desk.write(&long, MAIN);
    desk.write("hello/Über uns.txt", b"x");
    for (archive, command) in [
        ("1.zip", "zip -qr 1.zip hello"),
        ("2.zip", "zip -q0r 2.zip hello"),
        ("3.zip", "cd hello && zip -qr - . > ../3.zip"),
        ("4.zip", "cd hello && zip -qr ../4.zip src"),
        ("5.zip", "python3 -m zipfile -c 5.zip hello"),
        ("1.tar", "tar -cf 1.tar hello"),
        ("2.tar", "tar -C hello -cf 2.tar ."),
        ("3.tar", "tar --format=pax -cf 3.tar hello"),
        ("4.tar", "tar --format=ustar -cf 4.tar hello/src"),
        ("5.tgz", "tar -czf 5.tgz hello"),
        ("6.tgz", "python3 -m tarfile -c 6.tgz hello"),
        ("7.tgz", "tar -cf - hello | gzip > 7.tgz && gzip < /dev/null >> 7.tgz"),
    ] {
        let tool =
            command.split(' ').find(|word| ["zip", "python3", "tar"].contains(word)).unwrap();
        let version = format!("{tool} --version > /dev/null 2>&1");
        if !Command::new("sh").args(["-c", &version]).status().unwrap().success() {
            println!("not run: {command}: this machine has no {tool}");
            continue;
        }
        let made = Command::new("sh").args(["-c", command]).current_dir(desk.at("")).status();
        assert!(made.unwrap().success(), "{command}");
        let taken = desk.take(archive).unwrap_or_else(|refusal| panic!("{command}: {refusal}"));
        assert_eq!(paths(&taken), [&long[6..], "src/grid/mod.rs", "src/main.rs"], "{command}");
        assert_eq!(taken.files[2].bytes, MAIN, "{command}");
    }
}

#[test]
fn ignored_names_are_cut_off_after_a_hundred() {
    let mut tar = Tar::default().file("src/main.rs", MAIN);
    for number in 0..150 {
        tar = tar.file(&format!("data{number:03}.txt"), b"");
    }
    let taken = take_bytes("a.tar", &tar.bytes()).unwrap();
    assert_eq!((taken.ignored.len(), taken.ignored_more), (MAX_IGNORED, 50));
    assert_eq!(taken.ignored[99], "data099.txt");
}

#[test]
fn a_folder_called_src_stands_for_itself() {
    let desk = Desk::new();
    desk.write("work/src/main.rs", MAIN);
    desk.write("work/src/a/b.rs", MAIN);
    desk.write("work/src/notes.txt", b"x");
    let taken = desk.take("work/src").unwrap();
    assert_eq!(paths(&taken), ["src/a/b.rs", "src/main.rs"]);
    assert_eq!(taken.ignored, ["src/notes.txt"]);
    desk.write(&format!("work/src/.git/{}x", "deep/".repeat(40)), b"x");
    assert_eq!(
        desk.take("work/src").unwrap().ignored,
        [".git/", "notes.txt"].map(|n| format!("src/{n}"))
    );
    // Through a link on the way: the way is the caller's.
    symlink(desk.at("work"), desk.at("way")).unwrap();
    assert_eq!(desk.take("way/src").unwrap().files.len(), 2);
    refused(desk.take("way"), "link", "it is a symbolic link");
}

#[test]
fn a_folder_without_main_is_looked_through_one_folder_deep() {
    let desk = Desk::new();
    desk.write("one/src/lib.rs", MAIN);
    desk.write("one/hello/src/main.rs", MAIN);
    desk.write("one/hello/src/a/b.rs", MAIN);
    let taken = desk.take("one").unwrap();
    assert_eq!(paths(&taken), ["src/a/b.rs", "src/main.rs"]);
    assert_eq!(taken.ignored, ["src/"]);
    desk.write("two/src/src/main.rs", MAIN);
    assert_eq!(paths(&desk.take("two").unwrap()), ["src/main.rs"]);
    desk.write("three/a/main.rs", MAIN);
    desk.write("three/b/src/main.rs", MAIN);
    refused(desk.take("three"), "main", "a main.rs in a/ and in b/");
    desk.write("four/a/b/main.rs", MAIN);
    refused(desk.take("four"), "main", "no main.rs in it, only a/;");
    desk.write("four/src/main.rs/x.rs", MAIN);
    refused(desk.take("four"), "main", "no main.rs");
}

#[test]
fn a_folder_is_not_walked_where_no_sources_can_lie() {
    let desk = Desk::new();
    desk.write("work/src/main.rs", MAIN);
    // Deeper than sources may lie.
    desk.write(&format!("work/target/{}src/main.rs", "deep/".repeat(40)), MAIN);
    desk.write("work/target/debug/src/main.rs", MAIN);
    assert_eq!(desk.take("work").unwrap().ignored, ["target/"]);
    fs::remove_dir_all(desk.at("work/src")).unwrap();
    refused(desk.take("work"), "main", "only target/");
}

// ---- attacks ---------------------------------------------------------------------------------

#[test]
fn attack_1_names_that_lead_elsewhere_are_refused() {
    for name in [
        "../../assignments/x/assignment.toml",
        "src/../../x.rs",
        "/etc/cron.d/x",
        "C:\\x.rs",
        "c:/x.rs",
        "src\\..\\..\\x.rs",
        "..",
    ] {
        for (archive, bytes) in archives_with(name.as_bytes()) {
            let taken = take_bytes(archive, &bytes);
            assert_eq!(taken.unwrap_err().reason(), "path", "{archive} with {name}");
        }
    }
}

#[test]
fn attack_2_links_in_an_archive_are_refused() {
    for kind in [EntryType::Symlink, EntryType::Link] {
        for name in ["a", "src/a.rs", "src/main.rs"] {
            let tar = Tar::default()
                .file("src/main.rs", MAIN)
                .member(name.as_bytes(), kind, b"/etc", b"")
                .file("a/cron", b"* * * * * root evil");
            let tar = tar.bytes();
            refused(take_bytes("a.tar", &tar), "link", " link; hand in the file itself");
            refused(take_bytes("a.tgz", &gzip(&tar)), "link", name);
        }
    }
    let link = Zipped::new("a", b"/etc").mode(0o120_777);
    let zip = Zip::new([main_rs(), link, Zipped::new("a/cron", b"evil")]);
    refused(take_bytes("a.zip", &zip.bytes()), "link", "a is a symbolic link");
}

#[test]
fn attack_3_a_source_that_is_a_link_is_refused() {
    let desk = Desk::new();
    let secret = desk.write("reference.rs", b"SECRET");
    for (folder, link, to) in [
        ("one", "src/main.rs", secret.clone()),
        ("two", "main.rs", secret.clone()),
        ("three", "src/more.rs", secret.clone()),
        ("four", "src/more", desk.at("")),
        ("five", "src", desk.at("one/src")),
        ("six", "hello/src", desk.at("one/src")),
        ("seven", "src/dangling.rs", desk.at("nothing")),
        ("eight", "src/loop.rs", desk.at("eight/src/loop.rs")),
    ] {
        if link.starts_with("src/") && link != "src/main.rs" {
            desk.write(&format!("{folder}/src/main.rs"), MAIN);
        }
        let path = desk.at(folder).join(link);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
        refused(desk.take(folder), "link", "symbolic link");
    }
    let zip = Zip::new([Zipped::new("src/main.rs", b"../reference.rs").mode(0o120_777)]);
    refused(take_bytes("a.zip", &zip.bytes()), "link", "src/main.rs is a symbolic link");
}

#[test]
fn attack_3_links_elsewhere_in_a_folder_are_left_alone() {
    let desk = Desk::new();
    desk.write("work/src/main.rs", MAIN);
    symlink("/", desk.at("work/target")).unwrap();
    symlink("ada@host.1234", desk.at("work/src/.#main.rs")).unwrap();
    let taken = desk.take("work").unwrap();
    assert_eq!(taken.ignored, ["src/.#main.rs", "target"]);
}

#[test]
fn attack_3_a_hard_link_to_a_file_of_somebody_else_is_refused() {
    if !Uid::effective().is_root() {
        println!("not run: only root can give a file to somebody else");
        return;
    }
    let desk = Desk::new();
    let secret = desk.write("reference.rs", b"SECRET");
    chown(&secret, Some(Uid::from_raw(1)), None).unwrap();
    desk.write("work/src/main.rs", MAIN);
    fs::hard_link(desk.at("work/src/main.rs"), desk.at("backup.rs")).unwrap();
    assert_eq!(desk.take("work").unwrap().files.len(), 1, "one's own file may have two names");
    fs::hard_link(&secret, desk.at("work/src/a.rs")).unwrap();
    refused(desk.take("work"), "link", "src/a.rs is a hard link");
    refused(desk.take("work/src/a.rs"), "link", "it is a hard link");
}

/// Tells the other thread to stop, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_source_that_is_swapped_for_a_link_meanwhile_never_leads_elsewhere() {
    let desk = Desk::new();
    let secret = desk.write("reference.rs", b"SECRET");
    let folder = desk.write("secrets/main.rs", b"SECRET");
    desk.write("work/src/main.rs", MAIN);
    let (work, src, source) = (desk.at("work"), desk.at("work/src"), desk.at("work/src/main.rs"));
    // A single file's folder is given by the caller, so only the file itself is swapped.
    let single = desk.write("single.rs", MAIN);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for file in [&source, &single] {
                    symlink(&secret, desk.at("link")).unwrap();
                    fs::rename(desk.at("link"), file).unwrap();
                    fs::write(desk.at("plain"), MAIN).unwrap();
                    fs::rename(desk.at("plain"), file).unwrap();
                }
                fs::rename(&src, desk.at("aside")).unwrap();
                symlink(folder.parent().unwrap(), &src).unwrap();
                fs::remove_file(&src).unwrap();
                fs::rename(desk.at("aside"), &src).unwrap();
            }
        });
        let _stop = Stop(&stop);
        let (mut taken, mut not_taken) = (0, 0);
        for _ in 0..1000 {
            for path in [&work, &single] {
                match take(path) {
                    Ok(submission) => {
                        assert_eq!(submission.files[0].bytes, MAIN);
                        taken += 1;
                    }
                    Err(refusal) => {
                        let expected = ["link", "changed", "main", "missing"];
                        assert!(expected.contains(&refusal.reason()), "{refusal}");
                        not_taken += 1;
                    }
                }
            }
        }
        println!("taken {taken}, refused {not_taken}");
    });
}

#[test]
fn attack_4_an_archive_that_states_the_size_of_a_bomb_is_refused() {
    let claim = |name: &str, size: u32| Zipped { size, ..Zipped::new(name, &[0; 1 << 16]) };
    let zip = Zip::new([main_rs(), claim("zeros.bin", u32::MAX - 1)]).bytes();
    refused(take_bytes("a.zip", &zip), "size", "more than 64 MiB");
    let zip = Zip::new([main_rs(), claim("zeros.bin", 10 << 20)]).bytes();
    refused(take_bytes("a.zip", &zip), "size", "zeros.bin says that it unpacks to over 200 times");
    let many = (0..100).map(|n| claim(&format!("{n}.bin"), 1 << 20)).chain([main_rs()]);
    refused(take_bytes("a.zip", &Zip::new(many).bytes()), "size", "more than 64 MiB");

    let tar = Tar::default().file("src/main.rs", MAIN);
    let tar = tar.lying(b"zeros.bin", EntryType::Regular, b"", b"", 10 << 30).bytes();
    refused(take_bytes("a.tar", &tar), "size", "more than 64 MiB");
    refused(take_bytes("a.tgz", &gzip(&tar)), "size", "more than 64 MiB");
}

#[test]
fn attack_4_an_archive_that_unpacks_to_more_than_it_states_is_refused() {
    // Ten bytes by the headers, two MiB in truth: for the whole member, or with the checksum of ten.
    let mut bomb = Zipped::new("src/main.rs", &vec![b' '; 2 << 20]);
    bomb.size = 10;
    refused(take_bytes("a.zip", &Zip::new([bomb.clone()]).bytes()), "format", "damaged");
    bomb.crc = Zipped::new("", &[b' '; 10]).crc;
    refused(take_bytes("a.zip", &Zip::new([bomb]).bytes()), "format", "damaged");
    // And the other way round.
    let mut short = main_rs();
    short.size = 100_000;
    refused(take_bytes("a.zip", &Zip::new([short]).bytes()), "format", "not as long as it says");
    let mut wrong = main_rs();
    wrong.crc ^= 1;
    refused(take_bytes("a.zip", &Zip::new([wrong]).bytes()), "format", "damaged");

    // An ignored member is not unpacked, whatever it would come to.
    let mut hidden = Zipped::new("data.bin", &vec![0; 2 << 20]);
    hidden.size = 10;
    let taken = take_bytes("a.zip", &Zip::new([main_rs(), hidden]).bytes()).unwrap();
    assert_eq!(taken.ignored, ["data.bin"]);
}

#[test]
fn attack_4_a_gzip_stream_without_an_end_is_read_to_the_limit_only() {
    let tar = Tar::default().file("src/main.rs", MAIN);
    let zeros = vec![0; 4 << 20];
    let tar = tar.member(b"zeros.bin", EntryType::Regular, b"", &zeros).bytes();
    refused(take_bytes("a.tgz", &gzip(&tar)), "size", "it unpacks to more than");

    // What only one header holds goes through memory: it has a limit of its own.
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let tar = Tar::default().member(b"x", kind, b"", &zeros[..1 << 20]).bytes();
        refused(take_bytes("a.tgz", &gzip(&tar)), "format", "a header of more than 64 KiB");
    }

    let bare = gzip(&zeros);
    refused(take_bytes("a.tgz", &bare), "format", "there is no tar in it");
    let cut = gzip(&Tar::default().file("src/main.rs", MAIN).bytes());
    refused(take_bytes("a.tgz", &cut[..cut.len() / 2]), "format", "damaged");
}

#[test]
fn attack_4_archives_in_archives_are_not_opened() {
    let mut inner = Zip::new([main_rs()]).bytes();
    for _ in 0..5 {
        let names: Vec<String> = (0..16).map(|n| format!("lib {n}.zip")).collect();
        inner = Zip::new(names.iter().map(|name| Zipped::new(name, &inner))).bytes();
    }
    refused(take_bytes("42.zip", &inner), "main", "no main.rs in it, only lib 0.zip, lib 1.zip");
}

#[test]
fn attack_4_there_is_an_end_to_members_sources_and_bytes() {
    let members = (0..=MAX_MEMBERS).map(|n| Zipped::new(&format!("{n}"), b""));
    refused(take_bytes("a.zip", &Zip::new(members).bytes()), "count", "more than 10000 members");
    let mut tar = Tar::default();
    for number in 0..=MAX_MEMBERS {
        tar = tar.file(&number.to_string(), b"");
    }
    refused(take_bytes("a.tgz", &gzip(&tar.bytes())), "count", "more than 10000 members");

    let names: Vec<String> = (0..MAX_SOURCES).map(|n| format!("src/m{n}.rs")).collect();
    let sources = names.iter().map(|name| Zipped::new(name, b"")).chain([main_rs()]);
    refused(take_bytes("a.zip", &Zip::new(sources).bytes()), "count", "more than 200 sources");

    let desk = Desk::new();
    let main = desk.write("work/src/main.rs", MAIN);
    for number in 0..MAX_MEMBERS {
        fs::hard_link(&main, desk.at(&format!("work/src/{number}.txt"))).unwrap();
    }
    refused(desk.take("work"), "count", "more than 10000 members");
    let desk = Desk::new();
    desk.write("work/src/main.rs", MAIN);
    desk.write(&format!("work/src/{}a.rs", "a/".repeat(40)), b"");
    refused(desk.take("work"), "count", "more than 16 folders deep");

    let large = vec![b' '; MAX_FILE as usize + 1];
    let zip = Zip::new([main_rs(), Zipped::new("src/a.rs", &large)]).bytes();
    refused(take_bytes("a.zip", &zip), "size", "src/a.rs");
    let mut tar = Tar::default().file("src/main.rs", MAIN);
    for number in 0..4 {
        tar = tar.file(&format!("src/m{number}.rs"), &large[1..]);
    }
    refused(take_bytes("a.tar", &tar.bytes()), "size", "more than 4 MiB");

    let mut zip = Zip::new([main_rs()]);
    zip.prefix = b"PK\x03\x04".to_vec();
    zip.prefix.resize(MAX_ARCHIVE as usize, 0);
    refused(take_bytes("a.zip", &zip.bytes()), "size", "more than 16 MiB");
}

#[test]
fn attack_4_members_that_overlap_are_refused() {
    let mut zip = Zip::new([main_rs(), Zipped::new("src/a.rs", b"x")]);
    let whole = zip.bytes();
    assert_eq!(take_bytes("a.zip", &whole).unwrap().files.len(), 2);
    zip.offsets = vec![(1, 0)];
    refused(take_bytes("a.zip", &zip.bytes()), "format", "damaged");

    // Quoted: the first member contains the header and the content of the second.
    let inner = Zip::new([Zipped::new("src/b.rs", b"x")]).bytes();
    let mut outer = Zipped::new("src/main.rs", &inner);
    (outer.method, outer.packed) = (0, inner.clone());
    let mut zip = Zip::new([outer, Zipped::new("src/b.rs", b"x")]);
    zip.offsets = vec![(1, 30 + 11)];
    refused(take_bytes("a.zip", &zip.bytes()), "format", "damaged");
}

#[test]
fn a_zip_that_two_tools_would_read_differently_is_refused() {
    let plain = || Zip::new([main_rs(), Zipped::new("src/a.rs", b"x")]);
    let comment = Zip { comment: b"0123456789abcdef of GitHub".to_vec(), ..plain() };
    assert_eq!(take_bytes("a.zip", &comment.bytes()).unwrap().files.len(), 2);

    let second = Zip::new([Zipped::new("src/main.rs", b"other")]).bytes();
    let mut renamed = main_rs();
    renamed.local_name = Some(b"src/evil.rs".to_vec());
    for (what, zip) in [
        ("in front", Zip { prefix: b"PK\x03\x04#!/bin/sh\n".to_vec(), ..plain() }),
        ("behind", Zip { behind: b"x".to_vec(), ..plain() }),
        ("a second one behind", Zip { behind: second.clone(), ..plain() }),
        ("a second one in the comment", Zip { comment: second, ..plain() }),
        ("before the end", Zip { before_end: b"xxxx".to_vec(), ..plain() }),
        ("fewer than there are", Zip { count: Some(1), ..plain() }),
        ("more than there are", Zip { count: Some(3), ..plain() }),
        ("none", Zip { count: Some(0), ..plain() }),
        ("left out", Zip { unlisted: vec![1], ..plain() }),
        ("called otherwise", Zip::new([renamed])),
    ] {
        let refusal = take_bytes("a.zip", &zip.bytes()).unwrap_err();
        assert!(["format", "main"].contains(&refusal.reason()), "{what}: {refusal}");
    }
    let mut locator = b"PK\x06\x07".to_vec();
    locator.resize(20, 0);
    let zip = Zip { before_end: locator.clone(), ..plain() };
    assert_eq!(take_bytes("a.zip", &zip.bytes()).unwrap_err().reason(), "format");

    let whole = plain().bytes();
    for length in (4..whole.len()).step_by(3) {
        assert_eq!(take_bytes("a.zip", &whole[..length]).unwrap_err().reason(), "format");
    }
}

#[test]
fn a_zip_whose_bytes_are_wrong_anywhere_breaks_nothing() {
    let whole = Zip::new([main_rs(), Zipped::new("src/a.rs", b"x")]).bytes();
    for index in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[index] = value;
            let mut sources = Sources::default();
            if zip::take(&bytes, &mut sources).is_ok() {
                assert!(sources.files.iter().all(|source| source.path.starts_with("src/")));
            }
        }
    }
}

#[test]
fn a_tar_whose_header_is_wrong_anywhere_breaks_nothing() {
    let whole = Tar::default().file("src/main.rs", MAIN).file("src/a.rs", b"x").bytes();
    for index in 0..512 {
        for value in [0, 1, b'/', b'7', 0x80, 0xff] {
            let mut header = Header::new_gnu();
            header.as_mut_bytes().copy_from_slice(&whole[1024..1536]);
            header.as_mut_bytes()[index] = value;
            header.set_cksum();
            let bytes = [&whole[..1024], header.as_bytes(), &whole[1536..]].concat();
            let mut sources = Sources::default();
            if tar::take(&bytes, false, &mut sources).is_ok() {
                assert!(sources.files.iter().all(|source| source.path.starts_with("src/")));
            }
        }
    }
}

#[test]
fn members_that_only_special_tools_read_are_refused() {
    let mut encrypted = main_rs();
    encrypted.flags |= 1;
    refused(take_bytes("a.zip", &Zip::new([encrypted]).bytes()), "format", "is encrypted");
    for method in [1, 9, 12, 14, 93, 95, 99, 1000] {
        let mut unusual = main_rs();
        unusual.method = method;
        refused(take_bytes("a.zip", &Zip::new([unusual]).bytes()), "format", "make ");
    }
    let sparse = Tar::default().member(b"src/main.rs", EntryType::GNUSparse, b"", b"").bytes();
    refused(take_bytes("a.tar", &sparse), "format", "is a sparse file");
    for record in ["22 GNU.sparse.major=1\n", "16 size=1000000\n"] {
        let tar = Tar::default()
            .member(b"p", EntryType::XHeader, b"", record.as_bytes())
            .file("src/main.rs", MAIN);
        refused(take_bytes("a.tar", &tar.bytes()), "format", "a member is ");
    }
    let volume = Tar::default().member(b"v", EntryType::new(b'V'), b"", b"");
    refused(take_bytes("a.tar", &volume.file("main.rs", MAIN).bytes()), "format", "special tools");
    for (head, text) in [
        (&b"7z\xbc\xaf\x27\x1c"[..], "7z"),
        (b"Rar!\x1a\x07\x01\x00", "rar"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ] {
        refused(take_bytes("a.zip", head), "format", text);
    }
}

#[test]
fn attack_6_what_is_no_file_is_refused_and_modes_mean_nothing() {
    for (kind, text) in
        [(EntryType::Fifo, "a FIFO"), (EntryType::Char, "a device"), (EntryType::Block, "a device")]
    {
        for name in [&b"src/main.rs"[..], b"elsewhere"] {
            let tar = Tar::default().file("src/main.rs", MAIN).member(name, kind, b"", b"");
            refused(take_bytes("a.tar", &tar.bytes()), "type", text);
        }
    }
    for (mode, text) in [
        (0o010_644, "a FIFO"),
        (0o140_644, "a socket"),
        (0o020_644, "a device"),
        (0o060_644, "a device"),
        (0o150_644, "of a type that is not known"),
    ] {
        let zip = Zip::new([main_rs(), Zipped::new("elsewhere", b"").mode(mode)]);
        refused(take_bytes("a.zip", &zip.bytes()), "type", text);
    }

    let desk = Desk::new();
    let main = desk.write("work/src/main.rs", MAIN);
    fs::set_permissions(&main, fs::Permissions::from_mode(0o6755)).unwrap();
    let _outside = UnixListener::bind(desk.at("work/socket")).unwrap();
    assert_eq!(desk.take("work").unwrap().ignored, ["socket"]);
    mkfifo(&desk.at("work/src/fifo.rs"), Mode::S_IRWXU).unwrap();
    refused(desk.take("work"), "type", "src/fifo.rs is a FIFO");

    let setuid = Zip::new([main_rs().mode(0o106_755)]).bytes();
    assert_eq!(take_bytes("a.zip", &setuid).unwrap().files.len(), 1);
    let mut header = Header::new_gnu();
    header.set_path("src/main.rs").unwrap();
    header.set_size(MAIN.len() as u64);
    header.set_mode(0o6755);
    header.set_uid(0);
    assert_eq!(
        take_bytes("a.tar", &Tar::default().add(header, MAIN).bytes()).unwrap().files.len(),
        1
    );
}

#[test]
fn attack_8_names_that_play_tricks_are_refused_as_sources_and_shown_harmless_otherwise() {
    let tricks: [&[u8]; 6] = [
        b"a\nb",
        b"\x1b[2J\x1b[31m",
        "\u{202e}txt".as_bytes(),
        "\u{200b}".as_bytes(),
        b"\xff\xfe",
        b"a\x7f\x08",
    ];
    for trick in tricks {
        let source = [b"src/", trick, b".rs"].concat();
        let other = [b"docs/", trick, b".rs"].concat();
        let top = [trick, b".txt"].concat();
        for (archive, bytes) in archives_with(&source) {
            refused(take_bytes(archive, &bytes), "name", "rustc cannot find");
        }
        for name in [other, top] {
            for (archive, bytes) in archives_with(&name) {
                let taken = take_bytes(archive, &bytes).unwrap();
                assert_eq!(taken.files.len(), 1);
                let shown = &taken.ignored[0];
                let tricky = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}');
                assert!(!shown.contains(tricky), "{shown:?}");
            }
        }
    }
    for name in ["src/;$(reboot).rs", "src/-rf.rs", "-rf", "$(reboot);", "=HYPERLINK(1)"] {
        for (archive, bytes) in archives_with(name.as_bytes()) {
            let taken = take_bytes(archive, &bytes).unwrap();
            assert_eq!(taken.files.len() + taken.ignored.len(), 2, "{archive} with {name}");
        }
    }
}

#[test]
fn one_name_for_two_sources_is_refused() {
    for name in ["src/main.rs", "src/Main.rs", "src/MAIN.RS"] {
        for (archive, bytes) in archives_with(name.as_bytes()) {
            match take_bytes(archive, &bytes) {
                // Not a source: `rustc` would not find it either.
                Ok(taken) => assert_eq!(taken.ignored, ["src/MAIN.RS"]),
                Err(refusal) => assert_eq!(refusal.reason(), "double", "{archive} with {name}"),
            }
        }
    }
    for (archive, bytes) in archives_with(b"src/main.rs/a.rs") {
        refused(take_bytes(archive, &bytes), "double", "is a file, and the folder of");
    }
    for (archive, bytes) in archives_with(b"main.rs") {
        refused(take_bytes(archive, &bytes), "main", "both main.rs and src/main.rs");
    }
}

#[test]
fn attack_9_a_source_of_200_megabytes_is_refused_unread_and_nul_bytes_are_for_the_compiler() {
    let desk = Desk::new();
    for name in ["large.rs", "work/src/main.rs"] {
        let path = desk.write(name, b"");
        File::options().write(true).open(path).unwrap().set_len(200 << 20).unwrap();
    }
    refused(desk.take("large.rs"), "size", "it is larger than 1 MiB");
    refused(desk.take("work"), "size", "src/main.rs is larger than 1 MiB");
    assert_eq!(take_bytes("a.rs", b"fn main() {}\0").unwrap().files[0].bytes.len(), 13);
}

#[test]
fn attack_9_characters_that_hide_code_are_noted() {
    let text = "fn main() {\n/* \u{202e} } \u{2066}if admin \u{2069} \u{2066} begin */\n}\n";
    let taken = take_bytes("a.rs", text.as_bytes()).unwrap();
    assert_eq!(taken.notes.len(), 1);
    assert!(taken.notes[0].starts_with("src/main.rs, line 2: U+202E turns"), "{:?}", taken.notes);
}

#[test]
fn attack_10_files_that_steer_graders_are_ignored_and_listed() {
    let names = [
        "tests/hidden.rs",
        "assignment.toml",
        "results.json",
        ".git/hooks/post-checkout",
        ".wr.toml",
        ".cs50.yaml",
        "build.rs",
        "Cargo.toml",
        ".cargo/config.toml",
        "rust-toolchain.toml",
        "src/lib.toml",
    ];
    let desk = Desk::new();
    desk.write("work/src/main.rs", MAIN);
    let mut members = vec![main_rs()];
    for name in names {
        desk.write(&format!("work/{name}"), b"x");
        members.push(Zipped::new(name, b"x"));
    }
    for taken in [desk.take("work"), take_bytes("a.zip", &Zip::new(members).bytes())] {
        let taken = taken.unwrap();
        assert_eq!(paths(&taken), ["src/main.rs"]);
        assert_eq!(
            taken.ignored,
            [
                ".cargo/",
                ".cs50.yaml",
                ".git/",
                ".wr.toml",
                "Cargo.toml",
                "assignment.toml",
                "build.rs",
                "results.json",
                "rust-toolchain.toml",
                "src/lib.toml",
                "tests/",
            ]
        );
    }
}
