//! The programs: how each is built and run, and why one does not run here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::figures::Line;
use super::{FOLDER, note, progress};
use crate::steps;

/// All of them, in the order of a round.
pub(super) const PEERS: &[&str] = &[
    "common",
    "limits",
    "threads",
    "ipc_channel",
    "procspawn",
    "crossmist",
    "zygote",
    "process_sync",
    "iceoryx2",
    "python",
];

/// crossmist panics at its first use under Rust 1.93 and later.
const RUST_OF_CROSSMIST: &str = "1.90.0";

/// Seconds that one run of a program may take, far more than any needs: it is killed then.
const LIMIT: &str = "300";

/// A program that is built.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// The program, and arguments that come first.
    words: Vec<PathBuf>,
    /// What it is told by its environment.
    environment: Vec<(&'static str, PathBuf)>,
    /// The metrics that it has.
    pub(super) metrics: Vec<String>,
}

impl Program {
    /// Takes the figures of a metric. A repetition that the machine disturbs is taken again for
    /// `patience` seconds.
    pub(super) fn measure(
        &self,
        metric: &str,
        repetitions: usize,
        patience: f64,
    ) -> Result<Vec<(String, Line)>, String> {
        let repetitions = repetitions.to_string();
        let mut command = self.command(&["--exact", "--reps", &repetitions, metric]);
        command.env("BENCH_PATIENCE", patience.to_string());
        let output = self.output(command, &format!("{} at {metric}", self.name))?;
        let read = |text: &str| {
            let line = serde_json::from_str(text)
                .map_err(|error| format!("{} printed {text:?}: {error}", self.name))?;
            Ok((text.to_owned(), line))
        };
        output.lines().map(read).collect()
    }

    /// Asks which metrics it has.
    fn list(&mut self) -> Result<(), String> {
        let text = self.output(self.command(&["--list"]), &format!("{} --list", self.name))?;
        self.metrics = text.lines().map(str::to_owned).collect();
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // It ends the processes of the program as well.
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", LIMIT]).args(&self.words).args(arguments);
        command.envs(self.environment.iter().map(|(name, path)| (name, path)));
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        command
    }

    fn output(&self, mut command: Command, what: &str) -> Result<String, String> {
        let output = command.output().map_err(|error| format!("{what} did not start: {error}"))?;
        if !output.status.success() {
            return Err(format!("{what} failed ({})", output.status));
        }
        String::from_utf8(output.stdout).map_err(|error| format!("{what}: {error}"))
    }
}

/// Seconds that a figure may wait for a quiet machine.
pub(super) fn patience() -> f64 {
    let seconds = std::env::var("BENCH_PATIENCE").ok().and_then(|text| text.parse().ok());
    seconds.unwrap_or(20.0)
}

/// Builds the programs that can run here; of the others `notes` says why they do not.
pub(super) fn build(
    root: &Path,
    names: impl Iterator<Item = &'static str>,
    notes: &mut Vec<String>,
) -> Vec<Program> {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root.join("target"), |path| root.join(path));
    let workshop = Workshop { folder: root.join(FOLDER), target: target.join("bench") };
    let mut programs = Vec::new();
    for name in names {
        progress(&format!("building {name}"));
        let built = match name {
            "python" => workshop.python(notes),
            "crossmist" => workshop.crossmist(),
            "limits" => workshop.limits(notes),
            name => workshop.rust(name),
        };
        let listed = built.and_then(|mut program| program.list().map(|()| program));
        match listed {
            Ok(program) => programs.push(program),
            Err(problem) => note(notes, format!("does not run: {name}: {problem}")),
        }
    }
    programs
}

/// Where the programs come from and go to.
struct Workshop {
    folder: PathBuf,
    target: PathBuf,
}

impl Workshop {
    /// A program with the feature of its name.
    fn rust(&self, name: &'static str) -> Result<Program, String> {
        let features = if name == "limits" { "" } else { name };
        let words = ["build", "--release", "--quiet", "--features", features, "--bin", name];
        self.finish(steps::command(&self.folder, &words), &self.target)?;
        Ok(program(name, self.target.join("release").join(name)))
    }

    /// The machine, and the smallest programs that it can start.
    fn limits(&self, notes: &mut Vec<String>) -> Result<Program, String> {
        let mut program = self.rust("limits")?;
        let smallest = [
            ("BENCH_TINY", self.tiny()),
            ("BENCH_NOTHING", self.nothing("nothing", "")),
            (
                "BENCH_NOTHING_STATIC",
                self.nothing("static", "-C target-feature=+crt-static -C relocation-model=static"),
            ),
        ];
        for (variable, built) in smallest {
            match built {
                Ok(path) => program.environment.push((variable, path)),
                Err(problem) => note(notes, format!("does not run: limits, {variable}: {problem}")),
            }
        }
        Ok(program)
    }

    /// The smallest program of all, in assembly.
    fn tiny(&self) -> Result<PathBuf, String> {
        if !cfg!(target_arch = "x86_64") {
            return Err("tiny.s is for x86_64 only".into());
        }
        let path = self.target.join("tiny");
        let mut command = Command::new("cc");
        command.args(["-static", "-nostdlib", "-o"]).arg(&path).arg(self.folder.join("tiny.s"));
        output(command).map(|_| path)
    }

    /// The smallest Rust program, in a folder of its own, because the flags differ.
    fn nothing(&self, folder: &str, flags: &str) -> Result<PathBuf, String> {
        let target = self.target.join(folder);
        let words = ["build", "--release", "--quiet", "--bin", "nothing"];
        let mut command = steps::command(&self.folder, &words);
        command.env("RUSTFLAGS", flags);
        self.finish(command, &target)?;
        Ok(target.join("release/nothing"))
    }

    /// crossmist, with its own Rust.
    fn crossmist(&self) -> Result<Program, String> {
        let way = format!("`rustup toolchain install {RUST_OF_CROSSMIST}` brings it");
        let mut toolchains = Command::new("rustup");
        toolchains.args(["toolchain", "list"]);
        let there = output(toolchains).map_err(|problem| format!("{problem}; {way}"))?;
        let there = String::from_utf8_lossy(&there.stdout).into_owned();
        if !there.lines().any(|line| line.starts_with(RUST_OF_CROSSMIST)) {
            return Err(format!("it needs Rust {RUST_OF_CROSSMIST}; {way}"));
        }
        let target = self.target.join(RUST_OF_CROSSMIST);
        let mut command = Command::new("rustup");
        command.current_dir(&self.folder).args(["run", RUST_OF_CROSSMIST, "cargo", "build"]);
        command.args(["--release", "--quiet", "--features", "crossmist", "--bin", "crossmist"]);
        self.finish(command, &target)?;
        Ok(program("crossmist", target.join("release/crossmist")))
    }

    /// Python, with loky and joblib in a folder of our own if they can be had.
    fn python(&self, notes: &mut Vec<String>) -> Result<Program, String> {
        let mut version = Command::new("python3");
        version.arg("--version");
        output(version)?;
        let python = self.environment_of_python().unwrap_or_else(|problem| {
            note(notes, format!("does not run: loky, joblib: {problem}"));
            "python3".into()
        });
        let mut program = program("python", python);
        program.words.push(self.folder.join("python/bench_mp.py"));
        Ok(program)
    }

    /// The Python that has what `requirements.txt` names.
    fn environment_of_python(&self) -> Result<PathBuf, String> {
        let (environment, wanted) =
            (self.target.join("venv"), self.folder.join("python/requirements.txt"));
        let (python, installed) =
            (environment.join("bin/python"), environment.join("requirements.txt"));
        let text = |path: &Path| fs::read_to_string(path).ok();
        if text(&installed).is_some_and(|found| Some(found) == text(&wanted)) {
            return Ok(python);
        }
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&environment);
        output(make)?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        install.args(["--retries", "1", "--requirement"]).arg(&wanted);
        output(install)?;
        fs::copy(&wanted, &installed)
            .map_err(|error| format!("{}: {error}", installed.display()))?;
        Ok(python)
    }

    /// Lets cargo build into a folder.
    fn finish(&self, mut command: Command, target: &Path) -> Result<(), String> {
        command.env("CARGO_TARGET_DIR", target);
        output(command).map(drop)
    }
}

/// A program without more arguments or surroundings.
fn program(name: &'static str, path: PathBuf) -> Program {
    Program { name, words: vec![path], environment: Vec::new(), metrics: Vec::new() }
}

/// Runs a command to its end; an error ends with the last line that it wrote on standard error.
fn output(mut command: Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{name}` could not be started: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("`{name}` failed ({}): {last}", output.status))
}
