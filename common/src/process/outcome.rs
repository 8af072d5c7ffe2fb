//! What a target may return, and what else may be one.

use std::fmt;
use std::io::{self, Write as _};

/// What a target may return, and the exit code it gives, as for `main` (in Python: what a process
/// passes to `sys.exit`, or the exception that ends it).
pub trait Outcome {
    /// The exit code; an error is printed on standard error.
    fn exit_code(self) -> i32;
}

/// Success: 0.
impl Outcome for () {
    fn exit_code(self) -> i32 {
        0
    }
}

/// The code itself; the system keeps its lowest eight bits.
impl Outcome for i32 {
    fn exit_code(self) -> i32 {
        self
    }
}

/// `Ok` counts as its value; `Err` is printed and gives 1.
impl<T: Outcome, E: fmt::Debug> Outcome for Result<T, E> {
    fn exit_code(self) -> i32 {
        match self {
            Ok(value) => value.exit_code(),
            Err(error) => {
                let _ = writeln!(io::stderr(), "Error: {error:?}");
                1
            }
        }
    }
}

/// A value that is a process's work by itself (in Python: a subclass of `Process` with a `run`).
///
/// ```
/// use common::Process;
/// use common::process::Run;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Greeter {
///     name: String,
/// }
///
/// impl Run for Greeter {
///     fn run(self) {
///         println!("hello, {}", self.name);
///     }
/// }
///
/// # common::init();
/// let child = Process::of(Greeter { name: "Ada".to_string() }).start()?;
/// assert!(child.join()?.is_success());
/// # common::Result::Ok(())
/// ```
pub trait Run<R: Outcome = ()> {
    /// What the process does.
    fn run(self) -> R;
}
