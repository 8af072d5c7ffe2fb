//! Every process starts two in new sessions, and ends; who cannot have two tries again.
unsafe extern "C" {
    fn fork() -> i32;
    fn setsid() -> i32;
}

fn main() {
    let start = || match unsafe { fork() } {
        0 => {
            unsafe { setsid() };
            0
        }
        child => child,
    };
    loop {
        let one = start();
        if one == 0 {
            continue;
        }
        let other = start();
        if one > 0 && other > 0 {
            return;
        }
    }
}
