//! Two forked workers: the least that a pool of processes can cost.

use crate::SPIN;
use peers::kernel::{Shared, fork, wait_for_exit};
use peers::ring::{Mpmc, Sleepers};
use peers::{Run, ms, pin, sink, us_per};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, SeqCst};

pub(crate) fn bench(run: &Run) {
    over_rings(run);
    in_shared_memory(run);
}

/// One ring for the tasks, one for the results.
fn over_rings(run: &Run) {
    for (peer, spin) in [("limit:ring-spin", SPIN), ("limit:ring-futex", 0)] {
        if !run.wants_any(&["pool_apply_rtt", "pool_map_100k_chunk1"]) {
            continue;
        }
        let mem = Shared::new(2 * size_of::<Mpmc>().next_multiple_of(4096));
        let (tasks, results) = unsafe {
            (mem.at::<Mpmc>(0), mem.at::<Mpmc>(size_of::<Mpmc>().next_multiple_of(4096)))
        };
        tasks.init();
        results.init();
        let pids: Vec<i32> = (0..2)
            .map(|_| {
                fork(|| {
                    loop {
                        let task = tasks.recv(spin);
                        if task == u64::MAX {
                            break;
                        }
                        results.send(sink(task).wrapping_add(1), spin);
                    }
                })
            })
            .collect();
        run.bench_as(peer, "pool_apply_rtt", "us", || {
            us_per(2000, || {
                for i in 0..2000 {
                    tasks.send(i, spin);
                    results.recv(spin);
                }
            })
        });
        run.bench_as(peer, "pool_map_100k_chunk1", "ms", || {
            ms(|| {
                let (mut sent, mut got) = (0, 0);
                while got < 100_000 {
                    while sent < 100_000 && sent - got < 500 {
                        tasks.send(sent, spin);
                        sent += 1;
                    }
                    results.recv(spin);
                    got += 1;
                }
            })
        });
        for _ in 0..2 {
            tasks.send(u64::MAX, 0);
        }
        pids.into_iter().for_each(wait_for_exit);
    }
}

/// Arguments and results in shared memory, of which the workers take chunks: as large as `CPython`'s,
/// `ceil(100k / (4 * 2))`, or one by one.
fn in_shared_memory(run: &Run) {
    for (metric, chunk) in [("pool_map_100k", 12_500), ("pool_map_100k_chunk1", 1)] {
        const N: usize = 100_000;
        if !run.wants(metric) {
            continue;
        }
        let mem = Shared::new(16 * N + 4 * 4096);
        let next = unsafe { mem.at::<AtomicU64>(0) };
        let done = unsafe { mem.at::<AtomicU64>(128) };
        let sleep = unsafe { mem.at::<Sleepers>(256) };
        let ended = unsafe { mem.at::<Sleepers>(384) };
        let round = unsafe { mem.at::<AtomicU64>(512) };
        let args =
            unsafe { std::slice::from_raw_parts_mut(mem.start.add(4096).cast::<u64>(), 2 * N) };
        let pids: Vec<i32> = (0..2)
            .map(|core| {
                fork(|| {
                    pin(core);
                    let mut seen = 0;
                    loop {
                        sleep.wait(SPIN, || round.load(Acquire) != seen);
                        seen = round.load(Acquire);
                        if seen == u64::MAX {
                            break;
                        }
                        let mut mine = 0;
                        loop {
                            let at = next.fetch_add(chunk as u64, AcqRel) as usize;
                            if at >= N {
                                break;
                            }
                            let (a, r) = args.split_at_mut(N);
                            for i in at..at + chunk {
                                r[i] = sink(a[i]) + 1;
                            }
                            mine += chunk as u64;
                        }
                        done.fetch_add(mine, AcqRel);
                        ended.wake();
                    }
                })
            })
            .collect();
        let wake_both = || {
            sleep.wake();
            sleep.wake();
        };
        // buffers are reused: new ones of this size would cost more in page
        // faults than all the rest
        let input: Vec<u64> = (0..N as u64).collect();
        let mut out = vec![0; N];
        run.bench_as("limit:shm", metric, "ms", || {
            ms(|| {
                args[..N].copy_from_slice(&input);
                next.store(0, SeqCst);
                done.store(0, SeqCst);
                round.fetch_add(1, SeqCst);
                wake_both();
                ended.wait(SPIN, || done.load(Acquire) == N as u64);
                out.copy_from_slice(&args[N..]);
                assert_eq!(out[N - 1], N as u64);
            })
        });
        round.store(u64::MAX, SeqCst);
        wake_both();
        pids.into_iter().for_each(wait_for_exit);
    }
}
