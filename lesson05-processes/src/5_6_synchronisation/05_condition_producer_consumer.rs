//! # 5.6 `Condition`: producer and consumer (multiprocessing Module)
//!
//! A consumer waits until there is a resource: it asks a question, and asks again when it is notified.
//!
//! ```console,elapsed:2..30
//! $ cargo run -p lesson05-processes --bin condition_producer_consumer
//! Consumer is waiting.
//! Producer produced a resource.
//! Consumer consumed the resource.
//! ```
//!
//! Observe: a condition remembers nothing. In the program of *multiprocessing Module* the consumer only waits; where
//! the producer is first, its notification meets nobody, and the consumer waits for ever (15 of 100 runs). Here
//! `wanted` is the state, both sides change it with the lock and wait for it by a question, and either may be first.
//! Try: put `condition.wait(&mut guard)` in the place of the producer's `wait_while`. In which order do the
//! two have to start so that the program ends?

use common::Process;
use common::sync::{Condition, Event};
use std::thread::sleep;
use std::time::Duration;

fn consumer((condition, wanted): (Condition, Event)) {
    let mut guard = condition.acquire();
    println!("Consumer is waiting.");
    wanted.set();
    condition.notify(&guard, 1);
    condition.wait_while(&mut guard, || wanted.is_set());
    println!("Consumer consumed the resource.");
}

fn producer((condition, wanted): (Condition, Event)) {
    let mut guard = condition.acquire();
    condition.wait_while(&mut guard, || !wanted.is_set());
    sleep(Duration::from_secs(2));
    println!("Producer produced a resource.");
    wanted.clear();
    condition.notify(&guard, 1);
}

fn main() -> common::Result<()> {
    common::init();
    let (condition, wanted) = (Condition::new()?, Event::new()?);
    let p1 = Process::new(consumer, (condition.clone(), wanted.clone())).start()?;
    let p2 = Process::new(producer, (condition, wanted)).start()?;

    p1.join()?;
    p2.join()?;
    Ok(())
}
