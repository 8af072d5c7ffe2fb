//! Processes as in Python's `multiprocessing`, typed, and right when one of them is killed.
//!
//! Read the modules in this order:
//!
//! | module | what it is | Python |
//! | --- | --- | --- |
//! | [`process`] | start a function in a process of its own, wait for it | `Process` |
//! | [`connection`] | two ends of a pipe that carry typed messages; meeting at an address | `Pipe`, `Listener` |
//! | [`cpu`] | how many processors there are, and which a process may use | `cpu_count` |
//! | [`sync`] | wait for what another process does | `Lock` … `Barrier` |
//! | [`value`] | one value that several processes see, and its lock | `Value` |
//! | [`mod@array`] | many values, and one lock | `Array` |
//! | [`atomic_value`] | a number that is changed in single steps | `RawValue` |
//! | [`shared_memory`] | memory with a name, which Python programs find too | `shared_memory` |
//! | [`queue`] | items that any number of processes put and get | `Queue` |
//! | [`pool`] | a fixed number of processes that share out the calls | `Pool` |
//! | [`executor`] | the same, each call a future that can be cancelled | `ProcessPoolExecutor` |
//! | [`manager`] | objects in a server process, used from any other | `Manager` |
//! | [`thread_pool`] | the same calls by threads, to compare | `ThreadPool` |
//! | [`log`] | a log with a stopwatch | the course's `Log` |
//! | [`logging`] | log records of all processes in one place | `get_logger` |
//! | `plot` | lines and bars, with the feature of that name | the course's `Plots` |
//! | [`point`] | what every operation passes first, for whoever wants to watch | |
//! | [`ipc`] | message queues and memory of System V and POSIX | |
//! | [`bytes`] | numbers in a struct that travel whole | |
//! | [`codec`] | what a message looks like, and its limits | `pickle` |
//! | [`error`] | every error in one type, for `main` | |
//!
//! Every program that starts processes begins its `main` with [`init`]:
//!
//! ```
//! use common::Process;
//!
//! fn greet(name: String) {
//!     println!("hello, {name}");
//! }
//!
//! fn main() -> common::Result<()> {
//!     common::init();
//!     let child = Process::new(greet, "Ada".to_string()).start()?;
//!     assert_eq!(child.join()?.code(), Some(0));
//!     Ok(())
//! }
//! ```
//!
//! # Which one when
//!
//! | you want to | take |
//! | --- | --- |
//! | run one function beside the program | [`Process`] |
//! | call one function for many inputs, on all cores | [`Pool`] |
//! | the same, and ask for each value later | [`ProcessPoolExecutor`] |
//! | let two processes talk | [`pipe()`] |
//! | let any number of them put and get items | [`Queue`] |
//! | the same, and know when all of them are done | [`JoinableQueue`] |
//! | keep others out while you change something | [`sync::Lock`] |
//! | wait until another process has done something | [`sync::Condition`], [`sync::Event`] |
//! | go on together, step by step | [`sync::Barrier`] |
//! | let several processes change one value | [`Value`] |
//! | the same for many values of one type | [`Array`] |
//! | count what several processes do, without a lock | [`AtomicValue`] |
//! | let several processes change lists, dictionaries, objects of your own | [`Manager`] |
//! | talk to a process that you did not start, by an address | [`connection::Listener`], [`connection::Client`] |
//! | let several processes see the same numbers, by a name | [`SharedMemory`] |
//! | the same for a few values of several kinds | [`ShareableList`] |

#[cfg(not(target_os = "linux"))]
compile_error!(
    "common runs on Linux (also in WSL2 and in containers); see the section \
     \"macOS and Windows\" of the README for how to work from those systems"
);

pub mod process;

pub mod connection;
pub mod cpu;
pub mod sync;

pub mod array;
pub mod atomic_value;
pub mod value;

pub mod shared_memory;

pub mod queue;

pub mod pool;

pub mod executor;
pub mod manager;
pub mod thread_pool;

pub mod bytes;
pub mod codec;
pub mod error;
pub mod ipc;
pub mod log;
pub mod logging;
#[cfg(feature = "plot")]
pub mod plot;
pub mod point;

mod shared;
mod sys;
mod timer;

pub use self::log::Log;
pub use self::shared_memory::{ShareableList, ShareableValue, SharedMemory};
pub use array::Array;
pub use atomic_value::AtomicValue;
pub use connection::{Connection, Receiver, Sender, one_way_pipe, pipe};
pub use error::{Error, Result};
pub use executor::ProcessPoolExecutor;
pub use logging::log_to_stderr;
pub use manager::Manager;
pub use pool::Pool;
pub use process::{Child, Exit, Process, Signal, StartMethod, init, is_child, set_start_method};
pub use queue::{JoinableQueue, Queue};
pub use thread_pool::ThreadPool;
pub use value::{Plain, Value};
