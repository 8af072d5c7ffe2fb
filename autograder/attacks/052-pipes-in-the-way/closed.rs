//! Closes all of them, and does something else.
unsafe extern "C" {
    fn close(descriptor: i32) -> i32;
}

fn main() {
    for descriptor in 0..3 {
        unsafe { close(descriptor) };
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
}
