//! # 5.2 Why IPC: a shared file (Python Processes)
//!
//! Four processes add to a number in one file, each time under a lock of the file, and no addition is lost.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin file_lock
//! 4 processes, 250 additions each
//! in the file: 1000
//! the file is gone: true
//! ```
//!
//! Observe: the lock belongs to the file, so that programs which have not started each other can use it: they need to
//! know the path only. It is free again when its guard is dropped, also if the process is killed. It keeps
//! those out who ask for it; who just writes is not stopped. (Since Rust 1.89, `File::lock` does the same.)
//! Try: leave out the line with the lock, and run it some times. How many additions are lost, and does anybody report
//! an error?

use common::Process;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

fn add_one(mut file: &File) -> io::Result<()> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let count: u32 = text.parse().map_err(io::Error::other)?;
    file.rewind()?;
    write!(file, "{}", count + 1)
}

fn add(path: PathBuf) -> io::Result<()> {
    for _ in 0..250 {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        add_one(&file)?;
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("count");
    fs::write(&path, "0")?;

    println!("4 processes, 250 additions each");
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(Process::new(add, path.clone()).start()?);
    }
    for p in processes {
        p.join()?;
    }
    println!("in the file: {}", fs::read_to_string(&path)?);
    folder.close()?;
    println!("the file is gone: {}", !path.exists());
    Ok(())
}
