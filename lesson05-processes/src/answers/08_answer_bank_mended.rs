//! # Answer: a bank that keeps its money (Python Processes, outline)
//!
//! A transfer holds both accounts from the first reading to the last writing, and who audits holds them all.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin answer_bank_mended
//! in the morning: 3000
//! an audit saw another sum: false
//! in the evening: 3000
//! ```
//!
//! Observe: all take the locks in the order of the accounts, whichever way the money goes. So nobody holds
//! account 2 and waits for account 0 while another holds 0 and waits for 2. Two calls of `update` would keep
//! the sum in the evening; but an audit between the two would see money that is in neither account.
//! Try: take the lock of `from` first, then that of `to`. The program stops before long: which accounts does
//! each teller hold, and which one does it wait for? (End it by Ctrl-C.) Then take that back, and let the
//! tellers die between the two changes, by `std::process::abort()`: what is there in the evening?

use common::sync::Barrier;
use common::{Process, Value};

type Accounts = [Value<i64>; 3];

const TRANSFERS: usize = 100_000;

fn transfer(accounts: &Accounts, from: usize, to: usize, amount: i64) {
    let mut low = accounts[from.min(to)].lock();
    let mut high = accounts[from.max(to)].lock();
    let (from, to) = if from < to { (&mut low, &mut high) } else { (&mut high, &mut low) };
    **from -= amount;
    **to += amount;
}

fn teller((accounts, open, step): (Accounts, Barrier, usize)) -> common::Result<()> {
    open.wait()?;
    for number in 0..TRANSFERS {
        transfer(&accounts, number % 3, (number + step) % 3, 5);
    }
    Ok(())
}

fn audit([first, second, third]: &Accounts) -> i64 {
    let (first, second, third) = (first.lock(), second.lock(), third.lock());
    *first + *second + *third
}

fn main() -> common::Result<()> {
    common::init();
    let accounts = [Value::new(1000)?, Value::new(1000)?, Value::new(1000)?];
    println!("in the morning: {}", audit(&accounts));
    let open = Barrier::new(2)?;
    let one = Process::new(teller, (accounts.clone(), open.clone(), 1)).start()?;
    let two = Process::new(teller, (accounts.clone(), open, 2)).start()?;
    let mut is_wrong = false;
    while one.is_alive() || two.is_alive() {
        is_wrong |= audit(&accounts) != 3000;
    }
    println!("an audit saw another sum: {is_wrong}");
    one.join()?;
    two.join()?;
    println!("in the evening: {}", audit(&accounts));
    Ok(())
}
