//! # 5.6 `Semaphore`: methods (multiprocessing Module)
//!
//! A semaphore counts permits: each `acquire` takes one or waits, and anybody's `release` adds one.
//!
//! ```console,elapsed:0.1..30
//! $ cargo run -p lesson05-processes --bin semaphore_methods
//! acquire: true
//! acquire: true
//! acquire non-blocking: false
//! acquire timeout 0.1: false
//! acquire after release: true
//! ```
//!
//! Observe: the child releases what it has not acquired. A lock would refuse that; with a semaphore one process lets
//! another go on. `keep` makes that possible: a permit without it is given back where it goes out of scope, and also
//! when its process is killed. (*multiprocessing Module* writes `acquire(blocking=True)` here too: for processes it
//! is `block=`.)
//! Try: let the child release twice, and print `semaphore.value()` at the end. Then take a
//! `BoundedSemaphore`, and release in `main` until it says no.

use common::Process;
use common::sync::Semaphore;
use std::time::Duration;

fn release(semaphore: Semaphore) -> common::Result<()> {
    semaphore.release()?;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let semaphore = Semaphore::new(2)?;
    semaphore.acquire().keep();
    println!("acquire: {}", semaphore.value() == 1);
    semaphore.acquire().keep();
    println!("acquire: {}", semaphore.value() == 0);

    println!("acquire non-blocking: {}", semaphore.try_acquire().is_some());
    let limit = Duration::from_millis(100);
    println!("acquire timeout 0.1: {}", semaphore.acquire_timeout(limit).is_some());

    let child = Process::new(release, semaphore.clone()).start()?;
    let permit = semaphore.acquire_timeout(Duration::from_secs(30));
    println!("acquire after release: {}", permit.is_some());
    child.join()?;
    Ok(())
}
