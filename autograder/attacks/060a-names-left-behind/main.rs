//! Leaves one of each.
unsafe extern "C" {
    fn shmget(key: i32, size: usize, flags: i32) -> i32;
    fn semget(key: i32, count: i32, flags: i32) -> i32;
    fn msgget(key: i32, flags: i32) -> i32;
    fn mq_open(name: *const u8, flags: i32, ...) -> i32;
}

const KEY: i32 = 0x5a7a_0060;
const CREATE: i32 = 0o1600;

fn main() {
    unsafe {
        shmget(KEY, 4096, CREATE);
        semget(KEY, 1, CREATE);
        msgget(KEY, CREATE);
        // O_CREAT, O_RDWR
        mq_open(c"/attack-queue".as_ptr().cast(), 0o102, 0o600, 0_usize);
    }
    std::fs::write("/dev/shm/attack-memory", "x").unwrap();
    println!("5: 5");
}
