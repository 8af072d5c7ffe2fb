//! # 5.2 What communication costs (document 000)
//!
//! A thousand times one number goes there and one comes back, by memory, by messages, and by a manager.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin ipc_overhead
//! memory that both see: [N] ns
//! two queues: [N] ns
//! a pipe: [N] ns
//! a manager's list: [N] ns
//! memory costs a tenth of each of the others, or less: true
//! ```
//!
//! Observe: shared memory is written and read, and no kernel is asked. A message is copied, and who waits for it has to be
//! woken; a manager answers each question by a message. But memory has no order and tells nobody that it has changed:
//! the price is what you then do about that.
//! Try: send 1000 numbers as one message instead of 1000 messages. What does one number cost then?

use common::{AtomicValue, Connection, Manager, Process, Queue, pipe};
use std::time::{Duration, Instant};

const TIMES: u32 = 1000;

fn echo_queue((to, from): (Queue<u32>, Queue<u32>)) -> common::Result<()> {
    for _ in 0..TIMES {
        from.put(to.get()?)?;
    }
    Ok(())
}

fn echo_pipe(end: Connection<u32>) -> common::Result<()> {
    for _ in 0..TIMES {
        end.send(&end.recv()?)?;
    }
    Ok(())
}

/// What one step takes, of a thousand.
fn time(name: &str, step: impl Fn() -> common::Result<u32>) -> common::Result<Duration> {
    let begin = Instant::now();
    (0..TIMES).try_for_each(|_| step().map(drop))?;
    let each = begin.elapsed() / TIMES;
    println!("{name}: {} ns", each.as_nanos());
    Ok(each)
}

fn main() -> common::Result<()> {
    common::init();
    let shared = AtomicValue::new(0u32)?;
    let memory = time("memory that both see", || Ok(shared.fetch_add(1)))?;

    let (to, from) = (Queue::new()?, Queue::new()?);
    let _echo = Process::new(echo_queue, (to.clone(), from.clone())).daemon().start()?;
    let queues = time("two queues", || {
        to.put(1)?;
        Ok(from.get()?)
    })?;

    let (end, other) = pipe()?;
    let _echo = Process::new(echo_pipe, other).daemon().start()?;
    let messages = time("a pipe", || {
        end.send(&1)?;
        Ok(end.recv()?)
    })?;

    let manager = Manager::new()?;
    let list = manager.list([1])?;
    let answers = time("a manager's list", || Ok(list.get(0)?.unwrap_or(0)))?;
    let is_cheap = [queues, messages, answers].iter().all(|&other| memory * 10 <= other);
    println!("memory costs a tenth of each of the others, or less: {is_cheap}");
    Ok(())
}
