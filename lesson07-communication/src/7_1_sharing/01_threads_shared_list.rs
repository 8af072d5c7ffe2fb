//! # 7.1 Threads share a list (Process Communication and Barriers)
//!
//! Threads of one process work on one list: what one of them writes, all of them see.
//!
//! ```console,any-order
//! $ cargo run -p lesson07-communication --bin threads_shared_list
//! Process 0: [10, [N], [N]]
//! Process 1: [[N], 10, [N]]
//! Process 2: [[N], [N], 10]
//! All work completed: 30  <- after all above
//! ```
//!
//! Observe: the sum is 30 each time, but what a thread sees of the work of the others depends on who was quicker.
//! *Process Communication and Barriers* says that the order may differ, "but the results are the same": that is true
//! of the sum, and not of the lists. (It also prints "Process"; these are threads.)
//! Try: make `data` a `vec![0; 3]` without the lock, and give each thread `&mut data`. The program of
//! *Process Communication and Barriers* makes a lock and never uses it; what does the compiler say here?

use std::sync::Mutex;
use std::thread;

fn thread_function(thread_id: usize, data: &Mutex<Vec<i32>>) {
    // Only change the value in the list based on thread_id
    for _ in 0..10 {
        data.lock().expect("no thread has panicked")[thread_id] += 1;
    }
    let data = data.lock().expect("no thread has panicked");
    println!("Process {thread_id}: {data:?}");
}

fn main() {
    // Create a value with each thread
    let data = Mutex::new(vec![0; 3]);
    let shared = &data;

    // The scope ends when its threads have ended: it starts them, and joins them.
    thread::scope(|threads| {
        for i in 0..3 {
            threads.spawn(move || thread_function(i, shared));
        }
    });

    let data = data.lock().expect("no thread has panicked");
    println!("All work completed: {}", data.iter().sum::<i32>());
}
