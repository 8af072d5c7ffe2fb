//! The peer `common`: the library of this course.

mod managers;
mod pools;
mod queue;
mod shared_memory;
mod sync;
mod values;

use common::{Connection, Exit, Process, StartMethod, pipe};
use peers::{MIB, Place, Run, pin, unpin, us_per};

fn main() {
    common::init();
    let run = Run::from_arguments("common");
    processes(&run);
    handles(&run);
    round_trips(&run);
    sync::bench(&run);
    values::bench(&run);
    shared_memory::bench(&run);
    queue::bench(&run);
    pools::bench(&run);
    managers::bench(&run);
}

fn processes(run: &Run) {
    for (metric, method, ballast, count) in [
        ("proc_fork", StartMethod::Fork, 0, 100),
        ("proc_fork_rss100M", StartMethod::Fork, 100 * MIB, 5),
        ("proc_spawn_call", StartMethod::Spawn, 0, 20),
        ("proc_forkserver", StartMethod::ForkServer, 0, 50),
        ("proc_forkserver_rss1000M", StartMethod::ForkServer, 1000 * MIB, 50),
    ] {
        if !run.wants(metric) {
            continue;
        }
        // Memory that this process has touched and holds.
        let held = vec![1u8; ballast];
        run.bench(metric, "us", || {
            us_per(count, || {
                for _ in 0..count {
                    let child = Process::new(nothing, ()).start_method(method).start().unwrap();
                    assert_eq!(child.join().unwrap(), Exit::Code(0));
                }
            })
        });
        drop(std::hint::black_box(held));
    }
}

fn nothing((): ()) {}

/// An end of a pipe travels inside a message, and one reply comes over it.
fn handles(run: &Run) {
    if !run.wants("send_handle_rtt") {
        return;
    }
    let (ours, theirs) = pipe::<Connection<u64, ()>, ()>().unwrap();
    let child = Process::new(answer_over_what_comes, theirs).start().unwrap();
    Place::Two.parent();
    run.bench("send_handle_rtt", "us", || {
        us_per(500, || {
            for _ in 0..500 {
                let (mine, yours) = pipe::<(), u64>().unwrap();
                ours.send(&yours).unwrap();
                drop(yours);
                assert_eq!(mine.recv().unwrap(), 1);
            }
        })
    });
    unpin();
    drop(ours);
    assert_eq!(child.join().unwrap(), Exit::Code(0));
}

fn answer_over_what_comes(connection: Connection<(), Connection<u64, ()>>) {
    Place::Two.child();
    while let Ok(answer) = connection.recv() {
        answer.send(&1).unwrap();
    }
}

fn round_trips(run: &Run) {
    for place in [Place::Two, Place::Same, Place::Free] {
        let metric = format!("pipe_rtt_8B{}", place.tag());
        if !run.wants(&metric) {
            continue;
        }
        let (ours, theirs) = pipe::<u64, u64>().unwrap();
        let child = Process::new(echo, (theirs, core_of_child(place))).start().unwrap();
        place.parent();
        run.bench(&metric, "us", || {
            us_per(2000, || {
                for number in 0..2000 {
                    ours.send(&number).unwrap();
                    assert_eq!(ours.recv().unwrap(), number);
                }
            })
        });
        unpin();
        drop(ours);
        assert_eq!(child.join().unwrap(), Exit::Code(0));
    }
    if !run.wants("pipe_rtt_1MiB") {
        return;
    }
    let (ours, theirs) = pipe::<(), ()>().unwrap();
    let child = Process::new(echo_bytes, (theirs, core_of_child(Place::Two))).start().unwrap();
    Place::Two.parent();
    let mut buffer = vec![1u8; MIB];
    run.bench("pipe_rtt_1MiB", "us", || {
        us_per(20, || {
            for _ in 0..20 {
                ours.send_bytes(&buffer).unwrap();
                assert_eq!(ours.recv_bytes_into(&mut buffer).unwrap(), MIB);
            }
        })
    });
    unpin();
    drop(ours);
    assert_eq!(child.join().unwrap(), Exit::Code(0));
}

/// The core to which the child pins itself.
fn core_of_child(place: Place) -> Option<usize> {
    match place {
        Place::Two => Some(1),
        Place::Same => Some(0),
        Place::Free => None,
    }
}

fn echo((connection, core): (Connection<u64, u64>, Option<usize>)) {
    core.into_iter().for_each(pin);
    while let Ok(number) = connection.recv() {
        connection.send(&number).unwrap();
    }
}

fn echo_bytes((connection, core): (Connection<(), ()>, Option<usize>)) {
    core.into_iter().for_each(pin);
    let mut buffer = vec![0u8; MIB];
    while let Ok(count) = connection.recv_bytes_into(&mut buffer) {
        connection.send_bytes(&buffer[..count]).unwrap();
    }
}
