//! The peer `crossmist`: functions, and closures captured by hand, in this program started anew.
//!
//! It panics at its first use under Rust 1.93 and later.

use crossmist::FnObject;
use peers::{Run, gib_s, ns_per, pin, sink, unpin, us_per};

#[crossmist::func]
fn nothing() {}

#[crossmist::func]
fn call(f: Box<dyn FnObject<(u64,), Output = u64>>) -> u64 {
    f.call_object((1,))
}

#[crossmist::func]
fn echo(mut chan: crossmist::Duplex<u64, u64>, core: u64) {
    pin(core as usize);
    while let Ok(Some(v)) = chan.recv() {
        chan.send(&v).unwrap();
    }
}

#[crossmist::func]
fn produce(mut tx: crossmist::Sender<u64>, n: u64) {
    pin(1);
    for i in 0..n {
        tx.send(&i).unwrap();
    }
}

#[crossmist::func]
fn produce_blobs(mut tx: crossmist::Sender<Vec<u8>>, n: u64, size: u64) {
    pin(1);
    let b = vec![1u8; size as usize];
    for _ in 0..n {
        tx.send(&b).unwrap();
    }
}

#[crossmist::main]
fn main() {
    let run = Run::from_arguments("crossmist");
    run.bench("proc_spawn_call", "us", || {
        us_per(20, || {
            for _ in 0..20 {
                nothing.run().unwrap();
            }
        })
    });
    run.bench("proc_spawn_closure", "us", || {
        us_per(20, || {
            for i in 0..20u64 {
                assert_eq!(
                    call.run(crossmist::lambda! { move(i: u64) |y: u64| -> u64 { i + y } })
                        .unwrap(),
                    i + 1
                );
            }
        })
    });
    run.bench("pipe_rtt_8B", "us", || {
        let (mut ours, theirs) = crossmist::duplex().unwrap();
        let child = echo.spawn(theirs, 1).unwrap();
        pin(0);
        ours.request(&0).unwrap();
        let v = us_per(2000, || {
            for i in 0..2000 {
                assert_eq!(ours.request(&i).unwrap(), i);
            }
        });
        unpin();
        drop(ours);
        child.join().unwrap();
        v
    });
    run.bench("queue_8B_1p1c", "ns", || {
        let (tx, mut rx) = crossmist::channel::<u64>().unwrap();
        let child = produce.spawn(tx, 100_001).unwrap();
        pin(0);
        rx.recv().unwrap();
        let v = ns_per(100_000, || {
            for _ in 0..100_000 {
                sink(rx.recv().unwrap().unwrap());
            }
        });
        unpin();
        child.join().unwrap();
        v
    });
    for (metric, size, n) in [
        ("queue_1KiB_1p1c", 1024, 20_000),
        ("queue_64KiB_1p1c", 65536, 2000),
        ("queue_1MiB_1p1c", 1 << 20, 200),
    ] {
        run.bench(metric, "GiB/s", || {
            let (tx, mut rx) = crossmist::channel::<Vec<u8>>().unwrap();
            let child = produce_blobs.spawn(tx, n + 1, size).unwrap();
            pin(0);
            rx.recv().unwrap();
            let v = gib_s((n * size) as usize, || {
                for _ in 0..n {
                    sink(rx.recv().unwrap().unwrap());
                }
            });
            unpin();
            child.join().unwrap();
            v
        });
    }
}
