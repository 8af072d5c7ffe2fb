//! # 5.1 A processor of its own (Processes, CIS 41B)
//!
//! A process may say on which processors it is to run; its children inherit that.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin cpu_affinity
//! before:  [N all] of [N all] processors
//! bound:   1 processor
//! child:   1 processor, and it runs there: true
//! unbound: [N all] of [N all] processors
//! ```
//!
//! Observe: unless a process asks, the scheduler decides, and may move it at any moment: that "each process runs on a
//! different processor" (*Processes, CIS 41B*) is its goal, and no rule. Binding helps where caches matter, and harms
//! where others need the same processor.
//! Try: after the binding, start two children that count to a billion each (with `black_box`), and take the time
//! until both are joined. How long do they take without the binding?

use common::{Process, cpu};
use std::fs;

/// The processor on which this process was seen last.
fn processor() -> Option<usize> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    stat.split(' ').nth(38)?.parse().ok()
}

fn child(bound_to: usize) {
    let count = cpu::usable();
    let is_there = processor() == Some(bound_to);
    println!("child:   {count} processor, and it runs there: {is_there}");
}

fn main() -> common::Result<()> {
    common::init();
    let all = cpu::affinity()?;
    println!("before:  {} of {} processors", cpu::usable(), all.len());
    let last = all.last().copied().unwrap_or(0);
    cpu::set_affinity(&[last])?;
    println!("bound:   {} processor", cpu::usable());
    Process::new(child, last).start()?.join()?;
    cpu::set_affinity(&all)?;
    println!("unbound: {} of {} processors", cpu::usable(), all.len());
    Ok(())
}
