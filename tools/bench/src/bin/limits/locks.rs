//! Lock and unlock, alone and against another process; two that take turns.

use crate::SPIN;
use peers::kernel::{Gate, Shared};
use peers::ring::{FutexLock, Sleepers};
use peers::{Place, Run, ns_per, pin, unpin, us_per, with_child};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::time::Instant;

/// Pairs of lock and unlock by this process alone, then by two at once.
fn lock_pair(run: &Run, peer: &str, lock: impl Fn() + Copy, unlock: impl Fn() + Copy) {
    const N: usize = 200_000;
    let mem = Shared::new(4096);
    let counter = unsafe { mem.at::<AtomicU64>(0) };
    let add = || counter.store(counter.load(Relaxed) + 1, Relaxed);
    run.bench_as(peer, "lock_uncontended", "ns", || {
        pin(0);
        let v = ns_per(N, || {
            for _ in 0..N {
                lock();
                unlock();
            }
        });
        unpin();
        v
    });
    run.bench_as(peer, "value_inc_lock", "ns", || {
        ns_per(N, || {
            for _ in 0..N {
                lock();
                add();
                unlock();
            }
        })
    });
    run.bench_as(peer, "value_inc_lock_2procs", "ns", || {
        counter.store(0, SeqCst);
        let page = Shared::new(4096);
        let gate = unsafe { page.at::<Gate>(0) };
        let work = || {
            gate.meet(2);
            let t = Instant::now();
            for _ in 0..N {
                lock();
                add();
                unlock();
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
        let v = t.elapsed().as_nanos() as f64 / (2 * N) as f64;
        assert_eq!(counter.load(SeqCst), 2 * N as u64, "{peer} lost updates");
        v
    });
}

pub(crate) fn bench(run: &Run) {
    let mem = Shared::new(16384);
    let futex = unsafe { mem.at::<FutexLock>(0) };
    lock_pair(run, "limit:futex-lock", || futex.lock(), || futex.unlock());

    for (peer, robust, kind, offset) in [
        ("limit:pthread", false, libc::PTHREAD_MUTEX_NORMAL, 4096),
        ("limit:pthread-robust", true, libc::PTHREAD_MUTEX_NORMAL, 5120),
        ("limit:pthread-recursive", false, libc::PTHREAD_MUTEX_RECURSIVE, 6144),
    ] {
        let m = unsafe { mem.start.add(offset) }.cast::<libc::pthread_mutex_t>();
        unsafe {
            let mut attr = std::mem::zeroed();
            libc::pthread_mutexattr_init(&mut attr);
            libc::pthread_mutexattr_setpshared(&mut attr, libc::PTHREAD_PROCESS_SHARED);
            libc::pthread_mutexattr_settype(&mut attr, kind);
            if robust {
                libc::pthread_mutexattr_setrobust(&mut attr, libc::PTHREAD_MUTEX_ROBUST);
            }
            assert_eq!(libc::pthread_mutex_init(m, &attr), 0);
        }
        lock_pair(
            run,
            peer,
            || unsafe {
                libc::pthread_mutex_lock(m);
            },
            || unsafe {
                libc::pthread_mutex_unlock(m);
            },
        );
    }
    let s = unsafe { mem.start.add(8192) }.cast::<libc::sem_t>();
    unsafe { libc::sem_init(s, 1, 1) };
    lock_pair(
        run,
        "limit:sem_t",
        || unsafe {
            libc::sem_wait(s);
        },
        || unsafe {
            libc::sem_post(s);
        },
    );

    run.bench("value_inc_atomic_2procs", "ns", || {
        const N: usize = 1_000_000;
        let mem = Shared::new(8192);
        let (gate, v) = unsafe { (mem.at::<Gate>(0), mem.at::<AtomicU64>(4096)) };
        let work = || {
            gate.meet(2);
            let t = Instant::now();
            for _ in 0..N {
                v.fetch_add(1, Relaxed);
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
        t.elapsed().as_nanos() as f64 / (2 * N) as f64
    });

    // two processes take turns: a token passed by futex, the least a
    // Condition, Event or Barrier of two can cost
    for (peer, spin, place) in [
        ("limit:ring-spin", SPIN, Place::Two),
        ("limit:ring-futex", 0, Place::Two),
        ("limit:ring-futex", 0, Place::Same),
    ] {
        run.bench_as(peer, &format!("turns_2procs{}", place.tag()), "us", || {
            const N: u64 = 2000;
            let mem = Shared::new(4096);
            #[repr(C)]
            struct Turn {
                word: AtomicU64,
                sleep: Sleepers,
            }
            let t = unsafe { mem.at::<Turn>(0) };
            let play = |me: u64| {
                for i in 0..N {
                    t.sleep.wait(spin, || t.word.load(Acquire) == 2 * i + me);
                    t.word.store(2 * i + me + 1, Release);
                    t.sleep.wake();
                }
            };
            with_child(place, || play(1), || us_per(N as usize, || play(0)))
        });
    }
}
