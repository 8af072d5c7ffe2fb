//! # 5.4 `apply_async`, Example 5: adding jobs over time (Python Processes)
//!
//! A pool takes jobs until it is closed, and works on the first ones meanwhile.
//!
//! ```console,elapsed:3..30
//! $ cargo run -p lesson05-processes --bin pool_callback_incremental
//! [TIME]| Finished:  = [SECONDS]
//! [50000005000000, 50000015000001, 50000025000003, 50000035000006]
//! ```
//!
//! Observe: three seconds are the pauses; the sums cost nothing more, because they are done during them.
//! Try: take the pauses out, and run it some times. In what order do the sums come, and how long does it take?

use common::{Log, Pool};
use std::hint::black_box;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

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
    let mut log = Log::named("callback.log").show_terminal().open()?;
    log.start_timer();
    let pool = Pool::new(4)?;
    for x in 10_000_000..10_000_004 {
        if x > 10_000_000 {
            sleep(Duration::from_secs(1)); // Do something else.
        }
        let _ = pool.apply_async(sum_all_values, x)?.callback(log_result);
    }
    pool.close();
    pool.join()?;
    log.stop_timer("Finished: ");
    println!("{:?}", RESULT_LIST.lock().expect("no callback panics"));
    Ok(())
}
