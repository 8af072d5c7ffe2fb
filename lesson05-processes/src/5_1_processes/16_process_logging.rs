//! # 5.1 One log of several processes (multiprocessing Module)
//!
//! Three processes log, and one, the main process, writes all of it: each record tells whose it is.
//!
//! ```console,any-order
//! $ cargo run -p lesson05-processes --bin process_logging
//! [INFO/Process-1] started
//! [INFO/Process-1] finished  <- after above
//! [INFO/Process-2] started
//! [INFO/Process-2] finished  <- after above
//! [INFO/Process-3] started
//! [INFO/Process-3] finished  <- after above
//! ```
//!
//! Observe: the processes come in any order, but each has started before it has finished: the records of one
//! process arrive in their order. No child has made a logger, and none writes to the terminal.
//! Try: change `Info` to `Debug`: who says the additional lines? Then put it back, and have a child call
//! `std::process::abort()` between its two lines: what it had logged is there all the same.

use common::Process;
use common::logging::{self, Writer};
use std::thread::sleep;
use std::time::Duration;

fn work(millis: u64) {
    log::info!("started");
    sleep(Duration::from_millis(millis));
    log::info!("finished");
}

fn main() -> common::Result<()> {
    common::init();
    logging::gather_to(Writer::new(std::io::stdout()), log::LevelFilter::Info)?;

    let mut processes = Vec::new();
    for millis in [20, 10, 30] {
        processes.push(Process::new(work, millis).start()?);
    }
    for p in processes {
        p.join()?;
    }
    Ok(())
}
