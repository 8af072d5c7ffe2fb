//! More than 800 MiB in files without a name.
use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;

unsafe extern "C" {
    fn memfd_create(name: *const u8, flags: u32) -> i32;
}

fn main() {
    let much = vec![1_u8; 1 << 20];
    let mut all = vec![];
    let mut written = 0;
    for _ in 0..55 {
        let descriptor = unsafe { memfd_create(c"attack".as_ptr().cast(), 0) };
        if descriptor < 0 {
            break;
        }
        let mut file = unsafe { File::from_raw_fd(descriptor) };
        written += (0..15).take_while(|_| file.write_all(&much).is_ok()).count();
        all.push(file);
    }
    if written > 700 {
        println!("attack: holds {written} MiB");
    }
}
