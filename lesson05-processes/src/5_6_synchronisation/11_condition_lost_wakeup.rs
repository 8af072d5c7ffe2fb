//! # 5.6 A lost wake-up (multiprocessing Module)
//!
//! A producer notifies before its consumer waits, and the notification meets nobody.
//!
//! ```console,elapsed:1..30
//! $ cargo run -p lesson05-processes --bin condition_lost_wakeup
//! Producer produced a resource.
//! Consumer is waiting.
//! Consumer knows of the resource: false
//! ```
//!
//! Observe: the resource is there, and the consumer waits all the same: it waits for the call, and the call
//! is over. In the document's program either of the two may be first, so it ends in most runs, and in some it
//! hangs. Here the producer is first in each run, and only the limit of a second ends the wait.
//! Try: start the consumer first, and the producer half a second later. What is printed now? Would you rely
//! on that half second? Then read `condition_kept_wakeup`.

use common::Process;
use common::sync::Condition;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(1);

fn consumer(condition: Condition) {
    let mut guard = condition.acquire();
    println!("Consumer is waiting.");
    let knows = condition.wait_timeout(&mut guard, LIMIT);
    println!("Consumer knows of the resource: {knows}");
}

fn producer(condition: Condition) {
    let guard = condition.acquire();
    println!("Producer produced a resource.");
    condition.notify(&guard, 1);
}

fn main() -> common::Result<()> {
    common::init();
    let condition = Condition::new()?;
    let p2 = Process::new(producer, condition.clone()).start()?;
    p2.join()?;
    let p1 = Process::new(consumer, condition).start()?;
    p1.join()?;
    Ok(())
}
