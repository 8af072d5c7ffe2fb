//! # 5.2 IPC mechanisms: POSIX shared memory (Python Processes, outline)
//!
//! `shm_open` gives a name to memory, `mmap` shows it in a process, `shm_unlink` takes the name away.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin posix_shared_memory
//! a file in /dev/shm bears the name: true
//! the child has read 25 and written 26
//! the parent reads 26
//! the name is gone: true
//! the parent still reads 26
//! ```
//!
//! Observe: the name is a file, and so are its rights and its length. Unlinking takes the name only: who has mapped
//! the memory keeps it, and the last of them frees it. `SharedMemory` is the same in one step, and removes
//! the name of a program that was killed; here the file in /dev/shm would stay.
//! Try: let the child call `shm_unlink` too, at its end. What does the call of the parent say then, and what has it
//! read before?

use common::Process;
use common::ipc::Mapping;
use nix::fcntl::OFlag;
use nix::sys::mman::{shm_open, shm_unlink};
use nix::sys::stat::Mode;
use nix::unistd::ftruncate;
use std::path::Path;
use std::{io, process};

fn child(name: String) -> common::Result<()> {
    let file = shm_open(name.as_str(), OFlag::O_RDWR, Mode::empty()).map_err(io::Error::from)?;
    let memory = Mapping::new(&file, 8)?;
    let number: u64 = memory.get(0)?;
    memory.set(0, number + 1)?;
    println!("the child has read {number} and written {}", number + 1);
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let name = format!("/lesson-{}", process::id());
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
    let file = shm_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR);
    let file = file.map_err(io::Error::from)?;
    let path = format!("/dev/shm{name}");
    println!("a file in /dev/shm bears the name: {}", Path::new(&path).exists());

    ftruncate(&file, 8).map_err(io::Error::from)?;
    let memory = Mapping::new(&file, 8)?;
    memory.set(0, 25u64)?;
    let exit = Process::new(child, name.clone()).start().map(|child| child.join());
    println!("the parent reads {}", memory.get::<u64>(0)?);

    shm_unlink(name.as_str()).map_err(io::Error::from)?;
    println!("the name is gone: {}", !Path::new(&path).exists());
    println!("the parent still reads {}", memory.get::<u64>(0)?);
    exit??;
    Ok(())
}
