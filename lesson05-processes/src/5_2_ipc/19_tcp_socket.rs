//! # 5.2 IPC mechanisms: a TCP socket (Processes, CIS 41B)
//!
//! A TCP socket has an address and a port in place of a path, so that the other process may be on another machine.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin tcp_socket
//! server: listens at 127.0.0.1:[N server]
//! server: a client from 127.0.0.1:[N client]
//! server: received "one two three"
//! client 127.0.0.1:[N client]: after 3 writes the answer of 127.0.0.1:[N server] is "13 bytes"
//! ```
//!
//! Observe: port 0 lets the system choose one that is free. The client has a port as well, and both sides name the
//! same two. TCP carries a stream of bytes: where one write ended and the next began does not arrive.
//! *Processes, CIS 41B* says that processes talk "across systems" through "sockets and pipes": an ordinary pipe does
//! not leave its system, for that one needs a socket.
//! Try: leave the `shutdown` of the client out, and end the program by Ctrl-C. What did each side wait for? Then bind
//! to `0.0.0.0:0`, which is every address of this machine: who else could be the first client now?

use common::Process;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

fn ask(server: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    let (own, peer) = (stream.local_addr()?, stream.peer_addr()?);
    for word in ["one", " two", " three"] {
        stream.write_all(word.as_bytes())?;
    }
    stream.shutdown(Shutdown::Write)?;
    let answer = io::read_to_string(stream)?;
    println!("client {own}: after 3 writes the answer of {peer} is {answer:?}");
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("server: listens at {}", listener.local_addr()?);
    let child = Process::new(ask, listener.local_addr()?).start()?;

    let (mut stream, client) = listener.accept()?;
    println!("server: a client from {client}");
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    println!("server: received {text:?}");
    write!(stream, "{} bytes", text.len())?;
    drop(stream);
    child.join()?;
    Ok(())
}
