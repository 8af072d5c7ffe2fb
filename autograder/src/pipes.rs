//! The three pipes of a running program, and what comes through them.
//!
//! One `poll` serves all of them, and whatever else the caller waits for. What is printed is kept up
//! to a limit on both outputs together; what is beyond it is not kept.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What is read or written at once.
const CHUNK: usize = 64 * 1024;

/// Our ends of the pipes.
#[derive(Debug)]
pub(crate) struct Pipes<'a> {
    input: &'a [u8],
    stdin: Option<PipeWriter>,
    stdout: Capture,
    stderr: Capture,
    limit: usize,
    overflowed: bool,
}

/// The program's ends of the pipes.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl<'a> Pipes<'a> {
    /// New pipes. Without input, the program's stdin is empty.
    pub(crate) fn new(input: Option<&'a [u8]>, limit: usize) -> io::Result<(Pipes<'a>, Ends)> {
        let (stdin, our_stdin) = match input {
            Some(_) => {
                let (theirs, ours) = io::pipe()?;
                set_nonblocking(ours.as_fd())?;
                (theirs.into(), Some(ours))
            }
            None => (File::open("/dev/null")?.into(), None),
        };
        let (our_stdout, stdout) = io::pipe()?;
        let (our_stderr, stderr) = io::pipe()?;
        set_nonblocking(our_stdout.as_fd())?;
        set_nonblocking(our_stderr.as_fd())?;
        let pipes = Pipes {
            input: input.unwrap_or_default(),
            stdin: our_stdin,
            stdout: Capture { pipe: Some(our_stdout), bytes: vec![] },
            stderr: Capture { pipe: Some(our_stderr), bytes: vec![] },
            limit,
            overflowed: false,
        };
        Ok((pipes, Ends { stdin, stdout: stdout.into(), stderr: stderr.into() }))
    }

    /// Sleeps until one of the pipes or of the others is ready, serves the pipes once, and says which
    /// of the others are ready.
    pub(crate) fn serve<const N: usize>(
        &mut self,
        others: [Option<(BorrowedFd<'_>, PollFlags)>; N],
        timeout: Duration,
    ) -> io::Result<[bool; N]> {
        if self.input.is_empty() {
            self.stdin = None;
        }
        // Rounded up, or the last millisecond before a deadline would be spent spinning.
        let millis = timeout.as_millis().saturating_add(1).min(i32::MAX as u128) as i32;
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        let (own, others) = {
            let own = [
                self.stdout.pipe.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN)),
                self.stderr.pipe.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN)),
                self.stdin.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLOUT)),
            ];
            let watched = || own.iter().chain(&others);
            let mut fds: Vec<PollFd<'_>> =
                watched().flatten().map(|&(fd, events)| PollFd::new(fd, events)).collect();
            match poll(&mut fds, timeout) {
                Ok(_) => {}
                Err(Errno::EINTR) => return Ok([false; N]),
                Err(errno) => return Err(errno.into()),
            }
            let mut answers = fds.iter();
            let mut ready = watched().map(|watched| {
                watched.is_some() && answers.next().and_then(PollFd::any).is_some_and(|any| any)
            });
            let mut next = |()| ready.next().unwrap_or(false);
            ([(); 3].map(&mut next), [(); N].map(&mut next))
        };
        let [stdout, stderr, stdin] = own;
        if stdout {
            self.read_stdout()?;
        }
        if stderr {
            self.read_stderr()?;
        }
        if stdin && !self.feed()? {
            self.input = &[];
        }
        Ok(others)
    }

    /// Reads what is still in the pipes when nobody writes any more.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        while !self.overflowed && self.read_stdout()? {}
        while !self.overflowed && self.read_stderr()? {}
        Ok(())
    }

    /// Whether more was printed than is kept.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether nobody holds the other ends of the outputs any more.
    pub(crate) fn silent(&self) -> bool {
        self.stdout.pipe.is_none() && self.stderr.pipe.is_none()
    }

    /// What was printed on stdout.
    pub(crate) fn take_stdout(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stdout.bytes)
    }

    /// What was printed on stderr.
    pub(crate) fn take_stderr(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stderr.bytes)
    }

    fn room(&self) -> usize {
        self.limit - self.stdout.bytes.len() - self.stderr.bytes.len()
    }

    fn read_stdout(&mut self) -> io::Result<bool> {
        let room = self.room();
        self.stdout.read(room, &mut self.overflowed)
    }

    fn read_stderr(&mut self) -> io::Result<bool> {
        let room = self.room();
        self.stderr.read(room, &mut self.overflowed)
    }

    /// Writes what the pipe takes; `false` when the program does not want any more.
    fn feed(&mut self) -> io::Result<bool> {
        let Some(stdin) = &mut self.stdin else { return Ok(false) };
        match stdin.write(&self.input[..self.input.len().min(CHUNK)]) {
            Ok(written) => {
                self.input = &self.input[written..];
                Ok(true)
            }
            Err(error) if is_temporary(&error) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// One output pipe, and what came through it.
#[derive(Debug)]
struct Capture {
    pipe: Option<PipeReader>,
    bytes: Vec<u8>,
}

impl Capture {
    /// Reads what is there, and notes if it is more than `room`; `false` if there is nothing.
    fn read(&mut self, room: usize, overflowed: &mut bool) -> io::Result<bool> {
        let Some(pipe) = &mut self.pipe else { return Ok(false) };
        let mut chunk = [0; CHUNK];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                self.bytes.extend_from_slice(&chunk[..count.min(room)]);
                *overflowed |= count > room;
                return Ok(true);
            }
            Err(error) if is_temporary(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(false)
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
