//! Listeners: `CPython` on the other side, and peers that mean harm or do nothing.

use common::connection::{
    AcceptError, Address, Client, ConnectError, Handle, ListenError, Listener, SendError,
};
use common::{Connection, Process, StartMethod, pipe};
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

type Outcome = Result<(), Failed>;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(40);

fn main() {
    common::init();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let trials = vec![
        Trial::test("python_connects_with_a_key", python_connects),
        Trial::test("python_is_connected_to_with_a_key", python_listens),
        Trial::test("a_tagged_peer_in_plain_python_connects", tagged_connects),
        Trial::test("a_tagged_peer_in_plain_python_is_connected_to", tagged_listens),
        Trial::test("a_newer_python_connects_and_is_connected_to", newer_python),
        Trial::test("half_open_peers_hold_up_nobody", || alone(|()| leaving_nothing(half_open))),
        Trial::test("garbage_is_turned_away_and_others_are_served", || {
            alone(|()| leaving_nothing(garbage))
        }),
        Trial::test("a_limit_to_accept_holds_beside_another_thread", two_threads),
        Trial::test("a_flood_does_not_outlast_the_limit_to_accept", flood),
        Trial::test("a_bind_that_fails_disturbs_nobody", failed_bind),
        Trial::test("a_client_gives_up_in_its_time", silent_listener),
        Trial::test("one_listener_serves_old_and_new", old_and_new),
        Trial::test("who_leaves_in_the_midst_is_told_apart", leaves),
        Trial::test("beyond_loopback_is_said_aloud", beyond),
        Trial::test("a_socket_goes_with_its_listener_and_a_left_over_one_is_named", files),
        Trial::test("a_handle_goes_over_a_unix_socket_only", handles),
        Trial::test("a_connection_of_any_family_travels", travels),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

/// Runs a script with an address as its argument.
fn python(script: &str, argument: &str) -> std::io::Result<std::process::Child> {
    python_of("python3".as_ref(), script, argument)
}

fn python_of(program: &Path, script: &str, argument: &str) -> std::io::Result<std::process::Child> {
    Command::new(program)
        .args(["-c", script, argument])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
}

fn path_of(address: &Address) -> Result<String, Failed> {
    match address {
        Address::Path(path) => Ok(path.display().to_string()),
        other => Err(format!("{other} is no path").into()),
    }
}

const CONNECTS: &str = "
import sys
from multiprocessing.connection import Client
place = sys.argv[1]
if ':' in place:
    host, port = place.rsplit(':', 1)
    place = (host, int(port))
with Client(place, authkey=b'secret') as connection:
    connection.send_bytes(b'from python')
    assert connection.recv_bytes() == b'from rust'
try:
    Client(place, authkey=b'wrong')
except Exception as error:
    assert type(error).__name__ == 'AuthenticationError', error
else:
    sys.exit('a wrong key was accepted')
";

/// `CPython` up to 3.11 speaks the untagged handshake; a newer one understands it too.
fn python_connects() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = Address::from(folder.path().join("socket"));
    for address in [path, Address::tcp("127.0.0.1", 0)?] {
        let listener = Listener::builder().address(address).authkey(b"secret").legacy().bind()?;
        let place = match listener.address() {
            Address::Path(path) => path.display().to_string(),
            other => other.to_string(),
        };
        let mut child = python(CONNECTS, &place)?;
        let connection = listener.accept_timeout::<(), ()>(LONG)?.ok_or("nobody came")?;
        assert_eq!(connection.recv_bytes()?, b"from python");
        connection.send_bytes(b"from rust")?;
        let refused = listener.accept_timeout::<(), ()>(LONG);
        assert!(matches!(refused, Err(AcceptError::Authentication(..))), "{refused:?}");
        assert!(child.wait()?.success());
    }
    Ok(())
}

const LISTENS: &str = "
import sys
from multiprocessing.connection import Listener
place = ('127.0.0.1', 0) if sys.argv[1] == 'tcp' else sys.argv[1]
with Listener(place, authkey=b'secret') as listener:
    print('listening', flush=True)
    print(listener.address[1] if sys.argv[1] == 'tcp' else '', flush=True)
    with listener.accept() as connection:
        connection.send_bytes(b'from python')
        assert connection.recv_bytes() == b'from rust'
    try:
        listener.accept()
    except Exception as error:
        assert type(error).__name__ == 'AuthenticationError', error
    else:
        sys.exit('a wrong key was accepted')
";

/// Waits until it says that it listens.
fn listening(child: &mut std::process::Child) -> Outcome {
    let mut line = [0; 10];
    let output = child.stdout.as_mut().ok_or("its output")?;
    output.read_exact(&mut line)?;
    assert_eq!(&line, b"listening\n");
    Ok(())
}

fn python_listens() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = Address::from(folder.path().join("socket"));
    for place in [path_of(&path)?, "tcp".to_string()] {
        let mut child = python(LISTENS, &place)?;
        listening(&mut child)?;
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().ok_or("its output")?).read_line(&mut port)?;
        let address = match port.trim().parse() {
            Ok(port) => Address::tcp("127.0.0.1", port)?,
            Err(_) => path.clone(),
        };
        let client = || Client::new(&address).legacy();
        let connection = client().authkey(b"secret").connect::<(), ()>()?;
        assert_eq!(connection.recv_bytes()?, b"from python");
        connection.send_bytes(b"from rust")?;
        assert!(client().authkey(b"wrong").connect::<(), ()>().is_err());
        assert!(child.wait()?.success());
    }
    Ok(())
}

/// The interpreters of version 3.12 and newer, where one looks for them.
fn newer_pythons() -> Vec<PathBuf> {
    let mut candidates: Vec<PathBuf> =
        (12..20).map(|minor| PathBuf::from(format!("python3.{minor}"))).collect();
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let installed = std::fs::read_dir(home.join(".pyenv/versions"));
    let installed = installed.into_iter().flatten().filter_map(Result::ok);
    candidates.extend(installed.map(|version| version.path().join("bin/python3")));
    let check = "import sys; sys.exit(sys.version_info < (3, 12))";
    let is_newer = |program: &PathBuf| {
        Command::new(program)
            .args(["-c", check])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    candidates.retain(is_newer);
    candidates
}

fn newer_python() -> Outcome {
    let pythons = newer_pythons();
    if pythons.is_empty() {
        println!("NOT RUN: there is no python3 of version 3.12 or newer");
    }
    for program in pythons {
        let folder = tempfile::tempdir()?;
        let address = Address::from(folder.path().join("socket"));
        // With the handshake of its own time, and with the older one, which it understands.
        for is_legacy in [false, true] {
            let builder = Listener::builder().address(&address).authkey(b"secret");
            let listener = if is_legacy { builder.legacy() } else { builder }.bind()?;
            let mut child = python_of(&program, CONNECTS, &path_of(&address)?)?;
            let connection = listener.accept_timeout::<(), ()>(LONG)?.ok_or("nobody came")?;
            assert_eq!(connection.recv_bytes()?, b"from python");
            connection.send_bytes(b"from rust")?;
            let refused = listener.accept_timeout::<(), ()>(LONG);
            assert!(matches!(refused, Err(AcceptError::Authentication(..))), "{refused:?}");
            assert!(child.wait()?.success());
            drop(listener);
            let mut child = python_of(&program, LISTENS, &path_of(&address)?)?;
            listening(&mut child)?;
            let client = || {
                let client = Client::new(&address);
                if is_legacy { client.legacy() } else { client }
            };
            let connection = client().authkey(b"secret").connect::<(), ()>()?;
            assert_eq!(connection.recv_bytes()?, b"from python");
            connection.send_bytes(b"from rust")?;
            assert!(client().authkey(b"wrong").connect::<(), ()>().is_err());
            assert!(child.wait()?.success());
        }
    }
    Ok(())
}

/// The handshake of 3.12 and later, from its description: sockets, HMAC and nothing of `multiprocessing`.
const TAGGED: &str = "
import hashlib, hmac, os, socket, struct, sys
KEY, HEAD = b'secret', b'#CHALLENGE#'
def send(s, frame): s.sendall(struct.pack('!i', len(frame)) + frame)
def exactly(s, n):
    data = b''
    while len(data) < n:
        more = s.recv(n - len(data))
        assert more, 'the end'
        data += more
    return data
def receive(s): return exactly(s, struct.unpack('!i', exactly(s, 4))[0])
def answer(s, digest=None):
    frame = receive(s)
    assert frame.startswith(HEAD) and len(frame) == 59, frame
    message = frame[len(HEAD):]
    name = message[1:message.index(b'}')].decode()
    assert name == 'sha256'
    name = digest or name
    send(s, b'{%s}' % name.encode() + hmac.new(KEY, message, name).digest())
    assert receive(s) == b'#WELCOME#'
def deliver(s):
    message = b'{sha256}' + os.urandom(40)
    send(s, HEAD + message)
    reply = receive(s)
    good = b'{sha256}' + hmac.new(KEY, message, 'sha256').digest()
    send(s, b'#WELCOME#' if hmac.compare_digest(reply, good) else b'#FAILURE#')
    assert reply == good, reply
s = socket.socket(socket.AF_UNIX)
";

fn tagged_connects() -> Outcome {
    let script = format!(
        "{TAGGED}
s.connect(sys.argv[1])
answer(s, 'sha384')
deliver(s)
send(s, b'tagged')
assert receive(s) == b'untagged'
"
    );
    let folder = tempfile::tempdir()?;
    let address = Address::from(folder.path().join("socket"));
    let listener = Listener::builder().address(&address).authkey(b"secret").bind()?;
    let mut child = python(&script, &path_of(&address)?)?;
    let connection = listener.accept_timeout::<(), ()>(LONG)?.ok_or("nobody came")?;
    assert_eq!(connection.recv_bytes()?, b"tagged");
    connection.send_bytes(b"untagged")?;
    assert!(child.wait()?.success());
    Ok(())
}

fn tagged_listens() -> Outcome {
    let script = format!(
        "{TAGGED}
s.bind(sys.argv[1])
s.listen()
print('listening', flush=True)
s, _ = s.accept()
deliver(s)
answer(s)
send(s, b'tagged')
assert receive(s) == b'untagged'
"
    );
    let folder = tempfile::tempdir()?;
    let address = Address::from(folder.path().join("socket"));
    let mut child = python(&script, &path_of(&address)?)?;
    listening(&mut child)?;
    let connection = Client::new(&address).authkey(b"secret").connect::<(), ()>()?;
    assert_eq!(connection.recv_bytes()?, b"tagged");
    connection.send_bytes(b"untagged")?;
    assert!(child.wait()?.success());
    Ok(())
}

/// A listener with a key at a free port of this machine, and the port's address.
fn keyed() -> Result<(Listener, String), Failed> {
    let listener =
        Listener::builder().address(Address::tcp("127.0.0.1", 0)?).authkey(b"key").bind()?;
    let place = listener.address().to_string();
    Ok((listener, place))
}

fn number(client: Client) -> common::Result<()> {
    client.authkey(b"key").connect::<u32, ()>()?.send(&7)?;
    Ok(())
}

/// Accepts until somebody has the key; how many were turned away.
fn accept_one(listener: &Listener) -> Result<usize, Failed> {
    for turned_away in 0.. {
        match listener.accept_timeout::<(), u32>(LONG) {
            Ok(Some(connection)) => {
                assert_eq!(connection.recv()?, 7);
                return Ok(turned_away);
            }
            Ok(None) => break,
            Err(AcceptError::Io(error)) => return Err(error.into()),
            Err(_) => {}
        }
    }
    Err("nobody came".into())
}

/// Has as many descriptors afterwards as before.
fn leaving_nothing(work: fn() -> Outcome) {
    let count = || std::fs::read_dir("/proc/self/fd").expect("/proc").count();
    let before = count();
    work().unwrap_or_else(|error| panic!("{}", error.message().unwrap_or("it failed")));
    assert_eq!(count(), before, "a descriptor is left");
}

/// Does it in a process of its own.
fn alone(work: fn(())) -> Outcome {
    let exit = Process::new(work, ()).start_method(StartMethod::Spawn).start()?.join()?;
    if exit.is_success() { Ok(()) } else { Err(format!("it {exit}; see its message").into()) }
}

fn half_open() -> Outcome {
    let (listener, place) = keyed()?;
    // Fewer than are served at a time: nobody waits for them.
    let silent: Vec<_> = (0..60).map(|_| TcpStream::connect(&place)).collect::<Result<_, _>>()?;
    let address = listener.address().clone();
    let client = std::thread::spawn(move || number(Client::new(address)));
    assert_eq!(accept_one(&listener)?, 0, "nobody had to be given up");
    client.join().expect("it does not panic")?;
    // More than that: they have to be given up first, and then the next one is served.
    let more: Vec<_> = (0..100).map(|_| TcpStream::connect(&place)).collect::<Result<_, _>>()?;
    let address = listener.address().clone();
    let client =
        std::thread::spawn(move || number(Client::new(address).timeout(Duration::from_secs(60))));
    assert!(accept_one(&listener)? >= 60);
    client.join().expect("it does not panic")?;
    drop((silent, more));
    Ok(())
}

fn garbage() -> Outcome {
    let (listener, place) = keyed()?;
    let pieces: [&[u8]; 6] =
        [b"GET / HTTP/1.1\r\n\r\n", &[0; 400], &[255; 64], &[0, 0, 1, 1], b"\0\0\0\x05hello", b""];
    let mut strangers = Vec::new();
    for round in 0..30 {
        let mut stranger = TcpStream::connect(&place)?;
        stranger.write_all(pieces[round % pieces.len()])?;
        strangers.push(stranger);
    }
    let address = listener.address().clone();
    let client = std::thread::spawn(move || number(Client::new(address)));
    accept_one(&listener)?;
    client.join().expect("it does not panic")?;
    Ok(())
}

fn two_threads() -> Outcome {
    const SHORT: Duration = Duration::from_millis(50);
    let (listener, _) = keyed()?;
    std::thread::scope(|scope| {
        let long = scope.spawn(|| listener.accept_timeout::<(), u32>(LONG));
        std::thread::sleep(SHORT);
        let start = Instant::now();
        assert!(listener.accept_timeout::<(), u32>(SHORT)?.is_none());
        // Far less than the other one waits.
        assert!(start.elapsed() >= SHORT && start.elapsed() < LONG / 2);
        // And the other one is served.
        number(Client::new(listener.address()))?;
        let accepted = long.join().expect("it does not panic")?.ok_or("nobody came")?;
        assert_eq!(accepted.recv()?, 7);
        // Whoever waits behind it comes next.
        let next = scope.spawn(|| listener.accept_timeout::<(), u32>(LONG));
        let behind = scope.spawn(|| listener.accept_timeout::<(), u32>(LONG));
        number(Client::new(listener.address()))?;
        number(Client::new(listener.address()))?;
        for thread in [next, behind] {
            assert!(thread.join().expect("it does not panic")?.is_some());
        }
        Ok(())
    })
}

fn flood() -> Outcome {
    let (listener, place) = keyed()?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // One after the other, faster than they can be given up.
            let mut silent = VecDeque::new();
            while !is_over.load(Ordering::Relaxed) {
                silent.extend(TcpStream::connect(&place));
                if silent.len() > 40 {
                    silent.pop_front();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let (start, limit) = (Instant::now(), Duration::from_millis(200));
        loop {
            let left = limit.saturating_sub(start.elapsed());
            match listener.accept_timeout::<(), ()>(left) {
                Ok(None) => break,
                Ok(Some(_)) => panic!("nobody has the key"),
                Err(_) => assert!(start.elapsed() < LONG, "it has no end"),
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    Ok(())
}

fn failed_bind() -> Outcome {
    let folder = tempfile::tempdir()?;
    let address = Address::from(folder.path().join("socket"));
    for key in [None, Some(b"key")] {
        let builder = || {
            let builder = Listener::builder().address(&address);
            key.map_or_else(|| builder.clone(), |key| builder.clone().authkey(key))
        };
        let listener = builder().bind()?;
        assert!(matches!(builder().bind(), Err(ListenError::Taken(_))));
        assert!(listener.accept_timeout::<(), ()>(Duration::from_millis(20))?.is_none());
    }
    // A file that is no socket is nobody's to remove.
    std::fs::write(folder.path().join("socket"), "text")?;
    assert!(matches!(Listener::bind(&address), Err(ListenError::Taken(_))));
    Ok(())
}

fn silent_listener() -> Outcome {
    let limit = Duration::from_millis(100);
    let folder = tempfile::tempdir()?;
    let path = Address::from(folder.path().join("socket"));
    // They listen, and answer nobody.
    for address in [path, Address::abstract_name("silent"), Address::tcp("127.0.0.1", 0)?] {
        let listener = Listener::bind(address)?;
        let start = Instant::now();
        let client = Client::new(listener.address()).authkey(b"key").timeout(limit);
        let refused = client.connect::<(), ()>();
        assert!(matches!(refused, Err(ConnectError::Unfinished(_))), "{refused:?}");
        assert!(start.elapsed() >= limit && start.elapsed() < LONG);
    }
    Ok(())
}

fn old_and_new() -> Outcome {
    let folder = tempfile::tempdir()?;
    let address = Address::from(folder.path().join("socket"));
    let listener = Listener::builder().address(&address).authkey(b"secret").legacy().bind()?;
    let mut child = python(CONNECTS, &path_of(&address)?)?;
    let old = listener.accept_timeout::<(), ()>(LONG)?.ok_or("nobody came")?;
    let there = address.clone();
    let new = std::thread::spawn(move || -> common::Result<()> {
        let client = Client::new(there).authkey(b"secret");
        Ok(client.connect::<(), ()>()?.send_bytes(b"new")?)
    });
    let accepted = listener.accept_timeout::<(), ()>(LONG)?.ok_or("nobody came")?;
    assert_eq!(accepted.recv_bytes()?, b"new");
    new.join().expect("it does not panic")?;
    assert_eq!(old.recv_bytes()?, b"from python");
    old.send_bytes(b"from rust")?;
    assert!(listener.accept_timeout::<(), ()>(LONG).is_err(), "the wrong key of the script");
    assert!(child.wait()?.success());
    Ok(())
}

fn leaves() -> Outcome {
    let (listener, place) = keyed()?;
    drop(TcpStream::connect(&place)?);
    let left = listener.accept_timeout::<(), ()>(LONG);
    assert!(matches!(left, Err(AcceptError::Unfinished(_))), "{left:?}");
    assert!(listener.accept_timeout::<(), ()>(Duration::from_millis(10))?.is_none());
    Ok(())
}

fn beyond() -> Outcome {
    let everywhere = Address::tcp("0.0.0.0", 0)?;
    let refused = Listener::bind(&everywhere);
    assert!(matches!(refused, Err(ListenError::BeyondLoopback(_))), "{refused:?}");
    let listener = Listener::builder().address(everywhere).beyond_loopback().bind()?;
    assert!(!listener.address().is_loopback());
    Ok(())
}

fn files() -> Outcome {
    fn dies(path: String) {
        let listener = Listener::bind(&path[..]).expect("it is free");
        std::mem::forget(listener);
        std::process::abort();
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("socket");
    let listener = Listener::bind(&*path)?;
    assert!(path.exists());
    drop(listener);
    assert!(!path.exists());
    let child = Process::new(dies, path.display().to_string());
    assert!(!child.start_method(StartMethod::Spawn).start()?.join()?.is_success());
    let refused = Listener::bind(&*path);
    assert!(matches!(refused, Err(ListenError::LeftOver(_))), "{refused:?}");
    std::fs::remove_file(&path)?;
    // One that was put there by somebody else is not removed.
    let listener = Listener::bind(&*path)?;
    std::fs::remove_file(&path)?;
    std::fs::write(&path, "another")?;
    drop(listener);
    assert!(path.exists());
    Ok(())
}

fn handles() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = Address::from(folder.path().join("socket"));
    for address in [path, Address::tcp("127.0.0.1", 0)?] {
        let listener = Listener::bind(address)?;
        let client = Client::new(listener.address()).connect::<Handle, ()>()?;
        let accepted = listener.accept::<(), Handle>()?;
        let file = std::fs::File::open("/proc/self/comm")?;
        let sent = client.send(&Handle::from(OwnedFd::from(file)));
        if matches!(listener.address(), Address::Tcp(_)) {
            assert!(matches!(sent, Err(SendError::HandleFarAway)), "{sent:?}");
        } else {
            sent?;
            let mut name = String::new();
            std::fs::File::from(accepted.recv()?.into_fd()?).read_to_string(&mut name)?;
            assert!(!name.is_empty());
        }
    }
    Ok(())
}

fn travels() -> Outcome {
    fn work(carrier: Connection<(), Connection<String, String>>) -> common::Result<()> {
        let connection = carrier.recv()?;
        let text = connection.recv()?;
        connection.send(&text.to_uppercase())?;
        Ok(())
    }
    for address in [Address::abstract_name("travels"), Address::tcp("localhost", 0)?] {
        let listener = Listener::bind(address)?;
        let (ours, theirs) = pipe::<Connection<String, String>, ()>()?;
        let child = Process::new(work, theirs).start()?;
        let client = Client::new(listener.address()).connect::<String, String>()?;
        ours.send(&listener.accept()?)?;
        client.send(&"hello".to_string())?;
        assert_eq!(client.recv()?, "HELLO");
        assert!(child.join()?.is_success());
    }
    Ok(())
}
