//! # 5.6 `Condition`: methods (multiprocessing Module)
//!
//! A wait ends by a notification or at its limit; a wait with a question ends when the answer is right.
//!
//! ```console,elapsed:0.2..30
//! $ cargo run -p lesson05-processes --bin condition_methods
//! wait(timeout=0.1): false
//! wait_for(false, timeout=0.1): false
//! main: three waiters are waiting
//! main: predicate becomes true
//! waiter: predicate is true
//! waiter: predicate is true
//! waiter: predicate is true
//! main: all waiters done
//! ```
//!
//! Observe: `notify(1)` comes too early. One waiter wakes, asks, and waits on, which is why the question
//! belongs to the wait. (In Python the question is when to go on, `wait_for`; here it is while to wait.)
//! `main` knows that three wait: each says so with the lock, and gives it back only by waiting.
//! Try: let the waiters call `wait` in the place of `wait_while`, and run it some ten times. Which line comes
//! too early, and why not in each run?

use common::Process;
use common::sync::{Condition, Event};
use std::time::Duration;

fn waiter((condition, inside, predicate): (Condition, Event, Event)) {
    let mut guard = condition.acquire();
    inside.set();
    condition.wait_while(&mut guard, || !predicate.is_set());
    println!("waiter: predicate is true");
}

fn main() -> common::Result<()> {
    common::init();
    let (condition, inside, predicate) = (Condition::new()?, Event::new()?, Event::new()?);
    let limit = Duration::from_millis(100);

    let mut guard = condition.acquire();
    println!("wait(timeout=0.1): {}", condition.wait_timeout(&mut guard, limit));
    let is_true = condition.wait_while_timeout(&mut guard, limit, || !predicate.is_set());
    println!("wait_for(false, timeout=0.1): {is_true}");
    drop(guard);

    let mut waiters = Vec::new();
    for _ in 0..3 {
        let handles = (condition.clone(), inside.clone(), predicate.clone());
        waiters.push(Process::new(waiter, handles).start()?);
        inside.wait();
        inside.clear();
    }
    let guard = condition.acquire();
    println!("main: three waiters are waiting");
    condition.notify(&guard, 1);
    drop(guard);

    let guard = condition.acquire();
    println!("main: predicate becomes true");
    predicate.set();
    condition.notify_all(&guard);
    drop(guard);

    for waiter in waiters {
        waiter.join()?;
    }
    println!("main: all waiters done");
    Ok(())
}
