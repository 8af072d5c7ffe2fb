//! The same tests, as an ordinary user.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::unistd::geteuid;

use crate::bench::Bench;
use crate::honest;

/// Whoever is nobody.
const NOBODY: &str = "65534";

#[test]
fn all_of_this_holds_for_an_ordinary_user_too() {
    if !geteuid().is_root() {
        println!("these tests run as an ordinary user");
        return;
    }
    let bench = Bench::new();
    // Cargo and the compiler may lie where only root can read them.
    let programs = bench.folder().join("programs");
    honest::build_all(&programs);
    let temporary = bench.folder().join("temporary");
    fs::create_dir(&temporary).unwrap();
    fs::set_permissions(bench.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
        .arg(env::current_exe().unwrap())
        .arg("--nocapture")
        .env("TMPDIR", &temporary)
        .env(honest::PROGRAMS, &programs)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            println!("did not run: setpriv cannot be started: {error}");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for line in said.lines().filter(|line| line.contains("did not run")) {
        println!("as an ordinary user, {line}");
    }
}
