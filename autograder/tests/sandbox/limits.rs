//! How much a program may take, and what happens when it takes more.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use autograder::runner::{Outcome, Stop};

use crate::bench::{Bench, said};

/// Loose: the machine may have a lot to do besides.
const SOON: Duration = Duration::from_secs(10);

fn stopped_by(outcome: &Outcome, stop: &Stop) {
    assert_eq!(outcome.stopped.as_ref(), Some(stop), "{}", said(outcome));
}

#[test]
fn whatever_a_program_waits_for_the_clock_ends_it() {
    // 63
    let Some(bench) = Bench::full() else { return };
    for body in [
        "pause();",
        "sleep(1000);",
        "raise(SIGSTOP); kill(getpid(), SIGSTOP);",
        "pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; pthread_mutex_lock(&lock); pthread_mutex_lock(&lock);",
        "int ends[2]; pipe(ends); char c; read(ends[0], &c, 1);",
        "if (vfork() == 0) pause();",
        "for (int i = 0; i < 5; i++) fork(); for (;;) pause();",
    ] {
        let mut plan = bench.plan(&bench.c(body));
        plan.limits.wall = Duration::from_millis(300);
        let outcome = bench.run(&plan);
        stopped_by(&outcome, &Stop::Time);
        assert!(outcome.time >= plan.limits.wall, "{outcome:?}");
        assert!(outcome.time < SOON, "{outcome:?}");
        assert_eq!(outcome.status.signal(), Some(9), "{body}");
    }
}

#[test]
fn processor_time_is_counted_over_all_processes_and_ends_them() {
    // 64: ignoring every signal; several processes; children that nobody waits for.
    let Some(bench) = Bench::full() else { return };
    for body in [
        "for (int i = 1; i < 65; i++) signal(i, SIG_IGN); for (;;);",
        "for (int i = 0; i < 3; i++) fork(); for (;;);",
    ] {
        for mut plan in bench.accountings(&bench.plan(&bench.c(body))) {
            plan.limits.cpu = Duration::from_millis(300);
            let outcome = bench.run(&plan);
            stopped_by(&outcome, &Stop::Cpu);
            assert!(outcome.used.unwrap().cpu >= plan.limits.cpu, "{outcome:?}");
        }
    }
    let body = "signal(SIGCHLD, SIG_IGN); if (!fork()) { for (long i = 0; i < 300000000; i++) asm volatile(\"\"); _exit(0); } \
        while (wait(0) != -1);";
    let plans = bench.accountings(&bench.plan(&bench.c(body)));
    let outcome = bench.run(plans.last().unwrap());
    assert!(outcome.used.unwrap().cpu >= Duration::from_millis(20), "{outcome:?}");
}

#[test]
fn whoever_prints_too_much_is_ended_at_once() {
    // 50
    let Some(bench) = Bench::full() else { return };
    for body in [
        "char much[65536]; memset(much, 'x', sizeof much); for (;;) write(1, much, sizeof much);",
        "char much[65536]; memset(much, 0, sizeof much); for (;;) { write(1, much, 1000); write(2, much, 1000); }",
        "fork(); for (;;) write(2, \"\\xff\\xfe\", 2);",
    ] {
        let mut plan = bench.plan(&bench.c(body));
        plan.limits.output = 100_000;
        let outcome = bench.run(&plan);
        stopped_by(&outcome, &Stop::Output);
        assert_eq!(outcome.stdout.len() + outcome.stderr.len(), 100_000);
        assert!(outcome.time < SOON, "{outcome:?}");
    }
}

#[test]
fn a_child_that_holds_the_output_does_not_hold_the_grader() {
    // 53, 56: and whoever is left is named.
    let Some(bench) = Bench::full() else { return };
    let program = bench.c(r#"
        int ready[2]; pipe(ready);
        for (int i = 0; i < 3; i++) if (!fork()) {
            setsid(); for (int s = 1; s < 65; s++) signal(s, SIG_IGN);
            if (fork()) _exit(0);
            prctl(PR_SET_PDEATHSIG, 0); prctl(PR_SET_NAME, "daemon");
            write(ready[1], "x", 1); sleep(1000);
        }
        for (int i = 0; i < 3; i++) read(ready[0], &(char) {0}, 1);
        puts("ended");"#);
    for plan in bench.accountings(&bench.plan(&program)) {
        let outcome = bench.run(&plan);
        assert!(outcome.status.success());
        assert_eq!(said(&outcome), "ended\n");
        let Some(Stop::Leftovers(left)) = &outcome.stopped else { panic!("{outcome:?}") };
        let names: Vec<_> = left.iter().map(|process| process.name.as_str()).collect();
        assert_eq!(names, ["daemon"; 3]);
        // The program, three children, three grandchildren.
        assert_eq!(outcome.used.unwrap().created, Some(7));
    }
}

#[test]
fn whoever_is_about_to_end_is_given_a_moment() {
    let Some(bench) = Bench::full() else { return };
    let program = bench.c("if (!fork()) { usleep(1000); } puts(\"ended\");");
    for plan in bench.accountings(&bench.plan(&program)) {
        let outcome = bench.run(&plan);
        assert_eq!(outcome.stopped, None, "{outcome:?}");
        assert_eq!(said(&outcome), "ended\nended\n");
    }
}

#[test]
fn whoever_is_left_and_busy_is_ended_with_the_time_of_the_run() {
    let Some(bench) = Bench::full() else { return };
    let program = bench.c("if (!fork()) for (;;); puts(\"ended\");");
    for mut plan in bench.accountings(&bench.plan(&program)) {
        plan.limits.wall = Duration::from_millis(600);
        let began = Instant::now();
        let outcome = bench.run(&plan);
        assert!(matches!(&outcome.stopped, Some(Stop::Leftovers(left)) if left.len() == 1));
        assert!(outcome.status.success(), "{outcome:?}");
        println!("what was left and busy was ended after {:?}", began.elapsed());
    }
}

#[test]
fn forking_without_end_is_ended() {
    // 55: processes, sessions of their own, vfork, threads.
    let Some(bench) = Bench::full() else { return };
    for body in [
        "for (;;) fork();",
        "for (;;) { if (!fork()) setsid(); }",
        "for (;;) { if (!vfork()) { execl(\"/proc/self/exe\", \"again\", (char *) 0); _exit(1); } }",
        "void *sit(void *x) { pause(); return 0; } pthread_t t; for (;;) pthread_create(&t, 0, sit, 0);",
    ] {
        for mut plan in bench.accountings(&bench.plan(&bench.c(body))) {
            plan.limits.processes = 20;
            plan.limits.wall = Duration::from_secs(3);
            let outcome = bench.run(&plan);
            // Without a control group, the stacks of threads fill the address space before there
            // are too many.
            let time_too = body.contains("pthread") && !plan.sandbox.use_groups;
            let expected = outcome.stopped == Some(Stop::Processes)
                || (time_too && outcome.stopped == Some(Stop::Time));
            assert!(expected, "{body}\n{outcome:?}");
        }
    }
}

#[test]
fn as_many_processes_as_allowed_are_no_offence() {
    let Some(bench) = Bench::full() else { return };
    let program = bench.c(r#"
        for (int i = 0; i < 9; i++) { int child = fork(); if (child == -1) puts("refused"); if (!child) { usleep(100000); _exit(0); } }
        while (wait(0) != -1);"#);
    for mut plan in bench.accountings(&bench.plan(&program)) {
        plan.limits.processes = 10;
        let outcome = bench.run(&plan);
        assert_eq!((outcome.stopped.clone(), said(&outcome)), (None, String::new()), "{outcome:?}");
        assert_eq!(outcome.used.unwrap().created, Some(10));
    }
}

#[test]
fn memory_is_bounded_over_all_processes() {
    // 58: the heap, mappings, the stack, many processes.
    let Some(bench) = Bench::full() else { return };
    for body in [
        "for (;;) { char *p = malloc(1 << 20); if (!p) break; memset(p, 1, 1 << 20); } abort();",
        "for (int i = 0; i < 4; i++) fork(); for (;;) { char *p = mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); if (p == MAP_FAILED) break; memset(p, 1, 1 << 20); } while (wait(0) != -1); sleep(1);",
        "for (;;) { char *p = mmap(0, 1 << 20, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0); if (p == MAP_FAILED) break; memset(p, 1, 1 << 20); } abort();",
        "volatile char deep[4 << 20]; memset((char *) deep, 1, sizeof deep); return main(argc, argv) + deep[5];",
    ] {
        for mut plan in bench.accountings(&bench.plan(&bench.c(body))) {
            plan.limits.memory = 256 << 20;
            plan.limits.processes = 32;
            let outcome = bench.run(&plan);
            if plan.sandbox.use_groups && !body.contains("deep") {
                stopped_by(&outcome, &Stop::Memory);
            } else {
                // Refused, and what a program makes of that is its own affair.
                assert_eq!(outcome.stopped, None, "{body}\n{outcome:?}");
            }
            // Process 1 of the sandbox counts a little too.
            assert!(outcome.used.unwrap().memory <= plan.limits.memory + (8 << 20), "{outcome:?}");
        }
    }
}

#[test]
fn memory_without_a_process_is_bounded_too() {
    // 59, 60: memfd, System V, message queues, pipes, files in memory.
    let Some(bench) = Bench::full() else { return };
    let program = bench.c(r#"
        static char much[1 << 20];
        memset(much, 1, sizeof much);
        long total = 0;
        int file = memfd_create("x", 0);
        if (file == -1) puts("no memfd");
        else for (; total < 600 && write(file, much, sizeof much) == sizeof much; total++);
        for (int i = 0; i < 200 && total < 1200; i++) {
            int id = shmget(IPC_PRIVATE, 8 << 20, IPC_CREAT | 0600);
            char *p = id == -1 ? (void *) -1 : shmat(id, 0, 0);
            if (p == (void *) -1) break;
            for (long k = 0; k < 8 << 20; k += 4096) p[k] = 1;
            shmdt(p); total += 8;
        }
        printf("%ld MiB\n", total); fflush(stdout);
        for (char **folder = (char *[]) { "/tmp/x", "/box/x", "/dev/shm/x", 0 }; *folder; folder++) {
            int file = open(*folder, O_CREAT | O_RDWR, 0600);
            unlink(*folder);
            while (write(file, much, sizeof much) > 0) total++;
        }
        printf("%ld MiB\n", total);"#);
    for mut plan in bench.accountings(&bench.plan(&program)) {
        plan.limits.memory = 256 << 20;
        plan.limits.processes = 4;
        plan.limits.file_size = 1 << 30;
        let outcome = bench.run(&plan);
        if plan.sandbox.use_groups {
            stopped_by(&outcome, &Stop::Memory);
        } else {
            let said = said(&outcome);
            assert!(said.starts_with("no memfd\n"), "{said}");
            let total: u64 =
                said.lines().last().unwrap().split(' ').next().unwrap().parse().unwrap();
            assert!(total > 0 && total <= 256, "{said}");
        }
    }
}

#[test]
fn files_are_bounded_in_bytes_and_number() {
    // 61
    let Some(bench) = Bench::full() else { return };
    let said = bench.says(r#"
        signal(SIGXFSZ, SIG_IGN);
        static char much[1 << 20]; char path[100];
        for (char **folder = (char *[]) { "/tmp", "/box", "/dev/shm", 0 }; *folder; folder++) {
            long bytes = 0, files = 0, failed = 0;
            for (int i = 0; i < 20 && !failed; i++) {
                snprintf(path, sizeof path, "%s/big%d", *folder, i);
                int file = open(path, O_CREAT | O_WRONLY, 0600);
                for (int k = 0; k < 64 && !failed; k++) {
                    if (write(file, much, sizeof much) != sizeof much) failed = errno; else bytes++;
                }
                close(file);
            }
            printf("%s %s\n", *folder, failed == ENOSPC ? "full" : "not full");
            for (int i = 0; i < 20; i++) { snprintf(path, sizeof path, "%s/big%d", *folder, i); unlink(path); }
            for (failed = 0; files < 100000 && !failed; files++) {
                snprintf(path, sizeof path, "%s/%ld", *folder, files);
                int file = open(path, O_CREAT | O_WRONLY, 0600);
                if (file == -1) failed = errno; close(file);
            }
            printf("%s %s\n", *folder, failed == ENOSPC ? "no more files" : "any number of files");
        }
        int large = open("/tmp/0", O_WRONLY);
        TRY(ftruncate(large, 1L << 40));
        int open_files = 0;
        while (dup(1) != -1) open_files++;
        printf("%s\n", open_files < 300 ? "no more descriptors" : "any number of descriptors");
    "#);
    for folder in ["/tmp", "/box", "/dev/shm"] {
        assert!(said.contains(&format!("{folder} full\n{folder} no more files\n")), "{said}");
    }
    assert!(said.contains("EFBIG\nno more descriptors\n"), "{said}");
}

#[test]
fn no_run_outlives_its_limit_by_much() {
    // I4: exact bounds need a quiet machine, so the best of several runs counts.
    let Some(bench) = Bench::full() else { return };
    let program = bench.c("for (int i = 0; i < 4; i++) fork(); for (;;);");
    let mut plan = bench.plan(&program);
    plan.limits.wall = Duration::from_millis(400);
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        let outcome = bench.run(&plan);
        assert_eq!(outcome.stopped, Some(Stop::Time));
        assert!(outcome.time >= plan.limits.wall);
        best = best.min(began.elapsed());
    }
    // From before the sandbox was there until nothing was left of it.
    println!("the limit was {:?}, the best run took {best:?} in all", plan.limits.wall);
    assert!(best < SOON, "{best:?}");
}
