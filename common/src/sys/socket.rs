//! Socket pairs that carry bytes and descriptors, and `poll`.
//!
//! Descriptors ride on a byte: a send attaches at most [`MAX_DESCRIPTORS`] to what it writes, and
//! they arrive with the first of those bytes. Every descriptor that arrives is owned at once, also
//! where the kernel had to drop some, so none can be lost.
//!
//! # System calls
//!
//! `socketpair(2)`, `sendmsg(2)` and `recvmsg(2)` with `SCM_RIGHTS` (`unix(7)`, `cmsg(3)`), `poll(2)`.

use super::retry;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrLike as _,
    SockaddrStorage, UnixAddr, getsockname, recv, sendmsg, setsockopt, socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::slice;
use std::time::{Duration, Instant};

/// How many descriptors the kernel takes in one message (`SCM_MAX_FD`).
pub(crate) const MAX_DESCRIPTORS: usize = 253;

/// Two connected stream sockets.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Two connected sockets that carry messages: each is taken whole, whoever else sends or takes at the same time.
pub(crate) fn door() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// The name of a Unix socket.
#[derive(Clone, Copy)]
pub(crate) enum UnixName<'a> {
    Path(&'a Path),
    Abstract(&'a [u8]),
}

impl<'a> From<&'a PathBuf> for UnixName<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::Path(path)
    }
}

impl<'a> From<&'a [u8]> for UnixName<'a> {
    fn from(name: &'a [u8]) -> Self {
        Self::Abstract(name)
    }
}

/// Connects to who listens at a name, and waits for a place in its line at most for `limit`.
///
/// # Errors
///
/// `WouldBlock` where the line was full for so long.
pub(crate) fn connect(name: UnixName<'_>, limit: Duration) -> io::Result<OwnedFd> {
    let socket = nix::sys::socket::socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let address = match name {
        UnixName::Path(path) => UnixAddr::new(path)?,
        UnixName::Abstract(name) => UnixAddr::new_abstract(name)?,
    };
    let since = Instant::now();
    loop {
        let left = limit.saturating_sub(since.elapsed()).as_micros();
        // No time would be no limit.
        let left = i64::try_from(left).unwrap_or(i64::MAX).max(1);
        setsockopt(&socket, sockopt::SendTimeout, &TimeVal::microseconds(left))?;
        match nix::sys::socket::connect(socket.as_raw_fd(), &address) {
            Err(Errno::EINTR) if since.elapsed() < limit => {}
            Err(Errno::EINTR) => return Err(Errno::EAGAIN.into()),
            connected => break connected?,
        }
    }
    setsockopt(&socket, sockopt::SendTimeout, &TimeVal::zero())?;
    Ok(socket)
}

/// Writes some of `parts` with `descriptors` on the first byte, and says how many bytes it took.
///
/// # Errors
///
/// EPIPE where the other end is closed (no SIGPIPE is raised).
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    descriptors: &[RawFd],
) -> io::Result<usize> {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let control = if descriptors.is_empty() { &[][..] } else { &rights[..] };
    retry(|| sendmsg::<()>(socket.as_raw_fd(), parts, control, MsgFlags::MSG_NOSIGNAL, None))
}

/// Room for one control message with [`MAX_DESCRIPTORS`], aligned for its header.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// `CMSG_SPACE(MAX_DESCRIPTORS * 4)`, rounded up to whole words.
const CONTROL: usize = HEADER + (MAX_DESCRIPTORS * 4).next_multiple_of(8);
/// A `cmsghdr`: length, level, type.
const HEADER: usize = size_of::<libc::cmsghdr>();

/// Whether a call has failed because this process has as many descriptors as it may.
pub(crate) fn no_descriptor_is_free(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMFILE)
}

/// Reads into `buffer`, adds arrived descriptors to `descriptors`, and says how many bytes came.
/// Without `descriptors` the call is cheaper, and the kernel closes what comes.
///
/// 0 is the end: the other side is closed.
///
/// # Errors
///
/// EMFILE where this process could not hold all descriptors that were sent.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: Option<&mut Vec<OwnedFd>>,
) -> io::Result<usize> {
    receive_raw(socket, buffer.as_mut_ptr(), buffer.len(), descriptors)
}

/// Reads at most `len` bytes to `start`, which must be memory of this caller's.
fn receive_raw(
    socket: BorrowedFd<'_>,
    start: *mut u8,
    len: usize,
    descriptors: Option<&mut Vec<OwnedFd>>,
) -> io::Result<usize> {
    let mut control = MaybeUninit::<Control>::uninit();
    let mut part = libc::iovec { iov_base: start.cast(), iov_len: len };
    // SAFETY: all fields of the record may be zero.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if descriptors.is_some() {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL as _;
    }
    let read = retry(|| {
        // SAFETY: the record points at a buffer and a control area that live through the call.
        let result =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        Errno::result(result)
    })?;
    #[allow(clippy::unnecessary_cast, reason = "the field's type differs between C libraries")]
    let used = (message.msg_controllen as usize).min(CONTROL);
    // SAFETY: the kernel has written as many bytes as it says.
    let control = unsafe { slice::from_raw_parts(control.as_ptr().cast::<u8>(), used) };
    if let Some(descriptors) = descriptors {
        own_descriptors(control, descriptors);
        if message.msg_flags & libc::MSG_CTRUNC != 0 {
            return Err(Errno::EMFILE.into());
        }
    }
    Ok(read as usize)
}

/// Reads at most `most` bytes behind those in `buffer`, into room that it has already.
pub(crate) fn receive_more(
    socket: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    most: usize,
    descriptors: Option<&mut Vec<OwnedFd>>,
) -> io::Result<usize> {
    let room = buffer.spare_capacity_mut();
    let most = most.min(room.len());
    let read = receive_raw(socket, room.as_mut_ptr().cast(), most, descriptors)?;
    let len = buffer.len() + read;
    // SAFETY: the kernel has written `read` bytes into the room, which holds at least `most`.
    unsafe { buffer.set_len(len) };
    Ok(read)
}

/// Whether the other end is on this machine, and takes descriptors.
pub(crate) fn is_local(socket: BorrowedFd<'_>) -> bool {
    let address = getsockname::<SockaddrStorage>(socket.as_raw_fd());
    address.is_ok_and(|address| address.family() == Some(AddressFamily::Unix))
}

/// Whether the other end is closed, and nothing that it has sent is left to read; also over TCP, where
/// [`poll`] does not tell.
pub(crate) fn has_ended(socket: BorrowedFd<'_>) -> bool {
    let look = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    match retry(|| recv(socket.as_raw_fd(), &mut [0], look)) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Lets no more come in; who sends is told that nobody receives.
pub(crate) fn stop_reading(socket: BorrowedFd<'_>) {
    // Where the other side is gone already, that is as good.
    let _ = nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Read);
}

/// Whether an error says that there is no such descriptor in this process.
pub(crate) fn is_nowhere(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}

/// Takes every descriptor that the control messages in `control` carry.
fn own_descriptors(mut control: &[u8], descriptors: &mut Vec<OwnedFd>) {
    while control.len() >= HEADER {
        let word = |at: usize| i32::from_ne_bytes(control[at..at + 4].try_into().expect("4 bytes"));
        let size = size_of::<usize>();
        let len = usize::from_ne_bytes(control[..size].try_into().expect("a word"));
        let len = len.min(control.len());
        if len < HEADER {
            return;
        }
        if (word(size), word(size + 4)) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            for number in control[HEADER..len].chunks_exact(4) {
                let number = RawFd::from_ne_bytes(number.try_into().expect("4 bytes"));
                // SAFETY: the kernel has just made this descriptor for this message.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        control = &control[len.next_multiple_of(size).min(control.len())..];
    }
}

/// What [`poll`] saw at a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// There is something to read, or the end to be read.
    pub(crate) readable: bool,
    /// The other side has closed.
    pub(crate) closed: bool,
}

/// What [`poll`] shall wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Something to read, or the end.
    Read,
    /// Only the end: data does not count.
    Close,
}

/// Waits until something happens at one of `watched`, at most for `limit`; all quiet when it ends.
///
/// # Errors
///
/// EBADF where this process does not hold one of them.
pub(crate) fn poll(
    watched: &[(BorrowedFd<'_>, Interest)],
    limit: Option<Duration>,
) -> io::Result<Vec<Ready>> {
    let mut entries: Vec<PollFd<'_>> = watched
        .iter()
        .map(|&(descriptor, interest)| {
            let flags = match interest {
                Interest::Read => PollFlags::POLLIN,
                Interest::Close => PollFlags::empty(),
            };
            PollFd::new(descriptor, flags)
        })
        .collect();
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    retry(|| {
        let left = match deadline {
            None => PollTimeout::NONE,
            // Rounded up: a wait may end late, never early.
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let millis = left.as_nanos().div_ceil(1_000_000);
                i32::try_from(millis)
                    .ok()
                    .and_then(|millis| millis.try_into().ok())
                    .unwrap_or(PollTimeout::MAX)
            }
        };
        nix::poll::poll(&mut entries, left)
    })?;
    let seen = |entry: &PollFd<'_>| entry.revents().unwrap_or(PollFlags::empty());
    if entries.iter().any(|entry| seen(entry).contains(PollFlags::POLLNVAL)) {
        return Err(Errno::EBADF.into());
    }
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    Ok(entries
        .iter()
        .map(|entry| {
            let seen = seen(entry);
            Ready { readable: !seen.is_empty(), closed: seen.intersects(gone) }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn bytes_and_descriptors_arrive_together() {
        let (left, right) = pair().unwrap();
        let (sent, kept) = pair().unwrap();
        let parts = [IoSlice::new(b"hel"), IoSlice::new(b"lo")];
        assert_eq!(send(left.as_fd(), &parts, &[sent.as_raw_fd()]).unwrap(), 5);
        drop(sent);
        let (mut buffer, mut descriptors) = ([0; 16], Vec::new());
        assert_eq!(receive(right.as_fd(), &mut buffer, Some(&mut descriptors)).unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
        // What arrived is the other end of what was kept.
        send(descriptors[0].as_fd(), &[IoSlice::new(b"x")], &[]).unwrap();
        assert_eq!(receive(kept.as_fd(), &mut buffer, None).unwrap(), 1);
    }

    #[test]
    fn as_many_descriptors_as_the_kernel_takes_arrive() {
        let (left, right) = pair().unwrap();
        let numbers = [left.as_raw_fd(); MAX_DESCRIPTORS];
        send(left.as_fd(), &[IoSlice::new(b"x")], &numbers).unwrap();
        let mut descriptors = Vec::new();
        assert_eq!(receive(right.as_fd(), &mut [0; 1], Some(&mut descriptors)).unwrap(), 1);
        assert_eq!(descriptors.len(), MAX_DESCRIPTORS);
    }

    #[test]
    fn a_closed_side_is_an_end_to_read_and_an_error_to_write() {
        let (left, right) = pair().unwrap();
        let watched = [(right.as_fd(), Interest::Close)];
        assert!(!poll(&watched, Some(Duration::ZERO)).unwrap()[0].closed);
        drop(left);
        assert!(poll(&watched, None).unwrap()[0].closed);
        assert_eq!(receive(right.as_fd(), &mut [0; 1], None).unwrap(), 0);
        let error = send(right.as_fd(), &[IoSlice::new(b"x")], &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_full_line_is_waited_for_no_longer_than_the_limit() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("full-line-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
        let limit = Duration::from_millis(20);
        let mut waiting = Vec::new();
        let error = loop {
            let start = Instant::now();
            match connect(name.as_bytes().into(), limit) {
                Ok(socket) => waiting.push(socket),
                Err(error) => {
                    assert!(start.elapsed() >= limit);
                    break error;
                }
            }
            assert!(waiting.len() < 100_000, "the line has no end");
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_closed_side_is_seen_over_tcp_as_well() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let left = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (right, _) = listener.accept().unwrap();
        assert!(!is_local(right.as_fd()) && !has_ended(right.as_fd()));
        send(left.as_fd(), &[IoSlice::new(b"x")], &[]).unwrap();
        drop(left);
        poll(&[(right.as_fd(), Interest::Read)], None).unwrap();
        assert!(!has_ended(right.as_fd()), "something is left to read");
        receive(right.as_fd(), &mut [0], None).unwrap();
        poll(&[(right.as_fd(), Interest::Read)], None).unwrap();
        assert!(has_ended(right.as_fd()));
    }
}
