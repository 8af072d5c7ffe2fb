//! # 5.3 `Queue`: methods (Python Processes; Processes, CIS 41B)
//!
//! Each method of a queue waits, does not wait (`try_`), or waits for a limited time (`_timeout`).
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin queue_methods
//! empty at start: true
//! qsize after two puts: 2
//! full: true
//! empty: false
//! put(block=False) on a full queue: Full
//! put(timeout=0.05) on a full queue: Full
//! get: a
//! get: b
//! get(block=False) on an empty queue: Empty
//! get(timeout=0.05) on an empty queue: Empty
//! empty at end: true
//! put after close: error
//! join_thread: not needed
//! ```
//!
//! Observe: an item is in the queue when `put` returns. In Python a thread brings it there later: `empty()` right
//! after a `put` may say True, and that thread is what `join_thread` waits for. Here there is none.
//! *Python Processes* lists `close`, and says further down that one does not "need to close a queue": closing says
//! that this process puts no more, as the last `put` shows; the queue goes when its last handle goes.
//! Try: leave out one `get`. Which other line is missing then, and who has got the "b"?

use common::Queue;
use common::queue::{GetError, PutRefusal};
use std::time::Duration;

fn main() -> common::Result<()> {
    common::init();
    let limit = Duration::from_millis(50);
    let queue = Queue::bounded(2)?;
    println!("empty at start: {}", queue.is_empty());
    queue.put("a".to_string())?;
    queue.put("b".to_string())?;
    println!("qsize after two puts: {}", queue.len());
    println!("full: {}\nempty: {}", queue.is_full(), queue.is_empty());
    if let Err(PutRefusal::Full(_)) = queue.try_put("c".to_string()).map_err(|error| error.reason) {
        println!("put(block=False) on a full queue: Full");
    }
    let refused = queue.put_timeout("c".to_string(), limit).map_err(|error| error.reason);
    if let Err(PutRefusal::Full(_)) = refused {
        println!("put(timeout=0.05) on a full queue: Full");
    }
    println!("get: {}\nget: {}", queue.get()?, queue.get()?);
    if let Err(GetError::Empty) = queue.try_get() {
        println!("get(block=False) on an empty queue: Empty");
    }
    if let Err(GetError::Empty) = queue.get_timeout(limit) {
        println!("get(timeout=0.05) on an empty queue: Empty");
    }
    println!("empty at end: {}", queue.is_empty());
    queue.close();
    println!("put after close: {}", queue.put("d".to_string()).map_or("error", |()| "done"));
    println!("join_thread: not needed");
    Ok(())
}
