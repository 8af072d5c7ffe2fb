//! The peer `limit`: the machine itself, measured by bare calls. Everything else is compared with it.
//!
//! | file | what it measures |
//! | --- | --- |
//! | `memory.rs` | copies, new pages, the cheapest kernel calls |
//! | `processes.rs` | fork, spawn, a fork server, a child that waits already |
//! | `round_trips.rs` | there and back: pipes, sockets, rings, a descriptor inside a message |
//! | `streams.rs` | one way: the same, small and large |
//! | `locks.rs` | lock and unlock, alone and against another; turns |
//! | `pool.rs` | two workers over rings, or over shared memory |
//! | `shared_memory.rs` | create and attach |
//! | `deaths.rs` | how soon a death is noticed |

mod deaths;
mod locks;
mod memory;
mod pool;
mod processes;
mod round_trips;
mod shared_memory;
mod streams;

use peers::Run;
use peers::ring::Patience;

/// How often the rings look before they sleep: about 50 µs on a usual machine.
const SPIN: u32 = 2000;

/// The rings differ in their patience.
const RINGS: [(&str, Patience); 3] = [
    ("limit:ring-spin", Patience::SPIN),
    ("limit:ring-adaptive", Patience::ADAPT),
    ("limit:ring-futex", Patience::NONE),
];

fn main() {
    let run = Run::from_arguments("limit");
    memory::bench(&run);
    processes::bench(&run);
    round_trips::bench(&run);
    streams::bench(&run);
    locks::bench(&run);
    pool::bench(&run);
    shared_memory::bench(&run);
    deaths::bench(&run);
}
