//! # 5.3 A pipe: features and methods (Python Processes)
//!
//! A pipe of one direction: ask whether something has come, receive it, and see the end.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pipe_methods
//! poll() before anything was sent: false
//! poll(5.0): true
//! recv: data
//! recv after the other end closed: EOF
//! send on the receiving end: does not compile
//! ```
//!
//! Observe: `poll` answers at once, and `poll_timeout` as soon as something is there. (*Python Processes* writes
//! `poll(timeout=None)`: in Python the default is 0, which does not wait, and `None` waits for ever.) The end is an
//! error of its own, `Eof`. It is seen because no other copy of the sending end is open: the parent's went to the
//! child with the argument. The last line reports no event: the compiler has refused the attempt.
//! Try: add `receiver.send(&"back".to_string())?;`. What does the compiler say about `send`, and for which type?

use common::connection::RecvError;
use common::{Process, Sender};
use std::time::Duration;

fn child_process(sender: Sender<String>) -> common::Result<()> {
    sender.send(&"data".to_string())?;
    sender.close();
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (receiver, sender) = common::one_way_pipe()?;
    println!("poll() before anything was sent: {}", receiver.poll()?);

    let child = Process::new(child_process, sender).start()?;
    println!("poll(5.0): {}", receiver.poll_timeout(Duration::from_secs(5))?);
    println!("recv: {}", receiver.recv()?);
    match receiver.recv() {
        Err(RecvError::Eof) => println!("recv after the other end closed: EOF"),
        other => println!("recv after the other end closed: {other:?}"),
    }
    println!("send on the receiving end: does not compile");
    child.join()?;
    Ok(())
}
