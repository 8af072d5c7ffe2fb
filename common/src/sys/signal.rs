//! Signals and their names.
//!
//! # System calls
//!
//! `sigaction(2)`, to have nothing happen at one, and to put that back; `pthread_sigmask(3)`, to let all come.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal as Known, sigaction};
use std::fmt;
use std::io;
use std::str::FromStr;

/// A signal by its number and name (in Python: `signal.Signals`).
///
/// ```
/// use common::Signal;
///
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!("SIGKILL".parse::<Signal>(), Ok(Signal::KILL));
/// assert_eq!("usr1".parse::<Signal>()?.number(), 10);
/// assert_eq!("35".parse::<Signal>()?.to_string(), "signal 35");
/// # Ok::<(), common::process::UnknownSignal>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

/// No signal has this name or number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no signal {0:?}; a name such as SIGTERM, or a number from 1 to 64, is one")]
pub struct UnknownSignal(String);

impl Signal {
    /// Hang-up: the terminal is gone.
    pub const HUP: Self = Self(libc::SIGHUP);
    /// Interrupt: Ctrl-C.
    pub const INT: Self = Self(libc::SIGINT);
    /// Quit: Ctrl-\.
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// `abort`.
    pub const ABRT: Self = Self(libc::SIGABRT);
    /// Ends a process; nothing can be done against it.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// An access to memory that is none.
    pub const SEGV: Self = Self(libc::SIGSEGV);
    /// For the program's own use.
    pub const USR1: Self = Self(libc::SIGUSR1);
    /// For the program's own use.
    pub const USR2: Self = Self(libc::SIGUSR2);
    /// Nobody reads what is being written. Rust programs ignore it and see an error.
    pub const PIPE: Self = Self(libc::SIGPIPE);
    /// An alarm set by `alarm`.
    pub const ALRM: Self = Self(libc::SIGALRM);
    /// Asks a process to end.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// A child has ended.
    pub const CHLD: Self = Self(libc::SIGCHLD);
    /// Go on after a stop.
    pub const CONT: Self = Self(libc::SIGCONT);
    /// Stops a process; nothing can be done against it.
    pub const STOP: Self = Self(libc::SIGSTOP);

    /// The signal of this number, as the kernel gave it.
    pub(crate) const fn from_kernel(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

/// `SIGKILL`; a real-time signal by its number.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Known::try_from(self.0) {
            Ok(known) => f.pad(known.as_str()),
            Err(_) => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `SIGTERM`, `TERM`, `term` or `15`.
impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        if let Ok(number) = text.parse() {
            return if (1..=64).contains(&number) {
                Ok(Self(number))
            } else {
                Err(UnknownSignal(text.to_string()))
            };
        }
        let name = text.to_ascii_uppercase();
        let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
        let known = name.parse::<Known>().map_err(|_| UnknownSignal(text.to_string()))?;
        Ok(Self(known as i32))
    }
}

/// What a process does about a signal, to be put back later.
pub(crate) struct Before(Known, SigAction);

/// Has nothing happen at `signal`; what was done about it before.
pub(crate) fn silence(signal: Signal) -> io::Result<Before> {
    let known = Known::try_from(signal.0)?;
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed, so no code can run in one.
    Ok(Before(known, unsafe { sigaction(known, &action) }?))
}

/// Lets every signal come to this thread that was blocked.
pub(crate) fn unblock_all() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

impl Before {
    /// Puts it back.
    pub(crate) fn restore(&self) {
        // SAFETY: it was in force before, in this process or the one that this is a copy of.
        let _ = unsafe { sigaction(self.0, &self.1) };
    }
}

/// Has `signal` do nothing but interrupt what a thread sleeps in, and be counted.
#[cfg(test)]
pub(crate) fn count(signal: Signal) -> io::Result<&'static std::sync::atomic::AtomicU32> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handler(_: libc::c_int) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
    // Without SA_RESTART: no call goes on by itself.
    let action = SigAction::new(SigHandler::Handler(handler), SaFlags::empty(), SigSet::empty());
    let known = Known::try_from(signal.0)?;
    // SAFETY: the handler only adds to an atomic number, which it may do at any moment.
    unsafe { sigaction(known, &action) }?;
    Ok(&COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_has_the_name_that_it_parses_from() {
        for (signal, name) in [(Signal::KILL, "SIGKILL"), (Signal::USR2, "SIGUSR2")] {
            assert_eq!(signal.to_string(), name);
            assert_eq!(name.parse(), Ok(signal));
        }
    }

    #[test]
    fn what_is_no_signal_is_refused_by_name() {
        for text in ["", "SIG", "0", "65", "-9", "SIGSIGTERM", "nonsense"] {
            let error = text.parse::<Signal>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
