//! Create shared memory and attach to it.

use peers::kernel::checked;
use peers::{MIB, Run, sink, us_per};
use std::ffi::CString;

pub(crate) fn bench(run: &Run) {
    let name = CString::new(format!("/peers-bench-{}", std::process::id())).unwrap();
    for (metric, len) in [("shm_create_4KiB", 4096), ("shm_create_1MiB", MIB)] {
        run.bench_as("limit:shm_open", metric, "us", || {
            us_per(100, || {
                for _ in 0..100 {
                    unsafe {
                        let fd = libc::shm_open(
                            name.as_ptr(),
                            libc::O_CREAT | libc::O_EXCL | libc::O_RDWR,
                            0o600,
                        );
                        checked(libc::ftruncate(fd, len as i64) as isize);
                        let p = libc::mmap(std::ptr::null_mut(), len, 3, libc::MAP_SHARED, fd, 0);
                        p.cast::<u8>().write_volatile(1);
                        libc::munmap(p, len);
                        libc::close(fd);
                        libc::shm_unlink(name.as_ptr());
                    }
                }
            })
        });
        run.bench_as("limit:memfd", metric, "us", || {
            us_per(100, || {
                for _ in 0..100 {
                    unsafe {
                        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
                        checked(libc::ftruncate(fd, len as i64) as isize);
                        let p = libc::mmap(std::ptr::null_mut(), len, 3, libc::MAP_SHARED, fd, 0);
                        p.cast::<u8>().write_volatile(1);
                        libc::munmap(p, len);
                        libc::close(fd);
                    }
                }
            })
        });
    }
    if run.wants("shm_attach_1MiB") {
        unsafe {
            let fd =
                libc::shm_open(name.as_ptr(), libc::O_CREAT | libc::O_EXCL | libc::O_RDWR, 0o600);
            libc::ftruncate(fd, MIB as i64);
            let p = libc::mmap(std::ptr::null_mut(), MIB, 3, libc::MAP_SHARED, fd, 0);
            p.cast::<u8>().write_volatile(1);
            run.bench_as("limit:shm_open", "shm_attach_1MiB", "us", || {
                us_per(100, || {
                    for _ in 0..100 {
                        let fd = libc::shm_open(name.as_ptr(), libc::O_RDWR, 0o600);
                        let mut st = std::mem::zeroed();
                        libc::fstat(fd, &mut st);
                        let p = libc::mmap(std::ptr::null_mut(), MIB, 3, libc::MAP_SHARED, fd, 0);
                        sink(p.cast::<u8>().read_volatile());
                        libc::munmap(p, MIB);
                        libc::close(fd);
                    }
                })
            });
            libc::shm_unlink(name.as_ptr());
        }
    }
}
