//! Messages and handles between processes.

use crate::trial::{LONG, Outcome, Trial, each, once};
use common::connection::{
    Connection, Handle, Receiver, RecvError, RecvIntoError, Sender, one_way_pipe, pipe,
};
use common::{Exit, Process, StartMethod};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c231_objects_and_bytes_go_there_and_back", there_and_back),
        each("c233_the_start_closes_the_copy_of_the_starter", starters_copy),
        once("c234_any_slice_is_a_message", slices),
        each("c236_a_high_descriptor_goes_to_a_child_whose_low_ones_are_in_use", high_descriptor),
        once("c237_a_message_without_its_descriptor_is_an_error", missing_descriptor),
        once("c238_an_end_is_closed_with_its_scope", scope),
        each("c254_one_way_ends_go_to_a_child_that_writes_and_reads", one_way_ends),
    ]
    .concat()
}

type Object = (i32, f64, Option<u8>);

/// Sends every message back as it is, up to an empty one.
fn echoes(parent: Connection<Object>) {
    while let Ok(message) = parent.recv_bytes() {
        if message.is_empty() {
            break;
        }
        parent.send_bytes(&message).expect("the parent receives");
    }
}

/// How `CPython`'s test lays out an array of C's `int`.
fn ints(numbers: &[i32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

fn there_and_back(method: StartMethod) -> Outcome {
    let (ours, theirs) = pipe::<Object, Object>()?;
    let child = Process::new(echoes, theirs).start_method(method).start()?;

    ours.send(&(1, 2.25, None))?;
    assert_eq!(ours.recv()?, (1, 2.25, None));
    ours.send_bytes(b"hello world")?;
    assert_eq!(ours.recv_bytes()?, b"hello world");

    for offset in [0, 3 * 4] {
        let mut buffer = ints(&[0; 10]);
        let sent = ints(&[1, 2, 3, 4]);
        ours.send_bytes(&sent)?;
        assert_eq!(ours.recv_bytes_into(&mut buffer[offset..])?, 16);
        let mut expected = ints(&[0; 10]);
        expected[offset..offset + 16].copy_from_slice(&sent);
        assert_eq!(buffer, expected);
    }

    let long: Vec<u8> = (0..110).collect();
    ours.send_bytes(&long)?;
    match ours.recv_bytes_into(&mut [0; 40]) {
        Err(RecvIntoError::TooShort(message)) => assert_eq!(message, long),
        other => return Err(format!("{other:?}").into()),
    }

    assert!(!ours.poll()?);
    let (start, limit) = (Instant::now(), Duration::from_millis(100));
    assert!(!ours.poll_timeout(limit)?);
    assert!(start.elapsed() >= limit);
    ours.send(&(0, 0.0, Some(1)))?;
    assert!(ours.poll_timeout(LONG)?);
    assert_eq!(ours.recv()?, (0, 0.0, Some(1)));

    let large: Vec<u8> = (0..16 << 20).map(|number: u32| number as u8).collect();
    ours.send_bytes(&large)?;
    assert!(ours.recv_bytes()? == large);

    ours.send_bytes(b"")?;
    assert!(matches!(ours.recv(), Err(RecvError::Eof)));
    assert!(matches!(ours.recv_bytes(), Err(RecvError::Eof)));
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn starters_copy(method: StartMethod) -> Outcome {
    let (ours, theirs) = pipe::<Object, Object>()?;
    let child = Process::new(echoes, theirs).start_method(method).start()?;
    ours.send_bytes(b"hello")?;
    assert_eq!(ours.recv_bytes()?, b"hello");
    ours.send_bytes(b"")?;
    // Were a copy left here, this would wait for ever.
    assert!(matches!(ours.recv(), Err(RecvError::Eof)));
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn slices() -> Outcome {
    let letters: Vec<u8> = (b'a'..=b'z').collect();
    let (left, right) = pipe::<(), ()>()?;
    for slice in [&letters[..], &letters[5..], &letters[7..15], &letters[26..], &letters[26..26]] {
        left.send_bytes(slice)?;
        assert!(right.poll()?);
        assert_eq!(right.recv_bytes()?, slice);
    }
    assert!(!right.poll()?);
    Ok(())
}

/// Opens files until one has a number of at least `number`; that one is the last.
fn open_up_to(number: i32) -> io::Result<Vec<File>> {
    let mut files = vec![File::open("/dev/null")?];
    while files.last().is_some_and(|file| file.as_raw_fd() < number) {
        files.push(File::open("/dev/null")?);
    }
    Ok(files)
}

fn high_descriptor(method: StartMethod) -> Outcome {
    fn child(files: Connection<(), Handle>) -> common::Result<()> {
        let _in_use = open_up_to(256)?;
        let handle = files.recv()?;
        let mut file = File::from(handle.into_fd()?);
        assert!(file.as_raw_fd() >= 256);
        file.write_all(b"bar")?;
        Ok(())
    }
    let (files, end) = pipe::<Handle, ()>()?;
    let child = Process::new(child, end).start_method(method).start()?;
    let lower = open_up_to(256)?;
    let file = File::create("file")?;
    assert!(file.as_raw_fd() >= 256);
    files.send(&Handle::from(file))?;
    drop(lower);
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(fs::read_to_string("file")?, "bar");
    Ok(())
}

fn missing_descriptor() -> Outcome {
    let (left, right) = pipe::<Handle, Handle>()?;
    left.send(&Handle::from(File::open("/dev/null")?))?;
    // The bytes come through; the descriptor that rode on them is not claimed, and closed.
    let bytes = right.recv_bytes()?;
    right.send_bytes(&bytes)?;
    let error = left.recv().err().ok_or("a descriptor has come from nowhere")?;
    assert!(matches!(error, RecvError::Decode(_)), "{error:?}");
    // The connection goes on.
    right.send(&Handle::from(File::open("/dev/null")?))?;
    left.recv()?;
    Ok(())
}

fn scope() -> Outcome {
    let (left, right) = pipe::<u32, u32>()?;
    {
        let left = left;
        left.send(&1729)?;
        assert_eq!(right.recv()?, 1729);
    }
    assert!(matches!(right.recv(), Err(RecvError::Eof)));
    Ok(())
}

fn one_way_ends(method: StartMethod) -> Outcome {
    type Ends = (Option<Sender<String>>, Option<Receiver<String>>);
    fn child(parent: Connection<String, Ends>) -> common::Result<()> {
        if let (Some(sender), _) = parent.recv()? {
            sender.send(&"all is well".to_string())?;
        }
        if let (_, Some(receiver)) = parent.recv()? {
            let text = receiver.recv()?;
            parent.send(&text.repeat(2))?;
        }
        Ok(())
    }
    let (parent, end) = pipe::<Ends, String>()?;
    let child = Process::new(child, end).start_method(method).start()?;
    let (receiver, sender) = one_way_pipe()?;
    parent.send(&(Some(sender), None))?;
    assert_eq!(receiver.recv()?, "all is well");
    assert!(matches!(receiver.recv(), Err(RecvError::Eof)));

    let (receiver, sender) = one_way_pipe()?;
    parent.send(&(None, Some(receiver)))?;
    sender.send(&"foobar".to_string())?;
    assert_eq!(parent.recv()?, "foobarfoobar");
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}
