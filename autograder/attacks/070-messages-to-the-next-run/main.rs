//! Says what earlier runs have left, and leaves the same.
use std::fs::{self, File};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

unsafe extern "C" {
    fn shmget(key: i32, size: usize, flags: i32) -> i32;
    fn semget(key: i32, count: i32, flags: i32) -> i32;
    fn msgget(key: i32, flags: i32) -> i32;
    fn mq_open(name: *const u8, flags: i32, ...) -> i32;
    fn syscall(number: i64, ...) -> i64;
}

const KEY: i32 = 0x5a7a_0070;
/// Create it, and fail if it is there.
const NEW: i32 = 0o3600;

fn main() {
    for folder in [".", "/tmp", "/dev/shm", "/var/tmp"] {
        let path = format!("{folder}/attack-message");
        if fs::exists(&path).unwrap_or(false) {
            println!("attack: found {path}");
        }
        let _ = fs::write(path, "x");
    }
    const EXISTS: i32 = 17;
    let tried = |what: &str, answer: i64| {
        if answer < 0 && std::io::Error::last_os_error().raw_os_error() == Some(EXISTS) {
            println!("attack: found {what}");
        }
    };
    unsafe {
        tried("memory", shmget(KEY, 4096, NEW).into());
        tried("a semaphore", semget(KEY, 1, NEW).into());
        tried("messages", msgget(KEY, NEW).into());
        // O_CREAT, O_EXCL, O_RDWR
        tried("a queue", mq_open(c"/attack-message".as_ptr().cast(), 0o302, 0o600, 0_usize).into());
        // request_key in the keyring of the user
        let (kind, name) = (c"user".as_ptr(), c"attack-message".as_ptr());
        if syscall(249, kind, name, 0_usize, -4_i64) >= 0 {
            println!("attack: found a key");
        }
        syscall(248, kind, name, c"x".as_ptr(), 1_usize, -4_i64);
    }
    let name = SocketAddr::from_abstract_name("attack-message").unwrap();
    if UnixListener::bind_addr(&name).map(std::mem::forget).is_err() {
        println!("attack: found a socket");
    }
    let program = File::open("/proc/self/exe").unwrap();
    if program.try_lock().is_err() {
        println!("attack: found a lock");
    }
    std::mem::forget(program);
}
