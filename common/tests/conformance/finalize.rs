//! What runs at the end of a value or of a process.

use crate::trial::{LONG, Outcome, Trial, each};
use common::connection::{RecvError, Sender, one_way_pipe};
use common::process::Finalizer;
use common::{Exit, Process, StartMethod};
use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c283_finalizers_run_at_drop_or_by_hand_or_at_exit_in_order", order),
        each("c284_finalizers_run_while_threads_make_and_drop_others", beside_threads),
    ]
    .concat()
}

fn order(method: StartMethod) -> Outcome {
    fn child(sender: Sender<String>) {
        let sender = Arc::new(sender);
        let send = |text: &str| {
            let (sender, text) = (sender.clone(), text.to_string());
            move || sender.send(&text).expect("the parent receives")
        };
        drop(Finalizer::new(send("a")));

        let b = Finalizer::new(send("b"));
        b.run();
        b.run();
        drop(b);

        // Not dropped, and not for the exit: it never runs.
        std::mem::forget(Finalizer::new(send("c")));
        for (priority, text) in [(1, "d10"), (0, "d01"), (0, "d02"), (0, "d03"), (-10, "e")] {
            std::mem::forget(Finalizer::at_exit(priority, send(text)));
        }
        // One for the exit that is dropped runs at once, and not again.
        drop(Finalizer::at_exit(0, send("f")));
    }
    let (receiver, sender) = one_way_pipe()?;
    let child = Process::new(child, sender).start_method(method).start()?;
    let mut seen = Vec::new();
    loop {
        match receiver.recv() {
            Ok(text) => seen.push(text),
            Err(RecvError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
    }
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(seen, ["a", "b", "f", "d10", "d03", "d02", "d01", "e"]);
    Ok(())
}

fn beside_threads(method: StartMethod) -> Outcome {
    static MADE: AtomicU32 = AtomicU32::new(0);
    static RUN: AtomicU32 = AtomicU32::new(0);
    fn makes_and_drops(priority: i32) {
        MADE.fetch_add(1, Ordering::Relaxed);
        drop(Finalizer::at_exit(priority, || {
            RUN.fetch_add(1, Ordering::Relaxed);
        }));
    }
    fn child((): ()) {
        let stderr = File::create("stderr").expect("a file can be made");
        nix::unistd::dup2_stderr(&stderr).expect("a descriptor");
        let until = Instant::now() + Duration::from_millis(500);
        thread::scope(|scope| {
            for priority in 0..4 {
                scope.spawn(move || {
                    while Instant::now() < until {
                        makes_and_drops(priority);
                    }
                });
            }
        });
        assert_eq!(MADE.load(Ordering::Relaxed), RUN.load(Ordering::Relaxed));
        // These go on while the process runs what is left for its exit.
        for priority in 0..4 {
            thread::spawn(move || {
                loop {
                    makes_and_drops(priority);
                }
            });
        }
        for _ in 0..1000 {
            std::mem::forget(Finalizer::at_exit(0, || {
                RUN.fetch_add(1, Ordering::Relaxed);
            }));
        }
    }
    let child = Process::new(child, ()).start_method(method).start()?;
    assert_eq!(child.join_timeout(LONG)?, Some(Exit::Code(0)));
    assert_eq!(fs::read_to_string("stderr")?, "");
    Ok(())
}
