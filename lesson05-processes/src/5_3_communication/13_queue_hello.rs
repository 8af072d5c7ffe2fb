//! # 5.3 `Queue`: a message from a child (multiprocessing Module)
//!
//! A child puts a message into a queue, and its parent gets it.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin queue_hello
//! Hello from the child process!
//! ```
//!
//! Observe: `get` waits until there is something. *Python Processes* says that one can't use the ordinary
//! `queue.Queue` with processes. Python does not always say so: a forked child puts into its copy, without an error,
//! and the parent gets nothing. In Rust it does not compile, because an ordinary channel cannot be sent to a process.
//! Try: give the child the `Sender` of a `std::sync::mpsc::channel()`: what does the compiler say is missing? Then
//! put the queue back, and join the child before `get`. In Python a long message makes that hang for ever. Why not
//! here?

use common::{Process, Queue};

fn worker(q: Queue<String>) -> common::Result<()> {
    q.put("Hello from the child process!".to_string())?;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let q = Queue::new()?;
    let p = Process::new(worker, q.clone()).start()?;
    println!("{}", q.get()?);
    p.join()?;
    Ok(())
}
