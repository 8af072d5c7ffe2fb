//! Pools of two.

use common::pool::{CallError, TaskError};
use common::{Pool, StartMethod};
use peers::{Run, ms, us_per};

pub(crate) fn bench(run: &Run) {
    calls(run);
    maps(run);
    deaths(run);
    for (peer, method) in
        [("common", StartMethod::Spawn), ("common:forkserver", StartMethod::ForkServer)]
    {
        run.bench_as(peer, "pool_start_2", "ms", || {
            ms(|| {
                let pool = Pool::builder().workers(2).start_method(method).build().unwrap();
                assert_eq!(pool.apply(add_one, 1).unwrap(), 2);
            })
        });
    }
}

fn calls(run: &Run) {
    if !run.wants("pool_apply_rtt") {
        return;
    }
    let pool = Pool::new(2).unwrap();
    run.bench("pool_apply_rtt", "us", || {
        us_per(2000, || {
            for number in 0..2000 {
                assert_eq!(pool.apply(add_one, number).unwrap(), number + 1);
            }
        })
    });
}

/// In chunks of the pool's own, and in chunks of one.
fn maps(run: &Run) {
    let metrics = ["pool_map_100k", "pool_map_100k_chunk1", "pool_map_10k_chunk1"];
    if !run.wants_any(&metrics) {
        return;
    }
    let pool = Pool::new(2).unwrap();
    for (metric, count, in_chunks) in
        [(metrics[0], 100_000, false), (metrics[1], 100_000, true), (metrics[2], 10_000, true)]
    {
        run.bench(metric, "ms", || {
            ms(|| {
                let sums = if in_chunks {
                    pool.chunk_size(1).unwrap().map(add_one, 0..count)
                } else {
                    pool.map(add_one, 0..count)
                };
                assert_eq!(sums.unwrap().last(), Some(&count));
            })
        });
    }
}

/// From a call that kills its worker to its error, and to the next call's answer.
fn deaths(run: &Run) {
    if !run.wants_any(&["death_of_worker", "death_of_worker_replaced"]) {
        return;
    }
    let pool = Pool::new(2).unwrap();
    let die = || {
        let died = pool.apply(|(): ()| -> () { std::process::abort() }, ());
        assert!(matches!(died, Err(CallError::Task(TaskError::Lost { .. }))));
    };
    run.bench("death_of_worker", "us", || us_per(1, die));
    run.bench("death_of_worker_replaced", "us", || {
        us_per(1, || {
            die();
            assert_eq!(pool.apply(add_one, 1).unwrap(), 2);
        })
    });
}

fn add_one(number: u64) -> u64 {
    number + 1
}
