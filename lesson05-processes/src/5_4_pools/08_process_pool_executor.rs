//! # 5.4 `ProcessPoolExecutor` (Python Processes; Python Processes, outline)
//!
//! An executor gives a future for each call: a value that is asked for later.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_pool_executor
//! map: [0, 1, 4, 9, 16]
//! submit: 144
//! as_completed, sorted: [0, 1, 4, 9, 16]
//! exception from worker: bad input 7
//! ```
//!
//! Observe: a panic in a worker ends one call, with its message, and not the worker.
//! Try: `std::process::abort()` instead of the panic, and submit `square` once more at the end: what does its result
//! say? And with `ProcessPoolExecutor::builder().max_workers(2).replace_workers().build()?`?

use common::ProcessPoolExecutor;
use common::executor::as_completed;
use common::pool::TaskError;

fn square(x: u64) -> u64 {
    x * x
}

fn fail(x: u64) -> u64 {
    panic!("bad input {x}")
}

fn main() -> common::Result<()> {
    common::init();
    let executor = ProcessPoolExecutor::new(2)?;
    let squares: Result<Vec<u64>, _> = executor.map(square, 0..5)?.collect();
    println!("map: {:?}", squares?);
    println!("submit: {}", executor.submit(square, 12)?.result()?);
    let futures: Result<Vec<_>, _> = (0..5).map(|x| executor.submit(square, x)).collect();
    let completed = as_completed(futures?).map(|future| future.result());
    let mut squares = completed.collect::<Result<Vec<u64>, _>>()?;
    squares.sort_unstable();
    println!("as_completed, sorted: {squares:?}");
    if let Err(TaskError::Panicked { message, .. }) = executor.submit(fail, 7)?.result() {
        println!("exception from worker: {message}");
    }
    Ok(())
}
