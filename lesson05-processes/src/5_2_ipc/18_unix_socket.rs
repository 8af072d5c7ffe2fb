//! # 5.2 IPC mechanisms: a Unix socket (Processes, CIS 41B)
//!
//! A Unix socket has a path, and gives each process that comes to it a connection of its own, in both directions.
//!
//! ```console,any-order
//! $ cargo run -p lesson05-processes --bin unix_socket
//! server: PID [PID 1] says "I am Ada"
//! server: PID [PID 2] says "I am Bob"
//! Ada (PID [PID 1]) gets: "welcome, I am Ada"  <- after 1
//! Bob (PID [PID 2]) gets: "welcome, I am Bob"  <- after 2
//! the path is gone: true  <- after all above
//! ```
//!
//! Observe: no answer goes to the wrong client, as it might if both had read from one named pipe. The server has the
//! PID of each from the kernel and not from the client, who could lie. The clients may come before `accept` is called:
//! since `bind` the kernel keeps them waiting.
//! Try: for parent and child, `UnixStream::pair()` needs no path: give one half to the child, as a
//! `common::connection::Handle`. Whose PID does the kernel name for such a half, and why?

use common::Process;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process;

fn visit((name, path): (String, PathBuf)) -> io::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    write!(stream, "I am {name}")?;
    stream.shutdown(Shutdown::Write)?;
    let answer = io::read_to_string(stream)?;
    println!("{name} (PID {}) gets: {answer:?}", process::id());
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path)?;

    let ada = Process::new(visit, ("Ada".to_string(), path.clone())).start()?;
    let bob = Process::new(visit, ("Bob".to_string(), path.clone())).start()?;
    for _ in 0..2 {
        let (mut stream, _) = listener.accept()?;
        let peer = getsockopt(&stream, PeerCredentials).map_err(io::Error::from)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        println!("server: PID {} says {text:?}", peer.pid());
        write!(stream, "welcome, {text}")?;
    }
    ada.join()?;
    bob.join()?;
    folder.close()?;
    println!("the path is gone: {}", !path.exists());
    Ok(())
}
