//! The peer `zygote`: a forked server that runs functions, and forks itself.

use peers::{Run, pin, unpin, us_per};
use zygote::Zygote;

fn main() {
    let run = Run::from_arguments("zygote");
    let z = Zygote::new();
    z.run(|_| pin(1), ());
    pin(0);
    run.bench("pool_apply_rtt", "us", || {
        us_per(1000, || {
            for i in 0..1000u64 {
                assert_eq!(z.run(|x: u64| x + 1, i), i + 1);
            }
        })
    });
    unpin();
    run.bench("proc_fork_call", "us", || {
        us_per(50, || {
            for _ in 0..50 {
                Zygote::new().run(|_| (), ());
            }
        })
    });
    run.bench("proc_forkserver_call", "us", || {
        us_per(50, || {
            for _ in 0..50 {
                z.spawn().run(|_| (), ());
            }
        })
    });
}
