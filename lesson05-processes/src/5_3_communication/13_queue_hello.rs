//! # 5.3 Queue (multiprocessing Module)
//!
//! A child puts a message into a queue, and its parent gets it.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin queue_hello
//! Hello from the child process!
//! ```
//!
//! Observe: `get` waits until there is something.
//! Try: join the child before `get`. In Python a long message makes that hang for ever. Why not here?

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
