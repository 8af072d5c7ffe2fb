//! # 5.6 A wake-up that is kept (multiprocessing Module)
//!
//! What has happened is written down, and who is about to wait looks there first: no notification is too
//! early.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin condition_kept_wakeup
//! Producer produced a resource.
//! Consumer is waiting.
//! Consumer knows of the resource: true
//! ```
//!
//! Observe: the producer is first, as in `condition_lost_wakeup`, and its notification is lost as it was
//! there. But `produced` is a state, and a state stays. The consumer asks for it, with the lock, before it
//! sleeps; the answer is yes, and it does not wait at all.
//! Try: start the consumer first, and the producer half a second later. Which lines change places, and which
//! one stays as it is? Then take that back, and wait by `wait_timeout(&mut guard, LIMIT)`: is the state of
//! any use now?

use common::sync::Condition;
use common::{Process, Value};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(1);

fn consumer((condition, produced): (Condition, Value<bool>)) {
    let mut guard = condition.acquire();
    println!("Consumer is waiting.");
    let knows = condition.wait_while_timeout(&mut guard, LIMIT, || !produced.get());
    println!("Consumer knows of the resource: {knows}");
}

fn producer((condition, produced): (Condition, Value<bool>)) {
    let guard = condition.acquire();
    println!("Producer produced a resource.");
    produced.set(true);
    condition.notify(&guard, 1);
}

fn main() -> common::Result<()> {
    common::init();
    let (condition, produced) = (Condition::new()?, Value::new(false)?);
    let p2 = Process::new(producer, (condition.clone(), produced.clone())).start()?;
    p2.join()?;
    let p1 = Process::new(consumer, (condition, produced)).start()?;
    p1.join()?;
    Ok(())
}
