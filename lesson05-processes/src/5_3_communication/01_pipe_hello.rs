//! # 5.3 A pipe: a message from a child (multiprocessing Module)
//!
//! A child sends one message through its end of a pipe; the parent receives it from the other.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pipe_hello
//! Hello from the child process!
//! ```
//!
//! Observe: the parent receives before it waits for the child. `recv` is a wait of its own: it returns
//! when a message is there.
//! Try: let the child return without sending. What does `recv` say, and why does it not wait for ever?

use common::{Connection, Process};

fn worker(connection: Connection<String>) -> common::Result<()> {
    connection.send(&"Hello from the child process!".to_string())?;
    connection.close();
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (parent_connection, child_connection) = common::pipe()?;
    let p = Process::new(worker, child_connection).start()?;
    println!("{}", parent_connection.recv()?);
    p.join()?;
    Ok(())
}
