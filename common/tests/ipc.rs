//! Objects of System V and POSIX between processes: what is sent arrives, and nothing stays behind.

use common::ipc::{IpcError, Mapping, Message, MessageQueue, Segment};
use common::{Exit, Process, Signal, StartMethod};
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::process;
use std::thread;
use std::time::Duration;

type Outcome = Result<(), Failed>;
/// A trial for each start method.
type Body = fn(StartMethod) -> Outcome;

fn main() {
    common::init();
    let mut arguments = Arguments::from_args();
    // A fork needs a process without threads.
    arguments.test_threads = Some(1);
    let mut trials = vec![
        Trial::test("kinds_are_told_apart", kinds),
        Trial::test("whoever_waits_is_told_of_the_removal", told_of_removal),
        Trial::test("what_cannot_be_sent_is_refused", refused),
        Trial::test("a_full_queue_says_so", full),
        Trial::test("nothing_answers_to_a_number_that_is_gone", gone),
        Trial::test("a_segment_that_is_removed_lives_as_long_as_it_is_attached", attached),
        Trial::test("a_mapping_is_no_longer_than_its_file", mapping),
    ];
    let each: [(&str, Body); 3] = [
        ("messages_arrive_in_order_also_when_their_sender_has_ended", messages),
        ("what_a_child_writes_into_a_segment_is_seen", segment),
        ("the_end_of_a_child_removes_nothing", no_removal),
    ];
    for (name, body) in each {
        for method in StartMethod::ALL {
            trials.push(Trial::test(format!("{name}::{method}"), move || body(method)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Whether the kernel has an object of this number; `what` is `msg` or `shm`.
fn is_listed(what: &str, id: i32) -> bool {
    let list = fs::read_to_string(format!("/proc/sysvipc/{what}")).expect("a list");
    let mut ids = list.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
    ids.any(|listed| listed == id.to_string())
}

fn messages(method: StartMethod) -> Outcome {
    const COUNT: usize = 40;
    fn child(id: i32) -> common::Result<()> {
        let queue = MessageQueue::open(id)?;
        for number in 0..COUNT {
            queue.send(1, &vec![number as u8; number])?;
        }
        Ok(())
    }
    let queue = MessageQueue::create()?;
    let exit = Process::new(child, queue.id()).start_method(method).start()?.join()?;
    assert_eq!(exit, Exit::Code(0));
    for number in 0..COUNT {
        assert_eq!(queue.receive()?, Message { kind: 1, bytes: vec![number as u8; number] });
    }
    assert_eq!(queue.try_receive_of(0)?, None);
    let id = queue.id();
    assert!(is_listed("msg", id));
    drop(queue);
    assert!(!is_listed("msg", id));
    Ok(())
}

fn kinds() -> Outcome {
    let queue = MessageQueue::create()?;
    for kind in [5, 3, 9, 3] {
        queue.send(kind, &kind.to_ne_bytes())?;
    }
    assert_eq!(queue.try_receive_of(4)?, None);
    assert_eq!(queue.receive_of(9)?.kind, 9);
    assert_eq!(queue.receive_of(-4)?.kind, 3);
    assert_eq!(queue.try_receive_of(-2)?, None);
    assert_eq!(queue.receive()?.kind, 5);
    assert_eq!(queue.receive_of(-3)?.kind, 3);
    Ok(())
}

fn told_of_removal() -> Outcome {
    let queue = MessageQueue::create()?;
    let id = queue.id();
    let waiter = thread::spawn(move || MessageQueue::open(id)?.receive());
    // Whether it waits already or comes too late, it is told.
    thread::sleep(Duration::from_millis(20));
    queue.remove()?;
    let answer = waiter.join().expect("no panic");
    assert!(matches!(answer, Err(IpcError::Gone { id: gone, .. }) if gone == id), "{answer:?}");
    Ok(())
}

fn refused() -> Outcome {
    let queue = MessageQueue::create()?;
    assert!(matches!(queue.send(0, b"x"), Err(IpcError::BadKind(0))));
    assert!(matches!(queue.send(-1, b"x"), Err(IpcError::BadKind(-1))));
    let limit: usize = fs::read_to_string("/proc/sys/kernel/msgmax")?.trim().parse()?;
    let long = vec![7; limit];
    queue.send(1, &long)?;
    assert_eq!(queue.receive()?.bytes, long);
    let answer = queue.send(1, &vec![7; limit + 1]);
    assert!(matches!(answer, Err(IpcError::TooLong { len }) if len == limit + 1), "{answer:?}");
    let answer = Segment::create(0);
    assert!(matches!(answer, Err(IpcError::NoSpace { what: "segment", .. })), "{answer:?}");
    Ok(())
}

fn full() -> Outcome {
    let queue = MessageQueue::create()?;
    let mut count = 0;
    while queue.try_send(1, &[0; 1000])? {
        count += 1;
    }
    assert!(count > 0);
    queue.receive()?;
    assert!(queue.try_send(1, &[0; 1000])?);
    Ok(())
}

fn gone() -> Outcome {
    let queue = MessageQueue::create()?;
    let other = MessageQueue::open(queue.id())?;
    queue.remove()?;
    assert!(matches!(other.send(1, b"x"), Err(IpcError::Gone { .. })));
    assert!(matches!(MessageQueue::open(other.id()), Err(IpcError::Gone { .. })));
    let segment = Segment::create(8)?;
    let id = segment.id();
    segment.remove()?;
    let text = Segment::attach(id).expect_err("it is gone").to_string();
    assert!(text.starts_with(&format!("there is no System V segment {id}")), "{text}");
    Ok(())
}

fn segment(method: StartMethod) -> Outcome {
    fn child(id: i32) -> common::Result<()> {
        let segment = Segment::attach(id)?;
        assert_eq!(segment.len(), 20);
        let mut numbers = [0u32; 5];
        segment.copy_out(0, &mut numbers)?;
        segment.copy_in(0, &numbers.map(|number| number * 2))?;
        assert!(segment.set(17, 0u32).is_err());
        Ok(())
    }
    let segment = Segment::create(20)?;
    segment.copy_in(0, &[1u32, 2, 3, 4, 5])?;
    let exit = Process::new(child, segment.id()).start_method(method).start()?.join()?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(segment.get::<[u32; 5]>(0)?, [2, 4, 6, 8, 10]);
    let id = segment.id();
    assert!(is_listed("shm", id));
    drop(segment);
    assert!(!is_listed("shm", id));
    Ok(())
}

/// Neither where it is killed nor, being a fork with copies of the handles, where it ends by itself.
fn no_removal(method: StartMethod) -> Outcome {
    fn child((queue, segment, is_killed): (i32, i32, bool)) -> common::Result<()> {
        let _queue = MessageQueue::open(queue)?;
        let _segment = Segment::attach(segment)?;
        if is_killed {
            let me = nix::unistd::Pid::from_raw(process::id().cast_signed());
            nix::sys::signal::kill(me, nix::sys::signal::SIGKILL).expect("sent");
        }
        Ok(())
    }
    let (queue, segment) = (MessageQueue::create()?, Segment::create(8)?);
    for (is_killed, exit) in [(false, Exit::Code(0)), (true, Exit::Signal(Signal::KILL))] {
        let child = Process::new(child, (queue.id(), segment.id(), is_killed)).start_method(method);
        assert_eq!(child.start()?.join()?, exit);
        assert!(is_listed("msg", queue.id()) && is_listed("shm", segment.id()));
    }
    Ok(())
}

fn attached() -> Outcome {
    let segment = Segment::create(8)?;
    let other = Segment::attach(segment.id())?;
    segment.set(0, 77u64)?;
    segment.remove()?;
    assert_eq!(other.get::<u64>(0)?, 77);
    let id = other.id();
    drop(other);
    assert!(!is_listed("shm", id));
    Ok(())
}

fn mapping() -> Outcome {
    let file = tempfile::tempfile()?;
    file.set_len(10)?;
    let answer = Mapping::new(&file, 11);
    assert!(matches!(answer, Err(IpcError::TooShort { len: 11, has: 10 })), "{answer:?}");
    let [one, other] = [Mapping::new(&file, 10)?, Mapping::new(&file, 10)?];
    drop(file);
    one.copy_in(7, b"end")?;
    assert_eq!(other.get::<[u8; 3]>(7)?, *b"end");
    assert!(one.set(7, 0u32).is_err() && one.get::<[u8; 3]>(8).is_err());
    assert!(matches!(Mapping::new(&tempfile::tempfile()?, 0), Err(IpcError::NoSpace { .. })));
    Ok(())
}
