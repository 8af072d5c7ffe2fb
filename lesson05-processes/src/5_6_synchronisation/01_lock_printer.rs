//! # 5.6 `Lock`: one prints at a time (multiprocessing Module)
//!
//! Three children print, one at a time: who holds the lock keeps the others waiting.
//!
//! ```console,any-order
//! $ cargo run -p lesson05-processes --bin lock_printer
//! tango
//! foxtrot
//! alpha
//! ```
//!
//! Observe: the lock says that one prints at a time, not who is first: the words may change places. It is
//! given back where the guard's block ends. Nobody calls `join`: at the end of `main` a program waits for
//! its children.
//! Try: print each word letter by letter, with a pause of 10 ms after each (`print!`, then
//! `std::io::stdout().flush()?`). Then take the lock away. Why did a `println!` without a lock not show this?

use common::Process;
use common::sync::Lock;

fn printer((item, lock): (String, Lock)) {
    let _guard = lock.acquire();
    println!("{item}");
}

fn main() -> common::Result<()> {
    common::init();
    let lock = Lock::new()?;
    let items = ["tango", "foxtrot", "alpha"];
    for item in items {
        Process::new(printer, (item.to_string(), lock.clone())).start()?;
    }
    Ok(())
}
