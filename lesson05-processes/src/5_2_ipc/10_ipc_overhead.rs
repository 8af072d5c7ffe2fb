//! # 5.2 Challenges of IPC: what communication costs (Python Processes)
//!
//! One number goes there and one comes back, a thousand times: by memory, by messages between threads and between
//! processes, and by a manager.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin ipc_overhead
//! memory that both see: [N] ns
//! a channel between threads: [N] ns
//! a pipe: [N] ns
//! two queues: [N] ns
//! a manager's list: [N] ns
//! memory costs a tenth of each of the others, or less: true
//! ```
//!
//! Observe: shared memory is written and read, and no kernel is asked. Who waits for a message has to be woken, also
//! where a thread of the same process sends it; a manager answers each question by a message. But memory has no order
//! and tells nobody that it has changed: the price is what you then do about that. *multiprocessing Module* says that
//! a pipe "is generally faster than a Queue": that depends on how they are built. These queues lie in shared memory,
//! and a pipe asks the kernel for each message.
//! Try: send a `Vec` of 1000 numbers there and back as one message, by a pipe of its own. What does one number cost
//! then?

use common::{AtomicValue, Connection, Manager, Process, Queue, pipe};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

fn echo((end, to, from): (Connection<u32>, Queue<u32>, Queue<u32>)) {
    while end.recv().is_ok_and(|number| end.send(&number).is_ok()) {}
    while to.get().is_ok_and(|number| from.put(number).is_ok()) {}
}

/// What one step takes, in the best hundred of ten.
fn time(name: &str, step: impl Fn() -> common::Result<u32>) -> common::Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let begin = Instant::now();
        (0..100).try_for_each(|_| step().map(drop))?;
        best = best.min(begin.elapsed() / 100);
    }
    println!("{name}: {} ns", best.as_nanos());
    Ok(best)
}

fn main() -> common::Result<()> {
    common::init();
    let shared = AtomicValue::new(0u32)?;
    let memory = time("memory that both see", || Ok(shared.fetch_add(1)))?;

    let ((to, there), (back, from)) = (channel(), channel());
    std::thread::spawn(move || while there.recv().is_ok_and(|n| back.send(n).is_ok()) {});
    let threads = time("a channel between threads", || {
        to.send(1).expect("the thread waits for it");
        Ok(from.recv().expect("the thread answers"))
    })?;

    let ((end, other), to, from) = (pipe()?, Queue::new()?, Queue::new()?);
    Process::new(echo, (other, to.clone(), from.clone())).daemon().start()?;
    let messages = time("a pipe", || {
        end.send(&1)?;
        Ok(end.recv()?)
    })?;
    drop(end);
    let queues = time("two queues", || {
        to.put(1)?;
        Ok(from.get()?)
    })?;

    let manager = Manager::new()?;
    let list = manager.list([1])?;
    let answers = time("a manager's list", || Ok(list.get(0)?.unwrap_or(0)))?;
    let is_cheap = [threads, messages, queues, answers].iter().all(|&other| memory * 10 <= other);
    println!("memory costs a tenth of each of the others, or less: {is_cheap}");
    Ok(())
}
