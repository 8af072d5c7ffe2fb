//! # 5.1 How many processors there are (Processes, CIS 41B)
//!
//! The machine has a number of processors, and a process may use all of them or only some.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin cpu_count
//! cpu_count: [N]
//! usable by this process: [N]
//! ```
//!
//! Observe: the second number is never larger. It is the one to ask for when you choose the size of a
//! pool: in a container or on a shared machine it may be the smaller one.
//! Try: `taskset -c 0 cargo run -p lesson05-processes --bin cpu_count`.

use common::cpu;

fn main() {
    println!("cpu_count: {}", cpu::count());
    println!("usable by this process: {}", cpu::usable());
}
