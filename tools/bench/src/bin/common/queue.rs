//! Items through a queue: small and large ones, one producer or two.

use crate::core_of_child;
use common::{Exit, Process, Queue, Value};
use peers::{MIB, Place, Run, gib_s, pin, read_all, sink, unpin};
use std::time::Instant;

pub(crate) fn bench(run: &Run) {
    for (place, metric) in [(Place::Two, "queue_8B_1p1c"), (Place::Free, "queue_8B_1p1c_free")] {
        numbers(run, metric, place, 1);
    }
    numbers(run, "queue_8B_2p2c", Place::Free, 2);
    for (metric, len, count) in [
        ("queue_1KiB_1p1c", 1024, 200_000),
        ("queue_64KiB_1p1c", 64 << 10, 10_000),
        ("queue_1MiB_1p1c", MIB, 1000),
    ] {
        run.bench(metric, "GiB/s", || bytes(len, count, copied));
        run.bench_as("common:loan", metric, "GiB/s", || bytes(len, count, lent));
    }
}

/// Numbers, one by one, by so many processes on each side, of which this one is the last that gets.
fn numbers(run: &Run, metric: &str, place: Place, sides: u64) {
    const N: u64 = 1_000_000;
    run.bench(metric, "ns", || {
        let queue = Queue::<u64>::new().unwrap();
        let ready = Value::new(0u64).unwrap();
        let each = N / sides;
        let mut children = Vec::new();
        for side in 0..sides {
            let argument = (queue.clone(), ready.clone(), each, core_of_child(place));
            children.push(Process::new(put_numbers, argument).start().unwrap());
            if side > 0 {
                let argument = (queue.clone(), each);
                children.push(Process::new(get_numbers, argument).start().unwrap());
            }
        }
        place.parent();
        while ready.get() < sides {
            std::thread::yield_now();
        }
        let start = Instant::now();
        ready.update(|ready| *ready = u64::MAX);
        get_numbers((queue, each));
        for child in children {
            assert_eq!(child.join().unwrap(), Exit::Code(0));
        }
        let time = start.elapsed().as_nanos() as f64 / N as f64;
        unpin();
        time
    });
}

fn put_numbers((queue, ready, count, core): (Queue<u64>, Value<u64>, u64, Option<usize>)) {
    core.into_iter().for_each(pin);
    ready.update(|ready| *ready += 1);
    while ready.get() < u64::MAX {
        std::hint::spin_loop();
    }
    for number in 0..count {
        queue.put(number).unwrap();
    }
}

fn get_numbers((queue, count): (Queue<u64>, u64)) {
    for _ in 0..count {
        sink(queue.get().unwrap());
    }
}

/// Items of `len` bytes that a child puts and this process gets and reads.
fn bytes(len: usize, count: usize, get: impl Fn(&Queue<Vec<u8>>) -> u64) -> f64 {
    let queue = Queue::<Vec<u8>>::bounded(16).unwrap();
    let argument = (queue.clone(), len, count);
    let child = Process::new(put_bytes, argument).start().unwrap();
    Place::Two.parent();
    // The first says that the child is there.
    sink(get(&queue));
    let speed = gib_s(len * count, || {
        for _ in 0..count {
            sink(get(&queue));
        }
    });
    unpin();
    assert_eq!(child.join().unwrap(), Exit::Code(0));
    speed
}

fn put_bytes((queue, len, count): (Queue<Vec<u8>>, usize, usize)) {
    Place::Two.child();
    let item = vec![7u8; len];
    for _ in 0..=count {
        queue.put_with(len, |bytes| bytes.copy_from_slice(&item)).unwrap();
    }
}

fn copied(queue: &Queue<Vec<u8>>) -> u64 {
    sink(queue.get().unwrap()).len() as u64
}

fn lent(queue: &Queue<Vec<u8>>) -> u64 {
    queue.get_with(read_all).unwrap()
}
