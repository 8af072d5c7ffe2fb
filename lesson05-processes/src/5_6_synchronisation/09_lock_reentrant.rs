//! # 5.6 `RLock`: a lock taken twice (Python Processes)
//!
//! An `RLock` lets its holder in again; a `Lock` does not.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin lock_reentrant
//! RLock: taken twice by one process
//! RLock: after one release another process gets it: false
//! RLock: after both releases another process gets it: true
//! Lock: a second time by the same holder: false
//! ```
//!
//! Observe: an `RLock` counts, and is free when it was released as often as it was taken. So a function that locks
//! may call another one that locks. (The lock of Python's `Value` is such a one. Here a guard gives the way to the
//! value, so nobody needs a second one; who asks for it is told so.)
//! Try: take the plain `Lock` with `acquire` the second time. What does the program say, and what would a lock do
//! that does not know its holder, as in Python?

use common::Process;
use common::sync::{Lock, RLock};
use std::process::exit;

fn try_it(lock: RLock) {
    exit(i32::from(lock.try_acquire().is_some()));
}

/// Whether another process gets the lock now.
fn is_free(lock: &RLock) -> common::Result<bool> {
    let exit = Process::new(try_it, lock.clone()).start()?.join()?;
    Ok(exit.code() == Some(1))
}

fn main() -> common::Result<()> {
    common::init();
    let lock = RLock::new()?;
    let (first, second) = (lock.acquire(), lock.acquire());
    println!("RLock: taken twice by one process");
    drop(second);
    println!("RLock: after one release another process gets it: {}", is_free(&lock)?);
    drop(first);
    println!("RLock: after both releases another process gets it: {}", is_free(&lock)?);

    let plain = Lock::new()?;
    let _held = plain.acquire();
    println!("Lock: a second time by the same holder: {}", plain.try_acquire().is_some());
    Ok(())
}
