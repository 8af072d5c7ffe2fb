//! Adding to a number that processes share.

use common::{AtomicValue, Exit, Process, Value};
use peers::{Place, Run, ns_per, unpin};
use std::time::Instant;

/// Adds 1 to a shared number, under its lock and without one.
pub(crate) fn bench(run: &Run) {
    const N: usize = 200_000;
    let number = Value::new(0u64).unwrap();
    run.bench("value_inc_lock", "ns", || {
        ns_per(N, || {
            for _ in 0..N {
                number.update(|number| *number += 1);
            }
        })
    });
    run.bench("value_inc_lock_2procs", "ns", || {
        number.set(0);
        let arrived = AtomicValue::new(0u32).unwrap();
        let argument = (number.clone(), arrived.clone(), N);
        let child = Process::new(add_with_parent, argument).daemon();
        let child = child.start().unwrap();
        Place::Two.parent();
        meet(&arrived);
        let start = Instant::now();
        for _ in 0..N {
            number.update(|number| *number += 1);
        }
        assert_eq!(child.join().unwrap(), Exit::Code(0));
        let time = start.elapsed().as_nanos() as f64 / (2 * N) as f64;
        unpin();
        assert_eq!(number.get(), 2 * N as u64);
        time
    });
    let number = AtomicValue::new(0u64).unwrap();
    run.bench("value_inc_atomic", "ns", || {
        ns_per(1_000_000, || {
            for _ in 0..1_000_000 {
                number.fetch_add(1);
            }
        })
    });
}

fn add_with_parent((number, arrived, count): (Value<u64>, AtomicValue<u32>, usize)) {
    Place::Two.child();
    meet(&arrived);
    for _ in 0..count {
        number.update(|number| *number += 1);
    }
}

/// Waits for the other of two.
fn meet(arrived: &AtomicValue<u32>) {
    arrived.fetch_add(1);
    while arrived.get() < 2 {
        std::hint::spin_loop();
    }
}
