//! What a program cannot see, reach, change or leave behind.

use std::fs;
use std::process::Command;

use autograder::evidence::left::Kind;
use autograder::runner;

use crate::bench::{Bench, said};

/// Every line is a call and what came of it; all of them must have failed, and not because the test
/// has a mistake in it.
fn all_denied(said: &str) {
    assert!(!said.is_empty());
    for line in said.lines() {
        let denied = ["EPERM", "EACCES", "EROFS", "ENOSYS", "ENOENT", "ENETUNREACH"];
        assert!(denied.iter().any(|reason| line.ends_with(reason)), "{line}");
    }
}

#[test]
fn a_program_cannot_write_where_it_should_not() {
    // 30, 41: libraries, the program itself, settings of the machine.
    let Some(bench) = Bench::full() else { return };
    all_denied(&bench.says(
        r#"
        TRY(open("/usr/lib/x", O_CREAT | O_WRONLY, 0600));
        TRY(open("/x", O_CREAT | O_WRONLY, 0600));
        TRY(open("/etc/passwd", O_WRONLY));
        TRY(open("/sub/program", O_WRONLY));
        TRY(open("/proc/self/exe", O_WRONLY));
        TRY(unlink("/sub/program"));
        TRY(rename("/sub/program", "/sub/other"));
        TRY(chmod("/sub/program", 0777));
        TRY(chmod("/usr/bin/env", 04777));
        TRY(mkdir("/sub/x", 0700));
        TRY(open("/dev/x", O_CREAT | O_WRONLY, 0600));
        TRY(open("/proc/sys/kernel/shmall", O_WRONLY));
        TRY(open("/proc/sys/user/max_user_namespaces", O_WRONLY));
        TRY(open("/proc/sysrq-trigger", O_WRONLY));
        TRY(open("/proc/1/oom_score_adj", O_WRONLY));
        TRY(mknod("/tmp/x", S_IFBLK | 0600, 0xfe00));
        TRY(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
    "#,
    ));
}

#[test]
fn a_program_sees_nothing_of_the_machine() {
    // 68, I9: files, processes, environments, paths.
    let Some(bench) = Bench::full() else { return };
    let secret = bench.folder().join("secret");
    fs::write(&secret, "the hidden tests").unwrap();
    let program = bench.c(r#"
        TRY(open(argv[1], O_RDONLY));
        TRY(open("/home", O_RDONLY));
        TRY(open("/root", O_RDONLY));
        TRY(open("/var", O_RDONLY));
        TRY(open("/usr/src", O_RDONLY));
        TRY(open("/etc/shadow", O_RDONLY));
        TRY(open("/sys", O_RDONLY));
        TRY(open("/dev/mem", O_RDONLY));
        TRY(open("/dev/kmsg", O_RDONLY));
        TRY(open("/proc/1/environ", O_RDONLY));
        TRY(open("/proc/1/mem", O_RDONLY));
        TRY(open("/proc/1/root/etc", O_RDONLY));
        TRY(open("/proc/1/fd", O_RDONLY));"#);
    let mut plan = bench.plan(&program);
    plan.args = vec![secret.clone().into()];
    let outcome = bench.run(&plan);
    all_denied(&said(&outcome));

    let program = bench.c(r#"
        DIR *folder = opendir("/proc");
        for (struct dirent *entry; (entry = readdir(folder));)
            if (atoi(entry->d_name) > 0) printf("process %s\n", entry->d_name);
        fflush(stdout);
        execl("/bin/cat", "cat", "/proc/self/mountinfo", "/proc/self/environ", "/proc/self/cmdline",
            "/proc/self/cgroup", "/etc/passwd", "/proc/self/uid_map", (char *) 0);"#);
    let outcome = bench.run(&bench.plan(&program));
    let said = said(&outcome);
    assert!(outcome.status.success(), "{said}");
    let processes: Vec<_> = said.lines().filter(|line| line.starts_with("process ")).collect();
    assert_eq!(processes, ["process 1", "process 2"]);
    for foreign in [bench.folder().to_str().unwrap(), "autograder", "/target/"] {
        assert!(!said.contains(foreign), "{foreign} stands in {said}");
    }
}

#[test]
fn the_process_that_holds_the_sandbox_cannot_be_touched() {
    // 43, 44
    let Some(bench) = Bench::full() else { return };
    let said = bench.says(
        r#"
        char word[8]; struct iovec here = { word, 8 }, there = { (void *) 4096, 8 };
        TRY(ptrace(PTRACE_ATTACH, 1, 0, 0));
        TRY(ptrace(PTRACE_TRACEME, 0, 0, 0));
        TRY(ptrace(PTRACE_SEIZE, 1, 0, 0));
        TRY(process_vm_readv(1, &here, 1, &there, 1, 0));
        TRY(process_vm_writev(1, &here, 1, &there, 1, 0));
        TRY(open("/proc/1/mem", O_RDWR));
        TRY(open("/proc/1/maps", O_RDONLY));
        TRY(syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, 1, 0), 0, 0));
        TRY(syscall(SYS_kcmp, 1, getpid(), 0, 0, 0));
    "#,
    );
    all_denied(&said);
    let said = bench.says(
        r#"
        for (int signal = 1; signal < 65; signal++) kill(1, signal);
        kill(getppid(), SIGSTOP); kill(getppid(), SIGKILL); kill(-1, SIGKILL);
        usleep(100000);
        printf("parent %d, alone %d\n", getppid(), kill(-1, 0) == -1 && errno == ESRCH);
    "#,
    );
    assert!(said.starts_with("parent 1,"), "{said}");
}

#[test]
fn no_namespace_mount_or_right_can_be_had() {
    // 71
    let Some(bench) = Bench::full() else { return };
    all_denied(&bench.says(
        r#"
        TRY(unshare(CLONE_NEWUSER));
        TRY(unshare(CLONE_NEWNS));
        TRY(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
        TRY(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
        TRY(syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0));
        TRY(syscall(SYS_clone3, 0, 0));
        TRY(setns(open("/proc/1/ns/mnt", O_RDONLY), 0));
        TRY(setns(open("/proc/self/ns/net", O_RDONLY), 0));
        TRY(mount("tmpfs", "/tmp", "tmpfs", 0, ""));
        TRY(mount("proc", "/tmp", "proc", 0, ""));
        TRY(umount2("/proc", MNT_DETACH));
        TRY(syscall(SYS_pivot_root, "/tmp", "/tmp"));
        TRY(syscall(SYS_open_tree, AT_FDCWD, "/", 1));
        TRY(syscall(SYS_fsopen, "tmpfs", 0));
        TRY(chroot("/tmp"));
        TRY(setgroups(0, NULL));
        TRY(sethostname("x", 1));
        TRY(personality(ADDR_NO_RANDOMIZE));
        TRY(syscall(SYS_bpf, 0, 0, 0));
        TRY(syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
        TRY(syscall(SYS_userfaultfd, 1));
        TRY(syscall(SYS_io_uring_setup, 1, 0));
        TRY(syscall(SYS_seccomp, 1, 0, 0));
        TRY(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "x"));
        TRY(syscall(SYS_add_key, "user", "x", "y", 1, KEY_SPEC_USER_KEYRING));
        TRY(syscall(SYS_reboot, 0, 0, 0, 0));
        TRY(syscall(SYS_init_module, 0, 0, ""));
        struct sched_param top = { 10 };
        TRY(sched_setscheduler(0, SCHED_FIFO, &top));
        TRY(setpriority(PRIO_PROCESS, 0, -5) ? -1 : 0);
    "#,
    ));
    let said = bench.says(r#"
        char line[200]; FILE *status = fopen("/proc/self/status", "r");
        while (fgets(line, sizeof line, status))
            if (!strncmp(line, "Cap", 3) || !strncmp(line, "NoNew", 5) || !strncmp(line, "Seccomp:", 8)) fputs(line, stdout);
        printf("root %d %d\n", setuid(0), setgid(0));
        printf("uid %d %d, gid %d %d\n", getuid(), geteuid(), getgid(), getegid());
    "#);
    let none = "0000000000000000";
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(said.contains(&format!("{set}:\t{none}\n")), "{said}");
    }
    assert!(said.contains("NoNewPrivs:\t1\nSeccomp:\t2\n"), "{said}");
    assert!(said.contains("root -1 -1\n"), "{said}");
    assert!(said.contains("uid 1000 1000, gid 1000 1000"), "{said}");
}

#[test]
fn system_calls_by_other_doors_are_closed() {
    // 71: 32 bit and x32
    if !cfg!(target_arch = "x86_64") {
        println!("did not run: only x86-64 has other doors");
        return;
    }
    let Some(bench) = Bench::full() else { return };
    let said = bench.says(
        r#"
        TRY(syscall(0x40000000 | 39));
        fflush(stdout);
        int child = fork(), status;
        if (!child) {
            long result;
            asm volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
            _exit(0);
        }
        waitpid(child, &status, 0);
        printf("32 bit: ended by a signal %d\n", WIFSIGNALED(status));
    "#,
    );
    assert!(said.contains(": ENOSYS"), "{said}");
    assert!(said.contains("32 bit: ended by a signal 1"), "{said}");
}

#[test]
fn there_is_no_network_but_loopback() {
    // 69
    let Some(bench) = Bench::full() else { return };
    all_denied(&bench.says(
        r#"
        struct sockaddr_in away = { AF_INET, htons(80), { inet_addr("169.254.169.254") } };
        TRY(connect(socket(AF_INET, SOCK_STREAM, 0), (void *) &away, sizeof away));
        away.sin_addr.s_addr = inet_addr("1.1.1.1"); away.sin_port = htons(53);
        TRY(sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *) &away, sizeof away));
        TRY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
        TRY(socket(AF_NETLINK, SOCK_RAW, 0));
        TRY(socket(AF_PACKET, SOCK_RAW, 0));
        TRY(socket(AF_VSOCK, SOCK_STREAM, 0));
        TRY(socket(AF_ALG, SOCK_SEQPACKET, 0));
        TRY(socketpair(AF_TIPC, SOCK_STREAM, 0, (int[2]) {}));
    "#,
    ));
    let said = bench.says(
        r#"
        struct sockaddr_in here = { AF_INET, 0, { inet_addr("127.0.0.1") } };
        socklen_t length = sizeof here;
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        bind(listener, (void *) &here, length); listen(listener, 1);
        getsockname(listener, (void *) &here, &length);
        TRY(connect(socket(AF_INET, SOCK_STREAM, 0), (void *) &here, length));
    "#,
    );
    assert!(said.ends_with(": done\n"), "{said}");
}

#[test]
fn only_the_program_and_the_tools_of_the_machine_are_executed() {
    // 71, 80: setuid programs give nothing, and what was written is not executed.
    let Some(bench) = Bench::full() else { return };
    let said = bench.says(r#"
        system("cp /sub/program /tmp/copy; cp /sub/program /box/copy; cp /sub/program /dev/shm/copy");
        system("chmod +x /tmp/copy /box/copy /dev/shm/copy");
        TRY(execl("/tmp/copy", "copy", (char *) 0));
        TRY(execl("/box/copy", "copy", (char *) 0));
        TRY(execl("/dev/shm/copy", "copy", (char *) 0));
    "#);
    all_denied(&said);
    let said = bench.says(
        r#"
        system("su -c id </dev/null");
        system("cp /sub/program /tmp/copy; chmod +x /tmp/copy");
        if (argc == 1) system("/lib64/ld-linux-x86-64.so.2 /tmp/copy again && echo executed");
    "#,
    );
    assert!(!said.contains("uid=0") && !said.contains("executed"), "{said}");
}

#[test]
fn what_one_run_leaves_the_next_does_not_find() {
    // 70, 60: files, SysV objects, message queues, abstract sockets, locks.
    let Some(bench) = Bench::full() else { return };
    let name = bench.unique();
    let body = r#"
        int found = 0;
        char path[200];
        for (char **folder = (char *[]) { "/tmp", "/box", "/dev/shm", 0 }; *folder; folder++) {
            snprintf(path, sizeof path, "%s/%s", *folder, argv[1]);
            if (access(path, F_OK) == 0) found++, printf("found %s\n", path);
            int file = open(path, O_CREAT | O_RDWR, 0600);
            if (file < 0) found++, perror(path);
        }
        int key = atoi(argv[2]);
        if (shmget(key, 4096, 0600) != -1) found++, puts("found memory");
        if (shmget(key, 4096, IPC_CREAT | 0600) == -1) found++, perror("shmget");
        if (semget(key, 1, 0600) != -1) found++, puts("found a semaphore");
        if (semget(key, 1, IPC_CREAT | 0600) == -1) found++, perror("semget");
        if (msgget(key, 0600) != -1) found++, puts("found messages");
        if (msgget(key, IPC_CREAT | 0600) == -1) found++, perror("msgget");
        snprintf(path, sizeof path, "/%s", argv[1]);
        if (mq_open(path, O_RDWR) != -1) found++, puts("found a queue");
        if (mq_open(path, O_CREAT | O_RDWR, 0600, NULL) == -1) found++, perror("mq_open");
        struct sockaddr_un address = { AF_UNIX };
        strcpy(address.sun_path + 1, argv[1]);
        int here = socket(AF_UNIX, SOCK_STREAM, 0);
        if (bind(here, (void *) &address, sizeof address)) found++, perror("bind");
        if (flock(open("/sub/program", O_RDONLY), LOCK_EX | LOCK_NB)) found++, perror("flock");
        printf("found %d\n", found); fflush(stdout);
        if (argv[3]) { write(1, "waiting\n", 8); read(0, path, 1); }
    "#;
    let program = bench.c(body);
    let key = (std::process::id() & 0xffff) + 0x5a5a_0000;
    let mut plan = bench.plan(&program);
    plan.args = vec![name.clone().into(), key.to_string().into()];
    for _ in 0..2 {
        let outcome = bench.run(&plan);
        assert_eq!(said(&outcome), "found 0\n", "{outcome:?}");
        // It is told what it should have removed.
        let traces: Vec<_> = outcome.traces.iter().map(|trace| trace.kind).collect();
        let expected = [
            Kind::SharedMemory,
            Kind::MessageQueue,
            Kind::SysvMemory,
            Kind::SysvSemaphores,
            Kind::SysvQueue,
            Kind::File,
        ];
        assert_eq!(traces, expected, "{:?}", outcome.traces);
        for kind in ["shm", "sem", "msg"] {
            let ids = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap();
            assert!(!ids.contains(&key.to_string()), "{ids}");
        }
    }
    // Two at once do not meet either: each runs until its input comes, a moment later.
    plan.args.push("wait".into());
    plan.limits.wall = std::time::Duration::from_secs(2);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..2).map(|_| scope.spawn(|| runner::run(&plan, None).unwrap())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for outcome in outcomes {
        assert_eq!(said(&outcome), "found 0\nwaiting\n", "{outcome:?}");
    }
    bench.nothing_is_left();
}

#[test]
fn a_crash_leaves_no_core_and_calls_nobody() {
    // 65
    let Some(bench) = Bench::full() else { return };
    let program = bench.c(r#"
        struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
        TRY(setrlimit(RLIMIT_CORE, &core));
        for (int i = 0; i < 50; i++) {
            int child = fork(), status;
            if (!child) abort();
            waitpid(child, &status, 0);
            if (WCOREDUMP(status)) puts("dumped");
        }
        system("ls /box /tmp");
        abort();"#);
    let outcome = bench.run(&bench.plan(&program));
    let said = said(&outcome);
    assert!(said.contains(": EPERM"), "{said}");
    assert!(!said.contains("dumped") && !said.contains("core\n"), "{said}");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&outcome.status), Some(6));
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&outcome.status));
}

#[test]
fn a_program_that_only_root_can_read_is_run_as_nobody() {
    let Some(bench) = Bench::full() else { return };
    let program = bench.c(r#"printf("%d", getuid());"#);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&program, mode).unwrap();
    let outcome = bench.run(&bench.plan(&program));
    assert_eq!(said(&outcome), "1000");
    // And nobody on this machine is meant by it: the one outside owns nothing.
    let own = Command::new("id").arg("-u").output().unwrap();
    if own.stdout == b"0\n" {
        let program = bench.c(r#"pause();"#);
        let mut plan = bench.plan(&program);
        plan.limits.wall = std::time::Duration::from_secs(1);
        let user = std::thread::scope(|scope| {
            let run = scope.spawn(|| runner::run(&plan, None).unwrap());
            let mut user = None;
            crate::bench::wait_until("the program runs", || {
                user = bench.processes().first().and_then(|pid| {
                    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
                    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
                    line.split_whitespace().next()?.parse::<u32>().ok()
                });
                user.is_some() || run.is_finished()
            });
            run.join().unwrap();
            user.unwrap()
        });
        assert!(user >= 65534, "runs as user {user}");
        bench.nothing_is_left();
    }
}
