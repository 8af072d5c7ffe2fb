//! # 5.2 Challenges of IPC: what cannot be sent, and what is refused (Python Processes, outline)
//!
//! Not every value can become bytes, and not all bytes become a value.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin serialization_limits
//! a socket in an item of a queue: refused, with the way to send it
//! bytes of a stranger: refused
//! a length that promises 2 GiB: refused
//! after all that the connection still works: [7]
//! ```
//!
//! Observe: what has no meaning in another process, such as a thread or an open file, is no type that can be sent: the
//! compiler says so, where Python finds it out when it runs. Bytes are read within limits and as one type. What a
//! stranger sends gives an error, and nothing else.
//! Try: add a `std::fs::File` to the tuple of the queue, in its type and in the `put`. What does the compiler say is
//! missing?

use common::connection::RecvError;
use common::{Connection, Queue, pipe};

fn refused(what: &str, is_refused: bool) {
    println!("{what}: {}", if is_refused { "refused" } else { "accepted" });
}

fn main() -> common::Result<()> {
    let queue: Queue<(u32, Connection<u32, u32>)> = Queue::new()?;
    let (end, _other) = pipe::<u32, u32>()?;
    let error = queue.put((1, end)).expect_err("it holds a socket").to_string();
    let names_the_way = error.contains("send a handle through a Connection");
    println!(
        "a socket in an item of a queue: refused{}",
        if names_the_way { ", with the way to send it" } else { "" }
    );

    let (stranger, reader) = pipe::<Vec<u32>, Vec<u32>>()?;
    stranger.send_bytes(b"\x09abc")?;
    refused("bytes of a stranger", matches!(reader.recv(), Err(RecvError::Decode(_))));
    stranger.send_bytes(&[253, 0, 0, 0, 128, 0, 0, 0, 0])?;
    refused("a length that promises 2 GiB", matches!(reader.recv(), Err(RecvError::Decode(_))));

    stranger.send(&vec![7])?;
    println!("after all that the connection still works: {:?}", reader.recv()?);
    Ok(())
}
