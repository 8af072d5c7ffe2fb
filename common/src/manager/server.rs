//! The server of a manager: a process that keeps objects, with a thread for each connection.
//!
//! Who may come in has the *door*, a socket that takes one end of a fresh pair with each message. It has no
//! name, so nobody else finds it; and when nobody holds it any more, nobody will come.
//!
//! A *client* is a process. It has any number of connections, and what it refers to and holds is its own until
//! the last of them is closed: the kernel does that for a process that is killed.

use super::frame::{Read, Stream, Write, put_numbers_at_the_end};
use super::link::Served;
use super::message::{self as m, Failure};
use super::object::{Call, Caller, Entry, Object};
use super::registry::{self, Registry};
use crate::codec::{self, Message};
use crate::connection::{AcceptError, Listener};
use crate::sys::socket;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Builder;
use std::time::Duration;

/// At most so many connections are open at a time; one more is closed at once.
const MOST: usize = 4096;
/// How long it is until it is tried again to accept somebody who could not be accepted.
const PAUSE: Duration = Duration::from_millis(20);

/// See the top of this file.
pub(super) struct Server {
    objects: Mutex<HashMap<u64, Weak<Entry>>>,
    clients: Mutex<HashMap<u64, Client>>,
    names: Mutex<HashMap<String, Arc<Entry>>>,
    next: AtomicU64,
    connections: AtomicU64,
    registry: Registry,
    door: OwnedFd,
    /// The manager's number, and where it is served.
    about: (u64, Served),
    ended: AtomicBool,
}

/// What a process has of the server.
#[derive(Default)]
struct Client {
    connections: usize,
    /// The objects that it has proxies of, and how many.
    refers: HashMap<u64, (Arc<Entry>, u64)>,
}

/// Whose requests a connection brings.
struct Guest {
    client: u64,
    has_client: bool,
    /// It runs the same program, on this machine.
    is_kin: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// A server of these types that lets in who comes by `door`.
    pub(super) fn new(registry: Registry, door: OwnedFd, about: (u64, Served)) -> Arc<Self> {
        Arc::new(Self {
            objects: Mutex::default(),
            clients: Mutex::default(),
            names: Mutex::default(),
            next: AtomicU64::new(1),
            connections: AtomicU64::new(0),
            registry,
            door,
            about,
            ended: AtomicBool::new(false),
        })
    }

    /// Whether it takes no more calls.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Lets in who comes, until nobody can come any more or it is shut down.
    pub(super) fn serve(self: &Arc<Self>) {
        let mut guests = Vec::new();
        while !self.has_ended() {
            match socket::receive(self.door.as_fd(), &mut [0; 1], Some(&mut guests)) {
                Ok(0) => return,
                Ok(_) => {}
                // No descriptor is left: who came is told by the end of its connection.
                Err(error) if socket::no_descriptor_is_free(&error) => {}
                Err(_) => return,
            }
            for guest in guests.drain(..) {
                self.welcome(guest, true);
            }
        }
    }

    /// Lets in who comes to an address and knows the key, by a thread of its own.
    pub(super) fn listen(self: &Arc<Self>, listener: Listener) -> io::Result<()> {
        let server = Arc::clone(self);
        let listen = move || {
            while !server.has_ended() {
                match listener.accept_stream(None) {
                    Ok(Some(guest)) => server.welcome(guest, false),
                    // Nobody has come, or somebody was turned away.
                    Ok(None)
                    | Err(AcceptError::Authentication(..) | AcceptError::Unfinished(_)) => {}
                    // No descriptor is left, or the like: the others go on.
                    Err(_) => std::thread::sleep(PAUSE),
                }
            }
        };
        Builder::new().name("manager-listener".to_string()).spawn(listen).map(drop)
    }

    /// Serves a connection by a thread of its own. One that came by the door is of this program.
    pub(super) fn welcome(self: &Arc<Self>, guest: OwnedFd, is_kin: bool) {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= MOST as u64 {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let server = Arc::clone(self);
        let name = "manager-guest".to_string();
        let started = Builder::new().name(name).spawn(move || {
            server.converse(Stream::new(Arc::new(guest.into())), is_kin);
            server.connections.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Answers the requests of a connection until its other end is closed.
    fn converse(self: &Arc<Self>, mut stream: Stream, is_kin: bool) {
        let mut guest = Guest { client: 0, has_client: false, is_kin };
        while matches!(stream.receive(None), Ok(true)) {
            let mut reply = std::mem::take(stream.outgoing());
            reply.put_u8(m::DONE);
            let answered = self.answer(&mut guest, &stream, &mut reply);
            *stream.outgoing() = reply;
            let sent = match answered {
                Ok(Answered::Reply(None)) => stream.send(),
                Ok(Answered::Reply(Some(message))) => {
                    let sent = stream.send_with(&message.descriptors);
                    if sent.is_ok() {
                        message.hand_over();
                    }
                    sent
                }
                Ok(Answered::Silence) => {
                    stream.take_back();
                    Ok(())
                }
                Err(failure) => fail(&mut stream, &failure),
            };
            let sent = sent.or_else(|error| match error.kind() {
                ErrorKind::InvalidInput => fail(&mut stream, &Failure::Failed(error.to_string())),
                _ => Err(error),
            });
            if sent.is_err() || self.has_ended() {
                break;
            }
        }
        drop(stream);
        if guest.has_client {
            self.leave(guest.client);
        }
    }

    /// Does what a request asks for, and writes the reply.
    fn answer(
        self: &Arc<Self>,
        guest: &mut Guest,
        stream: &Stream,
        reply: &mut Vec<u8>,
    ) -> Result<Answered, Failure> {
        let mut request = Read(stream.incoming());
        let what = request.u8()?;
        if what == m::HELLO {
            let client = request.u64()?;
            if !std::mem::replace(&mut guest.has_client, true) {
                guest.client = client;
                lock(&self.clients).entry(client).or_default().connections += 1;
            }
            return Ok(Answered::Silence);
        }
        if !guest.has_client {
            return Err(Failure::Garbled);
        }
        match what {
            m::CALL => {
                let message = self.call(guest, stream, request, reply)?;
                return Ok(Answered::Reply(message));
            }
            m::CREATE => {
                let references = self.references(&mut request)?;
                let name = request.name()?;
                let mut call = self.prepare(guest, stream, (0, name), (request, references), reply);
                let object = guarded(|| self.registry.create(&mut call))?;
                reply.put_u64(self.keep_new(guest.client, object));
            }
            m::MAKE if !guest.is_kin => return Err(Failure::OtherProgram),
            m::MAKE => {
                self.references(&mut request)?;
                let object = guarded(|| registry::make(request.u64()?, request.rest()))?;
                reply.put_u64(self.keep_new(guest.client, object));
            }
            m::RELEASE => {
                self.release(guest.client, request.u64()?);
                return Ok(Answered::Silence);
            }
            m::KEEP => {
                let entry = self.entry(request.u64()?)?;
                self.keep(guest.client, &[entry]);
            }
            m::JOIN => {
                let client = request.u64()?;
                self.join(std::mem::replace(&mut guest.client, client), client);
            }
            m::PUBLISH => {
                let entry = self.entry(request.u64()?)?;
                let name = request.name()?;
                lock(&self.names).insert(name.to_string(), entry);
            }
            m::FIND => {
                let name = request.name()?;
                let entry = lock(&self.names).get(name).cloned();
                let entry = entry.ok_or_else(|| Failure::NoName(name.to_string()))?;
                reply.put_u64(entry.number);
                reply.put_name(entry.object.kind());
                self.keep(guest.client, &[entry]);
            }
            m::ABOUT => {
                let about = codec::encode_data(&self.about, "an address is data")
                    .map_err(|error| Failure::Failed(error.to_string()))?;
                reply.extend_from_slice(&about);
            }
            m::COUNT => reply.put_u64(lock(&self.objects).len() as u64),
            m::SHUTDOWN if !guest.is_kin => return Err(Failure::OtherProgram),
            m::SHUTDOWN => {
                self.ended.store(true, Ordering::Release);
                socket::stop_reading(self.door.as_fd());
            }
            _ => return Err(Failure::Garbled),
        }
        Ok(Answered::Reply(None))
    }

    /// Calls a method of an object.
    fn call(
        self: &Arc<Self>,
        guest: &Guest,
        stream: &Stream,
        mut request: Read<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<Option<Message>, Failure> {
        let references = self.references(&mut request)?;
        let entry = self.entry(request.u64()?)?;
        let method = (request.u32()?, request.name()?);
        let mut call = self.prepare(guest, stream, method, (request, references), reply);
        guarded(|| entry.object.call(&mut call))?;
        let (answers, message) = (std::mem::take(&mut call.answers), call.message.take());
        self.keep(guest.client, &answers);
        put_numbers_at_the_end(reply, answers.iter().map(|entry| entry.number));
        Ok(message)
    }

    fn prepare<'a>(
        self: &'a Arc<Self>,
        guest: &Guest,
        stream: &'a Stream,
        (thread, method): (u32, &'a str),
        (arguments, references): (Read<'a>, Vec<Arc<Entry>>),
        reply: &'a mut Vec<u8>,
    ) -> Call<'a> {
        Call {
            server: self,
            caller: Caller { client: guest.client, thread },
            is_kin: guest.is_kin,
            method,
            arguments,
            references: references.into_iter(),
            reply,
            answers: Vec::new(),
            message: None,
            socket: stream.as_fd(),
        }
    }

    /// The objects that the numbers at the end of a request are.
    fn references(&self, request: &mut Read<'_>) -> Result<Vec<Arc<Entry>>, Failure> {
        let numbers = request.numbers_at_the_end()?;
        numbers.into_iter().map(|number| self.entry(number)).collect()
    }

    fn entry(&self, number: u64) -> Result<Arc<Entry>, Failure> {
        lock(&self.objects).get(&number).and_then(Weak::upgrade).ok_or(Failure::NoObject)
    }

    /// Takes in an object, which a client refers to; its number.
    fn keep_new(self: &Arc<Self>, client: u64, object: Box<dyn Object>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(Entry { number, object, server: Arc::clone(self) });
        lock(&self.objects).insert(number, Arc::downgrade(&entry));
        self.keep(client, &[entry]);
        number
    }

    /// A client refers to these once more.
    fn keep(&self, client: u64, entries: &[Arc<Entry>]) {
        if entries.is_empty() {
            return;
        }
        let mut clients = lock(&self.clients);
        let refers = &mut clients.entry(client).or_default().refers;
        for entry in entries {
            refers.entry(entry.number).or_insert_with(|| (Arc::clone(entry), 0)).1 += 1;
        }
    }

    /// A client refers to an object once less.
    fn release(&self, client: u64, number: u64) {
        let mut clients = lock(&self.clients);
        let Some(client) = clients.get_mut(&client) else { return };
        let Some((_, count)) = client.refers.get_mut(&number) else { return };
        *count -= 1;
        let gone = if *count == 0 { client.refers.remove(&number) } else { None };
        drop(clients);
        // Without the lock: it may take other objects along.
        drop(gone);
    }

    /// A connection of one client belongs to another from now on, with all that the first refers to.
    fn join(&self, from: u64, to: u64) {
        if from == to {
            return;
        }
        let mut clients = lock(&self.clients);
        let mut moved = HashMap::new();
        if let Some(client) = clients.get_mut(&from) {
            moved = std::mem::take(&mut client.refers);
            client.connections -= 1;
            if client.connections == 0 {
                clients.remove(&from);
            }
        }
        let client = clients.entry(to).or_default();
        client.connections += 1;
        for (number, (entry, count)) in moved {
            client.refers.entry(number).or_insert_with(|| (entry, 0)).1 += count;
        }
    }

    /// A connection of a client is closed; with the last of them it has gone.
    fn leave(&self, number: u64) {
        let mut clients = lock(&self.clients);
        let Some(client) = clients.get_mut(&number) else { return };
        client.connections -= 1;
        if client.connections > 0 {
            return;
        }
        let gone = clients.remove(&number);
        drop(clients);
        let objects: Vec<_> = lock(&self.objects).values().filter_map(Weak::upgrade).collect();
        for entry in objects {
            entry.object.forget(number);
        }
        drop(gone);
    }

    /// An object has gone.
    pub(super) fn strike(&self, number: u64) {
        lock(&self.objects).remove(&number);
    }
}

/// Answers that a request has no result.
fn fail(stream: &mut Stream, failure: &Failure) -> io::Result<()> {
    stream.take_back();
    stream.outgoing().put_u8(m::FAILED);
    if let Ok(bytes) = codec::encode_data(failure, "a failure holds no handle") {
        stream.outgoing().extend_from_slice(&bytes);
    }
    stream.send()
}

/// Whether a request is answered.
enum Answered {
    /// With the descriptors of a message.
    Reply(Option<Message>),
    Silence,
}

/// Does work of an object; a panic of it is a failure.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        // Dropping what was thrown might panic again.
        std::mem::forget(panic);
        Err(Failure::Failed(format!("panicked: {}", text.unwrap_or_default())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;

    /// A server, and what lets somebody in who is not of this program.
    fn server() -> (Arc<Server>, impl Fn() -> Stream) {
        let (_, door) = socket::door().unwrap();
        let server = Server::new(Registry::new(&[]), door, (1, Ok(None)));
        let inner = Arc::clone(&server);
        let come = move || {
            let (ours, theirs) = socket::pair().unwrap();
            inner.welcome(theirs, false);
            let mut stream = Stream::new(Arc::new(ours.into()));
            stream.outgoing().put_u8(m::HELLO);
            stream.outgoing().put_u64(7);
            stream.seal().unwrap();
            stream
        };
        (server, come)
    }

    fn count(stream: &mut Stream) -> u64 {
        stream.outgoing().put_u8(m::COUNT);
        stream.send().unwrap();
        assert!(stream.receive(None).unwrap());
        let mut answer = Read(stream.incoming());
        assert_eq!(answer.u8().unwrap(), m::DONE);
        answer.u64().unwrap()
    }

    /// Random numbers, always the same.
    struct Dice(u64);

    impl Dice {
        fn next(&mut self, below: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % below
        }
    }

    /// A request that is nearly one.
    fn write_request(dice: &mut Dice, to: &mut Vec<u8>) {
        const NAMES: &[&str] = &[
            "list",
            "dict",
            "set",
            "Namespace",
            "Lock",
            "Condition",
            "Queue",
            "Semaphore",
            "append",
            "extend",
            "insert",
            "get",
            "set",
            "update",
            "pop",
            "remove",
            "slice",
            "repeat",
            "sort",
            "release",
            "notify",
            "wait",
            "acquire",
            "put",
            "look",
            "task_done",
            "fetch",
            "union",
            "is_subset",
            "names",
            "keep",
            "give_back",
            "abort",
            "",
        ];
        let what = [m::CALL, m::CALL, m::CALL, m::CREATE, m::MAKE, m::KEEP, m::PUBLISH, m::FIND];
        let what = what.get(dice.next(12) as usize).copied();
        let what = what.unwrap_or_else(|| dice.next(14) as u8);
        to.put_u8(what);
        let name = NAMES[dice.next(NAMES.len() as u64) as usize];
        match what {
            m::CALL => {
                to.put_u64(dice.next(40));
                to.put_u32(dice.next(3) as u32);
                to.put_name(name);
            }
            m::CREATE | m::FIND => to.put_name(name),
            _ => to.put_u64(dice.next(40)),
        }
        for _ in 0..dice.next(4) {
            match dice.next(4) {
                0 => super::super::object::put_element(to, dice.next(3) as usize, &[1, 2, 3]),
                1 => to.put_u64(dice.next(5)),
                2 => to.put_u64(u64::MAX),
                _ => (0..dice.next(20)).for_each(|_| to.put_u8(dice.next(256) as u8)),
            }
        }
        let references: Vec<u64> = (0..dice.next(3)).map(|_| dice.next(40)).collect();
        put_numbers_at_the_end(to, references.into_iter());
        if dice.next(8) == 0 {
            let len = to.len() as u64;
            to[dice.next(len) as usize] = dice.next(256) as u8;
        }
    }

    #[test]
    fn fuzz_requests_are_answered_or_refused_and_others_are_served() {
        let rounds =
            std::env::var("COMMON_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
        let (server, come) = server();
        let mut other = come();
        let mut dice = Dice(0x5eed);
        let mut stream = come();
        for _ in 0..rounds.unwrap_or(20_000) {
            write_request(&mut dice, stream.outgoing());
            if dice.next(50) == 0 {
                // Cut off in the midst.
                stream = come();
                continue;
            }
            let sent = stream.send();
            let watched = [(stream.as_fd(), socket::Interest::Read)];
            // A call may wait, and some have no answer.
            let is_answered = sent.is_ok()
                && socket::poll(&watched, Some(Duration::from_millis(2))).unwrap()[0].readable;
            if !is_answered || !matches!(stream.receive(None), Ok(true)) {
                stream = come();
            }
        }
        drop(stream);
        let objects = count(&mut other);
        assert!(objects < 100_000, "{objects}");
        drop(server);
    }

    #[test]
    fn a_length_that_nobody_sends_takes_no_memory() {
        let (_server, come) = server();
        let mut stranger = come();
        assert_eq!(count(&mut stranger), 0);
        let claim = (u32::MAX / 8).to_le_bytes();
        socket::send(stranger.as_fd(), &[IoSlice::new(&claim)], &[]).unwrap();
        let mut other = come();
        assert_eq!(count(&mut other), 0);
    }
}
