//! # 5.1 Overriding `run`: a value that runs (multiprocessing Module)
//!
//! A type with a method `run` is a process's work together with the data for it.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin process_run_override
//! Hello world from the overridden run()
//! exitcode=Some(0)
//! ```
//!
//! Observe: what stands in the fields is there in the child. Python overrides `run` in a subclass of
//! `Process`; here a type says what it does by implementing `Run`.
//! Try: let `run` return an exit code, 7: `impl Run<i32> for Greeter`, and `fn run(self) -> i32`. Which line changes?

use common::Process;
use common::process::Run;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Greeter {
    name: String,
}

impl Run for Greeter {
    fn run(self) {
        println!("Hello {} from the overridden run()", self.name);
    }
}

fn main() -> common::Result<()> {
    common::init();
    let process = Process::of(Greeter { name: "world".to_string() }).start()?;
    process.join()?;
    println!("exitcode={:?}", process.exitcode());
    Ok(())
}
