//! Leaves three daemons.
unsafe extern "C" {
    fn fork() -> i32;
    fn setsid() -> i32;
    fn close(descriptor: i32) -> i32;
    fn signal(number: i32, handler: usize) -> usize;
    fn prctl(option: i32, argument: usize) -> i32;
    fn sleep(seconds: u32) -> u32;
    fn _exit(code: i32) -> !;
}

fn main() {
    const IGNORE: usize = 1;
    for _ in 0..3 {
        unsafe {
            if fork() == 0 {
                setsid();
                if fork() != 0 {
                    _exit(0);
                }
                (1..65).for_each(|number| drop(signal(number, IGNORE)));
                (0..3).for_each(|descriptor| drop(close(descriptor)));
                // No signal when its parent ends.
                prctl(1, 0);
                loop {
                    sleep(1000);
                }
            }
        }
    }
    println!("5: 5");
}
