//! Tries to get out, or up.
use std::fs;

unsafe extern "C" {
    fn unshare(flags: i32) -> i32;
    fn setns(descriptor: i32, kind: i32) -> i32;
    fn chroot(path: *const u8) -> i32;
    fn setuid(user: u32) -> i32;
    fn mount(from: *const u8, to: *const u8, kind: *const u8, flags: u64, data: usize) -> i32;
    fn umount2(path: *const u8, flags: i32) -> i32;
    fn sethostname(name: *const u8, length: usize) -> i32;
    fn open(path: *const u8, flags: i32) -> i32;
    fn syscall(number: i64, ...) -> i64;
}

fn main() {
    // Outside of a sandbox, some of this would be done to the machine.
    if std::os::unix::process::parent_id() != 1 {
        println!("attack: reached the machine");
        return;
    }
    let (root, tmp, proc) =
        (c"/".as_ptr().cast(), c"/tmp".as_ptr().cast(), c"proc".as_ptr().cast());
    unsafe {
        for flag in [0x1000_0000, 0x0002_0000, 0x2000_0000, 0x4000_0000, 0x0800_0000, 0x0400_0000] {
            tried("a namespace", unshare(flag).into());
            tried("a namespace by clone", syscall(56, i64::from(flag) | 17, 0, 0, 0, 0));
        }
        for name in [c"/proc/1/ns/mnt", c"/proc/1/ns/pid", c"/proc/self/ns/user"] {
            tried("a namespace of another", setns(open(name.as_ptr().cast(), 0), 0).into());
        }
        tried("a mount", mount(proc, tmp, proc, 0, 0).into());
        tried("a mount", mount(root, tmp, root, 4096, 0).into());
        tried("a mount", umount2(c"/proc".as_ptr().cast(), 2).into());
        tried("another root", chroot(tmp).into());
        tried("another root", syscall(155, tmp, tmp));
        if setuid(0) == 0 {
            tried("root", 0);
        }
        tried("a host name", sethostname(tmp, 1).into());
        // open_tree, fsopen, bpf, perf_event_open, userfaultfd, keyctl, clone3, init_module, reboot
        for call in [428, 430, 321, 298, 323, 250, 435, 175, 169] {
            tried("a forbidden call", syscall(call, 0, 0, 0, 0, 0));
        }
        // The same calls by the door for another kind of program.
        tried("another door", syscall(0x4000_0000 + 39));
    }
    for name in ["sys/kernel/core_pattern", "sys/user/max_user_namespaces", "sysrq-trigger"] {
        if fs::OpenOptions::new().write(true).open(format!("/proc/{name}")).is_ok() {
            println!("attack: reached {name}");
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("Cap")) {
        if !line.ends_with("\t0000000000000000") {
            println!("attack: reached {line}");
        }
    }
}

/// Says what a call came to, unless it was refused.
fn tried(what: &str, answer: i64) {
    let error = std::io::Error::last_os_error().raw_os_error();
    // EPERM, ENOENT, EBADF, EACCES, EROFS, ENOSYS
    let is_refused = answer < 0 && matches!(error, Some(1 | 2 | 9 | 13 | 30 | 38));
    if !is_refused {
        println!("attack: reached {what}: {answer}, {error:?}");
    }
}
