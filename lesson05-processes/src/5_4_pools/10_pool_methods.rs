//! # 5.4 `Pool`: methods and properties (multiprocessing Module)
//!
//! All that a pool can be asked for, one after the other.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pool_methods
//! workers: 3
//! state: RUN
//! apply: 9
//! callback: 16
//! apply_async get: 16
//! error_callback: bad input 5
//! get raises: bad input 5
//! map chunksize=2: [0, 1, 4, 9, 16, 25]
//! callback: [0, 1, 4, 9]
//! map_async get: [0, 1, 4, 9]
//! state: CLOSE
//! apply after close: error
//! joined
//! terminated, task finished: false
//! ```
//!
//! Observe: a callback has run when `get` returns. The last pool is ended in the middle of its task, and that is also
//! what happens to a pool that is dropped without `close` and `join` (in Python: at the end of `with Pool() as p`).
//! Try: leave `close` out. Which lines change, and what does `join` say?

use common::Pool;
use common::pool::TaskError;
use std::thread::sleep;
use std::time::Duration;

fn square(x: u64) -> u64 {
    x * x
}

fn message(error: &TaskError) -> &str {
    if let TaskError::Panicked { message, .. } = error { message } else { "another error" }
}

fn main() -> common::Result<()> {
    common::init();
    let pool = Pool::new(3)?;
    println!("workers: {}\nstate: {}", pool.len(), pool.state());
    println!("apply: {}", pool.apply(square, 3)?);
    let result = pool.apply_async(square, 4)?.callback(|value| println!("callback: {value}"));
    println!("apply_async get: {}", result.get()?);
    let result = pool
        .apply_async(|x: u64| -> u64 { panic!("bad input {x}") }, 5)?
        .error_callback(|error| println!("error_callback: {}", message(error)));
    println!(
        "get raises: {}",
        result.get().map_or_else(|error| message(&error).to_string(), |_| String::new())
    );
    println!("map chunksize=2: {:?}", pool.chunk_size(2)?.map(square, 0..6)?);
    let result = pool.map_async(square, 0..4)?.callback(|values| println!("callback: {values:?}"));
    println!("map_async get: {:?}", result.get()?);
    pool.close();
    println!("state: {}", pool.state());
    println!("apply after close: {}", pool.apply(square, 1).map_or("error", |_| "a value"));
    pool.join()?;
    println!("joined");

    let pool = Pool::new(1)?;
    let result = pool.apply_async(|seconds| sleep(Duration::from_secs(seconds)), 60)?;
    pool.terminate();
    println!("terminated, task finished: {}", result.is_successful() == Some(true));
    Ok(())
}
