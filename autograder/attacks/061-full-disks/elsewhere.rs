//! Files outside of the places that are there for them.
use std::fs;

fn main() {
    for folder in
        ["/", "/usr", "/usr/lib", "/etc", "/var/tmp", "/home", "/root", "/sub", "/proc/sys"]
    {
        if fs::write(format!("{folder}/attack-was-here"), "x").is_ok() {
            println!("attack: wrote in {folder}");
        }
    }
}
