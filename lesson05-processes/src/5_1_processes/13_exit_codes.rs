//! # 5.1 Exit codes (Processes, CIS 41B)
//!
//! The exit code tells how a process ended: well, with an error, or by a signal.
//!
//! ```console,stderr
//! $ cargo run -p lesson05-processes --bin exit_codes
//! fine: exitcode=Some(0)
//! error: exitcode=Some(3)
//! crash: exitcode=Some(101)
//! forever, running: exitcode=None
//! forever, terminated: exitcode=Some(-15)
//! forever, killed: exitcode=Some(-9)
//! ```
//!
//! Observe: 0 is success, what a function returns is its own code, and a panic is always 101 (in Python an
//! exception is 1). A negative number is the signal that ended the process: 15 is SIGTERM, 9 is SIGKILL.
//! The parent goes on in each case; the message of the panic is on standard error.
//! Try: let `error` return 256 + 3. The system keeps eight bits of a code: which number arrives?

use common::Process;
use std::thread::sleep;
use std::time::Duration;

fn fine((): ()) {}

fn error((): ()) -> i32 {
    3
}

fn crash((): ()) {
    panic!("this child goes wrong on purpose");
}

fn forever((): ()) {
    loop {
        sleep(Duration::from_secs(1));
    }
}

fn main() -> common::Result<()> {
    common::init();
    let fine = Process::new(fine, ()).name("fine").start()?;
    let error = Process::new(error, ()).name("error").start()?;
    let crash = Process::new(crash, ()).name("crash").start()?;
    for p in [fine, error, crash] {
        p.join()?;
        println!("{}: exitcode={:?}", p.name(), p.exitcode());
    }

    let p = Process::new(forever, ()).start()?;
    println!("forever, running: exitcode={:?}", p.exitcode());
    p.terminate()?;
    p.join()?;
    println!("forever, terminated: exitcode={:?}", p.exitcode());

    let p = Process::new(forever, ()).start()?;
    p.kill()?;
    p.join()?;
    println!("forever, killed: exitcode={:?}", p.exitcode());
    Ok(())
}
