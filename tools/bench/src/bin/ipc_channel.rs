//! The peer `ipc-channel`: servo's channels between two processes.

use ipc_channel::ipc::{self, IpcReceiver, IpcSender, IpcSharedMemory};
use peers::{MIB, Place, Run, gib_s, ns_per, read_all, sink, us_per, with_child};
use serde_bytes::ByteBuf;

fn main() {
    let run = Run::from_arguments("ipc-channel");
    for place in [Place::Two, Place::Free] {
        run.bench(&format!("queue_8B_1p1c{}", place.tag()), "ns", || {
            const N: usize = 100_000;
            let (tx, rx) = ipc::channel::<u64>().unwrap();
            with_child(
                place,
                || {
                    for i in 0..N as u64 {
                        tx.send(i).unwrap();
                    }
                },
                || {
                    ns_per(N, || {
                        for i in 0..N as u64 {
                            assert_eq!(rx.recv().unwrap(), i);
                        }
                    })
                },
            )
        });
    }
    for (name, size, n, place) in [
        ("1KiB", 1024, 20_000, Place::Two),
        ("64KiB", 65536, 4000, Place::Two),
        ("1MiB", MIB, 300, Place::Two),
        ("1MiB", MIB, 300, Place::Free),
    ] {
        let metric = format!("queue_{name}_1p1c{}", place.tag());
        run.bench(&metric, "GiB/s", || {
            let (tx, rx) = ipc::channel::<ByteBuf>().unwrap();
            with_child(
                place,
                || {
                    let b = ByteBuf::from(vec![1u8; size]);
                    for _ in 0..n {
                        tx.send(b.clone()).unwrap();
                    }
                },
                || {
                    gib_s(n * size, || {
                        for _ in 0..n {
                            sink(rx.recv().unwrap());
                        }
                    })
                },
            )
        });
        run.bench_as("ipc-channel:bytes", &metric, "GiB/s", || {
            let (tx, rx) = ipc::bytes_channel().unwrap();
            with_child(
                place,
                || {
                    let b = vec![1u8; size];
                    for _ in 0..n {
                        tx.send(&b).unwrap();
                    }
                },
                || {
                    gib_s(n * size, || {
                        for _ in 0..n {
                            sink(rx.recv().unwrap());
                        }
                    })
                },
            )
        });
        run.bench_as("ipc-channel:shmem", &metric, "GiB/s", || {
            let (tx, rx) = ipc::channel::<IpcSharedMemory>().unwrap();
            with_child(
                place,
                || {
                    let b = vec![1u8; size];
                    for _ in 0..n {
                        tx.send(IpcSharedMemory::from_bytes(&b)).unwrap();
                    }
                },
                || {
                    gib_s(n * size, || {
                        for _ in 0..n {
                            sink(read_all(&rx.recv().unwrap()));
                        }
                    })
                },
            )
        });
    }
    for place in [Place::Two, Place::Same, Place::Free] {
        echo(&run, &format!("pipe_rtt_8B{}", place.tag()), place, 2000, 7u64);
    }
    echo(&run, "pipe_rtt_1MiB", Place::Two, 20, ByteBuf::from(vec![1u8; MIB]));
    run.bench("channel_create", "us", || {
        us_per(500, || {
            for _ in 0..500 {
                sink(ipc::channel::<u64>().unwrap());
            }
        })
    });
    let b = vec![1u8; MIB];
    run.bench("shm_create_1MiB_filled", "us", || {
        us_per(100, || {
            for _ in 0..100 {
                sink(IpcSharedMemory::from_bytes(&b));
            }
        })
    });
    // An end of a channel travels inside a message, and one reply comes over it.
    run.bench("send_handle_rtt", "us", || {
        let (tx, rx) = ipc::channel::<IpcSender<u64>>().unwrap();
        with_child(
            Place::Two,
            || {
                for _ in 0..500 {
                    rx.recv().unwrap().send(1).unwrap();
                }
            },
            || {
                us_per(500, || {
                    for _ in 0..500 {
                        let (back, answer) = ipc::channel::<u64>().unwrap();
                        tx.send(back).unwrap();
                        answer.recv().unwrap();
                    }
                })
            },
        )
    });
}

fn echo<T>(run: &Run, metric: &str, place: Place, n: usize, v: T)
where
    T: Clone + serde::Serialize + for<'de> serde::Deserialize<'de>,
{
    if !run.wants(metric) {
        return;
    }
    let ((tx, rx), (tx2, rx2)): ((IpcSender<T>, IpcReceiver<T>), _) =
        (ipc::channel().unwrap(), ipc::channel().unwrap());
    let (mut tx, mut tx2) = (Some(tx), Some(tx2));
    let (p_tx, c_tx) =
        (&mut tx as *mut Option<IpcSender<T>>, &mut tx2 as *mut Option<IpcSender<T>>);
    with_child(
        place,
        || {
            let tx2 = unsafe {
                drop((*p_tx).take());
                (*c_tx).take().unwrap()
            };
            while let Ok(v) = rx.recv() {
                tx2.send(v).unwrap();
            }
        },
        || {
            let tx = unsafe {
                drop((*c_tx).take());
                (*p_tx).take().unwrap()
            };
            run.bench(metric, "us", || {
                us_per(n, || {
                    for _ in 0..n {
                        tx.send(v.clone()).unwrap();
                        sink(rx2.recv().unwrap());
                    }
                })
            });
            drop(tx);
        },
    );
}
