//! # 7.3 `Barrier`: methods and properties (multiprocessing Module)
//!
//! A barrier breaks when a party waits too long or calls `abort`; all who wait are told, and `reset` mends
//! it.
//!
//! ```console,elapsed:0.1..30
//! $ cargo run -p lesson07-communication --bin barrier_methods
//! parties=2 n_waiting=0 broken=false
//! parties=2 n_waiting=1 broken=false
//! first: passed
//! wait(timeout=0.1) alone: broken
//! broken=true
//! after reset: broken=false
//! second: broken
//! after abort: broken=true
//! ```
//!
//! Observe: broken is an answer that everybody gets, at once and until the next `reset`; nobody is left
//! waiting for one who will not come.
//! Try: leave out the first `reset`, and wait with a limit of a minute. Why is the barrier broken long
//! before that? (In Python nobody would notice that `first` has ended.)

use common::Process;
use common::sync::Barrier;
use std::thread;
use std::time::Duration;

fn party((name, barrier): (String, Barrier)) {
    println!("{name}: {}", if barrier.wait().is_ok() { "passed" } else { "broken" });
}

fn show(barrier: &Barrier) {
    let (parties, n_waiting) = (barrier.parties(), barrier.n_waiting());
    println!("parties={parties} n_waiting={n_waiting} broken={}", barrier.is_broken());
}

fn wait_for_the_other(barrier: &Barrier) {
    while barrier.n_waiting() == 0 {
        thread::yield_now();
    }
}

fn main() -> common::Result<()> {
    common::init();
    let barrier = Barrier::new(2)?;
    show(&barrier);
    let first = Process::new(party, ("first".to_string(), barrier.clone())).start()?;
    wait_for_the_other(&barrier);
    show(&barrier);
    barrier.wait()?;
    first.join()?;

    barrier.reset(); // `first` has ended, and is a party no more
    let alone = barrier.wait_timeout(Duration::from_millis(100));
    println!("wait(timeout=0.1) alone: {}", if alone.is_ok() { "passed" } else { "broken" });
    println!("broken={}", barrier.is_broken());
    barrier.reset();
    println!("after reset: broken={}", barrier.is_broken());

    let second = Process::new(party, ("second".to_string(), barrier.clone())).start()?;
    wait_for_the_other(&barrier);
    barrier.abort();
    second.join()?;
    println!("after abort: broken={}", barrier.is_broken());
    Ok(())
}
