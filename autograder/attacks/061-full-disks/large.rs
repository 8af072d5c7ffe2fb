//! Large files that have no name any more.
use std::fs::{self, File};
use std::io::Write;

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

fn main() {
    // The signal that a file is too large.
    unsafe { signal(25, 1) };
    let much = vec![1_u8; 1 << 20];
    let mut written = 0;
    let mut all = vec![];
    for folder in [".", "/tmp", "/dev/shm"] {
        for n in 0..15 {
            let path = format!("{folder}/large-{n}");
            let Ok(mut file) = File::create(&path) else { break };
            let _ = fs::remove_file(path);
            written += (0..64).take_while(|_| file.write_all(&much).is_ok()).count();
            if file.set_len(1 << 40).is_ok() {
                println!("attack: wrote a file of a terabyte");
            }
            all.push(file);
        }
    }
    if written > 300 {
        println!("attack: wrote {written} MiB");
    }
}
