//! `CPython`'s behaviours, as its own tests of processes and connections check them.
//!
//! `rows.toml` has a row for each. A trial is named by the number of its row and a sentence, and ends
//! with the start method under which it runs: `c011_terminate_gives_minus_15::spawn`. What has a trial
//! counts as tested; `cargo xtask conformance` shows what has none. Trials of behaviours that `CPython`
//! shows and does not test are named `edge_...`.
//!
//! | file | what it is about |
//! | --- | --- |
//! | [`trial`] | how a trial runs |
//! | [`process`] | a process, from its making to its end |
//! | [`start_methods`] | the three ways to start one, and hooks of the server |
//! | [`connection`] | messages and handles between processes |
//! | [`wait`] | polling, and waiting for several at once |
//! | [`lock`] | locks |
//! | [`semaphore`] | semaphores |
//! | [`condition`] | conditions and events |
//! | [`barrier`] | barriers |
//! | [`signals`] | calls that a signal interrupts |
//! | [`program`] | a program beside a trial |
//! | [`shared_memory`] | blocks and lists with a name |
//! | [`value`] | values and arrays, and the allocator beneath them |
//! | [`tracker`] | what removes them after a program that is killed |
//! | [`queue`] | queues, also those that can be joined |
//! | [`pool`] | pools, and the life of their workers |
//! | [`executor`] | executors: calls, death, the end |
//! | [`futures`] | futures, and waiting for several |
//! | [`listener`] | listeners, clients and keys |
//! | [`manager`] | managers and the proxies of their objects |
//! | [`logging`] | log records of all processes |
//! | [`finalize`] | what runs at the end |
//! | [`edge`] | the rest |

mod barrier;
mod condition;
mod connection;
mod edge;
mod executor;
mod finalize;
mod futures;
mod listener;
mod lock;
mod logging;
mod manager;
mod pool;
mod process;
mod program;
mod queue;
mod semaphore;
mod shared_memory;
mod signals;
mod start_methods;
mod tracker;
mod trial;
mod value;
mod wait;

fn main() {
    common::init();
    let trials = [
        process::trials(),
        start_methods::trials(),
        connection::trials(),
        wait::trials(),
        lock::trials(),
        semaphore::trials(),
        condition::trials(),
        barrier::trials(),
        signals::trials(),
        value::trials(),
        shared_memory::trials(),
        tracker::trials(),
        queue::trials(),
        pool::trials(),
        executor::trials(),
        futures::trials(),
        listener::trials(),
        manager::trials(),
        logging::trials(),
        finalize::trials(),
        edge::trials(),
    ];
    trial::run(trials.concat());
}
