//! # 7.2 `Queue`: one writes, one reads (Process Communication and Barriers)
//!
//! One process writes into a queue, another reads from it.
//!
//! ```console
//! $ cargo run -p lesson07-communication --bin queue_read_write
//! 0
//! 1
//! 2
//! 3
//! 4
//! 5
//! 6
//! 7
//! 8
//! 9
//! ```
//!
//! Observe: the numbers come in the order in which they were put, and it does not matter which of the two is started
//! first. (*Process Communication and Barriers* calls the functions `read_thread` and `write_thread`; they run as
//! processes.)
//! Try: start two readers, each of which reads five numbers. Do they still come in their order, and does each number
//! come once?

use common::{Process, Queue};

const MAX_COUNT: u32 = 10;

fn read_process(shared_q: Queue<u32>) -> common::Result<()> {
    for _ in 0..MAX_COUNT {
        println!("{}", shared_q.get()?);
    }
    Ok(())
}

fn write_process(shared_q: Queue<u32>) -> common::Result<()> {
    for i in 0..MAX_COUNT {
        shared_q.put(i)?;
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let shared_q = Queue::new()?;
    let read = Process::new(read_process, shared_q.clone()).start()?;
    let write = Process::new(write_process, shared_q).start()?;
    write.join()?;
    read.join()?;
    Ok(())
}
