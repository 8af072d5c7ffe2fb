//! What `CPython` does and does not test.

use crate::trial::{LONG, Outcome, Trial, each, once};
use common::connection::{RecvError, Sender, one_way_pipe, pipe};
use common::process::{self, StartError};
use common::{Exit, Process, StartMethod};
use std::fs;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("edge_exit_codes_are_those_of_the_kernel", exit_codes),
        each("edge_signals_to_a_process_that_has_ended_are_lost", signals_too_late),
        each("edge_a_daemon_may_start_no_process", daemon_starts),
        each("edge_processes_are_numbered_by_their_creator", names),
        each("edge_at_its_end_a_process_ends_daemons_and_waits_for_others", end_of_a_process),
        once(HOOK_OF_MAIN, hook_of_main),
        once("edge_a_message_over_the_limit_ends_receiving_and_not_sending", over_the_limit),
        once("edge_a_negative_length_is_an_error", negative_length),
        once("edge_a_message_that_is_cut_off_is_no_end", cut_off),
        once("edge_the_end_can_be_polled_for", end_is_polled_for),
    ]
    .concat()
}

fn nothing((): ()) {}

fn exit_codes(method: StartMethod) -> Outcome {
    type Target = fn(()) -> Result<(), &'static str>;
    let cases: [(Target, i32); 7] = [
        (|()| std::process::exit(7), 7),
        (|()| std::process::exit(259), 3),
        (|()| std::process::exit(-1), 255),
        (|()| Err("an error that the child prints"), 1),
        (|()| panic!("a panic that the child prints"), 101),
        (|()| std::process::abort(), -6),
        (|()| nix::sys::signal::raise(nix::sys::signal::SIGKILL).map_err(|_| "no signal"), -9),
    ];
    for (target, code) in cases {
        let child = Process::new(target, ()).start_method(method).start()?;
        assert_eq!(child.join()?.exitcode(), code);
        assert_eq!(child.exitcode(), Some(code));
    }
    Ok(())
}

fn signals_too_late(method: StartMethod) -> Outcome {
    let child = Process::new(nothing, ()).start_method(method).start()?;
    child.join()?;
    child.interrupt()?;
    child.terminate()?;
    child.kill()?;
    assert_eq!(child.exit(), Some(Exit::Code(0)));
    Ok(())
}

fn daemon_starts(method: StartMethod) -> Outcome {
    fn child(answer: Sender<bool>) {
        let refused = Process::new(nothing, ()).start();
        let refused = matches!(refused, Err(StartError::DaemonChild { .. }));
        answer.send(&refused).expect("the parent receives");
    }
    let (answer, end) = one_way_pipe()?;
    let child = Process::new(child, end).daemon().start_method(method).start()?;
    assert!(answer.recv()?);
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn names(method: StartMethod) -> Outcome {
    fn grandchild(answer: Sender<String>) {
        answer.send(&process::current().name().to_string()).expect("the parent receives");
    }
    fn child(answer: Sender<String>) -> common::Result<()> {
        let _first = Process::new(nothing, ());
        Process::new(grandchild, answer).start()?.join()?;
        Ok(())
    }
    assert_eq!(Process::new(nothing, ()).get_name(), "Process-1");
    assert_eq!(Process::new(nothing, ()).name("given").get_name(), "given");
    let (answer, end) = one_way_pipe()?;
    let child = Process::new(child, end).start_method(method).start()?;
    assert_eq!(child.name(), "Process-3");
    assert_eq!(answer.recv()?, "Process-3:2");
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn end_of_a_process(method: StartMethod) -> Outcome {
    fn daemon(_held: Sender<u32>) {
        thread::sleep(LONG);
    }
    fn other(answer: Sender<u32>) {
        thread::sleep(Duration::from_millis(100));
        answer.send(&7).expect("the main process receives");
    }
    fn child((held, answer): (Sender<u32>, Sender<u32>)) -> common::Result<()> {
        Process::new(daemon, held).daemon().start()?;
        Process::new(other, answer).start()?;
        Ok(())
    }
    let (of_daemon, held) = one_way_pipe()?;
    let (of_other, answer) = one_way_pipe()?;
    let child = Process::new(child, (held, answer)).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    // Both have ended before it: what there is can be read at once.
    assert!(of_daemon.poll()? && of_other.poll()?);
    assert!(matches!(of_daemon.recv(), Err(RecvError::Eof)));
    assert_eq!(of_other.recv()?, 7);
    assert!(of_other.poll()?);
    assert!(matches!(of_other.recv(), Err(RecvError::Eof)));
    Ok(())
}

const HOOK_OF_MAIN: &str = "edge_an_exit_hook_of_the_main_process_can_send";

fn hook_of_main() -> Outcome {
    fn sends() -> common::Result<()> {
        let (receiver, sender) = one_way_pipe::<String>()?;
        sender.send(&"the last message".to_string())?;
        fs::write("hook", receiver.recv()?)?;
        Ok(())
    }
    if std::env::var_os(HOOK_OF_MAIN).is_some() {
        // Once before, so that what a thread keeps for its messages is made and given up again.
        sends()?;
        fs::remove_file("hook")?;
        process::at_exit(|| sends().expect("the hook can send"));
        return Ok(());
    }
    // The same trial again, whose end can be seen from here.
    let status = Command::new(std::env::current_exe()?)
        .args([HOOK_OF_MAIN, "--exact", "--test-threads=1"])
        .env(HOOK_OF_MAIN, "")
        .status()?;
    assert!(status.success(), "{status}");
    assert_eq!(fs::read_to_string("hook")?, "the last message");
    Ok(())
}

fn over_the_limit() -> Outcome {
    let (left, right) = pipe::<u32, u32>()?;
    left.send_bytes(&[7; 10])?;
    left.send(&1)?;
    let error = right.recv_bytes_max(4);
    assert!(matches!(error, Err(RecvError::TooLong { len: 10, limit: 4 })), "{error:?}");
    assert!(matches!(right.recv(), Err(RecvError::Desynchronised)));
    right.send(&2)?;
    assert_eq!(left.recv()?, 2);
    Ok(())
}

fn negative_length() -> Outcome {
    let (left, right) = pipe::<u32, u32>()?;
    nix::unistd::write(left.as_fd(), &(-2i32).to_be_bytes())?;
    assert!(matches!(right.recv_bytes(), Err(RecvError::BadLength)));
    Ok(())
}

fn cut_off() -> Outcome {
    let (left, right) = pipe::<u32, u32>()?;
    nix::unistd::write(left.as_fd(), b"\0\0\0\x05hel")?;
    left.close();
    assert!(matches!(right.recv_bytes(), Err(RecvError::Truncated)));
    Ok(())
}

fn end_is_polled_for() -> Outcome {
    let (left, right) = pipe::<u32, u32>()?;
    assert!(!right.poll()?);
    left.close();
    assert!(right.poll()?);
    assert!(right.poll_timeout(LONG)?);
    assert!(matches!(right.recv(), Err(RecvError::Eof)));
    assert!(right.poll()?);
    Ok(())
}
