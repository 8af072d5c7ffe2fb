//! # 5.2 Challenges of IPC: a critical section (Python Processes, outline)
//!
//! Two values that belong together are changed in one section that nobody else may enter meanwhile.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin critical_section
//! without a lock: somebody saw money missing: true
//! with a lock:    somebody saw money missing: false
//! in the end: 1000 + 1000 = 2000
//! ```
//!
//! Observe: each value has a lock of its own, and each single change is safe. That is not enough: between the two
//! changes the money is in neither account, and whoever looks then sees it missing. The section from the first change
//! to the last needs one lock, for those who read as well.
//! Try: take the lock in `transfer` only: what does the second line say? Then take it in `is_money_missing` only.

use common::sync::Lock;
use common::{Process, Value};

type Bank = (Value<i64>, Value<i64>);

fn transfer((bank, lock, times): (Bank, Option<Lock>, u32)) {
    for _ in 0..times {
        for amount in [100, -100] {
            let _section = lock.as_ref().map(Lock::acquire);
            bank.0.update(|money| *money -= amount);
            bank.1.update(|money| *money += amount);
        }
    }
}

/// Whether somebody who looks now and then sees another sum than there is.
fn is_money_missing(bank: &Bank, lock: Option<Lock>, times: u32) -> common::Result<bool> {
    let child = Process::new(transfer, (bank.clone(), lock.clone(), times)).start()?;
    let mut is_missing = false;
    while child.is_alive() {
        let _section = lock.as_ref().map(Lock::acquire);
        is_missing |= bank.0.get() + bank.1.get() != 2000;
    }
    child.join()?;
    Ok(is_missing)
}

fn main() -> common::Result<()> {
    common::init();
    let bank = (Value::new(1000)?, Value::new(1000)?);
    let mut missing = false;
    // Seldom is it not seen at once.
    for _ in 0..20 {
        missing = missing || is_money_missing(&bank, None, 50_000)?;
    }
    println!("without a lock: somebody saw money missing: {missing}");
    let missing = is_money_missing(&bank, Some(Lock::new()?), 20_000)?;
    println!("with a lock:    somebody saw money missing: {missing}");
    println!("in the end: {} + {} = {}", bank.0.get(), bank.1.get(), bank.0.get() + bank.1.get());
    Ok(())
}
