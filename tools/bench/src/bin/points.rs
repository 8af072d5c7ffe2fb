//! One operation of `common`, so many times: what `cargo xtask points` counts the instructions of.
//!
//!     points OPERATION COUNT

use common::sync::{Event, Lock, Semaphore};
use common::{SharedMemory, pipe};
use std::hint::black_box;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [operation, count] = arguments.as_slice() else { panic!("points OPERATION COUNT") };
    let count: usize = count.parse().expect("COUNT is a number");
    common::init();
    match operation.as_str() {
        "event_is_set" => {
            let event = Event::new().unwrap();
            repeat(count, || event.is_set());
        }
        "lock_try_acquire" => {
            let lock = Lock::new().unwrap();
            lock.acquire().keep();
            repeat(count, || lock.try_acquire().is_none());
        }
        "semaphore_value" => {
            let semaphore = Semaphore::new(1).unwrap();
            repeat(count, || semaphore.value());
        }
        "shared_memory_get" => {
            // Without a tracker, which would be counted as well.
            let block = SharedMemory::options().untracked().create(8).unwrap();
            block.unlink().unwrap();
            repeat(count, || block.get::<u64>(0).unwrap());
        }
        "connection_poll" => {
            let (left, _right) = pipe::<u8, u8>().unwrap();
            repeat(count, || left.poll().unwrap());
        }
        // Two points: to take, and to give back.
        "lock_acquire_release" => {
            let lock = Lock::new().unwrap();
            repeat(count, || drop(lock.acquire()));
        }
        other => panic!("no operation is named {other:?}"),
    }
}

fn repeat<T>(count: usize, mut operation: impl FnMut() -> T) {
    for _ in 0..count {
        black_box(operation());
    }
}
