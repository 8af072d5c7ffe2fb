//! # 5.1 Checking a process: `join` with a limit (Processes, CIS 41B)
//!
//! `join_timeout` waits no longer than it is told to, and then says whether the child has ended.
//!
//! ```console,elapsed:3..30
//! $ cargo run -p lesson05-processes --bin join_timeout
//! after join(2.0): is_alive=true exitcode=None
//! after join(): is_alive=false exitcode=Some(0)
//! ```
//!
//! Observe: after two seconds the child still runs, and has no exit code yet. Waiting in vain does nothing
//! to it.
//! Try: print what `join_timeout` returns, once with 2 and once with 4 seconds. Is `is_alive` needed?

use common::Process;
use std::thread::sleep;
use std::time::Duration;

fn three_seconds((): ()) {
    sleep(Duration::from_secs(3));
}

fn main() -> common::Result<()> {
    common::init();
    let p = Process::new(three_seconds, ()).start()?;

    p.join_timeout(Duration::from_secs(2))?;
    println!("after join(2.0): is_alive={} exitcode={:?}", p.is_alive(), p.exitcode());

    p.join()?;
    println!("after join(): is_alive={} exitcode={:?}", p.is_alive(), p.exitcode());
    Ok(())
}
