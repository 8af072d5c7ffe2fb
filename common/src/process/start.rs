//! What parent and child do to make a function run in another process.
//!
//! | | spawn | fork server | fork |
//! | --- | --- | --- | --- |
//! | the child is | this executable, started again | a copy of the server | a copy of the parent |
//! | it learns its life, its target | over a socket, from its parent | from the server's request | it is in its memory |
//! | it learns its argument | over the socket | over a socket that came with the request | it is in its memory |
//! | handles in the argument | arrive as new descriptors | arrive as new descriptors | stay; all others of common's are shut |
//! | the parent knows that it has begun | by its report | by its report | when `fork` returns |
//! | it leaves by | `exit` | `_exit` after its own hooks | `_exit` after its own hooks |
//!
//! Parent and child meet over a socket that the child was given, so the death of either side is the
//! end of a stream, and not a wait for ever. The child reports when it holds its argument; so a
//! child that dies before, an argument that it cannot take, and a `main` that does not reach
//! [`init`](super::init) are errors of `start`.

use super::begin::{CHILD, Order, Report, Task, Trampoline, live_forked, run, without_parent};
use super::child::{Child, Exit, Title};
use super::method::StartMethod;
use super::outcome::Outcome;
use super::server::{self, Request};
use super::state::{self, Life};
use super::zygote::{Asked, Zygote};
use super::{Process, current, exit, forkserver};
use crate::codec::{self, EncodeError, Given, Message};
use crate::connection::channel::Channel;
use crate::connection::{RecvError, SendError};
use crate::logging::{self, event};
use crate::point::{self, Name};
use crate::shared::register::Register;
use crate::sys::entry;
use crate::sys::process::{self, Side};
use crate::sys::socket::{self, Interest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a spawned child has to reach [`init`](super::init).
const UNTIL_INIT: Duration = Duration::from_secs(60);
/// What a socket takes in any case, so that sending it does not wait for a reader.
const SMALL: usize = 32 << 10;
/// How much of a name the command line shows, in characters.
const SHOWN: usize = 100;
/// How long a report can be, in bytes.
const MAX_REPORT: usize = 1 << 20;

/// Why a process could not be started. Nothing is left running then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `main` did not begin with [`init`](super::init).
    #[error("no process can be started before common::init(); make it the first line of main")]
    NotInitialised,
    /// A daemon may not start processes: it may be ended at any moment, and they would live on.
    #[error("process {name:?} cannot be started by a daemon; start it from a process that is none")]
    DaemonChild {
        /// The name of the process.
        name: String,
    },
    /// A process with several threads would be forked: a lock that another thread holds would stay
    /// locked in the child for ever.
    #[error(
        "process {name:?} cannot be forked: this process has {threads} threads, and a lock that \
         another one holds would stay locked in the child for ever; start it by StartMethod::Spawn \
         or ForkServer"
    )]
    Threads {
        /// The name of the process.
        name: String,
        /// How many threads there are.
        threads: u64,
    },
    /// The target is not code of this executable.
    #[error(
        "the target of process {name:?} lies in a dynamic library; name a function of this program"
    )]
    ForeignTarget {
        /// The name of the process.
        name: String,
    },
    /// The argument has no encoding.
    #[error("the argument of process {name:?}: {source}")]
    Argument {
        /// The name of the process.
        name: String,
        /// Why not.
        source: EncodeError,
    },
    /// The child could not take its life or its argument.
    #[error("process {name:?} could not begin: {reason}")]
    Refused {
        /// The name of the process.
        name: String,
        /// What the child says.
        reason: String,
    },
    /// The child runs another executable than this process.
    #[error(
        "process {name:?} runs another executable than this process; the program must be able to \
         start itself through /proc/self/exe"
    )]
    OtherExecutable {
        /// The name of the process.
        name: String,
    },
    /// The child ended before it had taken its argument.
    #[error(
        "process {name:?} {exit} before it had its argument; does the program's main begin with \
         common::init()?"
    )]
    EndedEarly {
        /// The name of the process.
        name: String,
        /// How it ended.
        exit: Exit,
    },
    /// The child ran for a minute and had not reached [`init`](super::init); it was ended.
    #[error(
        "process {name:?} did not reach common::init() within {} seconds and was ended; make it \
         the first line of main",
        UNTIL_INIT.as_secs()
    )]
    NotReached {
        /// The name of the process.
        name: String,
    },
    /// A hook of the fork server failed, and [`OnError::Fail`](super::OnError::Fail) was asked for.
    #[error("process {name:?} has no fork server: {reason}")]
    Preload {
        /// The name of the process.
        name: String,
        /// What the hook says.
        reason: String,
    },
    /// The system refused.
    #[error("process {name:?} could not be started: {source}")]
    Io {
        /// The name of the process.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

/// Why a child has not begun.
enum NotBegun {
    /// It ended without a word.
    Silent,
    /// It has not come as far as `init`.
    Late,
    /// It runs something else.
    Other,
    /// It said why.
    Refused(String),
    /// It could not be talked to.
    Io(io::Error),
}

impl From<io::Error> for NotBegun {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut { Self::Late } else { Self::Io(error) }
    }
}

/// A child that was started and has perhaps not reported yet.
#[must_use = "a child has begun when it has reported"]
pub(crate) struct Starting {
    title: Title,
    stage: Stage,
}

enum Stage {
    /// A fork has nothing to report.
    Forked(Child),
    /// What the child is not known to read yet may still have to be sent.
    Spawned {
        child: Child,
        channel: Channel,
        unsent: Option<Message>,
    },
    Served(Box<Served>),
}

/// A child that a server was asked for.
struct Served {
    zygote: Option<Arc<Zygote>>,
    task: Task,
    argument: Message,
    channel: Channel,
    request: Request,
}

/// Starts a child; [`Starting::begun`] waits until it has begun.
pub(crate) fn launch<A, R>(process: Process<A, R>) -> Result<Starting, StartError>
where
    A: Serialize + DeserializeOwned,
    R: Outcome,
{
    current::sweep();
    let Process { target, argument, name, daemon, worker, hidden, alone, .. } = process;
    let Process { method, forced, zygote, identity, .. } = process;
    let failed = |source| StartError::Io { name: name.clone(), source };
    let mut state = state::lock();
    if !state.initialised {
        return Err(StartError::NotInitialised);
    }
    if !hidden && state.life.as_ref().is_some_and(|life| life.childless) {
        return Err(StartError::DaemonChild { name });
    }
    let method = method.unwrap_or_else(|| *state.method.get_or_insert_default());
    let life = Life {
        name: name.clone(),
        daemon,
        childless: daemon && !worker,
        identity,
        method,
        parent: state.origin().map_err(failed)?,
        authkey: state.authkey().map_err(failed)?,
        // Where it cannot be had, only named memory misses it, and says so.
        family: if alone { None } else { state.family().ok().cloned() },
        records: logging::plan(),
    };
    drop(state);
    let point = Name::of_process(&life.identity);
    let title = Title { name: name.clone(), daemon, hidden, point };

    let trampoline: Trampoline = run::<A, R>;
    let distances = (entry::of_trampoline(trampoline), entry::of_target(target));
    let (Some(trampoline), Some(distance)) = distances else {
        return Err(StartError::ForeignTarget { name });
    };
    let unencodable = |source| StartError::Argument { name: name.clone(), source };
    let stage = if method == StartMethod::Fork && zygote.is_none() {
        let given = codec::handles(&argument).map_err(unencodable)?;
        let work = || target(argument).exit_code();
        let child = fork(&title, life, given, forced, work)?;
        if !hidden {
            state::lock().children.push(child.clone());
        }
        Stage::Forked(child)
    } else {
        let argument = codec::encode(&argument).map_err(unencodable)?;
        let task = Task { life, trampoline, target: distance };
        let asked = match (&zygote, method) {
            (None, StartMethod::Spawn | StartMethod::Fork) => Asked::Nobody,
            _ => ask(zygote.as_deref(), &task)?,
        };
        match asked {
            Asked::Server(channel, request) => {
                Stage::Served(Box::new(Served { zygote, task, argument, channel, request }))
            }
            Asked::Nobody => spawned(&title, hidden, task, argument)?,
        }
    };
    Ok(Starting { title, stage })
}

/// Asks a server for a child: the zygote, if there is one.
fn ask(zygote: Option<&Zygote>, task: &Task) -> Result<Asked, StartError> {
    match zygote {
        Some(zygote) => zygote.request(task),
        None => forkserver::request(task).map(|(channel, request)| Asked::Server(channel, request)),
    }
}

/// Starts this executable again and tells the child what it can take before it has begun.
fn spawned(
    title: &Title,
    hidden: bool,
    task: Task,
    argument: Message,
) -> Result<Stage, StartError> {
    let name = &title.name;
    let failed = |source| StartError::Io { name: name.clone(), source };
    let arguments = state::lock().arguments.clone();
    let arguments = arguments.unwrap_or_else(|| std::env::args_os().collect());
    let build = entry::build().map_err(failed)?;
    let order = codec::encode(&Order { build, task, arguments })
        .map_err(|source| StartError::Argument { name: name.clone(), source })?;
    let (child, channel) = spawn(title, hidden).map_err(failed)?;
    // Both at once, where the socket takes them in any case.
    let (first, unsent) = match order.bytes.len() + argument.bytes.len() {
        ..=SMALL => ([Some(order), Some(argument)], None),
        _ => ([Some(order), None], Some(argument)),
    };
    for message in first.into_iter().flatten() {
        if let Err(cause) = send(&channel, &message) {
            return Err(not_begun(name.clone(), &child, cause));
        }
    }
    Ok(Stage::Spawned { child, channel, unsent })
}

/// Starts this executable again, as a child that will say hello over the channel.
fn spawn(title: &Title, hidden: bool) -> io::Result<(Child, Channel)> {
    let (channel, theirs) = Channel::pair()?;
    let program = std::env::args_os().next().unwrap_or_else(|| OsString::from("child"));
    // For who reads `ps`; no argument can hold a zero.
    let shown: String = title.name.replace('\0', " ").chars().take(SHOWN).collect();
    let words = [&program, OsStr::new(CHILD), OsStr::new(&shown)];
    let pid = process::start_again(&words, theirs.as_fd())?;
    let child = Child::adopt(title, pid)?;
    if !hidden {
        state::lock().children.push(child.clone());
    }
    Ok((child, channel))
}

/// Copies this process; the child does `work`, holding what it was `given`.
fn fork(
    title: &Title,
    mut life: Life,
    given: Given,
    forced: bool,
    work: impl FnOnce() -> i32,
) -> Result<Child, StartError> {
    let name = title.name.clone();
    let failed = |source| StartError::Io { name: name.clone(), source };
    if !forced {
        let threads = process::threads().map_err(failed)?;
        if threads > 1 {
            return Err(StartError::Threads { name, threads });
        }
    }
    let Given { mut descriptors, slots } = given;
    descriptors.push(life.parent.lifeline.share());
    descriptors.extend(life.family.as_ref().map(Register::descriptor));
    let of_records = codec::handles(&life.records)
        .map_err(|source| StartError::Argument { name: name.clone(), source })?;
    descriptors.extend(of_records.descriptors);
    // What is buffered would be written by both.
    let _ = io::stdout().flush();
    let server = forkserver::hold();
    let mut state = state::lock();
    let held = exit::hold();
    let logging = logging::hold();
    match process::fork().map_err(failed)? {
        Side::Child => {
            held.begin(&descriptors);
            drop(logging);
            point::begin();
            let slots = slots.keep();
            // As the very last: of the lowest priority, and the first that is registered.
            exit::at_the_end(move || {
                slots.iter().filter_map(Weak::upgrade).for_each(|slot| slot.let_go());
            });
            server.forget();
            let armed = life.take_up();
            state.begin(life);
            drop(state);
            live_forked(|| match armed {
                Ok(()) => work(),
                Err(error) => without_parent(&error.to_string()),
            })
        }
        Side::Parent { child } => {
            slots.hand_over();
            drop((logging, held, server));
            drop(state);
            Child::adopt(title, child).map_err(failed)
        }
    }
}

impl Starting {
    /// Waits until the child has its argument.
    pub(crate) fn begun(self) -> Result<Child, StartError> {
        let hidden = self.title.hidden;
        let child = self.has_begun()?;
        if !hidden {
            event!("{} (pid {}) has started", child.name(), child.pid());
        }
        Ok(child)
    }

    fn has_begun(self) -> Result<Child, StartError> {
        let Self { title, stage } = self;
        let name = title.name.clone();
        match stage {
            Stage::Forked(child) => Ok(child),
            Stage::Spawned { child, channel, unsent } => {
                match greet(&child, &channel).and_then(|()| confirm(&child, &channel, unsent)) {
                    Ok(()) => Ok(child),
                    Err(cause) => Err(not_begun(name, &child, cause)),
                }
            }
            Stage::Served(served) => served.begun(&title),
        }
    }

    /// Ends it, and waits for its end.
    pub(super) fn stop(self) {
        match self.stage {
            Stage::Forked(child) | Stage::Spawned { child, .. } => server::stop(&child),
            // Whoever makes it gives up when nobody is there to give it its argument.
            Stage::Served(_) => {}
        }
    }
}

impl Served {
    fn begun(self, title: &Title) -> Result<Child, StartError> {
        let Self { zygote, task, argument, mut channel, mut request } = self;
        // A server that dies before it has made the child is asked for it once more.
        for may_ask in [true, false] {
            if zygote.as_ref().map_or(Ok(false), |zygote| zygote.is_unfit())? {
                let stage = spawned(title, false, task, argument)?;
                return Starting { title: title.clone(), stage }.has_begun();
            }
            if let Some(child) = served(title, &argument, &channel, &request)? {
                return Ok(child);
            }
            if may_ask && let Asked::Server(next, asked) = ask(zygote.as_deref(), &task)? {
                (channel, request) = (next, asked);
            }
        }
        Err(StartError::Io {
            name: title.name.clone(),
            source: io::Error::other("the fork server was killed twice"),
        })
    }
}

/// Waits for a spawned child to reach `init`, in this same executable.
fn greet(child: &Child, channel: &Channel) -> Result<(), NotBegun> {
    match listen(channel, Some(child), Some(UNTIL_INIT))? {
        Some(Report::Hello(build)) if build == entry::build()? => Ok(()),
        Some(Report::Hello(_)) => Err(NotBegun::Other),
        other => Err(unwelcome(other)),
    }
}

/// Sends what is still to be sent, and waits for the child to have its argument.
fn confirm(child: &Child, channel: &Channel, unsent: Option<Message>) -> Result<(), NotBegun> {
    if let Some(message) = unsent {
        send(channel, &message)?;
    }
    match listen(channel, Some(child), None)? {
        Some(Report::Begun) => Ok(()),
        other => Err(unwelcome(other)),
    }
}

/// Waits for a child of the fork server; `None` where the server died before it made one.
fn served(
    title: &Title,
    argument: &Message,
    channel: &Channel,
    request: &Request,
) -> Result<Option<Child>, StartError> {
    let answer = send(channel, argument).and_then(|()| listen(channel, None, None));
    let name = &title.name;
    let failed = |source| StartError::Io { name: name.to_string(), source };
    let Some(pid) = request.pid() else {
        return match answer {
            Ok(None) => Ok(None),
            Ok(Some(Report::Refused(reason))) => {
                Err(StartError::Refused { name: name.to_string(), reason })
            }
            Ok(Some(_)) => Err(failed(io::Error::other("a report came from a child that is none"))),
            Err(NotBegun::Io(error)) => Err(failed(error)),
            Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
        };
    };
    let child = Child::adopt(title, pid).map_err(failed)?;
    match answer {
        Ok(Some(Report::Begun)) => {
            state::lock().children.push(child.clone());
            Ok(Some(child))
        }
        Ok(other) => Err(not_begun(name.to_string(), &child, unwelcome(other))),
        Err(cause) => Err(not_begun(name.to_string(), &child, cause)),
    }
}

fn send(channel: &Channel, message: &Message) -> Result<(), NotBegun> {
    match channel.send(message) {
        // What the other side has to say about it is still to be read.
        Ok(()) | Err(SendError::Closed) => Ok(()),
        Err(SendError::Io(error)) => Err(NotBegun::Io(error)),
        Err(error) => Err(NotBegun::Io(io::Error::other(error))),
    }
}

/// The next report; `None` where the other side ended without one.
fn listen(
    channel: &Channel,
    child: Option<&Child>,
    limit: Option<Duration>,
) -> Result<Option<Report>, NotBegun> {
    let mut watched = vec![(channel.as_fd(), Interest::Read)];
    watched.extend(child.map(|child| (child.as_fd(), Interest::Read)));
    let news = socket::poll(&watched, limit)?;
    if !news.iter().any(|news| news.readable) {
        return Err(NotBegun::Late);
    }
    // Somebody else may hold the dead child's end open; but what it said before is there.
    if !channel.poll(Some(Duration::ZERO))? {
        return Ok(None);
    }
    match channel.receive(MAX_REPORT) {
        Ok(frame) => match codec::decode(&frame.bytes, frame.descriptors) {
            Ok(report) => Ok(Some(report)),
            Err(error) => Err(NotBegun::Io(io::Error::other(error))),
        },
        Err(RecvError::Eof | RecvError::Truncated) => Ok(None),
        Err(error) => Err(NotBegun::Io(io::Error::other(error))),
    }
}

/// What it means that something else was said than what was hoped for.
fn unwelcome(report: Option<Report>) -> NotBegun {
    match report {
        None => NotBegun::Silent,
        Some(Report::Refused(reason)) => NotBegun::Refused(reason),
        Some(_) => NotBegun::Io(io::Error::other("its reports came in the wrong order")),
    }
}

/// The error of a child that has not begun, which is ended and collected.
fn not_begun(name: String, child: &Child, cause: NotBegun) -> StartError {
    // Nothing to one that has ended by itself; its exit tells how.
    let _ = child.kill();
    let exit = child.join();
    match (cause, exit) {
        (NotBegun::Silent, Ok(exit)) => StartError::EndedEarly { name, exit },
        (NotBegun::Silent, Err(error)) => StartError::Io { name, source: io::Error::other(error) },
        (NotBegun::Late, _) => StartError::NotReached { name },
        (NotBegun::Other, _) => StartError::OtherExecutable { name },
        (NotBegun::Refused(reason), _) => StartError::Refused { name, reason },
        (NotBegun::Io(source), _) => StartError::Io { name, source },
    }
}

#[cfg(test)]
mod tests {
    use super::super::begin::{NOT_BEGUN, tell};
    use super::*;
    use crate::sys::entry::Build;

    fn title() -> Title {
        let point = Name::of_process(&[1]);
        Title { name: "one".to_string(), daemon: true, hidden: true, point }
    }

    /// Starts the test program as a child and tells it `order`; what it answers behind its hello.
    fn answer_to(order: impl FnOnce(&Channel, Build)) -> (Option<Report>, Exit) {
        let (child, channel) = spawn(&title(), true).unwrap();
        let hello = listen(&channel, Some(&child), Some(UNTIL_INIT)).ok().flatten();
        let Some(Report::Hello(build)) = hello else { panic!("{hello:?}") };
        order(&channel, build);
        let report = listen(&channel, Some(&child), None).ok().flatten();
        drop(channel);
        (report, child.join().unwrap())
    }

    fn refusal(report: Option<Report>) -> String {
        match report {
            Some(Report::Refused(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_child_refuses_a_parent_that_runs_another_executable() {
        let (report, exit) = answer_to(|channel, build| {
            let mut state = state::lock();
            let life = Life {
                name: "one".into(),
                daemon: false,
                childless: false,
                identity: vec![1],
                method: StartMethod::Spawn,
                parent: state.origin().unwrap(),
                authkey: Vec::new(),
                family: None,
                records: None,
            };
            let task = Task { life, trampoline: 0, target: 0 };
            let order = Order { build: build.of_another(), task, arguments: Vec::new() };
            channel.send(&codec::encode(&order).unwrap()).unwrap();
        });
        assert_eq!(refusal(report), "its parent is another program");
        assert_eq!(exit, Exit::Code(NOT_BEGUN));
    }

    #[test]
    fn a_child_refuses_what_is_no_order() {
        let (report, _) = answer_to(|channel, _| channel.send_bytes(b"rubbish").unwrap());
        assert!(refusal(report).contains("cannot be decoded"));
    }

    #[test]
    fn a_child_whose_parent_says_nothing_leaves() {
        let (child, channel) = spawn(&title(), true).unwrap();
        drop(channel);
        assert_eq!(child.join().unwrap(), Exit::Code(NOT_BEGUN));
    }

    #[test]
    fn a_parent_refuses_a_child_that_runs_another_executable() {
        let (child, _channel) = spawn(&title(), true).unwrap();
        let (ours, theirs) = Channel::pair().unwrap();
        tell(&theirs, &Report::Hello(entry::build().unwrap().of_another())).unwrap();
        let cause = greet(&child, &ours).unwrap_err();
        let error = not_begun("one".into(), &child, cause);
        assert!(matches!(error, StartError::OtherExecutable { .. }), "{error:?}");
        assert!(!child.is_alive());
    }

    #[test]
    fn a_child_that_is_not_heard_of_in_time_is_late() {
        let (child, _channel) = spawn(&title(), true).unwrap();
        let (ours, _theirs) = Channel::pair().unwrap();
        let cause = listen(&ours, None, Some(Duration::from_millis(1))).unwrap_err();
        let error = not_begun("one".into(), &child, cause);
        assert!(matches!(error, StartError::NotReached { .. }), "{error:?}");
    }
}
