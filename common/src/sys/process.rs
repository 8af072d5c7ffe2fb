//! Make processes, wait for them, watch them by descriptor.
//!
//! | how | call | the child is |
//! | --- | --- | --- |
//! | [`start_again`] | `posix_spawn` | this executable from its beginning; costs the same in any parent |
//! | [`fork`] | `fork` | this process, copied; the cost grows with its memory |
//! | [`clone_sibling`] | `clone` | a copy of this process, but a child of its parent |
//!
//! An exit is watched through a pidfd, which a reused number cannot fool, and collected once.
//!
//! # Siblings
//!
//! glibc keeps the id of each thread beside the thread, and its mutexes stamp it. A plain `clone`
//! would leave the parent's id there, and a robust mutex of a child that is killed would name the
//! wrong owner. So the kernel is told to write the child's id to that place, which
//! `PR_GET_TID_ADDRESS` tells, and the list of robust mutexes is registered again, as `fork` does.
//! The child's pid is written by the kernel into memory that its parent sees, before the child runs:
//! no death of either can leave a child whose pid nobody knows.
//!
//! # System calls
//!
//! `posix_spawn(3)` of `/proc/self/exe`, `fork(2)`, `clone(2)` (`CLONE_PARENT`), `pidfd_open(2)`,
//! `waitid(2)`, `kill(2)`, `pidfd_send_signal(2)`, `close_range(2)`, `_exit(2)`, `atexit(3)`,
//! `setpgid(2)`, `dup2(2)`, `prctl(2)` (`PR_SET_NAME`, `PR_GET_TID_ADDRESS`), `get_robust_list(2)`,
//! `set_robust_list(2)`, `getrandom(2)`.

use super::{checked, retry, signal};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::SigSet;
use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

pub(crate) use nix::unistd::getpid;

/// The descriptor under which a child finds what its parent gave it.
pub(crate) const GIVEN: RawFd = 3;

/// Where this executable is found, also when its file was replaced or deleted meanwhile: the kernel
/// keeps the running file open.
pub(crate) const SELF: &CStr = c"/proc/self/exe";

/// Starts this executable again with `arguments` and, beside the standard streams, one descriptor:
/// `given`, which the child finds as [`GIVEN`].
pub(crate) fn start_again(arguments: &[&OsStr], given: BorrowedFd<'_>) -> io::Result<i32> {
    let arguments: Vec<CString> =
        arguments.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<_, _>>()?;
    let environment: Vec<CString> = std::env::vars_os()
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec()).ok()
        })
        .collect();
    let mut actions = FileActions::new()?;
    // Where `given` is GIVEN already, posix_spawn clears its close-on-exec flag in the child.
    actions.dup2(given.as_raw_fd(), GIVEN)?;
    actions.close_from(GIVEN + 1)?;
    let (arguments, environment) = (pointers(&arguments), pointers(&environment));
    let attributes = Attributes::new()?;
    let mut pid = 0;
    // SAFETY: both lists end with null and point at texts that outlive the call; the actions are made.
    let error = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            SELF.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    };
    done(error)?;
    Ok(pid)
}

/// The addresses of `texts`, and null.
fn pointers(texts: &[CString]) -> Vec<*mut c_char> {
    texts.iter().map(|text| text.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// The result of a call that returns its error and leaves `errno` alone.
fn done(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// What `posix_spawn` shall do with descriptors before the new program runs.
struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: makes the record, in room for one.
        done(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: it was made just now.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn dup2(&mut self, from: RawFd, to: RawFd) -> io::Result<()> {
        // SAFETY: the record is made; the numbers are looked at in the child only.
        done(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, from, to) })
    }

    /// Closes every descriptor from `first` on: also those that a library has left inheritable.
    fn close_from(&mut self, first: RawFd) -> io::Result<()> {
        type CloseFrom =
            unsafe extern "C" fn(*mut libc::posix_spawn_file_actions_t, c_int) -> c_int;
        static FOUND: OnceLock<Option<CloseFrom>> = OnceLock::new();
        let close_from = FOUND.get_or_init(|| {
            let name = c"posix_spawn_file_actions_addclosefrom_np";
            // SAFETY: asks the loader for a name; glibc has it from 2.34 on.
            let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            // SAFETY: the type is that of the manual page; null becomes None.
            unsafe { std::mem::transmute::<*mut c_void, Option<CloseFrom>>(address) }
        });
        if let Some(close_from) = close_from {
            // SAFETY: the record is made.
            return done(unsafe { close_from(&raw mut self.0, first) });
        }
        for number in listed(first)? {
            // SAFETY: the record is made; one that is closed by then is no error in the child.
            done(unsafe { libc::posix_spawn_file_actions_addclose(&raw mut self.0, number) })?;
        }
        Ok(())
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: the record is made, and is used no more.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// How `posix_spawn` shall begin the new program: with no signal blocked, whatever the thread that
/// starts it has blocked, so that it can be asked to end.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: makes the record, in room for one.
        done(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: it was made just now.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let flags = libc::POSIX_SPAWN_SETSIGMASK as libc::c_short;
        // SAFETY: the record is made.
        done(unsafe { libc::posix_spawnattr_setflags(&raw mut attributes.0, flags) })?;
        let none = SigSet::empty();
        let none: *const libc::sigset_t = none.as_ref();
        // SAFETY: the record is made, and the set lives through the call.
        done(unsafe { libc::posix_spawnattr_setsigmask(&raw mut attributes.0, none) })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the record is made, and is used no more.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// The open descriptors from `first` on that a new program would inherit.
fn listed(first: RawFd) -> io::Result<Vec<RawFd>> {
    let inherited = |number: &RawFd| {
        // SAFETY: only asks for the flags of a number, open or not.
        let flags = unsafe { libc::fcntl(*number, libc::F_GETFD) };
        flags != -1 && flags & libc::FD_CLOEXEC == 0
    };
    Ok(std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&number| number >= first)
        .filter(inherited)
        .collect())
}

/// Takes what the parent gave. To be called once, in a child of [`start_again`].
pub(crate) fn take_given() -> io::Result<OwnedFd> {
    // SAFETY: only asks for the flags of a number; that it is open is what is being checked.
    let given = unsafe { BorrowedFd::borrow_raw(GIVEN) };
    fcntl(given, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: the descriptor is open, as fcntl has shown, and nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(GIVEN) })
}

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Parent {
        /// The child's pid.
        child: i32,
    },
    Child,
}

/// Copies this process.
///
/// In the child only the calling thread goes on. What the others were doing stays half done: a lock
/// that one of them held is held for ever. So the caller makes sure that there is none, or takes the
/// risk in the user's name.
pub(crate) fn fork() -> io::Result<Side> {
    // SAFETY: glibc's fork leaves its own state right in the child; for the rest see above.
    let pid = checked(unsafe { libc::fork() }.into())?;
    Ok(if pid == 0 { Side::Child } else { Side::Parent { child: pid as i32 } })
}

/// Copies this process, which must have one thread, as a child of its *parent*; the kernel writes
/// the child's pid to `pid`, in memory that the parent sees, before the child runs.
pub(crate) fn clone_sibling(pid: &AtomicU32) -> io::Result<Side> {
    let thread = thread_id_address();
    let mut flags = libc::CLONE_PARENT | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
    if !thread.is_null() {
        flags |= libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID;
    }
    let robust = robust_list();
    let pid = pid.as_ptr();
    #[cfg(not(target_arch = "aarch64"))]
    // SAFETY: without a stack and without CLONE_VM the child goes on here, in a copy of everything;
    // both addresses hold a word each.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, pid, thread, 0usize) };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above; here the order of the last two is the other way round.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, pid, 0usize, thread) };
    let child = checked(result)?;
    if child != 0 {
        return Ok(Side::Parent { child: child as i32 });
    }
    if let Some((head, len)) = robust {
        // SAFETY: the list is this thread's own, at the same address in this copy, and empty: a fork
        // server holds no mutex.
        unsafe { libc::syscall(libc::SYS_set_robust_list, head, len) };
    }
    Ok(Side::Child)
}

/// Where the C library keeps this thread's id, or null where that cannot be told.
fn thread_id_address() -> *mut c_int {
    let mut address: *mut c_int = ptr::null_mut();
    // SAFETY: the kernel writes one address to the place given.
    let result = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut address, 0, 0, 0) };
    if result != 0 || address.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the C library registered it as a word of its own that lives as long as the thread.
    let id = unsafe { address.read_volatile() };
    if id == nix::unistd::gettid().as_raw() { address } else { ptr::null_mut() }
}

/// The head and length of this thread's list of robust mutexes.
fn robust_list() -> Option<(*mut c_void, usize)> {
    let (mut head, mut len) = (ptr::null_mut::<c_void>(), 0usize);
    // SAFETY: the kernel writes an address and a length to the places given; 0 is this thread.
    let result =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
    (result == 0 && !head.is_null()).then_some((head, len))
}

/// How many threads this process has.
///
/// A thread that was joined may be counted a moment longer, until the kernel is done with it, and
/// nothing tells when that is; so a number above one is asked for again, for a short while.
pub(crate) fn threads() -> io::Result<u64> {
    let until = Instant::now() + Duration::from_millis(20);
    loop {
        // A folder's links: one from its name, one from itself, one from each folder inside.
        let count = std::fs::metadata("/proc/self/task")?.nlink().saturating_sub(2);
        if count <= 1 || Instant::now() >= until {
            return Ok(count);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A descriptor that polls ready when process `pid`, a child that was not yet collected, has ended.
pub(crate) fn watch(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers; the result is checked below.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let descriptor = checked(result)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) })
}

/// How a process ended, as the kernel tells it.
pub(crate) enum Ended {
    /// It left with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Collects child `pid` if it has ended; `None` while it runs.
///
/// # Errors
///
/// ECHILD where somebody else has collected it.
pub(crate) fn collect(pid: i32) -> io::Result<Option<Ended>> {
    let info = wait_for(libc::P_PID, pid.cast_unsigned(), libc::WNOHANG)?;
    // SAFETY: a record of waitid has a pid (0 when there is no news) and a status.
    let child = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    Ok((child != 0).then_some(match info.si_code {
        libc::CLD_EXITED => Ended::Code(status),
        _ => Ended::Signal(status),
    }))
}

/// Ends child `pid`, which was not yet collected, and collects it.
pub(crate) fn end(pid: i32) -> io::Result<()> {
    signal(pid, libc::SIGKILL)?;
    wait_for(libc::P_PID, pid.cast_unsigned(), 0)?;
    Ok(())
}

/// Whether any child at all has ended and waits to be collected.
pub(crate) fn any_has_ended() -> bool {
    // SAFETY: a record of waitid has a pid, 0 when there is no news.
    wait_for(libc::P_ALL, 0, libc::WNOHANG | libc::WNOWAIT)
        .is_ok_and(|info| unsafe { info.si_pid() } != 0)
}

fn wait_for(which: libc::idtype_t, id: u32, flags: c_int) -> io::Result<libc::siginfo_t> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    retry(|| {
        let flags = libc::WEXITED | flags;
        // SAFETY: `info` has room for one record.
        Errno::result(unsafe { libc::waitid(which, id, info.as_mut_ptr(), flags) })
    })?;
    // SAFETY: zeroed memory is a valid record, and the kernel has filled it if there was news.
    Ok(unsafe { info.assume_init() })
}

/// Sends `signal` to child `pid`, which must not have been collected.
pub(crate) fn signal(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: sends a signal to another process; no memory is involved.
    checked(unsafe { libc::kill(pid, signal) }.into())?;
    Ok(())
}

/// Sends `signal` to the process that `watch` watches: to no other, whoever has got its number.
pub(crate) fn signal_watched(watch: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: sends a signal to another process; the null stands for no further information.
    let result = unsafe {
        let none = ptr::null::<libc::siginfo_t>();
        libc::syscall(libc::SYS_pidfd_send_signal, watch.as_raw_fd(), signal, none, 0)
    };
    match checked(result) {
        // It has ended and was collected.
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Ends this process at once: no destructor, no exit hook.
pub(crate) fn die() -> ! {
    // Where even that is refused, abort() ends it as well.
    let _ = signal(getpid().as_raw(), libc::SIGKILL);
    std::process::abort()
}

/// Ends this process with `code`, without the C library's exit hooks: those of a forked child are
/// its parent's.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: ends the process; nothing comes after it.
    unsafe { libc::_exit(code) }
}

/// Has `hook` called when this process ends by itself: when `main` returns, or at `exit`.
pub(crate) fn at_exit(hook: extern "C" fn()) -> io::Result<()> {
    // SAFETY: the hook is a function of this executable, there for as long as the process is.
    match unsafe { libc::atexit(hook) } {
        0 => Ok(()),
        _ => Err(Errno::ENOMEM.into()),
    }
}

/// What a process has around it beside its memory, as far as a copy of another one would differ.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Device and inode of the working directory and of what the standard streams lead to.
    places: [Option<(u64, u64)>; 4],
    environment: Vec<(OsString, OsString)>,
}

impl Surroundings {
    /// Those of this process at this moment.
    pub(crate) fn now() -> Self {
        let folder = std::fs::metadata(".").ok().map(|folder| (folder.dev(), folder.ino()));
        let [input, output, error] = [0, 1, 2].map(|number| {
            // SAFETY: only asks what a number leads to; one that is closed is an error.
            let stream = unsafe { BorrowedFd::borrow_raw(number) };
            nix::sys::stat::fstat(stream).ok().map(|stream| (stream.st_dev, stream.st_ino))
        });
        Self { places: [folder, input, output, error], environment: std::env::vars_os().collect() }
    }
}

/// Gives this thread the name that `ps` and `top` show; the kernel keeps 15 bytes.
pub(crate) fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // A name is a courtesy: where it cannot be set, nothing is lost.
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Lets go of what ties this process to the program that has started it: the signals by which a
/// program is ended from outside, the process group to which they are sent, and standard input and
/// output, at whose other end somebody may wait for the program's end.
pub(crate) fn stand_aside() -> io::Result<()> {
    // The last one is for whoever writes to a terminal that belongs to another group.
    let of_a_program = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGTTOU];
    for number in of_a_program {
        signal::silence(signal::Signal::from_kernel(number))?;
    }
    let nowhere = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&nowhere)?;
    nix::unistd::dup2_stdout(&nowhere)?;
    let own = nix::unistd::Pid::from_raw(0);
    Ok(nix::unistd::setpgid(own, own)?)
}

/// Random bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let rest = &mut bytes[filled..];
        let read = retry(|| {
            // SAFETY: the kernel writes at most as many bytes as the rest has.
            Errno::result(unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) })
        })?;
        filled += read as usize;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_joined_is_not_counted() {
        let before = threads().unwrap();
        assert!(before >= 1);
        let (stay, go) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || go.recv());
        assert!(threads().unwrap() >= 2);
        drop(stay);
        let _ = thread.join().unwrap();
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<32>().unwrap(), random::<32>().unwrap());
    }

    #[test]
    fn the_id_of_this_thread_is_found_where_glibc_keeps_it() {
        let address = thread_id_address();
        if cfg!(target_env = "gnu") {
            assert!(!address.is_null());
        }
        assert!(robust_list().is_some());
    }
}
