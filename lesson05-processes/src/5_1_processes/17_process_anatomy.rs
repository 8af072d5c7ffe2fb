//! # 5.1 What a process is made of (Python Processes)
//!
//! Memory of its own, open files, a thing to do, and the rights of a user: the kernel shows all four.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_anatomy
//! memory: [N] regions, among them a stack: true
//! open files: 0, 1, 2[..]
//! one more file is open: true
//! execution: 1 thread, on processor [N]
//! rights: those of user [N] and group [N]
//! ```
//!
//! Observe: all of it is text in the folder `/proc/self`, and belongs to this process alone: another one that
//! runs the same program has other memory, other open files, and perhaps another user.
//! Try: `ls -l /proc/$$/fd` for the files of your shell, and `cat /proc/$$/maps` for its memory.

use std::fs::{File, read_dir, read_to_string, symlink_metadata};
use std::io;

/// The numbers of the open files, but for the folder that is read here.
fn open_files() -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in read_dir("/proc/self/fd")? {
        numbers.extend(entry?.file_name().to_string_lossy().parse::<u32>());
    }
    // The folder is closed again, so its own number is gone.
    numbers.retain(|number| symlink_metadata(format!("/proc/self/fd/{number}")).is_ok());
    numbers.sort_unstable();
    Ok(numbers)
}

/// The first word behind a label in a file of the kernel.
fn word(text: &str, label: &str) -> Option<String> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next().map(str::to_string)
}

fn main() -> io::Result<()> {
    let maps = read_to_string("/proc/self/maps")?;
    let has_stack = maps.contains("[stack]");
    println!("memory: {} regions, among them a stack: {has_stack}", maps.lines().count());

    let before = open_files()?;
    let words: Vec<String> = before.iter().map(u32::to_string).collect();
    println!("open files: {}", words.join(", "));
    let _file = File::open("/dev/null")?;
    println!("one more file is open: {}", open_files()?.len() == before.len() + 1);

    let (status, stat) = (read_to_string("/proc/self/status")?, read_to_string("/proc/self/stat")?);
    let read = |label| word(&status, label).unwrap_or_default();
    let processor = stat.split(' ').nth(38).unwrap_or_default();
    println!("execution: {} thread, on processor {processor}", read("Threads:"));
    println!("rights: those of user {} and group {}", read("Uid:"), read("Gid:"));
    Ok(())
}
