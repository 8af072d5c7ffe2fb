//! # 5.3 Queue or pipe (Python Processes)
//!
//! A pipe joins two ends and goes both ways; a queue goes one way and takes any number at each side.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin queue_vs_pipe
//! pipe:  one asks, one answers: 49
//! queue: three put, two get: 30 items, the sum is 435
//! queue: nobody has closed it, and 0 items are left
//! pipe:  the other end is gone: true
//! ```
//!
//! Observe: over the pipe an answer comes back to who has asked; a queue does not know who has put. A pipe says that
//! its other end is gone; a queue has no other end, and says nothing until it is shut down. *multiprocessing Module*
//! warns of two processes at one end of a pipe, who may get parts of one message each: here an end has one owner.
//! Try: start a second child with `other`. What does the compiler say, and how would you give two children a pipe
//! each?

use common::{Connection, Process, Queue, Value, pipe};

fn square(end: Connection<u32, u32>) -> common::Result<()> {
    let number = end.recv()?;
    end.send(&(number * number))?;
    Ok(())
}

fn put((queue, first): (Queue<u32>, u32)) -> common::Result<()> {
    for item in first..first + 10 {
        queue.put(item)?;
    }
    Ok(())
}

fn get((queue, sums): (Queue<u32>, Value<[u32; 2]>)) -> common::Result<()> {
    for _ in 0..15 {
        let item = queue.get()?;
        sums.update(|[count, sum]| (*count, *sum) = (*count + 1, *sum + item));
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (end, other) = pipe::<u32, u32>()?;
    let child = Process::new(square, other).start()?;
    end.send(&7)?;
    println!("pipe:  one asks, one answers: {}", end.recv()?);
    child.join()?;

    let (queue, sums) = (Queue::new()?, Value::new([0, 0])?);
    let mut children = Vec::new();
    for first in [0, 10, 20] {
        children.push(Process::new(put, (queue.clone(), first)).start()?);
    }
    for _ in 0..2 {
        children.push(Process::new(get, (queue.clone(), sums.clone())).start()?);
    }
    for child in children {
        child.join()?;
    }
    let [count, sum] = sums.get();
    println!("queue: three put, two get: {count} items, the sum is {sum}");
    println!("queue: nobody has closed it, and {} items are left", queue.len());
    println!("pipe:  the other end is gone: {}", end.recv().is_err());
    Ok(())
}
