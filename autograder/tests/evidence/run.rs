//! Builds the programs, and runs one of them beside an observer.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use autograder::evidence::{Evidence, Observer, Source};

/// How often each question is asked.
pub(crate) fn rounds() -> u32 {
    env::var("AUTOGRADER_ROUNDS").map_or(3, |rounds| rounds.parse().expect("a number of rounds"))
}

/// The sources that this machine has.
pub(crate) fn both_sources() -> Vec<Source> {
    let mut sources = vec![Source::Sampling];
    if switches_are_told() {
        sources.push(Source::Switches);
    }
    sources
}

/// Whether the kernel tells of switches; says so if not.
pub(crate) fn switches_are_told() -> bool {
    static TOLD: OnceLock<bool> = OnceLock::new();
    *TOLD.get_or_init(|| {
        let mut launcher = launcher(BECOMES, &["true"]);
        let answer = Observer::attach_by(Source::Switches, launcher.id());
        launcher.kill().expect("a launcher that can be ended");
        launcher.wait().expect("a launcher that can be joined");
        if let Err(error) = &answer {
            println!("did not run with switches: {error}");
        }
        answer.is_ok()
    })
}

/// Runs one of the programs from beginning to end.
pub(crate) fn observe(source: Source, program: &[&str]) -> Evidence {
    run(BECOMES, &with_path(program), |pid| Observer::attach_by(source, pid))
}

/// Runs any command.
pub(crate) fn observe_command(source: Source, command: &[&str]) -> Evidence {
    run(BECOMES, command, |pid| Observer::attach_by(source, pid))
}

/// Runs one of the programs as the child of a launcher that has had other children.
pub(crate) fn observe_started_by_a_busy_launcher(source: Source, program: &[&str]) -> Evidence {
    run(STARTS, &with_path(program), |pid| Observer::attach_by(source, pid))
}

/// Runs one of the programs beside an observer that cannot keep up.
pub(crate) fn observe_with_small_rings(program: &[&str]) -> Evidence {
    run(BECOMES, &with_path(program), |pid| Observer::attach_with_rings(pid, 1))
}

/// A launcher, as a shell script, that becomes the command.
const BECOMES: &str = r#"read go; exec "$0" "$@" < /dev/null"#;

/// One that forks, with nobody calling `execve`, and then starts the command as its child.
const STARTS: &str = r#"read go; (:); (:); "$0" "$@" < /dev/null; (:)"#;

fn with_path<'a>(program: &[&'a str]) -> Vec<&'a str> {
    let path = programs().to_str().expect("a path that is text");
    [&[path], program].concat()
}

fn run(
    script: &str,
    command: &[&str],
    attach: impl FnOnce(u32) -> io::Result<Observer>,
) -> Evidence {
    let mut launcher = launcher(script, command);
    let observer = attach(launcher.id()).expect("a way to observe");
    let mut stdin = launcher.stdin.take().expect("a pipe");
    stdin.write_all(b"go\n").expect("a launcher that listens");
    drop(stdin);
    // Until its output closes: an orphan holds it too.
    launcher.wait_with_output().expect("a program that ends");
    observer.finish()
}

/// A process that becomes or starts the command when it is told to.
fn launcher(script: &str, command: &[&str]) -> Child {
    Command::new("sh")
        .args(["-c", script])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell")
}

/// The programs, built once.
pub(crate) fn programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence/programs.rs");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("evidence-programs");
        let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
        let status = Command::new(rustc)
            .args(["--edition=2024", "-Copt-level=1", "-o"])
            .args([&program, &source])
            .status()
            .expect("a compiler");
        assert!(status.success(), "the programs do not compile");
        program
    })
}
