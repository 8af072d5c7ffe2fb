//! Reads what is there to be read.
use std::fs;

fn main() {
    for path in [
        "@course@/assignments/shares/tests/hidden.rs",
        "@course@/assignments/shares/solution.rs",
        "@course@/honest.rs",
        "@course@/hand-ins",
        "@course@",
        "@grader@",
        "@libraries@",
        "/home",
        "/root",
        "/var",
        "/usr/src",
        "/usr/local/src",
        "/etc/shadow",
        "/etc/hostname",
        "/sys",
        "/run",
        "/mnt",
        "/dev/mem",
        "/dev/kmsg",
        "/proc/1/environ",
        "/proc/1/root",
        "/proc/1/cwd",
        "/proc/1/fd",
    ] {
        if fs::read(path).is_ok() || fs::read_dir(path).is_ok() {
            println!("attack: read {path}");
        }
    }
    let own = std::process::id().to_string();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.parse::<u32>().is_err() || name == own || name == "1" {
            continue;
        }
        println!("attack: read of process {name}");
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        println!("{}", String::from_utf8_lossy(&environment));
    }
    // What is one's own tells nothing of the machine either.
    for file in ["environ", "cmdline", "mountinfo", "cgroup", "maps"] {
        let text = fs::read(format!("/proc/self/{file}")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        for foreign in ["@course@", "@grader@", "GRADER_TOKEN"] {
            if text.contains(foreign) {
                println!("attack: read {foreign} in {file}");
            }
        }
    }
}
