//! # 5.4 `apply_async`: tagged results (Processes, CIS 41B)
//!
//! Results that are collected by a callback come in the order in which the tasks end, so each says which
//! task it is of.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pool_apply_async_tagged
//! all submitted, main continues
//! callback got the result of task 3: 30
//! callback got the result of task 2: 20
//! callback got the result of task 1: 10
//! in order of completion: [3, 2, 1]
//! in order of submission: [1, 2, 3]
//! ```
//!
//! Observe: *Processes, CIS 41B* says that the results "can be in a different order". That is so for what callbacks
//! collect; the list of results that `apply_async` has given is in the order of submission, and `get` on each keeps
//! it.
//! Try: a pool of one worker. In what order do the callbacks come, and how long does it take?

use common::Pool;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

static COMPLETED: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn work(task: u32) -> (u32, u32) {
    sleep(Duration::from_millis(1600 - 500 * u64::from(task)));
    (task, task * 10)
}

fn collect(&(task, result): &(u32, u32)) {
    println!("callback got the result of task {task}: {result}");
    COMPLETED.lock().expect("no callback panics").push(task);
}

fn main() -> common::Result<()> {
    common::init();
    let pool = Pool::new(3)?;
    let mut results = Vec::new();
    for task in 1..=3 {
        results.push(pool.apply_async(work, task)?.callback(collect));
    }
    println!("all submitted, main continues");
    pool.close();
    pool.join()?;
    println!("in order of completion: {:?}", COMPLETED.lock().expect("no callback panics"));
    let submitted: Result<Vec<_>, _> = results.into_iter().map(|result| result.get()).collect();
    println!(
        "in order of submission: {:?}",
        submitted?.iter().map(|pair| pair.0).collect::<Vec<_>>()
    );
    Ok(())
}
