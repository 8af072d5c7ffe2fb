//! What happens to messages and handles between processes.

use common::connection::{RecvError, SendError};
use common::{Connection, Process, pipe};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::AsFd;

type Outcome = Result<(), Failed>;

fn main() {
    common::init();
    let trials = vec![
        Trial::test("large_messages_go_there_and_back", large_messages),
        Trial::test("an_end_travels_to_a_running_child", an_end_travels),
        Trial::test("a_reader_that_dies_in_the_middle_is_an_error_for_the_writer", dead_reader),
        Trial::test("a_writer_that_dies_in_the_middle_is_an_error_for_the_reader", dead_writer),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn large_messages() -> Outcome {
    fn echo(connection: Connection<Vec<u64>>) {
        while let Ok(message) = connection.recv() {
            connection.send(&message).expect("the parent receives");
        }
    }
    let (ours, theirs) = pipe::<Vec<u64>, Vec<u64>>()?;
    let child = Process::new(echo, theirs).start()?;
    for len in [0, 1, 1000, 1_000_000] {
        let message: Vec<u64> = (0..len).collect();
        ours.send(&message)?;
        assert_eq!(ours.recv()?, message);
    }
    ours.close();
    assert!(child.join()?.is_success());
    Ok(())
}

fn an_end_travels() -> Outcome {
    fn child(carrier: Connection<(), Connection<u32>>) {
        let connection = carrier.recv().expect("an end comes");
        let number = connection.recv().expect("a number comes");
        connection.send(&(number + 1)).expect("the parent receives");
    }
    let (carrier, theirs) = pipe::<Connection<u32>, ()>()?;
    let child = Process::new(child, theirs).start()?;
    let (near, far) = pipe::<u32, u32>()?;
    carrier.send(&far)?;
    drop(far);
    near.send(&41)?;
    assert_eq!(near.recv()?, 42);
    child.join()?;
    assert!(matches!(near.recv(), Err(RecvError::Eof)));
    Ok(())
}

fn die_with(_end: Connection<(), Vec<u8>>) {
    std::process::abort();
}

fn dead_reader() -> Outcome {
    let (ours, theirs) = pipe::<Vec<u8>, ()>()?;
    let child = Process::new(die_with, theirs).start()?;
    // More than any socket holds: the send is under way when the reader dies.
    let error = ours.send(&vec![0; 8 << 20]).unwrap_err();
    assert!(matches!(error, SendError::Closed), "{error:?}");
    child.join()?;
    Ok(())
}

fn dead_writer() -> Outcome {
    fn child(connection: Connection<Vec<u8>, ()>) {
        // More than any socket holds, and nobody reads: it is killed in the middle.
        let _ = connection.send(&vec![0; 8 << 20]);
    }
    let (ours, theirs) = pipe::<(), Vec<u8>>()?;
    let child = Process::new(child, theirs).start()?;
    let mut watched = [PollFd::new(ours.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::NONE)?;
    kill(Pid::from_raw(child.pid().cast_signed()), Signal::SIGKILL)?;
    child.join()?;
    assert!(matches!(ours.recv(), Err(RecvError::Truncated)));
    Ok(())
}
