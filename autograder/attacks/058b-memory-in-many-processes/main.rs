//! Sixteen processes with 60 MiB each.
unsafe extern "C" {
    fn fork() -> i32;
    fn wait(status: *mut i32) -> i32;
}

fn main() {
    for _ in 0..4 {
        unsafe { fork() };
    }
    let much: Vec<Vec<u8>> = (0..60).map(|_| vec![1_u8; 1 << 20]).collect();
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(much);
    while unsafe { wait(std::ptr::null_mut()) } != -1 {}
}
