//! Polling one connection, and waiting for several things at once.

use crate::trial::{LONG, Outcome, Trial, each, once};
use common::connection::{Connection, Receiver, RecvError, Sender, one_way_pipe, pipe, wait};
use common::sync::Event;
use common::{Exit, Process, StartMethod};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c255_an_empty_message_can_be_polled_for_twice", empty_message),
        each("c256_messages_keep_their_bounds_and_order", bounds_and_order),
        each("c257_who_only_polls_takes_nothing_away", only_polls),
        each("c258_messages_that_wait_stay_apart", stay_apart),
        each("c259_a_wait_sees_four_senders_to_their_ends", |method| senders(method, false)),
        each("c260_a_wait_sees_four_slow_senders_to_their_ends", |method| senders(method, true)),
        each("c261_a_wait_sees_four_sockets_to_their_ends", |method| sockets(method, false)),
        each("c262_a_wait_sees_four_slow_sockets_to_their_ends", |method| sockets(method, true)),
        once("c263_a_wait_takes_its_limit_or_ends_with_a_message", limit),
        each("c264_connections_and_a_sentinel_are_waited_for_together", with_sentinel),
        once("c265_a_limit_that_has_passed_returns_at_once", no_time),
    ]
    .concat()
}

/// How long it takes to see that nothing comes.
const SHORT: Duration = Duration::from_millis(100);

fn empty_message(method: StartMethod) -> Outcome {
    fn child(sender: Sender<()>) {
        sender.send_bytes(b"").expect("the parent receives");
    }
    let (receiver, sender) = one_way_pipe()?;
    assert!(!receiver.poll()?);
    let child = Process::new(child, sender).start_method(method).start()?;
    assert!(receiver.poll_timeout(LONG)?);
    assert!(receiver.poll()?);
    assert_eq!(receiver.recv_bytes()?, b"");
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

const MESSAGES: [&str; 8] = ["hello", "", "a", "b", "", "bye", "", "lop"];

fn bounds_and_order(method: StartMethod) -> Outcome {
    fn child(sender: Sender<()>) {
        for message in MESSAGES {
            thread::sleep(Duration::from_millis(20));
            sender.send_bytes(message.as_bytes()).expect("the parent receives");
        }
    }
    let (receiver, sender) = one_way_pipe()?;
    let child = Process::new(child, sender).start_method(method).start()?;
    for message in MESSAGES {
        let start = Instant::now();
        while !receiver.poll_timeout(Duration::from_millis(10))? {
            assert!(start.elapsed() < LONG);
        }
        assert_eq!(receiver.recv_bytes()?, message.as_bytes());
    }
    assert!(matches!(receiver.recv_bytes(), Err(RecvError::Eof)));
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn only_polls(method: StartMethod) -> Outcome {
    fn child(carrier: Connection<bool, Receiver<()>>) -> common::Result<()> {
        let receiver = carrier.recv()?;
        carrier.send(&receiver.poll_timeout(LONG)?)?;
        Ok(())
    }
    let (carrier, end) = pipe::<Receiver<()>, bool>()?;
    let child = Process::new(child, end).start_method(method).start()?;
    let (receiver, sender) = one_way_pipe()?;
    // The child has the same end as this process.
    carrier.send(&receiver)?;
    let messages = [b"first".to_vec(), b"second".to_vec()];
    for message in &messages {
        sender.send_bytes(message)?;
    }
    drop(sender);
    assert!(carrier.recv()?);
    assert_eq!(child.join()?, Exit::Code(0));
    for message in messages {
        assert_eq!(receiver.recv_bytes()?, message);
    }
    assert!(matches!(receiver.recv_bytes(), Err(RecvError::Eof)));
    Ok(())
}

fn stay_apart(method: StartMethod) -> Outcome {
    fn child(parent: Connection<(), ()>) {
        for message in ["a", "b", "cd"] {
            parent.send_bytes(message.as_bytes()).expect("the parent receives");
        }
        // It holds its end open until the parent has closed the other.
        let _ = parent.recv();
    }
    let (ours, theirs) = pipe::<(), ()>()?;
    assert!(!ours.poll()?);
    assert!(!ours.poll_timeout(SHORT)?);
    let child = Process::new(child, theirs).start_method(method).start()?;
    for message in ["a", "b", "cd"] {
        for _ in 0..3 {
            assert!(ours.poll_timeout(LONG)?);
        }
        assert_eq!(ours.recv_bytes()?, message.as_bytes());
    }
    assert!(!ours.poll_timeout(SHORT)?);
    ours.close();
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

/// Pauses of no regular length, up to 30 ms.
fn pauses(seed: u32) -> impl Iterator<Item = Duration> {
    let next = |state: &u32| Some(state.wrapping_mul(1_103_515_245).wrapping_add(12_345));
    std::iter::successors(Some(seed + 1), next)
        .map(|state| Duration::from_millis(u64::from(state >> 16) % 31))
}

fn senders(method: StartMethod, is_slow: bool) -> Outcome {
    fn child((number, is_slow, sender): (u32, bool, Sender<(u32, u32)>)) {
        for (count, pause) in (0..10).zip(pauses(number)) {
            if is_slow {
                thread::sleep(pause);
            }
            sender.send(&(number, count)).expect("the parent receives");
        }
    }
    let mut receivers = Vec::new();
    let mut children = Vec::new();
    for number in 0..4 {
        let (receiver, sender) = one_way_pipe::<(u32, u32)>()?;
        receivers.push(receiver);
        let argument = (number, is_slow, sender);
        children.push(Process::new(child, argument).start_method(method).start()?);
    }
    let mut messages = Vec::new();
    while !receivers.is_empty() {
        let watched: Vec<&dyn AsFd> = receivers.iter().map(|end| end as &dyn AsFd).collect();
        let ready = wait(&watched, Some(LONG))?;
        assert!(!ready.is_empty());
        // From the last to the first, so that removing one moves none that is still to come.
        for place in ready.into_iter().rev() {
            match receivers[place].recv() {
                Ok(message) => messages.push(message),
                Err(RecvError::Eof) => drop(receivers.remove(place)),
                Err(error) => return Err(error.into()),
            }
        }
    }
    for number in 0..4 {
        let own: Vec<_> = messages.iter().filter(|message| message.0 == number).collect();
        assert!(own.iter().map(|message| message.1).eq(0..10), "{own:?}");
    }
    for child in children {
        assert_eq!(child.join()?, Exit::Code(0));
    }
    Ok(())
}

fn sockets(method: StartMethod, is_slow: bool) -> Outcome {
    fn child((number, is_slow, address): (u32, bool, SocketAddr)) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        for (count, pause) in (0..10).zip(pauses(number)) {
            if is_slow {
                thread::sleep(pause);
            }
            stream.write_all(format!("{count}\n").as_bytes())?;
        }
        Ok(())
    }
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut children = Vec::new();
    for number in 0..4 {
        let argument = (number, is_slow, listener.local_addr()?);
        children.push(Process::new(child, argument).start_method(method).start()?);
    }
    let mut streams = Vec::new();
    while streams.len() < 4 {
        assert_eq!(wait(&[&listener], Some(LONG))?, [0]);
        streams.push(listener.accept()?.0);
    }
    let mut texts: BTreeMap<SocketAddr, String> = BTreeMap::new();
    while !streams.is_empty() {
        let watched: Vec<&dyn AsFd> = streams.iter().map(|stream| stream as &dyn AsFd).collect();
        let ready = wait(&watched, Some(LONG))?;
        assert!(!ready.is_empty());
        for place in ready.into_iter().rev() {
            let mut buffer = [0; 32];
            match streams[place].read(&mut buffer)? {
                0 => drop(streams.remove(place)),
                read => {
                    let text = texts.entry(streams[place].peer_addr()?).or_default();
                    text.push_str(std::str::from_utf8(&buffer[..read])?);
                }
            }
        }
    }
    let expected: String = (0..10).map(|count| format!("{count}\n")).collect();
    assert_eq!(texts.into_values().collect::<Vec<_>>(), vec![expected; 4]);
    for child in children {
        assert_eq!(child.join()?, Exit::Code(0));
    }
    Ok(())
}

fn limit() -> Outcome {
    let (left, right) = pipe::<u32, u32>()?;
    let (start, limit) = (Instant::now(), Duration::from_millis(500));
    assert_eq!(wait(&[&left, &right], Some(limit))?, []);
    assert!(start.elapsed() >= limit);
    right.send(&1)?;
    assert_eq!(wait(&[&left, &right], Some(LONG))?, [0]);
    Ok(())
}

fn with_sentinel(method: StartMethod) -> Outcome {
    fn child(go: Event) {
        go.wait();
        thread::sleep(Duration::from_millis(200));
    }
    let go = Event::new()?;
    let child = Process::new(child, go.clone()).start_method(method).start()?;
    let (a, to_a) = pipe::<u32, u32>()?;
    let (b, to_b) = pipe::<u32, u32>()?;
    let objects: [&dyn AsFd; 3] = [&a, &child, &b];
    assert_eq!(wait(&objects, Some(SHORT))?, []);

    let start = Instant::now();
    go.set();
    assert_eq!(wait(&objects, None)?, [1]);
    assert!(start.elapsed() >= Duration::from_millis(200));
    to_b.send(&1)?;
    assert_eq!(wait(&objects, Some(LONG))?, [1, 2]);
    to_a.send(&1)?;
    assert_eq!(wait(&objects, Some(LONG))?, [0, 1, 2]);
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn no_time() -> Outcome {
    let (left, right) = pipe::<u32, u32>()?;
    let start = Instant::now();
    assert_eq!(wait(&[&left, &right], Some(Duration::ZERO))?, []);
    assert!(start.elapsed() < LONG);
    Ok(())
}
