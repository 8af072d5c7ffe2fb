//! # 5.4 `apply_async`, Example 4: a callback (Python Processes)
//!
//! A callback collects each value when it is there; `close` and `join` tell when that is all.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pool_callback
//! [TIME]| Before For loop = [SECONDS]
//! [TIME]| After For loop = [SECONDS]
//! [TIME]| Finished:  = [SECONDS]
//! [500[..], 500[..], 500[..], [..]]
//! ```
//!
//! Observe: the loop takes next to no time. *Python Processes* says that the callback runs "in the main thread of the
//! program": it runs in the main process, so that it may use what this process has, but in a thread of the pool, so
//! that it does that behind a mutex. (The list is printed as well; *Python Processes* does not show it.)
//! Try: print the name of the thread (`std::thread::current().name()`) in `main`, and in `log_result` for the first
//! value. Then run it twice and compare the lists: why is the order another one each time?

use common::{Log, Pool};
use std::hint::black_box;
use std::sync::Mutex;

static RESULT_LIST: Mutex<Vec<u64>> = Mutex::new(Vec::new());

fn sum_all_values(x: u64) -> u64 {
    let mut total = 0;
    for i in 1..=x {
        total = black_box(total + i);
    }
    total
}

fn log_result(result: &u64) {
    RESULT_LIST.lock().expect("no callback panics").push(*result);
}

fn main() -> common::Result<()> {
    common::init();
    let first = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(10_000_000);
    let mut log = Log::named("callback.log").show_terminal().open()?;
    log.start_timer();
    let pool = Pool::new(4)?;
    log.step_timer("Before For loop");
    for x in first..first + 100 {
        let _ = pool.apply_async(sum_all_values, x)?.callback(log_result);
    }
    log.step_timer("After For loop");
    pool.close();
    pool.join()?;
    log.stop_timer("Finished: ");
    println!("{:?}", RESULT_LIST.lock().expect("no callback panics"));
    Ok(())
}
