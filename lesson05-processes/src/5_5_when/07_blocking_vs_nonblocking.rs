//! # 5.5 Blocking and non-blocking operations (Python Processes, outline)
//!
//! `apply` comes back with the value; `apply_async` comes back at once, and the value later.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin blocking_vs_nonblocking
//! apply: called
//! worker: 3 * 3
//! apply: back, with 9
//! apply_async: called
//! apply_async: back, is the value ready? false
//! parent: does something else, then lets the worker begin
//! worker: 4 * 4
//! get: 16
//! ```
//!
//! Observe: the worker waits for an event, so the order of the lines is no chance. Between the second call and
//! `get` the parent goes on working, and it must: it is the one who sets the event. With `apply` in that place
//! it would wait for a worker that waits for it, for ever.
//! Try: `get_timeout` before the event is set. What does it return, and what does its `GetTimeoutError::TimedOut`
//! hold that you need to ask again?

use common::Pool;
use common::sync::Event;
use std::sync::OnceLock;

static MAY_BEGIN: OnceLock<Event> = OnceLock::new();

fn keep(may_begin: Event) {
    MAY_BEGIN.get_or_init(|| may_begin);
}

fn square(number: u32) -> u32 {
    MAY_BEGIN.get().expect("the initializer has kept it").wait();
    println!("worker: {number} * {number}");
    number * number
}

fn main() -> common::Result<()> {
    common::init();
    let may_begin = Event::new()?;
    let pool = Pool::builder().workers(1).initializer(keep, may_begin.clone()).build()?;

    may_begin.set();
    println!("apply: called");
    let value = pool.apply(square, 3)?;
    println!("apply: back, with {value}");

    may_begin.clear();
    println!("apply_async: called");
    let result = pool.apply_async(square, 4)?;
    println!("apply_async: back, is the value ready? {}", result.is_ready());
    println!("parent: does something else, then lets the worker begin");
    may_begin.set();
    println!("get: {}", result.get()?);
    Ok(())
}
