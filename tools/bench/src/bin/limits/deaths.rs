//! A process is killed: how soon does the next taker of its lock, or who watches it, know?

use peers::kernel::{Shared, close, fork, futex_wait, futex_wake, wait_for_exit};
use peers::ring::robust_mutex;
use peers::{Run, us_per};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

pub(crate) fn bench(run: &Run) {
    // A child that has done this and then waits for its end.
    let doomed = |before: &dyn Fn()| -> i32 {
        let mem = Shared::new(4096);
        let ready = unsafe { mem.at::<AtomicU32>(0) };
        let pid = fork(|| {
            before();
            ready.store(1, Release);
            futex_wake(ready, 1);
            loop {
                unsafe { libc::pause() };
            }
        });
        while ready.load(Acquire) == 0 {
            futex_wait(ready, 0);
        }
        pid
    };
    let mem = Shared::new(4096);
    let m = mem.start.cast::<libc::pthread_mutex_t>();
    unsafe { robust_mutex(m) };
    run.bench_as("limit:pthread-robust", "death_of_lock_owner", "us", || {
        let pid = doomed(&|| unsafe {
            libc::pthread_mutex_lock(m);
        });
        let v = us_per(1, || unsafe {
            libc::kill(pid, libc::SIGKILL);
            assert_eq!(libc::pthread_mutex_lock(m), libc::EOWNERDEAD);
            libc::pthread_mutex_consistent(m);
            libc::pthread_mutex_unlock(m);
        });
        wait_for_exit(pid);
        v
    });
    run.bench_as("limit:pidfd", "death_of_worker", "us", || {
        let pid = doomed(&|| ());
        us_per(1, || unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
            libc::kill(pid, libc::SIGKILL);
            let mut p = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            libc::poll(&mut p, 1, -1);
            wait_for_exit(pid);
            close(fd);
        })
    });
    // and a new worker in its place, which answers
    run.bench_as("limit:pidfd", "death_of_worker_replaced", "us", || {
        let pid = doomed(&|| ());
        let mut new = 0;
        let v = us_per(1, || unsafe {
            libc::kill(pid, libc::SIGKILL);
            wait_for_exit(pid);
            new = doomed(&|| ());
        });
        unsafe { libc::kill(new, libc::SIGKILL) };
        wait_for_exit(new);
        v
    });
}
