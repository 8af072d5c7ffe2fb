//! Which tiers there are, and what the lower ones hold.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use autograder::runner::Stop;
use autograder::sandbox::{Sandbox, Tier};

use crate::bench::{Bench, GRADER, detected, said};

/// None, and a line that says so, where the machine does not give the tier.
fn reduced() -> Option<Bench> {
    if detected().tier >= Tier::Reduced {
        return Some(Bench::new());
    }
    println!("did not run: no reduced sandbox here");
    None
}

#[test]
fn the_tier_is_found_by_trying_and_what_is_missing_is_explained() {
    let _bench = Bench::new();
    let detection = detected();
    println!("tier {}: {}", detection.tier, detection.tier.meaning());
    for shortfall in &detection.shortfalls {
        println!("{shortfall}");
        assert!(!shortfall.why.is_empty() && !shortfall.remedy.is_empty());
    }
    assert_eq!(detection.accounting.is_some(), detection.tier != Tier::None);
}

/// In the environment of the next test where it finds no namespaces to be had.
const WITHOUT_NAMESPACES: &str = "SANDBOX_TEST_WITHOUT_NAMESPACES";

#[test]
fn without_namespaces_the_tier_is_reduced_and_the_way_out_is_named() {
    if env::var_os(WITHOUT_NAMESPACES).is_some() {
        let detection = detected();
        assert_eq!(detection.tier, Tier::Reduced, "{:?}", detection.shortfalls);
        let shortfall = &detection.shortfalls[0];
        assert_eq!(shortfall.what, "tier full");
        assert!(shortfall.why.starts_with("cannot make namespaces: "), "{shortfall}");
        assert!(shortfall.remedy.contains("sysctl -w user.max_user_namespaces="), "{shortfall}");
        return;
    }
    let Some(_bench) = Bench::full() else { return };
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c"])
        .arg("echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"")
        .arg("sh")
        .arg(env::current_exe().unwrap())
        .args(["--exact", "tiers::without_namespaces_the_tier_is_reduced_and_the_way_out_is_named"])
        .env(WITHOUT_NAMESPACES, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_reduced_tier_confines_files_calls_and_limits() {
    let Some(bench) = reduced() else { return };
    let secret = bench.folder().join("secret");
    fs::write(&secret, "the hidden tests").unwrap();
    let program = bench.c(r#"
        TRY(open(argv[1], O_RDONLY));
        TRY(open("/root/.profile", O_RDONLY));
        TRY(open("/etc/x", O_CREAT | O_WRONLY, 0600));
        struct sockaddr_un bus = { AF_UNIX, "/run/dbus/system_bus_socket" };
        TRY(socket(AF_INET, SOCK_STREAM, 0));
        TRY(socket(AF_UNIX, SOCK_DGRAM, 0));
        TRY(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *) &bus, sizeof bus));
        TRY(unshare(CLONE_NEWUSER));
        TRY(ptrace(PTRACE_TRACEME, 0, 0, 0));
        TRY(kill(getppid(), SIGKILL));
        system("cp /proc/self/exe copy; chmod +x copy");
        TRY(execl("./copy", "copy", (char *) 0));
        printf("user %d\n", getuid());
        TRY(open("file", O_CREAT | O_WRONLY, 0600));"#);
    let mut plan = bench.plan(&program);
    plan.sandbox = Sandbox::new(Tier::Reduced, GRADER);
    plan.args = vec![secret.into()];
    let outcome = bench.run(&plan);
    let said = said(&outcome);
    assert!(outcome.status.success() && outcome.stopped.is_none(), "{outcome:?}");
    let lines: Vec<_> = said.lines().collect();
    for line in &lines[..10] {
        let denied = ["EACCES", "EPERM"];
        assert!(denied.iter().any(|reason| line.ends_with(reason)), "{line}");
    }
    assert_ne!(lines[10], "user 0");
    assert!(lines[11].ends_with(": done"), "{said}");
}

#[test]
fn the_reduced_tier_leaves_nothing_either() {
    let Some(bench) = reduced() else { return };
    let program = bench.c(r#"
        int ready[2]; pipe(ready);
        if (!fork()) { setsid(); if (fork()) _exit(0); write(ready[1], "x", 1); for (;;) pause(); }
        wait(0); read(ready[0], &(char) {0}, 1);
        if (argc > 1) for (;;) pause();"#);
    let mut plan = bench.plan(&program);
    plan.sandbox = Sandbox::new(Tier::Reduced, GRADER);
    let outcome = bench.run(&plan);
    assert!(
        matches!(&outcome.stopped, Some(Stop::Leftovers(left)) if left.len() == 1),
        "{outcome:?}"
    );
    plan.args = vec!["wait".into()];
    plan.limits.wall = Duration::from_millis(300);
    assert_eq!(bench.run(&plan).stopped, Some(Stop::Time));
}
