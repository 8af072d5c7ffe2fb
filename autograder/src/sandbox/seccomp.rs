//! Which system calls a program in the sandbox may use.
//!
//! Two filters, and of two refusals the later one counts:
//!
//! | filter | lists | whatever it does not list |
//! | --- | --- | --- |
//! | first | what is refused with EPERM: [`FORBIDDEN`], and calls with certain arguments | passes |
//! | second | what is allowed, and what the first filter decides | ENOSYS |
//!
//! So what a library may try and do without (`clone3`, `io_uring`, a memfd where it would escape the
//! limit on memory) is not there, and it falls back to what is; what a program has no business with
//! is forbidden. A call by another door (32 bit, x32) ends the process or is not there.
//!
//! `clone3` cannot be let in, since a filter does not see the flags that it is given; `clone` can.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use libc::*;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// The two filters, in the order in which they are to be installed.
pub(super) struct Filters {
    forbidding: BpfProgram,
    allowing: BpfProgram,
}

/// What differs from run to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// Whether `memfd_create` is there: only where a control group counts its memory.
    pub(super) memfd: bool,
    /// Whether there is a network namespace, in which sockets reach nobody else.
    pub(super) network: bool,
}

impl Filters {
    pub(super) fn new(choice: Choice) -> Result<Filters, Error> {
        let arch = TargetArch::try_from(ARCH)?;
        let mut forbidden: BTreeMap<i64, Vec<SeccompRule>> =
            FORBIDDEN.iter().map(|&call| (call, vec![])).collect();
        for flag in NAMESPACES {
            when(&mut forbidden, SYS_clone, 0, SeccompCmpOp::MaskedEq(flag), flag)?;
        }
        for request in [TIOCSTI, TIOCLINUX] {
            when(&mut forbidden, SYS_ioctl, 1, SeccompCmpOp::Eq, request)?;
        }
        let families: &[c_int] =
            if choice.network { &[AF_UNIX, AF_INET, AF_INET6] } else { &[AF_UNIX] };
        let others = families.iter().map(|&family| {
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family as u64)
        });
        let others = SeccompRule::new(others.collect::<Result<_, _>>()?)?;
        for call in [SYS_socket, SYS_socketpair] {
            forbidden.insert(call, vec![others.clone()]);
        }
        if !choice.network {
            // Sockets of the host that have a name in the file system, such as a session's bus, are
            // kept from nobody by Landlock. Without connecting, only pairs are left.
            forbidden.insert(SYS_connect, vec![]);
            let kind = SeccompCmpOp::MaskedEq(SOCKET_KIND);
            when(&mut forbidden, SYS_socket, 1, kind, SOCK_DGRAM as u64)?;
        }

        let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = FORBIDDEN
            .iter()
            .chain(ALLOWED)
            .chain(ALLOWED_HERE)
            .map(|&call| (call, vec![]))
            .collect();
        if choice.memfd {
            allowed.insert(SYS_memfd_create, vec![]);
        }

        let eperm = SeccompAction::Errno(EPERM as u32);
        let enosys = SeccompAction::Errno(ENOSYS as u32);
        Ok(Filters {
            forbidding: SeccompFilter::new(forbidden, SeccompAction::Allow, eperm, arch)?
                .try_into()?,
            allowing: SeccompFilter::new(allowed, enosys, SeccompAction::Allow, arch)?
                .try_into()?,
        })
    }

    /// From here on, in this process and all that it starts.
    pub(super) fn install(&self) -> Result<(), Error> {
        seccompiler::apply_filter(&self.forbidding)?;
        seccompiler::apply_filter(&self.allowing)
    }
}

fn when(
    rules: &mut BTreeMap<i64, Vec<SeccompRule>>,
    call: i64,
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<(), Error> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    rules.entry(call).or_default().push(SeccompRule::new(vec![condition])?);
    Ok(())
}

/// The part of the second argument of `socket` that is no flag.
const SOCKET_KIND: u64 = 0xf;

/// What `clone` may not be asked for.
const NAMESPACES: [u64; 7] = [
    CLONE_NEWNS as u64,
    CLONE_NEWCGROUP as u64,
    CLONE_NEWUTS as u64,
    CLONE_NEWIPC as u64,
    CLONE_NEWUSER as u64,
    CLONE_NEWPID as u64,
    CLONE_NEWNET as u64,
];

/// What no program of the course has any business with.
#[rustfmt::skip]
const FORBIDDEN: &[i64] = &[
    // Other processes.
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise,
    SYS_pidfd_getfd, SYS_kcmp,
    // The kernel's own stores and machines.
    SYS_keyctl, SYS_add_key, SYS_request_key, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    // Namespaces and mounts.
    SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_tree,
    SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
    SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_fanotify_init, SYS_quotactl, SYS_swapon,
    SYS_swapoff,
    // The machine.
    SYS_personality, SYS_reboot, SYS_kexec_load, SYS_init_module, SYS_finit_module,
    SYS_delete_module, SYS_acct, SYS_syslog, SYS_sethostname, SYS_setdomainname,
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_vhangup,
    SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr,
];

/// What is allowed on every processor.
#[rustfmt::skip]
const ALLOWED: &[i64] = &[
    // Files.
    SYS_openat, SYS_openat2, SYS_close, SYS_close_range, SYS_read, SYS_write, SYS_readv,
    SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2,
    SYS_lseek, SYS_sendfile, SYS_splice, SYS_tee, SYS_vmsplice, SYS_copy_file_range, SYS_fcntl,
    SYS_flock, SYS_ioctl, SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_sync_file_range,
    SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_fadvise64, SYS_readahead, SYS_newfstatat,
    SYS_fstat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_faccessat, SYS_faccessat2,
    SYS_getdents64, SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_mkdirat, SYS_unlinkat, SYS_renameat,
    SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_readlinkat, SYS_mknodat, SYS_fchmod,
    SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_umask, SYS_utimensat, SYS_dup, SYS_dup3,
    SYS_pipe2, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr,
    SYS_flistxattr, SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch,
    // Memory.
    SYS_mmap, SYS_mprotect, SYS_munmap, SYS_mremap, SYS_brk, SYS_madvise, SYS_msync,
    SYS_mincore, SYS_mlock, SYS_mlock2, SYS_munlock, SYS_mlockall, SYS_munlockall,
    SYS_membarrier,
    // Processes and threads.
    SYS_clone, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid,
    SYS_kill, SYS_tkill, SYS_tgkill, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_getpid,
    SYS_getppid, SYS_gettid, SYS_getpgid, SYS_setpgid, SYS_getsid, SYS_setsid, SYS_getuid,
    SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid, SYS_getresgid, SYS_getgroups,
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid,
    SYS_setgroups, SYS_setfsuid, SYS_setfsgid, SYS_capget, SYS_capset, SYS_prctl,
    SYS_set_tid_address, SYS_futex, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq,
    SYS_getrlimit, SYS_setrlimit, SYS_prlimit64, SYS_getrusage, SYS_times, SYS_getpriority,
    SYS_setpriority, SYS_ioprio_get, SYS_ioprio_set, SYS_sched_yield, SYS_sched_getaffinity,
    SYS_sched_setaffinity, SYS_sched_getparam, SYS_sched_setparam, SYS_sched_getscheduler,
    SYS_sched_setscheduler, SYS_sched_getattr, SYS_sched_setattr, SYS_sched_get_priority_max,
    SYS_sched_get_priority_min, SYS_sched_rr_get_interval, SYS_getcpu, SYS_restart_syscall,
    // Signals.
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending,
    SYS_rt_sigtimedwait, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_rt_sigsuspend,
    SYS_sigaltstack, SYS_signalfd4,
    // Waiting and time.
    SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait,
    SYS_epoll_pwait2, SYS_eventfd2, SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime,
    SYS_clock_getres, SYS_gettimeofday, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime,
    SYS_timer_getoverrun, SYS_timer_delete, SYS_timerfd_create, SYS_timerfd_settime,
    SYS_timerfd_gettime, SYS_getitimer, SYS_setitimer, SYS_futex_waitv,
    // Between processes.
    SYS_socket, SYS_socketpair, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_connect,
    SYS_getsockname, SYS_getpeername, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg,
    SYS_sendmmsg, SYS_recvmmsg, SYS_setsockopt, SYS_getsockopt, SYS_shutdown, SYS_shmget,
    SYS_shmat, SYS_shmdt, SYS_shmctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl,
    SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_mq_open, SYS_mq_unlink,
    SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr,
    // The machine.
    SYS_uname, SYS_sysinfo, SYS_getrandom,
];

/// The older calls that x86-64 has besides.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[i64] = &[
    SYS_open, SYS_creat, SYS_stat, SYS_lstat, SYS_access, SYS_pipe, SYS_dup2, SYS_poll,
    SYS_select, SYS_getdents, SYS_rename, SYS_mkdir, SYS_rmdir, SYS_link, SYS_unlink,
    SYS_symlink, SYS_readlink, SYS_mknod, SYS_chmod, SYS_chown, SYS_lchown, SYS_utime,
    SYS_utimes, SYS_futimesat, SYS_fork, SYS_vfork, SYS_getpgrp, SYS_alarm, SYS_pause,
    SYS_signalfd, SYS_eventfd, SYS_epoll_create, SYS_epoll_wait, SYS_inotify_init, SYS_time,
    SYS_arch_prctl,
];

/// The older calls that this processor has besides: none.
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[i64] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_makes_a_filter() {
        for (memfd, network) in [(false, false), (false, true), (true, false), (true, true)] {
            let filters = Filters::new(Choice { memfd, network }).unwrap();
            assert!(!filters.forbidding.is_empty() && !filters.allowing.is_empty());
        }
    }

    #[test]
    fn nothing_is_both_allowed_and_forbidden() {
        for call in ALLOWED.iter().chain(ALLOWED_HERE) {
            assert!(!FORBIDDEN.contains(call), "system call {call}");
        }
    }
}
