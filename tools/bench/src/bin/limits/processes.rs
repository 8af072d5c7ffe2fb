//! Start a process and wait for its end, in every way that the kernel has.

use peers::kernel::{
    Shared, close, exit_at_once, fork, futex_wait, futex_wake, read_exact, socketpair,
    wait_for_exit, write_all,
};
use peers::{MIB, Place, Run, sink, us_per, with_child};
use std::ffi::CString;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

fn posix_spawn(path: &CString) -> i32 {
    unsafe extern "C" {
        static environ: *const *mut libc::c_char;
    }
    let mut pid = 0;
    let argv = [path.as_ptr().cast_mut(), std::ptr::null_mut()];
    let r = unsafe {
        libc::posix_spawn(
            &mut pid,
            path.as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            argv.as_ptr(),
            environ,
        )
    };
    assert_eq!(r, 0);
    pid
}

fn fork_exit_wait() {
    wait_for_exit(fork(|| ()));
}

pub(crate) fn bench(run: &Run) {
    run.bench("proc_fork", "us", || {
        us_per(100, || {
            for _ in 0..100 {
                fork_exit_wait();
            }
        })
    });
    for mib in [100, 1000] {
        let metric = format!("proc_fork_rss{mib}M");
        if run.wants(&metric) {
            let big = vec![1u8; mib * MIB];
            run.bench(&metric, "us", || {
                us_per(5, || {
                    for _ in 0..5 {
                        fork_exit_wait();
                    }
                })
            });
            sink(big);
        }
    }
    run.bench("proc_vfork_exit", "us", || {
        us_per(200, || {
            for _ in 0..200 {
                let mut stack = [0u8; 16384];
                extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
                    0
                }
                unsafe {
                    let pid = libc::clone(
                        child,
                        stack.as_mut_ptr().add(16384).cast(),
                        libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
                        std::ptr::null_mut(),
                    );
                    wait_for_exit(pid);
                }
            }
        })
    });
    for (var, metric) in [
        ("BENCH_TINY", "proc_spawn_tiny_static"),
        ("BENCH_NOTHING", "proc_spawn_rust_dynamic"),
        ("BENCH_NOTHING_STATIC", "proc_spawn_rust_static"),
    ] {
        // `cargo xtask bench` builds these and tells where they are.
        if let Ok(path) = std::env::var(var) {
            let path = CString::new(path).unwrap();
            run.bench(metric, "us", || {
                us_per(50, || {
                    for _ in 0..50 {
                        wait_for_exit(posix_spawn(&path));
                    }
                })
            });
        }
    }
    run.bench("proc_thread", "us", || {
        us_per(200, || {
            for _ in 0..200 {
                std::thread::spawn(|| ()).join().unwrap();
            }
        })
    });
    fork_server(run);
    warm_child(run);
}

/// A request over a socket to a single-threaded server that forks a child; the
/// child ends at once and the server passes on its status.
fn fork_server(run: &Run) {
    for (metric, clone_parent) in
        [("proc_forkserver", false), ("proc_forkserver_clone_parent", true)]
    {
        if !run.wants(metric) {
            continue;
        }
        let (a, b) = socketpair(libc::SOCK_SEQPACKET);
        with_child(
            Place::Free,
            || {
                close(a);
                let mut req = [0u8; 4];
                while unsafe { libc::read(b, req.as_mut_ptr().cast(), 4) } == 4 {
                    unsafe {
                        if clone_parent {
                            let pid = libc::syscall(
                                libc::SYS_clone,
                                libc::CLONE_PARENT | libc::SIGCHLD,
                                0usize,
                                0usize,
                                0usize,
                                0usize,
                            ) as i32;
                            if pid == 0 {
                                exit_at_once()
                            }
                            write_all(b, &pid.to_ne_bytes());
                        } else {
                            let pid = fork(|| ());
                            wait_for_exit(pid);
                            write_all(b, &pid.to_ne_bytes());
                        }
                    }
                }
            },
            || {
                close(b);
                run.bench(metric, "us", || {
                    us_per(100, || {
                        for _ in 0..100 {
                            let mut pid = [0u8; 4];
                            write_all(a, &[0; 4]);
                            read_exact(a, &mut pid);
                            if clone_parent {
                                wait_for_exit(i32::from_ne_bytes(pid));
                            }
                        }
                    })
                });
                close(a);
            },
        );
    }
}

/// The least a "process start" can cost: a child forked beforehand sleeps on a
/// futex; starting it is one wake, its answer another, and then it is reaped.
fn warm_child(run: &Run) {
    for (metric, reap) in [("proc_warm_spare_answer", false), ("proc_warm_spare_join", true)] {
        run.bench(metric, "us", || {
            const N: usize = 40;
            let mem = Shared::new(N * 256);
            let word = |i: usize| unsafe {
                (mem.at::<AtomicU32>(i * 256), mem.at::<AtomicU32>(i * 256 + 128))
            };
            let pids: Vec<i32> = (0..N)
                .map(|i| {
                    fork(|| {
                        let (go, done) = word(i);
                        while go.load(Acquire) == 0 {
                            futex_wait(go, 0);
                        }
                        done.store(1, Release);
                        futex_wake(done, 1);
                    })
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_millis(20));
            let v = us_per(N, || {
                for (i, pid) in pids.iter().enumerate() {
                    let (go, done) = word(i);
                    go.store(1, Release);
                    futex_wake(go, 1);
                    while done.load(Acquire) == 0 {
                        futex_wait(done, 0);
                    }
                    if reap {
                        wait_for_exit(*pid);
                    }
                }
            });
            if !reap {
                pids.into_iter().for_each(wait_for_exit);
            }
            v
        });
    }
}
