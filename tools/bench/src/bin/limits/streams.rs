//! One way, from a child to its parent, or between several: small messages and large ones.

use crate::{RINGS, SPIN};
use peers::kernel::{Shared, close, fork, pipe, read_exact, socketpair, wait_for_exit, write_all};
use peers::ring::{Mpmc, Patience, RobustRing, Spsc};
use peers::{MIB, Place, Run, gib_s, ns_per, pin, read_all, sink, with_child};
use std::time::Instant;

pub(crate) fn bench(run: &Run) {
    numbers(run);
    robust_ring(run);
    numbers_of_many(run);
    blocks(run);
}

/// Small messages, from the child to the parent.
fn numbers(run: &Run) {
    for place in [Place::Two, Place::Free] {
        const N: usize = 100_000;
        let metric = format!("queue_8B_1p1c{}", place.tag());
        if !run.wants(&metric) {
            continue;
        }
        for (peer, kind) in [("limit:pipe", -1), ("limit:socketpair", libc::SOCK_SEQPACKET)] {
            run.bench_as(peer, &metric, "ns", || {
                let (r, w) = if kind < 0 { pipe() } else { socketpair(kind) };
                let v = with_child(
                    place,
                    || {
                        for i in 0..N as u64 {
                            write_all(w, &i.to_ne_bytes());
                        }
                    },
                    || {
                        ns_per(N, || {
                            let mut b = [0; 8];
                            for i in 0..N as u64 {
                                read_exact(r, &mut b);
                                assert_eq!(u64::from_ne_bytes(b), i);
                            }
                        })
                    },
                );
                close(r);
                close(w);
                v
            });
        }
        let mem = Shared::new(size_of::<Spsc>());
        let ring = unsafe { mem.at::<Spsc>(0) };
        for (peer, patience) in RINGS {
            if patience.spin > 0 && !patience.look_at_core && place == Place::Free {
                continue;
            }
            run.bench_as(peer, &metric, "ns", || {
                const N: usize = 2_000_000;
                with_child(
                    place,
                    || {
                        let mut tx = ring.tx(patience);
                        tx.on_core();
                        for i in 0..N as u64 {
                            tx.send(i);
                        }
                    },
                    || {
                        let mut rx = ring.rx(patience);
                        ns_per(N, || {
                            for i in 0..N as u64 {
                                assert_eq!(rx.recv(), i);
                            }
                        })
                    },
                )
            });
        }
    }
}

fn numbers_of_many(run: &Run) {
    if run.wants_any(&["queue_8B_1p1c", "queue_8B_2p2c"]) {
        let mem = Shared::new(size_of::<Mpmc>() + 4096);
        let ring = unsafe { mem.at::<Mpmc>(0) };
        ring.init();
        for (peer, metric, spin, sides) in [
            ("limit:mpmc-spin", "queue_8B_1p1c", SPIN, 1),
            ("limit:mpmc-spin", "queue_8B_2p2c", 200, 2),
            ("limit:mpmc-futex", "queue_8B_2p2c", 0, 2),
        ] {
            run.bench_as(peer, metric, "ns", || {
                const N: usize = 400_000;
                let each = N / sides;
                let mut pids = vec![];
                let t = Instant::now();
                for k in 0..2 * sides {
                    pids.push(fork(|| {
                        if sides == 1 {
                            pin(k);
                        }
                        for i in 0..each as u64 {
                            if k < sides {
                                ring.send(i, spin);
                            } else {
                                ring.recv(spin);
                            }
                        }
                    }));
                }
                pids.into_iter().for_each(wait_for_exit);
                t.elapsed().as_nanos() as f64 / N as f64
            });
        }
    }
}

/// Large messages, from the child to the parent.
fn blocks(run: &Run) {
    for (name, size, n, place) in [
        ("1KiB", 1024, 20_000, Place::Two),
        ("64KiB", 65536, 4000, Place::Two),
        ("1MiB", MIB, 300, Place::Two),
        ("1MiB", MIB, 300, Place::Free),
    ] {
        let metric = format!("queue_{name}_1p1c{}", place.tag());
        if !run.wants(&metric) {
            continue;
        }
        for (peer, kind) in [("limit:pipe", -1), ("limit:socketpair", libc::SOCK_STREAM)] {
            run.bench_as(peer, &metric, "GiB/s", || {
                let (r, w) = if kind < 0 { pipe() } else { socketpair(kind) };
                if kind < 0 {
                    unsafe {
                        libc::fcntl(w, libc::F_SETPIPE_SZ, MIB);
                    }
                }
                let v = with_child(
                    place,
                    || {
                        let b = vec![1u8; size];
                        for _ in 0..n {
                            write_all(w, &b);
                        }
                    },
                    || {
                        let mut b = vec![0u8; size];
                        gib_s(n * size, || {
                            for _ in 0..n {
                                read_exact(r, &mut b);
                                sink(&b);
                            }
                        })
                    },
                );
                close(r);
                close(w);
                v
            });
        }
        // slots in shared memory whose indices travel through the 8-byte ring:
        // copied in and copied out (what a queue of owned values must do), and
        // copied in and read in place (a loan to the receiver)
        let slots = (4 * MIB / size).min(512);
        let mem = Shared::new(2 * size_of::<Spsc>() + slots * size);
        let (full, free) = unsafe { (mem.at::<Spsc>(0), mem.at::<Spsc>(size_of::<Spsc>())) };
        let base = unsafe { mem.start.add(2 * size_of::<Spsc>()) };
        let slot =
            |i: u64| unsafe { std::slice::from_raw_parts_mut(base.add(i as usize * size), size) };
        {
            let mut f = free.tx(Patience::NONE);
            for i in 0..slots as u64 {
                f.send(i);
            }
        }
        for (peer, copy) in [("limit:ring-copy", true), ("limit:ring-inplace", false)] {
            run.bench_as(peer, &metric, "GiB/s", || {
                with_child(
                    place,
                    || {
                        let src = vec![7u8; size];
                        let (mut tx, mut rx) = (full.tx(Patience::ADAPT), free.rx(Patience::ADAPT));
                        for _ in 0..n {
                            let i = rx.recv();
                            slot(i).copy_from_slice(&src);
                            tx.on_core();
                            tx.send(i);
                        }
                    },
                    || {
                        let mut dst = vec![0u8; size];
                        let (mut rx, mut tx) = (full.rx(Patience::ADAPT), free.tx(Patience::ADAPT));
                        gib_s(n * size, || {
                            for _ in 0..n {
                                let i = rx.recv();
                                if copy {
                                    dst.copy_from_slice(slot(i));
                                    sink(&dst);
                                } else {
                                    sink(read_all(slot(i)));
                                }
                                tx.on_core();
                                tx.send(i);
                            }
                        })
                    },
                )
            });
        }
    }
}

/// Byte messages under robust locks, 1 to 1 and 2 to 2.
fn robust_ring(run: &Run) {
    let metrics = ["queue_8B_1p1c", "queue_1KiB_1p1c", "queue_64KiB_1p1c", "queue_8B_2p2c"];
    if !run.wants_any(&metrics) {
        return;
    }
    let mem = Shared::new(size_of::<RobustRing>());
    let ring = unsafe { mem.at::<RobustRing>(0) };
    ring.init();
    let produce = |size: usize, n: usize, spin| {
        let msg = vec![1; size];
        (0..n).for_each(|_| ring.send(&msg, spin));
    };
    let consume = |n: usize, spin| {
        let mut out = Vec::new();
        (0..n).for_each(|_| ring.recv(&mut out, spin));
    };
    for (name, size, n) in [("8B", 8, 200_000), ("1KiB", 1024, 40_000), ("64KiB", 65536, 2000)] {
        let unit = if size == 8 { "ns" } else { "GiB/s" };
        run.bench_as("limit:robust-ring", &format!("queue_{name}_1p1c"), unit, || {
            with_child(
                Place::Two,
                || produce(size, n, SPIN),
                || {
                    if size == 8 {
                        ns_per(n, || consume(n, SPIN))
                    } else {
                        gib_s(n * size, || consume(n, SPIN))
                    }
                },
            )
        });
    }
    run.bench_as("limit:robust-ring", "queue_8B_2p2c", "ns", || {
        const EACH: usize = 200_000;
        ns_per(2 * EACH, || {
            let pids: Vec<i32> = (0..4)
                .map(|k| {
                    fork(|| {
                        if k < 2 {
                            produce(8, EACH, 200);
                        } else {
                            consume(EACH, 200);
                        }
                    })
                })
                .collect();
            pids.into_iter().for_each(wait_for_exit);
        })
    });
}
