//! Wait for whatever comes first (in Python: `multiprocessing.connection.wait`).

use crate::point::{self, Name, Operation};
use crate::process;
use crate::sys::socket::{self, Interest};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// Waits until at least one of `objects` is ready, at most for `limit` (`None`: for ever), and says
/// which, by their places in `objects`; none of them where the time was up first.
///
/// An object is whatever has a descriptor: a [`Connection`](crate::Connection) is ready when there
/// is a message or the end to receive, a [`Child`](crate::Child) when it has ended, a
/// [`Parent`](crate::process::Parent) as well, a socket or pipe of the program when it can be read.
///
/// ```
/// use common::connection::{pipe, wait};
/// use std::time::Duration;
///
/// let (left, right) = pipe::<u8, u8>()?;
/// assert_eq!(wait(&[&left, &right], Some(Duration::ZERO))?, []);
/// left.send(&1)?;
/// assert_eq!(wait(&[&left, &right], None)?, [1]);
/// # common::Result::Ok(())
/// ```
///
/// # Errors
///
/// EBADF where this process was forked and was not given one of them.
#[track_caller]
pub fn wait(objects: &[&dyn AsFd], limit: Option<Duration>) -> io::Result<Vec<usize>> {
    // Of several objects, and also of the program's own: it is this process that does it.
    point::before_of(Operation::Poll, || Name::of_process(&process::path()));
    let watched: Vec<_> = objects.iter().map(|object| (object.as_fd(), Interest::Read)).collect();
    let news = socket::poll(&watched, limit)?;
    Ok((0..news.len()).filter(|&place| news[place].readable).collect())
}
