//! # 5.1 A crash stays where it is (Python Processes)
//!
//! Four children end badly, each in another way; their parent notices, and goes on.
//!
//! ```console,stderr
//! $ cargo run -p lesson05-processes --bin fault_isolation
//! panics:              exited with code 101
//! aborts:              was killed by SIGABRT
//! overflows its stack: was killed by SIGABRT
//! gives up:            exited with code 3
//! the parent is still there
//! ```
//!
//! Observe: a panic is an exit code, because Rust turns it into one; an abort is a signal, and so is what Rust makes
//! of a stack that is full (the segmentation fault is reported, and becomes an abort). None of it reaches the
//! parent's memory. A thread that aborts takes its process along.
//! Try: call `abort` in a thread of the main process (`std::thread::spawn`). What is the last line then?

use common::Process;
use std::hint::black_box;
use std::process::{abort, exit};

fn panics((): ()) {
    panic!("this is on purpose");
}

fn aborts((): ()) {
    abort();
}

fn overflows((): ()) {
    fn deeper(level: u64) -> u64 {
        let room = black_box([level; 100]);
        if level == u64::MAX { 0 } else { deeper(level + 1) + room[0] }
    }
    black_box(deeper(0));
}

fn gives_up((): ()) {
    exit(3);
}

fn main() -> common::Result<()> {
    common::init();
    let names = ["panics:", "aborts:", "overflows its stack:", "gives up:"];
    for (name, target) in names.into_iter().zip([panics, aborts, overflows, gives_up]) {
        let exit = Process::new(target, ()).start()?.join()?;
        println!("{name:<20} {exit}");
    }
    println!("the parent is still there");
    Ok(())
}
