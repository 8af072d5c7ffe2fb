//! # 5.6 The holder of a lock is killed (multiprocessing Module)
//!
//! A lock whose holder was killed goes to the next process, which is told, and can look at what was left half done.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin lock_holder_killed
//! the teller was killed by SIGKILL, with the lock in its hands
//! next holder: the previous one has died: true, balances [70, 20], sum 90
//! repaired: balances [70, 30], sum 100
//! and after that: the previous one has died: false
//! ```
//!
//! Observe: nobody waits for ever, as in Python, where a lock stays locked when its holder is killed. *multiprocessing
//! Module* calls `terminate` abrupt and advises care; here the care is in the library. But no lock knows what the data
//! mean: that 10 are missing, only this program can tell, by its sentence that the sum is always 100.
//! Try: take the `if` out, with all that it guards. What does the last line say, and who will notice that 10 are
//! missing? Then put the teller's two changes into one `guard.copy_from_slice(&[70, 30])`: is that one step?

use common::sync::Event;
use common::{Array, Process};
use std::thread::sleep;
use std::time::Duration;

const SUM: i32 = 100;

/// Moves 10 from the first account to the second, and is slow about it.
fn teller((accounts, begun): (Array<i32>, Event)) -> common::Result<()> {
    let mut guard = accounts.lock();
    guard[0] -= 10;
    begun.set();
    sleep(Duration::from_secs(60));
    guard[1] += 10;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let accounts = Array::from_slice(&[80, 20])?;
    let begun = Event::new()?;
    let child = Process::new(teller, (accounts.clone(), begun.clone())).start()?;
    begun.wait();
    child.kill()?;
    println!("the teller {}, with the lock in its hands", child.join()?);

    let mut guard = accounts.lock();
    let (died, sum) = (guard.previous_holder_died(), guard.iter().sum::<i32>());
    println!("next holder: the previous one has died: {died}, balances {:?}, sum {sum}", &*guard);
    if guard.previous_holder_died() {
        guard[1] += SUM - sum;
        println!("repaired: balances {:?}, sum {}", &*guard, guard.iter().sum::<i32>());
    }
    drop(guard);
    println!(
        "and after that: the previous one has died: {}",
        accounts.lock().previous_holder_died()
    );
    Ok(())
}
