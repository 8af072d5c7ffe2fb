//! # 5.1 Process or thread (Python Processes)
//!
//! A thread is another hand in the same process; a process has memory and a number of its own.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_vs_thread
//! thread:  the same pid: true
//! thread:  the list here afterwards: [1, 2, 3, 4]
//! process: the same pid: false
//! process: the list here afterwards: [1, 2, 3, 4]
//! 200 processes cost more than 200 threads: true
//! ```
//!
//! Observe: the thread adds its 4 to the only list there is. The process gets a copy, adds to that, and ends;
//! the list here does not change. The kernel counts how long a processor has worked for
//! each: for a process ten times as long and more, because there is memory to be made, and a program to be loaded.
//! Try: let the process panic after its `push`, and then the thread as well: which of them can be joined as if
//! nothing had happened?

use common::Process;
use std::process;
use std::sync::{Arc, Mutex};
use std::thread;

fn add((list, parent): (Vec<i32>, u32)) {
    println!("process: the same pid: {}", process::id() == parent);
    let mut list = list;
    list.push(5);
}

/// How long this process and its children have been on a processor, in hundredths of a second.
fn used() -> std::io::Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    Ok(fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum())
}

fn main() -> common::Result<()> {
    common::init();
    let list = Arc::new(Mutex::new(vec![1, 2, 3]));
    let here = process::id();

    let same = Arc::clone(&list);
    let thread = thread::spawn(move || {
        println!("thread:  the same pid: {}", process::id() == here);
        same.lock().expect("nobody has panicked").push(4);
    });
    thread.join().expect("it does not panic");
    let list = list.lock().expect("nobody has panicked").clone();
    println!("thread:  the list here afterwards: {list:?}");

    Process::new(add, (list.clone(), here)).start()?.join()?;
    println!("process: the list here afterwards: {list:?}");

    let begin = used()?;
    (0..200).for_each(|_| thread::spawn(|| ()).join().expect("it does not panic"));
    let threads = used()? - begin;
    for _ in 0..200 {
        Process::new(|()| (), ()).start()?.join()?;
    }
    let processes = used()? - begin - threads;
    println!("200 processes cost more than 200 threads: {}", processes > threads);
    Ok(())
}
