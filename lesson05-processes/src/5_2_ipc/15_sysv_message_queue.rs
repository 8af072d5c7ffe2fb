//! # 5.2 IPC mechanisms: a System V message queue (Python Processes, outline)
//!
//! A System V queue has a number instead of a name, and each message is of a kind by which it can be asked for.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin sysv_message_queue
//! the clerk has ended: exitcode=0
//! kind 2: a refund
//! kind 1: the first order
//! kind 1: the second order
//! no more of kind 1
//! the queue is removed: true
//! ```
//!
//! Observe: the receiver asks for the refund first, and gets it, though it was sent last. The kernel keeps all three
//! while no process has anything to do with them. Nobody would remove the queue of a program that is killed:
//! `ipcs -q` lists it, and `ipcrm -q NUMBER` removes it.
//! Try: write `std::process::abort();` in the place of `queue.remove()?;`. What does `ipcs -q` list then, and how
//! do you get rid of it?

use common::Process;
use common::ipc::MessageQueue;

const ORDER: i64 = 1;
const REFUND: i64 = 2;

fn clerk(id: i32) -> common::Result<()> {
    let queue = MessageQueue::open(id)?;
    queue.send(ORDER, b"the first order")?;
    queue.send(ORDER, b"the second order")?;
    queue.send(REFUND, b"a refund")?;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let queue = MessageQueue::create()?;
    let exit = Process::new(clerk, queue.id()).start()?.join()?;
    println!("the clerk has ended: exitcode={}", exit.exitcode());

    for kind in [REFUND, ORDER, ORDER] {
        let message = queue.receive_of(kind)?;
        println!("kind {}: {}", message.kind, String::from_utf8_lossy(&message.bytes));
    }
    if queue.try_receive_of(ORDER)?.is_none() {
        println!("no more of kind {ORDER}");
    }
    let id = queue.id();
    queue.remove()?;
    println!("the queue is removed: {}", MessageQueue::open(id).is_err());
    Ok(())
}
