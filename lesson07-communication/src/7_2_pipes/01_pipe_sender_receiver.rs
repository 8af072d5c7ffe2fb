//! # 7.2 A pipe: sender and receiver (Process Communication and Barriers)
//!
//! One process sends through its end of a pipe, another receives at the other end.
//!
//! ```console
//! $ cargo run -p lesson07-communication --bin pipe_sender_receiver
//! Received: Hello
//! Received: World
//! ```
//!
//! Observe: the messages come in the order in which they were sent, and no lock is needed.
//! Try: receive a third time. The sender has closed its end, so it is an error, and not a wait.

use common::{Connection, Process};

fn sender(conn: Connection<String>) -> common::Result<()> {
    conn.send(&"Hello".to_string())?;
    conn.send(&"World".to_string())?;
    conn.close();
    Ok(())
}

fn receiver(conn: Connection<String>) -> common::Result<()> {
    println!("Received: {}", conn.recv()?);
    println!("Received: {}", conn.recv()?);
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (parent_conn, child_conn) = common::pipe()?;
    let p1 = Process::new(sender, parent_conn).start()?;
    let p2 = Process::new(receiver, child_conn).start()?;
    p1.join()?;
    p2.join()?;
    Ok(())
}
