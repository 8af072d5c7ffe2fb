//! Copies, new pages, the cheapest kernel calls.

use peers::kernel::futex_wake;
use peers::{MIB, Run, gib_s, ns_per, sink, us_per};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};

pub(crate) fn bench(run: &Run) {
    copies(run);
    calls(run);
}

fn copies(run: &Run) {
    let src = vec![1u8; 64 * MIB];
    let mut dst = vec![2u8; 64 * MIB];
    run.bench("memcpy_1MiB_hot", "GiB/s", || {
        gib_s(256 * MIB, || {
            for _ in 0..256 {
                dst[..MIB].copy_from_slice(&src[..MIB]);
                sink(&mut dst);
            }
        })
    });
    run.bench("memcpy_64MiB", "GiB/s", || {
        gib_s(256 * MIB, || {
            for _ in 0..4 {
                dst.copy_from_slice(&src);
                sink(&mut dst);
            }
        })
    });
    run.bench("touch_new_1MiB_shared", "us", || {
        us_per(50, || {
            for _ in 0..50 {
                unsafe {
                    let p = libc::mmap(
                        std::ptr::null_mut(),
                        MIB,
                        3,
                        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                        -1,
                        0,
                    )
                    .cast::<u8>();
                    for i in (0..MIB).step_by(4096) {
                        p.add(i).write_volatile(1);
                    }
                    libc::munmap(p.cast(), MIB);
                }
            }
        })
    });
}

fn calls(run: &Run) {
    run.bench("syscall_getppid", "ns", || {
        ns_per(100_000, || {
            for _ in 0..100_000 {
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
        })
    });
    let w = AtomicU32::new(0);
    run.bench("futex_wake_nobody", "ns", || {
        ns_per(100_000, || {
            for _ in 0..100_000 {
                futex_wake(&w, 1);
            }
        })
    });
    let a = AtomicU64::new(0);
    run.bench("value_inc_atomic", "ns", || {
        ns_per(1_000_000, || {
            for _ in 0..1_000_000 {
                a.fetch_add(1, SeqCst);
            }
        })
    });
}
