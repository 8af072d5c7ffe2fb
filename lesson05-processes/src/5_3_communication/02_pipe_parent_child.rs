//! # 5.3 A pipe: two processes, one end each (Python Processes)
//!
//! Each process has one end of a pipe; values of several kinds travel as the variants of one type.
//!
//! ```console,any-order
//! $ cargo run -p lesson05-processes --bin pipe_parent_child
//! Parent: Sending 'one' to child
//! Parent: Sending '1' to child  <- after above
//! Parent: Sending 'two' to child  <- after above
//! Parent: Sending '2' to child  <- after above
//! Parent: Sending 'None' to child  <- after above
//! Parent Finished Sending  <- after above
//! Child: Received 'one' from parent  <- after 1
//! Child: Received '1' from parent  <- after 2, 7
//! Child: Received 'two' from parent  <- after 3, 8
//! Child: Received '2' from parent  <- after 4, 9
//! Child Exiting  <- after 5, 10
//! Both Parent and Child Exited  <- after all above
//! ```
//!
//! Observe: nothing is received before it is sent, but the two sides take turns as they like.
//! Try: leave out the last message, `End`. The child goes on waiting until the other end closes: which line is
//! missing then, and what does it say instead?

use common::{Connection, Process};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Message {
    Text(String),
    Number(i32),
    End,
}

fn child_process(conn: Connection<Message>) -> common::Result<()> {
    loop {
        match conn.recv()? {
            Message::Text(text) => println!("Child: Received '{text}' from parent"),
            Message::Number(number) => println!("Child: Received '{number}' from parent"),
            Message::End => break,
        }
    }
    println!("Child Exiting");
    conn.close();
    Ok(())
}

fn parent_process(conn: Connection<Message>) -> common::Result<()> {
    use Message::{End, Number, Text};
    for message in [Text("one".into()), Number(1), Text("two".into()), Number(2), End] {
        match &message {
            Text(text) => println!("Parent: Sending '{text}' to child"),
            Number(number) => println!("Parent: Sending '{number}' to child"),
            End => println!("Parent: Sending 'None' to child"),
        }
        conn.send(&message)?;
    }
    println!("Parent Finished Sending");
    conn.close();
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (parent_conn, child_conn) = common::pipe()?;
    let child = Process::new(child_process, child_conn).start()?;
    let parent = Process::new(parent_process, parent_conn).start()?;
    parent.join()?;
    child.join()?;
    println!("Both Parent and Child Exited");
    Ok(())
}
