//! The peers `process-sync`, a mutex in shared memory, and `shared_memory`.

use peers::kernel::{Gate, Shared};
use peers::{Place, Run, ns_per, sink, us_per, with_child};
use process_sync::SharedMutex;
use shared_memory::ShmemConf;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Instant;

fn main() {
    let run = Run::from_arguments("process-sync");
    const N: usize = 200_000;
    let mut m = SharedMutex::new().unwrap();
    run.bench("lock_uncontended", "ns", || {
        ns_per(N, || {
            for _ in 0..N {
                m.lock().unwrap();
                m.unlock().unwrap();
            }
        })
    });
    run.bench("value_inc_lock_2procs", "ns", || {
        let page = Shared::new(8192);
        let (gate, v) = unsafe { (page.at::<Gate>(0), page.at::<AtomicU64>(4096)) };
        let m = std::cell::UnsafeCell::new(SharedMutex::new().unwrap());
        let work = || {
            let m = unsafe { &mut *m.get() };
            gate.meet(2);
            let t = Instant::now();
            for _ in 0..N {
                m.lock().unwrap();
                v.store(v.load(Relaxed) + 1, Relaxed);
                m.unlock().unwrap();
            }
            t
        };
        let t = with_child(
            Place::Two,
            || {
                work();
            },
            work,
        );
        let v2 = t.elapsed().as_nanos() as f64 / (2 * N) as f64;
        assert_eq!(v.load(SeqCst), 2 * N as u64);
        v2
    });
    for (metric, len) in [("shm_create_4KiB", 4096), ("shm_create_1MiB", 1 << 20)] {
        run.bench_as("shared_memory", metric, "us", || {
            us_per(100, || {
                for _ in 0..100 {
                    let s = ShmemConf::new().size(len).create().unwrap();
                    unsafe { s.as_ptr().write_volatile(1) }
                }
            })
        });
    }
    let s = ShmemConf::new().size(1 << 20).create().unwrap();
    unsafe { s.as_ptr().write_volatile(1) }
    let id = s.get_os_id().to_owned();
    run.bench_as("shared_memory", "shm_attach_1MiB", "us", || {
        us_per(100, || {
            for _ in 0..100 {
                let s = ShmemConf::new().os_id(&id).open().unwrap();
                sink(unsafe { s.as_ptr().read_volatile() });
            }
        })
    });
}
