//! The peer `procspawn`: a new process for each call, and its pool.

use peers::{Run, ms, sink, us_per};
use std::collections::VecDeque;

fn main() {
    procspawn::init();
    let run = Run::from_arguments("procspawn");
    run.bench("proc_spawn_call", "us", || {
        us_per(20, || {
            for _ in 0..20 {
                procspawn::spawn((), |()| ()).join().unwrap();
            }
        })
    });
    run.bench("pool_start_2", "ms", || {
        ms(|| {
            let p = procspawn::Pool::new(2).unwrap();
            p.spawn((), |()| ()).join().unwrap();
            p.shutdown();
        })
    });
    if run.wants_any(&["death_of_worker", "death_of_worker_replaced"]) {
        let pool = procspawn::Pool::new(2).unwrap();
        let die = || {
            pool.spawn((), |()| {
                if std::process::id() > 0 {
                    std::process::abort()
                }
            })
            .join()
            .unwrap_err()
        };
        run.bench("death_of_worker", "us", || {
            us_per(1, || {
                die();
            })
        });
        run.bench("death_of_worker_replaced", "us", || {
            us_per(1, || {
                die();
                pool.spawn((), |()| ()).join().unwrap();
            })
        });
    }
    if !run.wants_any(&["pool_apply_rtt", "pool_map_10k_chunk1", "pool_map_100k"]) {
        return;
    }
    let pool = procspawn::Pool::new(2).unwrap();
    run.bench("pool_apply_rtt", "us", || {
        us_per(500, || {
            for i in 0..500u64 {
                assert_eq!(pool.spawn(i, |x| x + 1).join().unwrap(), i + 1);
            }
        })
    });
    // Every queued call holds two channels, so calls are sent in a window.
    run.bench("pool_map_10k_chunk1", "ms", || {
        ms(|| {
            let mut out = VecDeque::new();
            for i in 0..10_000u64 {
                if out.len() == 200 {
                    let h: procspawn::JoinHandle<u64> = out.pop_front().unwrap();
                    h.join().unwrap();
                }
                out.push_back(pool.spawn(i, |x| x + 1));
            }
            for h in out {
                h.join().unwrap();
            }
        })
    });
    run.bench("pool_map_100k", "ms", || {
        ms(|| {
            let input: Vec<u64> = (0..100_000).collect();
            let out: Vec<_> = input
                .chunks(12_500)
                .map(|c| {
                    pool.spawn(c.to_vec(), |c: Vec<u64>| {
                        c.into_iter().map(|x| sink(x) + 1).collect::<Vec<u64>>()
                    })
                })
                .collect();
            let out: Vec<u64> = out.into_iter().flat_map(|h| h.join().unwrap()).collect();
            assert_eq!(out.len(), 100_000);
        })
    });
    pool.shutdown();
}
