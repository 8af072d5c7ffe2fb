//! A function as its distance in the executable, and which executable it is.
//!
//! Parent and child run the same file, but the kernel loads it at an address of its own choice each
//! time. The distance from a landmark (where the executable was loaded) to a function is the same
//! in both, so it can travel as a number. An address outside the executable's own code, in a
//! library or nowhere, is refused on both sides.
//!
//! A distance means something in the same executable only. So each side tells the other its
//! [`Build`]: which file it runs, and the identity that the linker wrote into it, if it did.
//!
//! # System calls
//!
//! `stat(2)` of `/proc/self/exe`; `dl_iterate_phdr(3)` tells where the executable's code lies.

use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// How far a function lies from where the executable was loaded.
pub(crate) type Distance = u64;

/// Where this executable lies in memory.
#[derive(Clone, Debug)]
struct Image {
    base: usize,
    code: Vec<Range<usize>>,
    note: Vec<u8>,
}

/// Which executable a process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Build {
    /// Device, inode, length, and when it was written, in seconds and nanoseconds.
    file: [u64; 5],
    /// The linker's own identity (`--build-id`), where there is one.
    note: Vec<u8>,
}

/// The executable of this process.
pub(crate) fn build() -> io::Result<Build> {
    let file = std::fs::metadata("/proc/self/exe")?;
    let written = [file.mtime().cast_unsigned(), file.mtime_nsec().cast_unsigned()];
    let file = [file.dev(), file.ino(), file.len(), written[0], written[1]];
    Ok(Build { file, note: image().note.clone() })
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut image = Image { base: 0, code: Vec::new(), note: Vec::new() };
        // SAFETY: the callback matches the type and only writes to `image`, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut image).cast()) };
        image
    })
}

/// Called for each object in memory; the first is the executable, and 1 ends the walk there.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    image: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader passes a valid record for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: `image` is the pointer that `image()` passed, and nobody else uses it meanwhile.
    let image = unsafe { &mut *image.cast::<Image>() };
    // SAFETY: the record says how many headers lie at its address.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    image.base = info.dlpi_addr as usize;
    for header in headers {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
            let start = image.base + header.p_vaddr as usize;
            image.code.push(start..start + header.p_memsz as usize);
        }
        if header.p_type == libc::PT_NOTE {
            let start = (image.base + header.p_vaddr as usize) as *const u8;
            // SAFETY: the loader has mapped the notes of the executable, which nobody writes to.
            let notes = unsafe { std::slice::from_raw_parts(start, header.p_memsz as usize) };
            image.note = build_id(notes).unwrap_or(&image.note).to_vec();
        }
    }
    1
}

/// The linker's identity among `notes`: each has three words (the lengths of its name and content,
/// and its type), its name and its content, both filled up to whole words.
fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const BUILD_ID: usize = 3;
    loop {
        let word =
            |at: usize| Some(u32::from_ne_bytes(notes.get(at..at + 4)?.try_into().ok()?) as usize);
        let (name, content, kind) = (word(0)?, word(4)?, word(8)?);
        let start = 12 + name.next_multiple_of(4);
        let found = notes.get(start..start.checked_add(content)?)?;
        if kind == BUILD_ID && notes.get(12..12 + name)? == b"GNU\0" {
            return Some(found);
        }
        notes = notes.get(start + content.next_multiple_of(4)..)?;
    }
}

/// The distance of the function at `address`, or `None` where it is not code of this executable.
fn distance(address: usize) -> Option<Distance> {
    let image = image();
    let inside = image.code.iter().any(|range| range.contains(&address));
    inside.then(|| address.wrapping_sub(image.base) as Distance)
}

/// The address at `distance`, or `None` where that is not code of this executable.
fn address(distance: Distance) -> Option<usize> {
    let image = image();
    let address = image.base.wrapping_add(usize::try_from(distance).ok()?);
    image.code.iter().any(|range| range.contains(&address)).then_some(address)
}

/// The distance of a target, to be sent to a child; `None` for a function of a dynamic library.
pub(crate) fn of_target<A, R>(target: fn(A) -> R) -> Option<Distance> {
    distance(target as usize)
}

/// The target that a parent named by its distance.
///
/// Sound because of who calls it: the distance and the code that knows `A` and `R` were sent
/// together, by a process that runs the same executable, over a descriptor that only it could have.
pub(crate) fn target<A, R>(distance: Distance) -> Option<fn(A) -> R> {
    let address = address(distance)?;
    // SAFETY: `address` is code of this executable, and the sender took it from a `fn(A) -> R`.
    Some(unsafe { std::mem::transmute::<usize, fn(A) -> R>(address) })
}

/// The distance of a target of two arguments; `None` for a function of a dynamic library.
pub(crate) fn of_pair_target<A, B, R>(target: fn(A, B) -> R) -> Option<Distance> {
    distance(target as usize)
}

/// The target of two arguments that a parent named by its distance; sound for the same reason as
/// [`target`].
pub(crate) fn pair_target<A, B, R>(distance: Distance) -> Option<fn(A, B) -> R> {
    let address = address(distance)?;
    // SAFETY: `address` is code of this executable, and the sender took it from a `fn(A, B) -> R`.
    Some(unsafe { std::mem::transmute::<usize, fn(A, B) -> R>(address) })
}

/// The distance of a function without an argument; `None` for one of a dynamic library.
pub(crate) fn of_hook<R>(hook: fn() -> R) -> Option<Distance> {
    distance(hook as usize)
}

/// The hook that a parent named by its distance; sound for the same reason as [`target`].
pub(crate) fn hook<R>(distance: Distance) -> Option<fn() -> R> {
    let address = address(distance)?;
    // SAFETY: `address` is code of this executable, and the sender took it from a `fn() -> R`.
    Some(unsafe { std::mem::transmute::<usize, fn() -> R>(address) })
}

/// The distance of a function that knows the types of a target and calls it.
pub(crate) fn of_trampoline<C, R>(trampoline: fn(Distance, &mut C) -> R) -> Option<Distance> {
    distance(trampoline as usize)
}

/// The trampoline that a parent named by its distance; sound for the same reason as [`target`].
pub(crate) fn trampoline<C, R>(distance: Distance) -> Option<fn(Distance, &mut C) -> R> {
    let address = address(distance)?;
    // SAFETY: `address` is code of this executable, and the sender took it from this type.
    Some(unsafe { std::mem::transmute::<usize, fn(Distance, &mut C) -> R>(address) })
}

#[cfg(test)]
impl Build {
    /// The identity of some other executable.
    pub(crate) fn of_another(mut self) -> Self {
        self.file[1] ^= 1;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(x: u64) -> u64 {
        x * 2
    }

    #[test]
    fn a_function_is_found_again_by_its_distance() {
        let distance = of_target(double).unwrap();
        assert_eq!(target::<u64, u64>(distance).unwrap()(21), 42);
    }

    #[test]
    fn an_address_outside_the_code_is_refused() {
        assert!(target::<u64, u64>(Distance::MAX).is_none());
        let data = &raw const SOMETHING as usize;
        assert!(distance(data).is_none());
        assert!(address((data - image().base) as Distance).is_none());
    }

    #[test]
    fn the_identity_is_found_behind_other_notes() {
        let note = |kind: u32, name: &[u8], content: &[u8]| {
            let lengths = [name.len() as u32, content.len() as u32, kind];
            let mut bytes: Vec<u8> = lengths.iter().flat_map(|word| word.to_ne_bytes()).collect();
            for part in [name, content] {
                bytes.extend(part);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            bytes
        };
        let notes =
            [note(1, b"GNU\0", &[1; 16]), note(3, b"Go\0", b"x"), note(3, b"GNU\0", b"identity")];
        assert_eq!(build_id(&notes.concat()), Some(&b"identity"[..]));
        assert_eq!(build_id(&notes[..2].concat()), None);
        assert_eq!(build_id(&[255; 40]), None);
    }

    #[test]
    fn a_process_runs_one_executable() {
        assert_eq!(build().unwrap(), build().unwrap());
    }

    static SOMETHING: u64 = 7;

    #[test]
    fn a_function_of_a_library_is_refused() {
        assert!(distance(libc::getpid as *const () as usize).is_none());
    }
}
