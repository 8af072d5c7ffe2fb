//! # 5.3 `Queue`: three workers (Python Processes)
//!
//! Three processes take numbers from one queue; a `None` for each of them says that there are no more.
//!
//! ```console,any-order,elapsed:2..30
//! $ cargo run -p lesson05-processes --bin queue_workers
//! Worker: Processing 0
//! Worker: Processing 1
//! Worker: Processing 2
//! Worker: Processing 3  <- after 1
//! Worker: Processing 4  <- after 2
//! Worker: Processing 5  <- after 3
//! Worker: Processing 6  <- after 4
//! Worker: Processing 7  <- after 5
//! Worker: Processing 8  <- after 6
//! Worker: Processing 9  <- after 7
//! Worker: Exiting  <- after 8
//! Worker: Exiting  <- after 9
//! Worker: Exiting  <- after 10
//! All tasks completed  <- after all above
//! ```
//!
//! Observe: the queue gives the numbers in their order; who prints first is nobody's decision, so neighbours change
//! places. But a worker has half a second to do with each number, and there are three of them: nobody is three
//! numbers ahead.
//! Try: make it a `Queue<u32>`, with `q.shutdown()` in the place of the `None`s, and `for item in q.iter()` in the
//! worker. Who still has to know how many workers there are?

use common::{Process, Queue};
use std::thread::sleep;
use std::time::Duration;

fn worker(q: Queue<Option<u32>>) -> common::Result<()> {
    while let Some(item) = q.get()? {
        println!("Worker: Processing {item}");
        sleep(Duration::from_millis(500));
    }
    println!("Worker: Exiting");
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let q = Queue::new()?;
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Process::new(worker, q.clone()).start()?);
    }
    for i in 0..10 {
        q.put(Some(i))?;
    }
    for _ in 0..3 {
        q.put(None)?;
    }
    for process in processes {
        process.join()?;
    }
    println!("All tasks completed");
    Ok(())
}
