//! Files, as many as there may be.
use std::fs::{self, File};

fn main() {
    for folder in [".", "/tmp", "/dev/shm"] {
        let made =
            (0..50_000).take_while(|n| File::create(format!("{folder}/{n}")).is_ok()).count();
        if made == 50_000 {
            println!("attack: wrote {made} files");
        }
    }
    let deep = (0..50_000)
        .take_while(|_| fs::create_dir("d").and_then(|()| std::env::set_current_dir("d")).is_ok());
    if deep.count() == 50_000 {
        println!("attack: wrote deep folders");
    }
}
