//! # 5.6 A bank that loses money (Python Processes, outline)
//!
//! Two tellers move money between three accounts; every single step is safe, and money is lost all the same.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin bank_corrupted
//! in the morning: 3000
//! money was lost or made: true
//! ```
//!
//! Observe: a transfer takes from one account what it gives to another one, so the sum should stay. Each
//! `get` and each `set` takes the lock of its account. But between the two the other teller may have written
//! something, and that is overwritten: an amount is lost, or is there twice.
//! Try: mend `transfer`; the exercise in the reading says what a mended one has to stand. Two calls of
//! `update` are enough to keep the sum in the evening. Who would still see money missing, and when?

use common::sync::Barrier;
use common::{Process, Value};

type Accounts = [Value<i64>; 3];

const TRANSFERS: usize = 100_000;

fn transfer(accounts: &Accounts, from: usize, to: usize, amount: i64) {
    accounts[from].set(accounts[from].get() - amount);
    accounts[to].set(accounts[to].get() + amount);
}

fn teller((accounts, open, step): (Accounts, Barrier, usize)) -> common::Result<()> {
    open.wait()?;
    for number in 0..TRANSFERS {
        transfer(&accounts, number % 3, (number + step) % 3, 5);
    }
    Ok(())
}

fn sum(accounts: &Accounts) -> i64 {
    accounts.iter().map(Value::get).sum()
}

fn main() -> common::Result<()> {
    common::init();
    let accounts = [Value::new(1000)?, Value::new(1000)?, Value::new(1000)?];
    println!("in the morning: {}", sum(&accounts));
    // Where the tellers take turns so rarely that nothing goes wrong, they work another day.
    let mut days = 50;
    while sum(&accounts) == 3000 && days > 0 {
        let open = Barrier::new(2)?;
        let one = Process::new(teller, (accounts.clone(), open.clone(), 1)).start()?;
        let two = Process::new(teller, (accounts.clone(), open, 2)).start()?;
        one.join()?;
        two.join()?;
        days -= 1;
    }
    println!("money was lost or made: {}", sum(&accounts) != 3000);
    Ok(())
}
