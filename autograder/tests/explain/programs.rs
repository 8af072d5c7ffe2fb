//! The programs that hang.

use std::fs::File;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use std::{env, thread};

use common::connection::{self, pipe};
use common::ipc::MessageQueue;
use common::sync::{Event, Lock, Semaphore};
use common::{Connection, Process, Queue, StartMethod};
use nix::fcntl::{FcntlArg, Flock, FlockArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{getpid, mkfifo};

const PROGRAMS: &[(&str, fn())] = &[
    ("own_write_end", own_write_end),
    ("circle", circle),
    ("full", full),
    ("locks", locks),
    ("wait_and_read", wait_and_read),
    ("flocks", || file_locks(flock)),
    ("byte_locks", || file_locks(byte_lock)),
    ("message", message),
    ("connection", connection),
    ("tcp", tcp),
    ("accept", accept),
    ("poll", poll),
    ("pause", nix::unistd::pause),
    ("input", input),
    ("fifo", fifo),
    ("livelock", livelock),
    ("sleep", sleep),
    ("limited", limited),
    ("stop", stop),
    ("queue", queue),
    ("permit", permit),
    ("mutex", mutex),
    ("fork", fork),
    ("name", name),
    ("come_and_go", come_and_go),
    ("many", many),
    ("turns", turns),
];

/// The number of a program.
pub(crate) fn find(name: &str) -> Option<usize> {
    PROGRAMS.iter().position(|(other, _)| *other == name)
}

/// Runs a program.
pub(crate) fn run(number: usize) {
    PROGRAMS[number].1();
}

/// The line that ends with this remark.
pub(crate) fn line_of(remark: &str) -> u32 {
    let text = super::source();
    let line = text.lines().position(|line| line.ends_with(remark)).unwrap();
    line as u32 + 1
}

/// A pipe whose ends every program gets that is started, asked or not.
fn open_pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe().unwrap()
}

fn own_write_end() {
    let (read, write) = open_pipe();
    let mut cat = Command::new("cat").stdin(read).spawn().unwrap();
    drop(write);
    cat.wait().unwrap();
}

/// Two programs, each with the other's output as its input.
fn pair(program: &str) {
    let ((read1, write1), (read2, write2)) = (io::pipe().unwrap(), io::pipe().unwrap());
    let start = |input: io::PipeReader, output: io::PipeWriter| {
        Command::new(program).stdin(input).stdout(output).spawn().unwrap()
    };
    let (mut one, mut two) = (start(read1, write2), start(read2, write1));
    one.wait().unwrap();
    two.wait().unwrap();
}

fn circle() {
    pair("cat");
}

fn full() {
    pair("yes");
}

fn locks() {
    fn child((first, second, mine, yours): (Lock, Lock, Event, Event)) {
        let _second = second.acquire();
        mine.set();
        yours.wait();
        let _first = first.acquire(); // the child asks for the first
    }
    let (first, second) = (Lock::new().unwrap(), Lock::new().unwrap());
    let (mine, yours) = (Event::new().unwrap(), Event::new().unwrap());
    let _first = first.acquire();
    let handles = (first.clone(), second.clone(), yours.clone(), mine.clone());
    let child = Process::new(child, handles).start().unwrap();
    mine.set();
    yours.wait();
    let _second = second.acquire();
    child.join().unwrap();
}

fn wait_and_read() {
    let mut cat = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    // Otherwise `wait` would close it.
    let _input = cat.stdin.take();
    cat.wait().unwrap();
}

type Locking = fn(&str) -> Box<dyn std::any::Any>;

fn flock(path: &str) -> Box<dyn std::any::Any> {
    let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
    Box::new(Flock::lock(file, FlockArg::LockExclusive).unwrap())
}

fn byte_lock(path: &str) -> Box<dyn std::any::Any> {
    let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
    let lock = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // Among locks that belong to a process, the kernel would see the circle and refuse the last.
    fcntl(&file, FcntlArg::F_OFD_SETLKW(&lock)).unwrap();
    Box::new(file)
}

fn file_locks(lock: Locking) {
    fn child((which, (mine, yours)): (bool, (Event, Event))) {
        let lock = if which { flock } else { byte_lock };
        let _two = lock("two");
        mine.set();
        yours.wait();
        let _one = lock("one");
    }
    let (mine, yours) = (Event::new().unwrap(), Event::new().unwrap());
    let _one = lock("one");
    let which = std::ptr::fn_addr_eq(lock, flock as Locking);
    Process::new(child, (which, (yours.clone(), mine.clone()))).start().unwrap();
    mine.set();
    yours.wait();
    let _two = lock("two");
}

fn message() {
    let id = env::var("EXPLAIN_QUEUE").unwrap().parse().unwrap();
    MessageQueue::open(id).unwrap().receive().unwrap();
}

fn connection() {
    fn child(connection: Connection<u8, u8>) {
        let _ = connection.recv();
    }
    let (ours, theirs) = pipe::<u8, u8>().unwrap();
    let _child = Process::new(child, theirs).start().unwrap();
    let _ = ours.recv();
}

fn tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let _served = listener.accept().unwrap();
    let _ = client.read(&mut [0]);
}

fn accept() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.accept().unwrap();
}

fn poll() {
    let (one, _one) = pipe::<u8, u8>().unwrap();
    let (two, _two) = pipe::<u8, u8>().unwrap();
    connection::wait(&[&one, &two], None).unwrap();
}

fn input() {
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn fifo() {
    mkfifo("fifo", Mode::S_IRWXU).unwrap();
    File::open("fifo").unwrap();
}

fn livelock() {
    fn child((): ()) {
        loop {
            std::hint::spin_loop();
        }
    }
    let _child = Process::new(child, ()).start().unwrap();
    child(());
}

fn sleep() {
    thread::sleep(Duration::from_secs(3600));
}

fn limited() {
    Event::new().unwrap().wait_timeout(Duration::from_secs(3600));
}

fn stop() {
    kill(getpid(), Signal::SIGSTOP).unwrap();
}

fn queue() {
    let queue = Queue::<u8>::bounded(1).unwrap();
    let lock = Lock::new().unwrap();
    let _guard = lock.acquire();
    queue.get().unwrap();
}

fn permit() {
    fn child(semaphore: Semaphore) {
        drop(semaphore.acquire());
    }
    let semaphore = Semaphore::new(1).unwrap();
    let _permit = semaphore.acquire();
    let child = Process::new(child, semaphore.clone()).start().unwrap();
    child.join().unwrap();
}

fn mutex() {
    let mutex = Mutex::new(());
    let _guard = mutex.lock().unwrap();
    let _again = mutex.lock().unwrap();
}

fn fork() {
    fn child(lock: Lock) {
        drop(lock.acquire());
    }
    let lock = Lock::new().unwrap();
    let _guard = lock.acquire();
    let child = Process::new(child, lock.clone()).start_method(StartMethod::Fork).start().unwrap();
    child.join().unwrap();
}

fn name() {
    nix::sys::prctl::set_name(c"\x1b[31mred").unwrap();
    nix::unistd::pause();
}

fn come_and_go() {
    // Some are gone before the second look, others are there in both.
    let start = |seconds| Command::new("sleep").arg(seconds).spawn().unwrap();
    loop {
        for mut child in ["0", "0.01", "0.05", "0.05"].map(start) {
            child.wait().unwrap();
        }
    }
}

fn many() {
    let sleepers: Vec<_> =
        (0..40).map(|_| Command::new("sleep").arg("3600").spawn().unwrap()).collect();
    nix::unistd::pause();
    drop(sleepers);
}

fn turns() {
    fn child(connection: Connection<u8, u8>) {
        while let Ok(number) = connection.recv() {
            connection.send(&number).unwrap();
        }
    }
    let (ours, theirs) = pipe::<u8, u8>().unwrap();
    let _child = Process::new(child, theirs).start().unwrap();
    loop {
        ours.send(&1).unwrap();
        ours.recv().unwrap();
    }
}
