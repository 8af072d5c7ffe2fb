//! What a program in the sandbox sees of files.
//!
//! | path | what it is | may be written |
//! | --- | --- | --- |
//! | programs and libraries in `/usr`, `/bin`, `/lib` ([`SHOWN`]) | the host's | no |
//! | `/etc` | a few files made here, and how to find libraries | no |
//! | `/dev` | null, zero, full, random, urandom | these five |
//! | `/dev/shm`, `/tmp`, `/box` | empty, in memory, capped in bytes and files | yes, not executed |
//! | `/dev/mqueue` | the message queues of the sandbox | yes |
//! | `/proc` | the processes of the sandbox | no |
//! | `/sub/program` | a copy of the program | no |
//! | a tool's own folders | the host's, by a mount taken before root is left | no |
//!
//! The program is a copy and not a view of the file, so that no path of the host shows in
//! `/proc/self/mountinfo`, no lock on it meets another run's, and the file may lie where only root
//! can read it.
//!
//! # System calls
//!
//! `mount`, `mount_setattr`, `open_tree`, `move_mount`, `pivot_root`, `umount2`; `mount_namespaces(7)`.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::pivot_root;

use super::limits::Shares;
use super::plan::{Caps, Fault, InStep, Step};
use super::{Show, sys};

/// Where a program in the sandbox begins, and what it may write.
pub(super) const BOX: &str = "/box";

/// The program, in the sandbox.
pub(super) const PROGRAM: &str = "/sub/program";

/// Where the new root is built: any folder will do, since nobody else sees it.
const SITE: &str = "/tmp";

/// What is shown of the host: not all of `/usr`, because a course may well lie in `/usr/src`.
pub(super) const SHOWN: [&str; 17] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/libexec",
    "/usr/include",
    "/usr/share",
    "/usr/local/bin",
    "/usr/local/lib",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
];

/// The devices.
pub(super) const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// What is shown may be read and executed.
const SHOWN_ATTRIBUTES: u64 =
    libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// Files in one of the file systems in memory.
const INODES: u32 = 4096;

/// Room for the few files made here.
const SMALL: u64 = 4 << 20;

/// The files of `/etc`.
const ETC: [(&str, &str); 4] = [
    ("passwd", "student:x:1000:1000::/box:/bin/sh\n"),
    ("group", "student:x:1000:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];

/// What is copied from the host's `/etc`, if it is there.
const ETC_OF_THE_HOST: [&str; 2] = ["ld.so.cache", "localtime"];

/// Makes the private file system and moves into it. `limit` is called when the new `/proc` can be
/// written for the last time, with its path.
pub(super) fn build(
    program: Option<File>,
    mut shown: Vec<Shown>,
    caps: &Caps,
    limit: impl FnOnce(&Path) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let site = Path::new(SITE);
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .doing(Step::Mounts, "separating mounts")?;
    // As long as the host is there as it is: its own /tmp is about to be covered.
    for show in shown.iter_mut().filter(|show| show.tree.is_none()) {
        show.tree = Some(take(&show.host).doing(Step::Mounts, "taking hold of a folder")?);
    }
    let program_size = match &program {
        Some(file) => file.metadata().doing(Step::Mounts, "looking at the program")?.len(),
        None => 0,
    };
    memory(site, program_size + SMALL, 0o755, MsFlags::empty())
        .doing(Step::Mounts, "mounting a root")?;

    for name in SHOWN {
        show(site, name).doing(Step::Mounts, &format!("showing {name}"))?;
    }
    for show in shown {
        let name = show.inside.display().to_string();
        show.at(site).doing(Step::Mounts, &format!("showing {name}"))?;
    }
    etc(site).doing(Step::Mounts, "making /etc")?;
    devices(site).doing(Step::Mounts, "making /dev")?;
    let shares = Shares::of(caps);
    for (name, size, mode) in [
        ("dev/shm", shares.shared, 0o1777),
        ("tmp", shares.scratch, 0o1777),
        ("box", shares.scratch, 0o755),
    ] {
        let folder = site.join(name);
        fs::create_dir(&folder)
            .and_then(|()| memory(&folder, size, mode, MsFlags::MS_NOEXEC))
            .doing(Step::Mounts, &format!("mounting /{name}"))?;
    }
    let queues = site.join("dev/mqueue");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    fs::create_dir(&queues).doing(Step::Mounts, "mounting /dev/mqueue")?;
    match mount(Some("mqueue"), &queues, Some("mqueue"), flags, None::<&str>) {
        // The kernel may come without them.
        Ok(()) | Err(Errno::ENODEV) => {}
        Err(errno) => return Err(errno).doing(Step::Mounts, "mounting /dev/mqueue"),
    }
    if let Some(program) = program {
        put(site, program).doing(Step::Mounts, "copying the program")?;
    }
    let proc = site.join("proc");
    fs::create_dir(&proc)
        .and_then(|()| Ok(mount(Some("proc"), &proc, Some("proc"), flags, None::<&str>)?))
        .doing(Step::Mounts, "mounting /proc")?;
    limit(&proc)?;
    let settings = proc.join("sys");
    bind(&settings, &settings)
        .and_then(|()| restrict(&settings, libc::MOUNT_ATTR_RDONLY, true))
        .doing(Step::Mounts, "closing /proc/sys")?;
    enter(site).doing(Step::Mounts, "moving into it")
}

/// A folder of the host that a tool sees.
pub(super) struct Shown {
    host: PathBuf,
    inside: PathBuf,
    /// A mount of it that is nowhere yet.
    tree: Option<OwnedFd>,
}

impl Shown {
    /// Called before root is left: root can take hold of what others cannot reach. Whoever is not root
    /// cannot take hold of anything yet.
    pub(super) fn new(show: &Show) -> Shown {
        let tree = take(&show.host).ok();
        Shown { host: show.host.clone(), inside: show.inside.clone(), tree }
    }

    fn at(self, site: &Path) -> io::Result<()> {
        let here = site.join(self.inside.strip_prefix("/").unwrap_or(&self.inside));
        fs::create_dir(&here)?;
        if let Some(tree) = self.tree {
            sys::put_mount(tree.as_fd(), &CString::new(here.as_os_str().as_bytes())?)?;
        }
        restrict(&here, SHOWN_ATTRIBUTES, true)
    }
}

fn take(path: &Path) -> io::Result<OwnedFd> {
    sys::take_mount(&CString::new(path.as_os_str().as_bytes())?)
}

/// A file system in memory.
fn memory(at: &Path, size: u64, mode: u32, more: MsFlags) -> io::Result<()> {
    let options = format!("size={size},nr_inodes={INODES},mode={mode:o}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | more;
    Ok(mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(options.as_str()))?)
}

/// Shows a folder of the host; if it is a link there, it is the same link here.
fn show(site: &Path, name: &str) -> io::Result<()> {
    let (host, here) = (Path::new(name), site.join(name.trim_start_matches('/')));
    let kind = fs::symlink_metadata(host).map(|metadata| metadata.file_type());
    if let (Ok(_), Some(parent)) = (&kind, here.parent()) {
        fs::create_dir_all(parent)?;
    }
    match kind {
        Ok(kind) if kind.is_symlink() => symlink(fs::read_link(host)?, here),
        Ok(kind) if kind.is_dir() => {
            fs::create_dir(&here)?;
            show_at(host, &here)
        }
        _ => Ok(()),
    }
}

fn show_at(host: &Path, here: &Path) -> io::Result<()> {
    bind(host, here)?;
    restrict(here, SHOWN_ATTRIBUTES, true)
}

fn bind(from: &Path, to: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    Ok(mount(Some(from), to, None::<&str>, flags, None::<&str>)?)
}

fn restrict(path: &Path, attributes: u64, recursive: bool) -> io::Result<()> {
    sys::restrict_mount(&CString::new(path.as_os_str().as_bytes())?, attributes, recursive)
}

fn etc(site: &Path) -> io::Result<()> {
    let etc = site.join("etc");
    fs::create_dir(&etc)?;
    for (name, text) in ETC {
        fs::write(etc.join(name), text)?;
    }
    for name in ETC_OF_THE_HOST {
        if let Ok(bytes) = fs::read(Path::new("/etc").join(name)) {
            fs::write(etc.join(name), bytes)?;
        }
    }
    // Where commands such as `cc` lead to.
    let alternatives = Path::new("/etc/alternatives");
    if alternatives.is_dir() {
        let here = etc.join("alternatives");
        fs::create_dir(&here)?;
        show_at(alternatives, &here)?;
    }
    Ok(())
}

fn devices(site: &Path) -> io::Result<()> {
    let dev = site.join("dev");
    fs::create_dir(&dev)?;
    for name in DEVICES {
        let here = dev.join(name);
        File::create(&here)?;
        bind(&Path::new("/dev").join(name), &here)?;
        restrict(&here, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC, false)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name))?;
    }
    Ok(())
}

fn put(site: &Path, mut program: File) -> io::Result<()> {
    fs::create_dir(site.join("sub"))?;
    let mut copy = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(site.join(PROGRAM.trim_start_matches('/')))?;
    io::copy(&mut program, &mut copy)?;
    copy.set_permissions(fs::Permissions::from_mode(0o555))
}

/// Makes the site the root, and lets go of the host.
fn enter(site: &Path) -> io::Result<()> {
    std::env::set_current_dir(site)?;
    pivot_root(".", ".")?;
    // The old root lies over the new one now.
    umount2(".", MntFlags::MNT_DETACH)?;
    restrict(Path::new("/"), libc::MOUNT_ATTR_RDONLY, false)?;
    std::env::set_current_dir("/")
}
