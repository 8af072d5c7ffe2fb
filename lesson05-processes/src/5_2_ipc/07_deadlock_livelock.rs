//! # 5.2 Challenges of IPC: deadlock and livelock (Python Processes)
//!
//! Two processes that each hold what the other one wants wait for ever, unless somebody gives up.
//!
//! ```console,elapsed:1..
//! $ cargo run -p lesson05-processes --bin deadlock_livelock
//! deadlock: both wait after a second: true
//! livelock: neither has passed after 3 times: true
//! in one order: both have passed: true
//! ```
//!
//! Observe: in the deadlock each holds one lock and waits for the other one; only a limit (or a kill) ends it. In the
//! livelock both are polite: each lets go of its lock and tries again at the same moment, three times, and has got
//! nowhere. Where all take the locks in one order, neither can happen.
//! Try: leave out both `meet.wait()?` of `be_polite`, so that the two are no longer in step: what does the second
//! line say now? Why is that how livelocks end, and deadlocks are not?

use common::Process;
use common::sync::{Barrier, Lock};
use std::time::Duration;

type Case = (Lock, Lock, Barrier);

/// Takes the first lock, and the second one when both have theirs; whether that went wrong.
fn wait((first, second, meet): Case) -> common::Result<()> {
    let _held = first.acquire();
    meet.wait()?;
    let got = second.acquire_timeout(Duration::from_secs(1));
    meet.wait()?;
    if got.is_some() { std::process::exit(1) } else { Ok(()) }
}

/// Lets go and tries again, three times, in step with the other one.
fn be_polite((first, second, meet): Case) -> common::Result<()> {
    for _ in 0..3 {
        let _held = first.acquire();
        meet.wait()?;
        let got = second.try_acquire();
        meet.wait()?;
        if got.is_some() {
            std::process::exit(1);
        }
    }
    Ok(())
}

fn pass((first, second, _): Case) {
    let _both = (first.acquire(), second.acquire());
}

/// Two processes, with the locks in the order of each; whether both end as they should.
fn both<R: common::process::Outcome>(
    target: fn(Case) -> R,
    crosswise: bool,
) -> common::Result<bool> {
    let (a, b, meet) = (Lock::new()?, Lock::new()?, Barrier::new(2)?);
    let one = Process::new(target, (a.clone(), b.clone(), meet.clone())).start()?;
    let (first, second) = if crosswise { (b, a) } else { (a, b) };
    let other = Process::new(target, (first, second, meet)).start()?;
    Ok(one.join()?.is_success() & other.join()?.is_success())
}

fn main() -> common::Result<()> {
    common::init();
    println!("deadlock: both wait after a second: {}", both(wait, true)?);
    println!("livelock: neither has passed after 3 times: {}", both(be_polite, true)?);
    println!("in one order: both have passed: {}", both(pass, false)?);
    Ok(())
}
