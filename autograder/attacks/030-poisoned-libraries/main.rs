//! Looks for something to write to. It writes nothing: that it could is bad enough.
use std::fs::{self, File};

fn main() {
    let mut folders = vec!["@libraries@".to_string(), "/usr/lib".into(), "/root/.cargo".into()];
    folders.push("@libraries@/../grade/judges".into());
    folders.push("@libraries@/../grade/references".into());
    folders.extend(std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    for folder in folders {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(2000) {
            if File::options().append(true).open(entry.path()).is_ok() {
                println!("attack: opened {}", entry.path().display());
            }
        }
    }
    if File::create("@libraries@/attack-was-here").is_ok() {
        println!("attack: opened a new file");
    }
}
