//! Start a function in a process of its own, and wait for it (in Python: `Process`).
//!
//! A child is this executable, started again. [`init`], the first line of `main`, sees that it runs
//! in a child, receives the function (as its distance in the executable) and its argument over a
//! socket that the parent gave it, calls it, and leaves. It never returns to the child's `main`.
//!
//! A child holds the standard streams and what its argument brings, and no other descriptor.

mod child;
mod start;

pub use child::{Child, Exit, JoinError};
pub use start::{Outcome, StartError, init, is_child};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A process that has not been started (in Python: `Process`).
///
/// The target is a function of one argument; a tuple or a struct holds several. A closure will do
/// where it captures nothing: what it needs goes into the argument.
///
/// ```
/// use common::Process;
///
/// fn add((a, b): (u32, u32)) {
///     println!("{}", a + b);
/// }
///
/// # common::init();
/// let child = Process::new(add, (1, 2)).name("adder").start()?;
/// assert_eq!(child.name(), "adder");
/// child.join()?;
/// # common::Result::Ok(())
/// ```
///
/// What is captured cannot travel, and the compiler says so:
///
/// ```compile_fail
/// let secret = 7;
/// common::Process::new(|x: u32| println!("{}", x + secret), 1);
/// ```
#[derive(Debug)]
#[must_use = "a process runs after start()"]
pub struct Process<A, R> {
    target: fn(A) -> R,
    argument: A,
    name: Option<String>,
}

impl<A: Serialize + DeserializeOwned, R: Outcome> Process<A, R> {
    /// A process that will call `target` with `argument`.
    pub fn new(target: fn(A) -> R, argument: A) -> Self {
        Self { target, argument, name: None }
    }

    /// Names it; without this it is `Process-N`, N counting the processes that this one has made.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Starts it. The argument is encoded and sent; this process's copy of it is dropped, so a
    /// connection inside it is open in the child only.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; nothing is left running then.
    pub fn start(self) -> Result<Child, StartError> {
        start::start(self.target, &self.argument, self.name)
    }
}
