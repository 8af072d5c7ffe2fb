//! # Answer: one queue for threads and processes (multiprocessing Module)
//!
//! Two threads and two processes put into one queue, a thread and a process get from it, all by the same two functions.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin answer_one_queue_for_all
//! got: 400 items, the sum of the numbers is 20200
//! overtaken by a later one of the same putter: 0
//! ```
//!
//! Observe: a thread gets a clone of the queue, a process gets it in its argument, and both are the same queue. Nobody
//! can say who gets which item. But the numbers of one putter leave in the order in which it has put them.
//! Try: let each getter print its own count at its end. How different are they from run to run?

use common::{Process, Queue, Value};
use std::thread;

fn put((queue, putter): (Queue<[usize; 2]>, usize)) -> common::Result<()> {
    for number in 1..=100 {
        queue.put([putter, number])?;
    }
    Ok(())
}

fn get((queue, totals): (Queue<[usize; 2]>, Value<[usize; 3]>)) -> common::Result<()> {
    let mut last = [0; 4];
    for item in queue.iter() {
        let [putter, number] = item?;
        let overtaken = usize::from(number < last[putter]);
        last[putter] = number;
        totals.update(|total| *total = [total[0] + 1, total[1] + number, total[2] + overtaken]);
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (queue, totals) = (Queue::new()?, Value::new([0; 3])?);
    let getting_process = Process::new(get, (queue.clone(), totals.clone())).start()?;
    let for_thread = (queue.clone(), totals.clone());
    let getting_thread = thread::spawn(|| get(for_thread));

    let (mut processes, mut threads) = (Vec::new(), Vec::new());
    for putter in [0, 1] {
        processes.push(Process::new(put, (queue.clone(), putter)).start()?);
        let for_thread = (queue.clone(), putter + 2);
        threads.push(thread::spawn(|| put(for_thread)));
    }
    for process in processes {
        process.join()?;
    }
    for thread in threads {
        thread.join().expect("it does not panic")?;
    }

    queue.shutdown();
    getting_process.join()?;
    getting_thread.join().expect("it does not panic")?;
    let [items, sum, overtaken] = totals.get();
    println!("got: {items} items, the sum of the numbers is {sum}");
    println!("overtaken by a later one of the same putter: {overtaken}");
    Ok(())
}
