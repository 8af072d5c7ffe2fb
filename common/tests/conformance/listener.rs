//! Listeners and clients: addresses, keys, whoever connects.

use crate::signals::interrupt;
use crate::trial::{LONG, Outcome, Trial, each, once};
use common::connection::{
    AcceptError, Address, AuthenticationError, Client, ConnectError, ListenError, Listener,
};
use common::{Connection, Process, StartMethod, pipe};
use nix::sys::signal::Signal;
use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

pub(crate) fn trials() -> Vec<Trial> {
    [
        once("c241_an_address_in_use_is_refused", twice),
        once("c243_an_empty_key_is_a_key", empty_key),
        each("c245_a_child_connects_and_is_heard_by_every_family", connects),
        each("c246_also_when_it_has_left_before_it_is_accepted", leaves),
        once("c247_a_client_can_poll_for_what_the_other_side_sends", polls),
        once("c250_a_wrong_answer_to_the_challenge_is_refused", bogus),
        once("c252_an_answer_has_the_challenges_digest", answers),
        each("c253_a_child_sends_on_the_connection_that_was_accepted", passed_on),
        each("c307_nor_an_accept", interrupted),
    ]
    .concat()
}

/// One address of every family, which are free. The folder holds the path.
fn families() -> Result<(tempfile::TempDir, [Address; 3]), std::io::Error> {
    let folder = tempfile::tempdir()?;
    let path = Address::from(folder.path().join("listener"));
    let name = format!("conformance-{}", std::process::id());
    Ok((folder, [path, Address::abstract_name(name), Address::tcp("localhost", 0)?]))
}

fn twice() -> Outcome {
    let (_folder, addresses) = families()?;
    for address in addresses {
        let listener = Listener::bind(&address)?;
        match Listener::bind(listener.address()) {
            Err(ListenError::Taken(taken)) => assert_eq!(taken, *listener.address()),
            other => return Err(format!("{other:?}").into()),
        }
        let address = listener.address().clone();
        drop(listener);
        drop(Listener::bind(address)?);
    }
    Ok(())
}

fn empty_key() -> Outcome {
    let listener = Listener::builder().authkey(b"").bind()?;
    let address = listener.address().clone();
    let client = std::thread::spawn(move || -> common::Result<()> {
        let client: Connection<u32, ()> = Client::new(&address).authkey(b"").connect()?;
        client.send(&1729)?;
        // Somebody without a key does not get through, nor one with another.
        let other = Client::new(&address).authkey(b"x").connect::<(), ()>();
        assert!(matches!(other, Err(ConnectError::Authentication(AuthenticationError::Rejected))));
        Ok(())
    });
    assert_eq!(listener.accept::<(), u32>()?.recv()?, 1729);
    let refused = listener.accept::<(), u32>();
    assert!(matches!(refused, Err(AcceptError::Authentication(AuthenticationError::WrongKey, _))));
    client.join().expect("it does not panic")?;
    let address = listener.address().clone();
    listener.close();
    assert!(matches!(Client::new(address).connect::<(), ()>(), Err(ConnectError::Nobody(_))));
    Ok(())
}

fn say_hello(address: Address) -> common::Result<()> {
    Client::new(address).connect::<String, ()>()?.send(&"hello".to_string())?;
    Ok(())
}

fn connects(method: StartMethod) -> Outcome {
    let (_folder, addresses) = families()?;
    for address in addresses {
        let listener = Listener::bind(address)?;
        let child = Process::new(say_hello, listener.address().clone());
        let child = child.start_method(method).start()?;
        assert_eq!(listener.accept::<(), String>()?.recv()?, "hello");
        assert!(child.join()?.is_success());
        assert!(listener.last_accepted().is_some());
    }
    Ok(())
}

fn leaves(method: StartMethod) -> Outcome {
    let (_folder, addresses) = families()?;
    for address in addresses {
        let listener = Listener::bind(address)?;
        let child = Process::new(say_hello, listener.address().clone());
        let exit = child.start_method(method).start()?.join_timeout(LONG)?;
        assert!(exit.is_some_and(|exit| exit.is_success()));
        let accepted = listener.accept_timeout::<(), String>(LONG)?.ok_or("nobody came")?;
        assert_eq!(accepted.recv()?, "hello");
        assert!(accepted.recv().is_err());
    }
    Ok(())
}

fn polls() -> Outcome {
    let (_folder, addresses) = families()?;
    for address in addresses {
        let listener = Listener::bind(address)?;
        let client = Client::new(listener.address()).connect::<(), ()>()?;
        let accepted = listener.accept::<(), ()>()?;
        assert!(!client.poll()?);
        accepted.send_bytes(b"hello")?;
        assert!(client.poll_timeout(LONG)?);
        assert_eq!(client.recv_bytes()?, b"hello");
    }
    Ok(())
}

/// A plain socket to a listener at an abstract address, and the first frame that comes on it.
fn stranger(address: &Address) -> Result<(UnixStream, Vec<u8>), Box<dyn std::error::Error>> {
    let Address::Abstract(name) = address else { return Err("another family".into()) };
    let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    let frame = read_frame(&mut stream)?;
    Ok((stream, frame))
}

fn read_frame(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut frame = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn bogus() -> Outcome {
    let listener = Listener::builder().authkey(b"key").bind()?;
    let address = listener.address().clone();
    let peer = std::thread::spawn(move || -> Result<Vec<u8>, String> {
        let (mut stream, challenge) = stranger(&address).map_err(|error| error.to_string())?;
        assert!(challenge.starts_with(b"#CHALLENGE#{sha256}") && challenge.len() == 59);
        let answer = b"{sha256}something bogus";
        let frame = [&(answer.len() as u32).to_be_bytes()[..], answer].concat();
        stream.write_all(&frame).map_err(|error| error.to_string())?;
        read_frame(&mut stream).map_err(|error| error.to_string())
    });
    let refused = listener.accept::<(), ()>();
    assert!(matches!(refused, Err(AcceptError::Authentication(AuthenticationError::WrongKey, _))));
    assert_eq!(peer.join().expect("it does not panic")?, b"#FAILURE#");
    Ok(())
}

fn answers() -> Outcome {
    // The challenge has its tag in front, which an older side takes for random bytes; any mixture of the two
    // that know of tags comes together.
    for (is_legacy, is_client_legacy) in [(false, false), (true, false), (true, true)] {
        let builder = Listener::builder().authkey(b"key");
        let builder = if is_legacy { builder.legacy() } else { builder };
        let listener = builder.bind()?;
        let address = listener.address().clone();
        let peer = std::thread::spawn(move || {
            let (_stream, challenge) = stranger(&address).expect("it listens");
            assert!(challenge.starts_with(b"#CHALLENGE#{sha256}") && challenge.len() == 59);
            let client = Client::new(address).authkey(b"key");
            let client = if is_client_legacy { client.legacy() } else { client };
            client.connect::<u8, ()>().expect("the same key").send(&7).expect("it reads");
        });
        let accepted = loop {
            match listener.accept::<(), u8>() {
                Err(AcceptError::Unfinished(_)) => {}
                other => break other?,
            }
        };
        assert_eq!(accepted.recv()?, 7);
        peer.join().expect("it does not panic");
    }
    Ok(())
}

fn passed_on(method: StartMethod) -> Outcome {
    type Accepted = Connection<String, ()>;
    fn work(carrier: Connection<(), (Accepted, String)>) -> common::Result<()> {
        for _ in 0..3 {
            let (connection, text) = carrier.recv()?;
            connection.send(&text.to_uppercase())?;
        }
        Ok(())
    }
    let (_folder, addresses) = families()?;
    let (ours, theirs) = pipe::<(Accepted, String), ()>()?;
    let child = Process::new(work, theirs).start_method(method).start()?;
    for address in addresses {
        let listener = Listener::bind(address)?;
        let client = Client::new(listener.address()).connect::<(), String>()?;
        ours.send(&(listener.accept()?, "hello".to_string()))?;
        assert_eq!(client.recv()?, "HELLO");
    }
    assert!(child.join()?.is_success());
    Ok(())
}

fn interrupted(method: StartMethod) -> Outcome {
    fn work(report: Connection<Address, ()>) -> common::Result<()> {
        let listener = Listener::builder().bind()?;
        report.send(listener.address())?;
        assert_eq!(listener.accept::<(), String>()?.recv()?, "hello");
        Ok(())
    }
    let (ours, theirs) = pipe::<(), Address>()?;
    let child = Process::new(work, theirs).start_method(method).start()?;
    let address = ours.recv()?;
    interrupt(child.pid(), Signal::SIGSEGV)?;
    interrupt(child.pid(), Signal::SIGBUS)?;
    say_hello(address)?;
    assert!(child.join()?.is_success());
    Ok(())
}
