//! # 5.6 `Lock`: methods (Processes, CIS 41B; multiprocessing Module)
//!
//! A lock that another process holds can be asked for without waiting, with a limit, or for as long as it
//! takes.
//!
//! ```console,elapsed:0.2..30
//! $ cargo run -p lesson05-processes --bin lock_methods
//! main acquire: true
//! child acquire(block=False): false
//! child acquire(timeout=0.2): false
//! child holds the lock
//! main holds the lock
//! ```
//!
//! Observe: `keep` holds the lock until `release`, as `acquire` does in Python; a guard gives it back by itself, as
//! `with` does, also when the code in between panics. *multiprocessing Module* writes
//! `acquire(blocking=True, timeout=-1)`: that is the lock of threads. For processes it is `block=`, as in
//! *Processes, CIS 41B*; `blocking=` is a `TypeError`, and a timeout of -1 does not wait at all.
//! Try: print what `lock.release()` returns in `attempt`. What would go wrong in `main` if it were allowed, as it is
//! in Python? Then let `main` call `lock.acquire().keep()` a second time, before the release: what does it say?

use common::Process;
use common::sync::Lock;
use std::time::Duration;

fn attempt(lock: Lock) {
    println!("child acquire(block=False): {}", lock.try_acquire().is_some());
    let limit = Duration::from_millis(200);
    println!("child acquire(timeout=0.2): {}", lock.acquire_timeout(limit).is_some());
}

fn hold((name, lock): (String, Lock)) {
    let _guard = lock.acquire();
    println!("{name} holds the lock");
}

fn main() -> common::Result<()> {
    common::init();
    let lock = Lock::new()?;

    lock.acquire().keep();
    println!("main acquire: {}", lock.is_locked());
    Process::new(attempt, lock.clone()).start()?.join()?;
    lock.release()?;

    Process::new(hold, ("child".to_string(), lock.clone())).start()?.join()?;
    hold(("main".to_string(), lock));
    Ok(())
}
