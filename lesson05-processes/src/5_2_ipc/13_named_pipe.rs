//! # 5.2 IPC mechanisms: a named pipe (Python Processes, outline)
//!
//! A named pipe is a pipe with a path: two processes that know the path need nothing else to meet.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin named_pipe
//! a named pipe: true
//! received: "first line\nsecond line\n"
//! bytes in the file system: 0
//! the path is gone: true
//! ```
//!
//! Observe: `open` waits until both a reader and a writer are there, and so no start can come too early. What is
//! written passes through the kernel and never through a file: the size stays 0. The reading ends when the writer has
//! closed its end. The path stays until somebody removes it.
//! Try: in another terminal `mkfifo x; cat x`, and in a third one `ls > x`: who waits for whom? Then `cat x` again,
//! and two that write at the same time: `(ls & ls /) > x`.

use common::Process;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

fn write_lines(path: PathBuf) -> io::Result<()> {
    let mut pipe = OpenOptions::new().write(true).open(path)?;
    writeln!(pipe, "first line")?;
    writeln!(pipe, "second line")
}

fn main() -> common::Result<()> {
    common::init();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pipe");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(io::Error::from)?;
    println!("a named pipe: {}", fs::metadata(&path)?.file_type().is_fifo());

    let child = Process::new(write_lines, path.clone()).start()?;
    println!("received: {:?}", fs::read_to_string(&path)?);
    child.join()?;

    println!("bytes in the file system: {}", fs::metadata(&path)?.len());
    folder.close()?;
    println!("the path is gone: {}", !path.exists());
    Ok(())
}
