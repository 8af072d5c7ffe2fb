//! There and back: pipes, sockets, rings, and a descriptor inside a message.

use crate::RINGS;
use peers::kernel::{Shared, checked, close, pipe, read_exact, socketpair, write_all};
use peers::ring::{Patience, Spsc};
use peers::{MIB, Place, Run, us_per, with_child};

pub(crate) fn bench(run: &Run) {
    for place in [Place::Two, Place::Same, Place::Free] {
        let tag = place.tag();
        for (name, size) in [("8B", 8), ("1MiB", MIB)] {
            let n = if size == 8 { 2000 } else { 20 };
            if size > 8 && place != Place::Two {
                continue;
            }
            let metric = format!("pipe_rtt_{name}{tag}");
            if run.wants(&metric) {
                let ((r1, w1), (r2, w2)) = (pipe(), pipe());
                let fds = Fds { child_read: r1, child_write: w2, read: r2, write: w1 };
                echo(run, "limit:pipe", &metric, place, (size, n), fds);
                let (a, b) = socketpair(libc::SOCK_STREAM);
                let fds = Fds { child_read: b, child_write: b, read: a, write: a };
                echo(run, "limit:socketpair", &metric, place, (size, n), fds);
            }
        }
        let metric = format!("pipe_rtt_8B{tag}");
        if run.wants(&metric) {
            let mem = Shared::new(4 * size_of::<Spsc>());
            for (peer, patience) in RINGS {
                if patience.spin > 0 && !patience.look_at_core && place != Place::Two {
                    continue;
                }
                let (there, back) =
                    unsafe { (mem.at::<Spsc>(0), mem.at::<Spsc>(2 * size_of::<Spsc>())) };
                with_child(
                    place,
                    || {
                        let (mut rx, mut tx) = (there.rx(patience), back.tx(patience));
                        loop {
                            let v = rx.recv();
                            tx.on_core();
                            tx.send(v);
                            if v == 0 {
                                break;
                            }
                        }
                    },
                    || {
                        let (mut tx, mut rx) = (there.tx(patience), back.rx(patience));
                        run.bench_as(peer, &metric, "us", || {
                            us_per(2000, || {
                                for i in 1..=2000 {
                                    tx.on_core();
                                    tx.send(i);
                                    assert_eq!(rx.recv(), i);
                                }
                            })
                        });
                        tx.send(0);
                        rx.recv();
                    },
                );
            }
        }
    }
    // a megabyte each way, copied into shared memory and out of it again
    if run.wants("pipe_rtt_1MiB") {
        let mem = Shared::new(2 * size_of::<Spsc>() + 2 * MIB);
        let (there, back) = unsafe { (mem.at::<Spsc>(0), mem.at::<Spsc>(size_of::<Spsc>())) };
        let slot = |i| unsafe {
            std::slice::from_raw_parts_mut(mem.start.add(2 * size_of::<Spsc>() + i * MIB), MIB)
        };
        with_child(
            Place::Two,
            || {
                let mut buf = vec![0u8; MIB];
                let (mut rx, mut tx) = (there.rx(Patience::ADAPT), back.tx(Patience::ADAPT));
                while rx.recv() != 0 {
                    buf.copy_from_slice(slot(0));
                    slot(1).copy_from_slice(&buf);
                    tx.on_core();
                    tx.send(1);
                }
            },
            || {
                let mut buf = vec![1u8; MIB];
                let (mut tx, mut rx) = (there.tx(Patience::ADAPT), back.rx(Patience::ADAPT));
                run.bench_as("limit:ring-copy", "pipe_rtt_1MiB", "us", || {
                    us_per(100, || {
                        for _ in 0..100 {
                            slot(0).copy_from_slice(&buf);
                            tx.on_core();
                            tx.send(1);
                            rx.recv();
                            buf.copy_from_slice(slot(1));
                        }
                    })
                });
                tx.send(0);
            },
        );
    }
    // a channel end travels inside a message, and one reply comes over it
    run.bench_as("limit:socketpair", "send_handle_rtt", "us", || {
        let (a, b) = socketpair(libc::SOCK_SEQPACKET);
        let v = with_child(
            Place::Two,
            || {
                for _ in 0..500 {
                    let fd = recv_fd(b);
                    write_all(fd, &[1; 8]);
                    close(fd);
                }
            },
            || {
                us_per(500, || {
                    for _ in 0..500 {
                        let (mine, theirs) = socketpair(libc::SOCK_SEQPACKET);
                        send_fd(a, theirs);
                        close(theirs);
                        read_exact(mine, &mut [0; 8]);
                        close(mine);
                    }
                })
            },
        );
        close(a);
        close(b);
        v
    });
}

#[repr(C, align(8))]
struct FdMessage([u8; 24]);

fn fd_header(buf: &mut FdMessage, iov: &mut libc::iovec) -> libc::msghdr {
    let mut m: libc::msghdr = unsafe { std::mem::zeroed() };
    m.msg_iov = iov;
    m.msg_iovlen = 1;
    m.msg_control = buf.0.as_mut_ptr().cast();
    m.msg_controllen = 24;
    m
}

fn send_fd(sock: i32, fd: i32) {
    let (mut buf, mut byte) = (FdMessage([0; 24]), 0u8);
    let mut iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let m = fd_header(&mut buf, &mut iov);
    unsafe {
        let c = libc::CMSG_FIRSTHDR(&m);
        (*c).cmsg_level = libc::SOL_SOCKET;
        (*c).cmsg_type = libc::SCM_RIGHTS;
        (*c).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(c).cast::<i32>().write_unaligned(fd);
        checked(libc::sendmsg(sock, &m, 0));
    }
}

fn recv_fd(sock: i32) -> i32 {
    let (mut buf, mut byte) = (FdMessage([0; 24]), 0u8);
    let mut iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut m = fd_header(&mut buf, &mut iov);
    unsafe {
        checked(libc::recvmsg(sock, &mut m, libc::MSG_CMSG_CLOEXEC));
        libc::CMSG_DATA(libc::CMSG_FIRSTHDR(&m)).cast::<i32>().read_unaligned()
    }
}

struct Fds {
    child_read: i32,
    child_write: i32,
    read: i32,
    write: i32,
}

fn echo(run: &Run, peer: &str, metric: &str, place: Place, (size, n): (usize, usize), fds: Fds) {
    with_child(
        place,
        || {
            close(fds.write);
            if fds.read != fds.write {
                close(fds.read);
            }
            let mut buf = vec![0u8; size];
            while read_exact(fds.child_read, &mut buf) {
                write_all(fds.child_write, &buf);
            }
        },
        || {
            close(fds.child_write);
            if fds.child_read != fds.child_write {
                close(fds.child_read);
            }
            let mut buf = vec![1u8; size];
            run.bench_as(peer, metric, "us", || {
                us_per(n, || {
                    for _ in 0..n {
                        write_all(fds.write, &buf);
                        read_exact(fds.read, &mut buf);
                    }
                })
            });
            close(fds.write);
            if fds.read != fds.write {
                close(fds.read);
            }
        },
    );
}
