//! The same attacks, graded by an ordinary user.
//!
//! The compiler, the libraries and the grader may lie where only root can read them. So root shows them in
//! another place, in a mount namespace that ends with the tests: hardly anything is copied, and nothing
//! stays. What Cargo would say about the libraries, a script says to the grader.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use autograder::assignment::Course;
use autograder::kit::Kit;
use libtest_mimic::{Completion, Failed};

use crate::corpus::{self, CORPUS};
use crate::course::{GRADER, grader};
use crate::{FORM, not_run};

/// What the trial is called.
pub(crate) const TRIAL: &str = "as_an_ordinary_user";

/// The form in which only some attacks are tried.
pub(crate) const SAMPLE_FORM: &str = "sample";

/// These: something of every stage.
pub(crate) const SAMPLE: [&str; 7] = ["003", "015", "041", "055b", "060a", "068", "075a"];

/// Whoever is nobody.
const NOBODY: u32 = 65534;

/// Shows each folder in its other place, then becomes the tests, as nobody.
const SCRIPT: &str = r#"
set -e
mount --bind "$1" "$2/toolchain"
mount --bind "$3" "$2/target/deps"
mount --bind "$4" "$2/attacks"
exec setpriv --reuid 65534 --regid 65534 --clear-groups -- "$2/tests"
"#;

pub(crate) fn tries_them_too(is_long: bool) -> Result<Completion, Failed> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "--"]);
    match command_of(&unshare).args(["setpriv", "--version"]).output() {
        Ok(Output { status, .. }) if status.success() => {}
        Ok(Output { stderr, .. }) => {
            return Ok(not_run(TRIAL, String::from_utf8_lossy(&stderr).trim()));
        }
        Err(error) => {
            return Ok(not_run(TRIAL, &format!("unshare cannot be started: {error}")));
        }
    }
    let place = tempfile::Builder::new().prefix("ordinary-").tempdir()?;
    let at = |name: &str| place.path().join(name);
    for name in ["toolchain", "target", "target/deps", "target/grade", "attacks", "temporary"] {
        fs::create_dir(at(name))?;
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
    for name in ["target/grade", "temporary"] {
        chown(at(name), Some(NOBODY), Some(NOBODY))?;
    }
    fs::copy(grader(), at("target/autograder"))?;
    fs::copy(env::current_exe()?, at("tests"))?;

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("a workspace")?;
    let kit = Kit::new(&Course::at(root), grader());
    let toolchain = &kit.libraries()?.toolchain;
    let libraries = grader().with_file_name("deps");
    fs::write(at("messages"), messages(root, &libraries, &at("target/deps"))?)?;
    fs::write(at("cargo"), format!("#!/bin/sh\ncat '{}'\n", at("messages").display()))?;
    for name in ["target/autograder", "tests", "messages", "cargo"] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755))?;
    }

    let output = unshare
        .args(["sh", "-c", SCRIPT, "sh"])
        .args([toolchain, place.path(), &libraries, &corpus::folder()])
        .current_dir("/")
        .env("TMPDIR", at("temporary"))
        .env("HOME", at("home"))
        .env("CARGO", at("cargo"))
        .env("RUSTC", at("toolchain/bin/rustc"))
        .env(GRADER, at("target/autograder"))
        .env(CORPUS, at("attacks"))
        .env(FORM, if is_long { "long" } else { SAMPLE_FORM })
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "as an ordinary user:\n{said}");
    for line in said.lines().filter(|line| line.starts_with("did not run")) {
        println!("{line} (as an ordinary user)");
    }
    Ok(Completion::Completed)
}

/// The same command, to try it first.
fn command_of(command: &Command) -> Command {
    let mut same = Command::new(command.get_program());
    same.args(command.get_args());
    same
}

/// What Cargo says about the libraries, as if they lay in another place.
fn messages(root: &Path, from: &Path, to: &Path) -> Result<String, Failed> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "autograder", "--lib", "--offline"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let paths = [from, to].map(|path| path.to_string_lossy().into_owned());
    Ok(String::from_utf8(output.stdout)?.replace(&paths[0], &paths[1]))
}
