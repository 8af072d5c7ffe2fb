//! A queue with the fewest words (in Python: `SimpleQueue`).

use super::{GetError, PutError, Queue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;

/// A [`Queue`] of which any number of items wait, that nobody ends, and that waits without a limit.
///
/// In Python it is the quicker one, because it has no thread. Here it is the same, and there for programs that
/// need no more.
///
/// ```
/// let queue = common::queue::SimpleQueue::new()?;
/// queue.put("hello".to_string())?;
/// assert_eq!(queue.get()?, "hello");
/// assert!(queue.is_empty());
/// # common::Result::Ok(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "T: 'static")]
pub struct SimpleQueue<T>(Queue<T>);

impl<T> SimpleQueue<T> {
    /// A new queue.
    ///
    /// # Errors
    ///
    /// As for [`Queue::new`].
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        Queue::new().map(Self)
    }

    /// Whether none waits at this moment.
    #[doc(alias = "empty")]
    #[must_use]
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the putting of this handle, as [`Queue::close`] does.
    #[track_caller]
    pub fn close(&self) {
        self.0.close();
    }
}

impl<T: Serialize + 'static> SimpleQueue<T> {
    /// Puts an item at the end.
    ///
    /// # Errors
    ///
    /// As for [`Queue::put`].
    #[track_caller]
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.0.put(item)
    }
}

impl<T: DeserializeOwned + 'static> SimpleQueue<T> {
    /// Takes the first item; waits for one.
    ///
    /// # Errors
    ///
    /// As for [`Queue::get`].
    #[track_caller]
    pub fn get(&self) -> Result<T, GetError> {
        self.0.get()
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Simple{:?}", self.0)
    }
}
