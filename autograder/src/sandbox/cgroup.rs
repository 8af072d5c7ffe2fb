//! Control groups: what all processes of a run take together, bounded and counted by the kernel.
//!
//! Where this process may make a group below its own one, or beside it, a run gets one. What a group
//! offers depends on the machine, and each of the three things may come from another hierarchy:
//!
//! | | version 2 | version 1 |
//! | --- | --- | --- |
//! | memory, bounded | `memory.max`, `memory.swap.max` | `memory.limit_in_bytes`, `memory.memsw.limit_in_bytes` |
//! | its peak | `memory.peak` | `memory.max_usage_in_bytes` |
//! | whether the kernel had to kill | `memory.events` | `memory.oom_control` |
//! | processes and threads, bounded | `pids.max` | `pids.max` |
//! | whether one was refused | `pids.events` | `pids.events` |
//! | CPU time | `cpu.stat`, with no controller at all | `cpuacct.usage` |
//!
//! A group's name holds the process id of the grader. Groups of graders that are no more, which the
//! machine must have killed together with their launchers, are removed when the next one is made.
//!
//! # Files
//!
//! `/proc/self/cgroup`, `/proc/self/mountinfo`, and those above: cgroups(7).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::plan::{Caps, Hit};
use crate::tree;

/// How the names of all groups begin.
const PREFIX: &str = "autograder-";

/// How long the last process of a group may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Memory for pid 1 of the sandbox, which is a member too.
const FOR_PID_1: u64 = 4 << 20;

/// The groups of one run: one per hierarchy that has something to offer.
#[derive(Debug, Default)]
pub(super) struct Groups {
    folders: Vec<PathBuf>,
    memory: Option<(PathBuf, Version)>,
    processes: Option<PathBuf>,
    cpu: Option<(PathBuf, Version)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// One hierarchy, and where in it this process is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    version: Version,
    /// The controllers of a hierarchy of version 1.
    controllers: Vec<String>,
    folder: PathBuf,
    /// The top of what is mounted.
    top: PathBuf,
}

/// A name for the groups of a run of this process.
pub(super) fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{count}", std::process::id())
}

impl Groups {
    /// Makes what can be had; nothing is no error.
    pub(super) fn make(name: &str, caps: &Caps) -> Groups {
        let mut groups = Groups::default();
        for place in places() {
            for parent in place.parents() {
                sweep(parent);
                let folder = parent.join(name);
                if fs::create_dir(&folder).is_err() {
                    continue;
                }
                if groups.take(&folder, place.version, caps) {
                    groups.folders.push(folder);
                    break;
                }
                let _ = fs::remove_dir(&folder);
            }
        }
        groups
    }

    /// Takes from a new group what is not there yet; whether it had anything.
    fn take(&mut self, folder: &Path, version: Version, caps: &Caps) -> bool {
        let mut useful = false;
        let memory = (caps.memory + FOR_PID_1).to_string();
        let (limit, swap, no_swap) = match version {
            Version::One => {
                ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", memory.as_str())
            }
            Version::Two => ("memory.max", "memory.swap.max", "0"),
        };
        if self.memory.is_none() && set(folder, limit, &memory) {
            // Not there if the kernel does not count swap.
            set(folder, swap, no_swap);
            self.memory = Some((folder.to_path_buf(), version));
            useful = true;
        }
        // One more, for pid 1.
        if self.processes.is_none() && set(folder, "pids.max", &(caps.processes + 1).to_string()) {
            self.processes = Some(folder.to_path_buf());
            useful = true;
        }
        if self.cpu.is_none() && cpu(folder, version).is_some() {
            self.cpu = Some((folder.to_path_buf(), version));
            useful = true;
        }
        useful
    }

    /// Whether memory and processes are bounded by a group.
    pub(super) fn bound(&self) -> bool {
        self.memory.is_some() && self.processes.is_some()
    }

    /// Moves a process in. A group that does not take it, as there are in version 2, is given up.
    pub(super) fn add(&mut self, pid: i32) {
        let pid = pid.to_string();
        self.folders.retain(|folder| {
            let joined = set(folder, "cgroup.procs", &pid);
            if !joined {
                self.memory.take_if(|(other, _)| other == folder);
                self.processes.take_if(|other| other == folder);
                self.cpu.take_if(|(other, _)| other == folder);
                remove(folder);
            }
            joined
        });
    }

    /// The CPU time that was taken.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let (folder, version) = self.cpu.as_ref()?;
        cpu(folder, *version)
    }

    /// The most memory that was ever taken.
    pub(super) fn memory_peak(&self) -> Option<u64> {
        let (folder, version) = self.memory.as_ref()?;
        number(
            folder,
            match version {
                Version::One => "memory.max_usage_in_bytes",
                Version::Two => "memory.peak",
            },
        )
    }

    /// The limit that was reached.
    pub(super) fn hit(&self) -> Option<Hit> {
        if let Some((folder, version)) = &self.memory {
            let file = match version {
                Version::One => "memory.oom_control",
                Version::Two => "memory.events",
            };
            if field(folder, file, "oom_kill").is_some_and(|count| count > 0) {
                return Some(Hit::Memory);
            }
        }
        let folder = self.processes.as_ref()?;
        (field(folder, "pids.events", "max")? > 0).then_some(Hit::Processes)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for folder in &self.folders {
            remove(folder);
        }
    }
}

/// Removes the groups of this name wherever there are any: when their launcher was killed.
pub(super) fn remove_all(name: &str) {
    for place in places() {
        for parent in place.parents() {
            let folder = parent.join(name);
            if folder.is_dir() {
                remove(&folder);
            }
        }
    }
}

/// Kills what is in a group where the kernel offers that, and removes it once it is empty.
fn remove(folder: &Path) {
    let began = Instant::now();
    set(folder, "cgroup.kill", "1");
    while let Err(error) = fs::remove_dir(folder) {
        if error.kind() != io::ErrorKind::ResourceBusy || began.elapsed() > PATIENCE {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Removes the empty groups of graders that are no more.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if tree::owner_has_ended(&entry.file_name(), PREFIX) {
            // Refused where something still runs in it.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn set(folder: &Path, file: &str, value: &str) -> bool {
    // Only what is there: in a folder that is no control group, nothing is to appear.
    let path = folder.join(file);
    path.exists() && fs::write(path, value).is_ok()
}

fn number(folder: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
}

/// The number behind a name, in a file of lines `name number`.
fn field(folder: &Path, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(folder.join(file)).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

fn cpu(folder: &Path, version: Version) -> Option<Duration> {
    match version {
        Version::One => number(folder, "cpuacct.usage").map(Duration::from_nanos),
        Version::Two => field(folder, "cpu.stat", "usage_usec").map(Duration::from_micros),
    }
}

impl Place {
    /// Where a group could be made: below this process's own, else beside it. (In version 2, a
    /// group that has processes hands no controllers down.)
    fn parents(&self) -> impl Iterator<Item = &Path> {
        let beside = self.folder.parent().filter(|parent| parent.starts_with(&self.top));
        [Some(self.folder.as_path()), beside].into_iter().flatten()
    }
}

fn places() -> Vec<Place> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    places_in(&groups, &mounts)
}

/// The hierarchies that can be of use, from the two files.
fn places_in(groups: &str, mounts: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let controllers: Vec<String> =
            controllers.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect();
        let version = if controllers.is_empty() { Version::Two } else { Version::One };
        let useful = ["memory", "pids", "cpuacct"];
        if version == Version::One
            && !controllers.iter().any(|name| useful.contains(&name.as_str()))
        {
            continue;
        }
        let mount = mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(3);
            let (root, point) = (before.next()?, before.next()?);
            let mut after = after.split(' ');
            let kind = after.next()?;
            let options: Vec<&str> = after.nth(1)?.split(',').collect();
            let fits = match version {
                Version::Two => kind == "cgroup2",
                Version::One => {
                    kind == "cgroup"
                        && controllers.iter().all(|name| options.contains(&name.as_str()))
                }
            };
            // Only what lies below the mounted part can be reached.
            let below = Path::new(path).strip_prefix(root).ok()?;
            fits.then(|| (PathBuf::from(point), Path::new(point).join(below)))
        });
        if let Some((top, folder)) = mount {
            places.push(Place { version, controllers, folder, top });
        }
    }
    // Version 2 first: it counts CPU time for everyone.
    places.sort_by_key(|place| place.version == Version::One);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        cpu: Duration::ZERO,
        memory: 1 << 20,
        processes: 7,
        file_size: 0,
        files: 0,
        sharers: 7,
        processors: None,
    };

    #[test]
    fn hierarchies_are_found_where_they_are_mounted() {
        let groups = "8:pids:/\n4:memory:/a/b\n3:cpuset:/\n0::/c\n";
        let mounts = "\
30 20 0:1 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory
31 20 0:2 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
32 20 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
33 20 0:4 /x /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
";
        let places = places_in(groups, mounts);
        // pids is mounted from a part that this process is not in.
        let folders: Vec<_> = places.iter().map(|place| place.folder.to_str().unwrap()).collect();
        assert_eq!(folders, ["/sys/fs/cgroup/unified/c", "/sys/fs/cgroup/memory/a/b"]);
        let parents: Vec<_> = places[1].parents().collect();
        assert_eq!(
            parents,
            [Path::new("/sys/fs/cgroup/memory/a/b"), Path::new("/sys/fs/cgroup/memory/a")]
        );
    }

    #[test]
    fn nothing_is_made_above_what_is_mounted() {
        let place = Place {
            version: Version::Two,
            controllers: vec![],
            folder: "/sys/fs/cgroup".into(),
            top: "/sys/fs/cgroup".into(),
        };
        assert_eq!(place.parents().count(), 1);
    }

    #[test]
    fn a_group_of_version_two_is_used_as_it_offers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for (file, text) in [
            ("memory.max", "max\n"),
            ("memory.peak", "4096\n"),
            ("memory.events", "low 0\noom 0\noom_kill 0\n"),
            ("pids.max", "max\n"),
            ("pids.events", "max 0\n"),
            ("cpu.stat", "usage_usec 1500\nuser_usec 1000\n"),
        ] {
            fs::write(path.join(file), text).unwrap();
        }
        let mut groups = Groups::default();
        assert!(groups.take(path, Version::Two, &CAPS));
        assert!(groups.bound());
        assert_eq!(fs::read_to_string(path.join("pids.max")).unwrap(), "8");
        assert_eq!(number(path, "memory.max"), Some((1 << 20) + FOR_PID_1));
        assert_eq!(groups.cpu(), Some(Duration::from_micros(1500)));
        assert_eq!(groups.memory_peak(), Some(4096));
        assert_eq!(groups.hit(), None);
        fs::write(path.join("pids.events"), "max 3\n").unwrap();
        assert_eq!(groups.hit(), Some(Hit::Processes));
        fs::write(path.join("memory.events"), "oom 1\noom_kill 1\n").unwrap();
        assert_eq!(groups.hit(), Some(Hit::Memory));
    }

    #[test]
    fn a_group_that_takes_no_process_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let group = folder.path().join("group");
        fs::create_dir(&group).unwrap();
        let mut groups = Groups::default();
        groups.folders.push(group.clone());
        groups.processes = Some(group.clone());
        groups.add(1);
        assert_eq!(groups.processes, None);
        assert!(!group.exists());
    }

    #[test]
    fn a_group_that_offers_nothing_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut groups = Groups::default();
        assert!(!groups.take(folder.path(), Version::Two, &CAPS));
        assert!(!groups.bound());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
