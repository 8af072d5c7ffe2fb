//! The peer `threads`: channels, locks and pools within one process.
//!
//! A library of processes can come near to the best of them, and no further.

use peers::{MIB, Run, ms, ns_per, pin, sink, unpin, us_per};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;

fn main() {
    let run = Run::from_arguments("threads");
    queues(&run);
    blobs(&run);
    round_trips(&run);
    locks(&run);
    pools(&run);
}

/// One producer thread on core 1, the consumer here on core 0.
fn one_to_one(n: usize, send: impl FnOnce() + Send, recv: impl FnOnce()) -> f64 {
    thread::scope(|s| {
        s.spawn(|| {
            pin(1);
            send();
        });
        pin(0);
        let v = ns_per(n, recv);
        unpin();
        v
    })
}

fn queues(run: &Run) {
    const N: usize = 1_000_000;
    run.bench_as("threads:std-mpsc", "queue_8B_1p1c", "ns", || {
        let (tx, rx) = mpsc::sync_channel(1024);
        one_to_one(
            N,
            move || {
                for i in 0..N as u64 {
                    tx.send(i).unwrap();
                }
            },
            move || {
                for _ in 0..N {
                    sink(rx.recv().unwrap());
                }
            },
        )
    });
    run.bench_as("threads:crossbeam", "queue_8B_1p1c", "ns", || {
        let (tx, rx) = crossbeam_channel::bounded(1024);
        one_to_one(
            N,
            move || {
                for i in 0..N as u64 {
                    tx.send(i).unwrap();
                }
            },
            move || {
                for _ in 0..N {
                    sink(rx.recv().unwrap());
                }
            },
        )
    });
    run.bench_as("threads:crossbeam-unbounded", "queue_8B_1p1c", "ns", || {
        let (tx, rx) = crossbeam_channel::unbounded();
        one_to_one(
            N,
            move || {
                for i in 0..N as u64 {
                    tx.send(i).unwrap();
                }
            },
            move || {
                for _ in 0..N {
                    sink(rx.recv().unwrap());
                }
            },
        )
    });
    run.bench_as("threads:kanal", "queue_8B_1p1c", "ns", || {
        let (tx, rx) = kanal::bounded(1024);
        one_to_one(
            N,
            move || {
                for i in 0..N as u64 {
                    tx.send(i).unwrap();
                }
            },
            move || {
                for _ in 0..N {
                    sink(rx.recv().unwrap());
                }
            },
        )
    });
    run.bench_as("threads:rtrb-spin", "queue_8B_1p1c", "ns", || {
        let (mut tx, mut rx) = rtrb::RingBuffer::new(1024);
        one_to_one(
            N,
            move || {
                for i in 0..N as u64 {
                    while tx.push(i).is_err() {
                        std::hint::spin_loop();
                    }
                }
            },
            move || {
                for _ in 0..N {
                    loop {
                        if let Ok(v) = rx.pop() {
                            sink(v);
                            break;
                        }
                        std::hint::spin_loop();
                    }
                }
            },
        )
    });
    run.bench_as("threads:crossbeam", "queue_8B_2p2c", "ns", || {
        let (tx, rx) = crossbeam_channel::bounded(1024);
        ns_per(N, || {
            thread::scope(|s| {
                for _ in 0..2 {
                    let (tx, rx) = (tx.clone(), rx.clone());
                    s.spawn(move || {
                        for i in 0..N as u64 / 2 {
                            tx.send(i).unwrap();
                        }
                    });
                    s.spawn(move || {
                        for _ in 0..N / 2 {
                            sink(rx.recv().unwrap());
                        }
                    });
                }
            });
        })
    });
}

/// Owned buffers move between threads without a copy; the producer fills each.
fn blobs(run: &Run) {
    run.bench_as("threads:crossbeam", "queue_1MiB_1p1c", "GiB/s", || {
        let (tx, rx) = crossbeam_channel::bounded(4);
        let ns = one_to_one(
            1,
            move || {
                let src = vec![1u8; MIB];
                for _ in 0..300 {
                    tx.send(src.clone()).unwrap();
                }
            },
            move || {
                for b in rx.iter() {
                    sink(b);
                }
            },
        );
        300.0 * MIB as f64 / (1u64 << 30) as f64 / (ns / 1e9)
    });
}

fn round_trips(run: &Run) {
    const N: usize = 5000;
    run.bench_as("threads:crossbeam", "pipe_rtt_8B", "us", || {
        let (tx, rx) = crossbeam_channel::bounded(16);
        let (tx2, rx2) = crossbeam_channel::bounded(16);
        one_to_one(
            N,
            move || {
                for v in rx.iter() {
                    tx2.send(v).unwrap();
                }
            },
            move || {
                for i in 0..N {
                    tx.send(i).unwrap();
                    sink(rx2.recv().unwrap());
                }
            },
        ) / 1e3
    });
    run.bench_as("threads:std-mpsc", "pipe_rtt_8B", "us", || {
        let (tx, rx) = mpsc::sync_channel(16);
        let (tx2, rx2) = mpsc::sync_channel(16);
        one_to_one(
            N,
            move || {
                for v in rx.iter() {
                    tx2.send(v).unwrap();
                }
            },
            move || {
                for i in 0..N {
                    tx.send(i).unwrap();
                    sink(rx2.recv().unwrap());
                }
            },
        ) / 1e3
    });
}

fn locks(run: &Run) {
    const N: usize = 200_000;
    let (a, b) = (Mutex::new(0u64), parking_lot::Mutex::new(0u64));
    run.bench_as("threads:std-mutex", "lock_uncontended", "ns", || {
        ns_per(N, || {
            for _ in 0..N {
                drop(sink(a.lock().unwrap()));
            }
        })
    });
    run.bench_as("threads:parking_lot", "lock_uncontended", "ns", || {
        ns_per(N, || {
            for _ in 0..N {
                drop(sink(b.lock()));
            }
        })
    });
    let two = |add: &(dyn Fn() + Sync)| {
        let start = Barrier::new(2);
        let work = |core| {
            pin(core);
            start.wait();
            ns_per(2 * N, || {
                for _ in 0..N {
                    add();
                }
            })
        };
        thread::scope(|s| {
            s.spawn(|| work(1));
            let v = work(0);
            unpin();
            v
        })
    };
    run.bench_as("threads:std-mutex", "value_inc_lock_2procs", "ns", || {
        two(&|| *a.lock().unwrap() += 1)
    });
    run.bench_as("threads:parking_lot", "value_inc_lock_2procs", "ns", || two(&|| *b.lock() += 1));
}

fn pools(run: &Run) {
    use rayon::prelude::*;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    run.bench_as("threads:rayon", "pool_map_100k", "ms", || {
        ms(|| {
            let v: Vec<u64> = pool.install(|| {
                (0..100_000u64).collect::<Vec<_>>().into_par_iter().map(|x| sink(x) + 1).collect()
            });
            sink(v);
        })
    });
    run.bench_as("threads:rayon", "pool_map_100k_chunk1", "ms", || {
        ms(|| {
            let v: Vec<u64> = pool.install(|| {
                (0..100_000u64)
                    .collect::<Vec<_>>()
                    .into_par_iter()
                    .with_max_len(1)
                    .map(|x| sink(x) + 1)
                    .collect()
            });
            sink(v);
        })
    });
    run.bench_as("threads:rayon", "pool_apply_rtt", "us", || {
        us_per(2000, || {
            for i in 0..2000u64 {
                sink(pool.install(|| sink(i) + 1));
            }
        })
    });
}
