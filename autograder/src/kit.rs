//! The compiler, and the libraries that submissions and judges link against.
//!
//! Cargo has built them already: the grader itself depends on them. So the grader asks Cargo once
//! more for its own library, which costs nothing, and reads from the messages where each `.rlib`
//! lies. They are kept in a folder of their own, which submissions may see. From there on only `rustc` is
//! called.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::assignment::{Assignment, Course, TestsFile};
use crate::error::{Error, Result};
use crate::sandbox::{self, Detection, Sandbox};
use crate::text;

/// The libraries that an assignment may allow its submissions.
pub const OFFERED: &[&str] = &["common"];

/// The libraries that a tests file may use.
const FOR_JUDGES: &[&str] = &["assert_cmd", "autograder", "predicates"];

/// How many digits name a version of the libraries.
const DIGITS: usize = 32;

/// How long libraries and judges are kept that nobody uses any more.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What is needed to build submissions and judges. Made ready at the first use.
#[derive(Debug)]
pub struct Kit {
    root: PathBuf,
    keeper: PathBuf,
    ready: OnceCell<Libraries>,
    detection: OnceCell<Detection>,
}

/// Where everything lies.
#[derive(Clone, Debug)]
pub struct Libraries {
    /// The folder of the compiler, which is `bin/rustc` in it: no shim that picks one.
    pub toolchain: PathBuf,
    /// The folder of all prebuilt libraries, and of nothing else: what Cargo puts beside them, such as the
    /// programs of the course, is not for submissions to read. Nobody writes in it any more.
    pub folder: PathBuf,
    /// The files of the libraries that are named in `extern`, by name.
    rlibs: BTreeMap<String, OsString>,
    /// Where judges and what else is made once are kept.
    kept: PathBuf,
}

impl Kit {
    /// A kit for a course. `keeper` is the program `autograder`, which the grader starts again to
    /// keep an eye on the compiler.
    pub fn new(course: &Course, keeper: impl Into<PathBuf>) -> Kit {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        // A course that was copied without the grader is graded by the one at hand.
        let root = match own.parent() {
            Some(parent) if !course.root().join("autograder/Cargo.toml").is_file() => parent,
            _ => course.root(),
        };
        Kit {
            root: root.to_path_buf(),
            keeper: keeper.into(),
            ready: OnceCell::new(),
            detection: OnceCell::new(),
        }
    }

    /// What sandbox this machine gives; found out at the first call, which takes some ten milliseconds.
    pub fn detection(&self) -> &Detection {
        self.detection.get_or_init(|| sandbox::detect(&self.keeper))
    }

    /// The highest sandbox that this machine gives.
    pub fn sandbox(&self) -> Sandbox {
        Sandbox::new(self.detection().tier, &self.keeper)
    }

    /// The program that keeps an eye on the compiler.
    pub fn keeper(&self) -> &Path {
        &self.keeper
    }

    /// Whether [`libraries`](Kit::libraries) has its answer already.
    pub fn is_ready(&self) -> bool {
        self.ready.get().is_some()
    }

    /// Where everything lies.
    ///
    /// # Errors
    ///
    /// [`Error::Kit`] with what Cargo said, if the libraries cannot be built.
    pub fn libraries(&self) -> Result<&Libraries> {
        if let Some(libraries) = self.ready.get() {
            return Ok(libraries);
        }
        let libraries = Libraries::find(&self.root)?;
        Ok(self.ready.get_or_init(|| libraries))
    }
}

impl Libraries {
    fn find(root: &Path) -> Result<Libraries> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = ["build", "--quiet", "--package", "autograder", "--lib", "--offline"];
        let built = output(
            Command::new(cargo)
                .args(arguments)
                .args(["--message-format", "json-render-diagnostics"])
                .current_dir(root),
        )?;
        let artifacts = artifacts_in(&String::from_utf8_lossy(&built));
        let named = |name: &str| artifacts.iter().find(|artifact| artifact.name == name);
        let mut rlibs = BTreeMap::new();
        for name in FOR_JUDGES.iter().chain(OFFERED) {
            let artifact = named(name).ok_or_else(|| {
                Error::Kit(format!("cargo did not say where the library {name} lies"))
            })?;
            rlibs.insert((*name).to_string(), artifact.file_name().to_os_string());
        }
        let own = named("autograder").and_then(|artifact| artifact.file.parent()?.parent());
        let kept = own.unwrap_or(root).join("grade");

        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]).current_dir(root))?;
        let toolchain = PathBuf::from(String::from_utf8_lossy(&sysroot).trim_end());
        let rustc = toolchain.join("bin/rustc");
        if !rustc.is_file() {
            return Err(Error::Kit(format!("there is no {}", rustc.display())));
        }
        let folder = store(&kept.join("libraries"), &rustc, &artifacts)
            .map_err(Error::io("cannot keep libraries in", &kept))?;
        Ok(Libraries { toolchain, folder, rlibs, kept })
    }

    /// Where things of this kind are kept that are made once.
    pub(crate) fn kept(&self, kind: &str) -> PathBuf {
        self.kept.join(kind)
    }

    /// The arguments that make libraries known to `rustc`, for which their folder lies there.
    pub fn externs<'a>(
        &self,
        folder: &Path,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Vec<OsString> {
        let mut arguments = vec!["-L".into(), joined("dependency=", folder)];
        for name in names {
            if let Some(rlib) = self.rlibs.get(name) {
                arguments.push("--extern".into());
                arguments.push(joined(&format!("{name}="), &folder.join(rlib)));
            }
        }
        arguments
    }

    /// The judge for one tests file: built if there is none yet for this text, these libraries and
    /// this compiler.
    ///
    /// # Errors
    ///
    /// [`Error::Assignment`] with what the compiler said, if the tests file does not compile.
    pub fn judge(&self, assignment: &Assignment, file: TestsFile) -> Result<PathBuf> {
        let source = assignment.folder.join(file.path());
        let name = format!("{}-{file:?}-{:016x}", assignment.name, self.fingerprint(&source)?);
        let judges = self.kept("judges");
        let judge = judges.join(name);
        if judge.is_file() {
            use_again(&judge);
            return Ok(judge);
        }
        fs::create_dir_all(&judges).map_err(Error::io("cannot create", &judges))?;
        sweep(&judges);
        // In a folder of its own first: another grader may be at the same work, and the compiler
        // puts more files beside its output than it keeps.
        let folder =
            tempfile::tempdir_in(&judges).map_err(Error::io("cannot write to", &judges))?;
        let fresh = folder.path().join("judge");
        let compiler = self.toolchain.join("bin/rustc");
        let mut rustc = Command::new(&compiler);
        rustc
            .args(["--edition", "2024", "--crate-name", "judge", "--crate-type", "bin"])
            .args(["--cap-lints", "allow", "--color", "never", "-C", "strip=symbols"])
            .args(self.externs(&self.folder, FOR_JUDGES.iter().copied()))
            .arg("-o")
            .arg(&fresh)
            .arg(&source);
        let compiled = rustc.output().map_err(Error::io("cannot start", &compiler))?;
        if !compiled.status.success() {
            let said = text::clean(&compiled.stderr, 8000);
            return Err(Error::Assignment {
                file: Path::new("assignments").join(&assignment.name).join(file.path()),
                message: format!("the tests do not compile\n{}", text::quote(&said)),
            });
        }
        fs::rename(&fresh, &judge).map_err(Error::io("cannot write", &judge))?;
        Ok(judge)
    }

    fn fingerprint(&self, source: &Path) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        fs::read(source).map_err(Error::io("cannot read", source))?.hash(&mut hasher);
        // Its name changes with what is in it.
        self.folder.hash(&mut hasher);
        Ok(hasher.finish())
    }
}

/// A folder with these libraries and nothing else, made once for what is in them.
fn store(base: &Path, rustc: &Path, artifacts: &[Artifact]) -> io::Result<PathBuf> {
    fs::create_dir_all(base)?;
    let folder = base.join(version(base, rustc, artifacts)?);
    if !folder.is_dir() {
        // In a folder of its own first: another grader may be at the same work.
        let fresh = tempfile::tempdir_in(base)?;
        for artifact in artifacts {
            let copy = fresh.path().join(artifact.file_name());
            // Cargo never writes into a library: it puts a new one in its place.
            fs::hard_link(&artifact.file, &copy)
                .or_else(|_| fs::copy(&artifact.file, &copy).map(drop))?;
        }
        fs::set_permissions(fresh.path(), Permissions::from_mode(0o755))?;
        match fs::rename(fresh.path(), &folder) {
            Err(_) if folder.is_dir() => {}
            result => result?,
        }
    }
    use_again(&folder);
    sweep(base);
    Ok(folder)
}

/// Notes that something kept is in use. Where that cannot be noted, it is made again some day.
fn use_again(path: &Path) {
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes what nobody has used for long, and what a grader has left that was killed at its work.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let used = entry.metadata().and_then(|metadata| metadata.modified());
        let since = used.ok().and_then(|used| used.elapsed().ok());
        if since.is_some_and(|since| since > KEPT) {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

/// A digest of compiler and libraries. To read them takes a while, so it is noted under what is known of
/// them at once: names, lengths, times of change.
fn version(base: &Path, rustc: &Path, artifacts: &[Artifact]) -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    for file in artifacts.iter().map(|artifact| artifact.file.as_path()).chain([rustc]) {
        let metadata = fs::metadata(file)?;
        (file, metadata.modified()?, metadata.len()).hash(&mut hasher);
    }
    let note = base.join(format!("{:016x}.version", hasher.finish()));
    let is_digest =
        |text: &String| text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(version) = fs::read_to_string(&note).ok().filter(is_digest) {
        return Ok(version);
    }

    let mut digest = Sha256::new();
    digest.update(rustc.as_os_str().as_encoded_bytes());
    let mut chunk = vec![0; 1 << 16];
    for artifact in artifacts {
        let mut file = File::open(&artifact.file)?;
        digest.update(artifact.file_name().as_encoded_bytes());
        digest.update(file.metadata()?.len().to_le_bytes());
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                count => digest.update(&chunk[..count]),
            }
        }
    }
    let bytes = digest.finalize();
    let version: String = bytes.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect();
    let mut fresh = NamedTempFile::new_in(base)?;
    fresh.write_all(version.as_bytes())?;
    fresh.persist(&note).map_err(|error| error.error)?;
    Ok(version)
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| Error::Kit(format!("{program} could not be started: {error}")))?;
    if !output.status.success() {
        let said = text::clean(&output.stderr, 8000);
        return Err(Error::Kit(format!(
            "{program} ended with {}\n{}",
            output.status,
            text::quote(&said)
        )));
    }
    Ok(output.stdout)
}

/// A library that Cargo has built.
struct Artifact {
    /// As `extern` calls it.
    name: String,
    file: PathBuf,
}

impl Artifact {
    fn file_name(&self) -> &OsStr {
        self.file.file_name().unwrap_or_default()
    }
}

/// The libraries in Cargo's messages, and the macros that they need.
fn artifacts_in(messages: &str) -> Vec<Artifact> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        target: Option<Target>,
        #[serde(default)]
        filenames: Vec<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }

    let messages = messages.lines().flat_map(serde_json::from_str::<Message>);
    let built = messages.filter(|message| message.reason == "compiler-artifact");
    let artifacts = built.filter_map(|message| {
        let target = message.target?;
        let is = |kind: &str| target.kind.iter().any(|other| other == kind);
        let with = |ending: &str| {
            message.filenames.iter().find(|file| file.extension().is_some_and(|e| e == ending))
        };
        let file = if is("proc-macro") {
            with("so")?.clone()
        } else if is("lib") || is("rlib") {
            // Cargo puts a second copy of a workspace library where every later build with other
            // features replaces it. The one beside the metadata stays.
            let beside = with("rmeta").map(|file| file.with_extension("rlib"));
            beside.filter(|file| file.is_file()).or_else(|| with("rlib").cloned())?
        } else {
            return None;
        };
        Some(Artifact { name: target.name.replace('-', "_"), file })
    });
    let mut artifacts: Vec<Artifact> = artifacts.collect();
    // Cargo tells of them as it comes to them.
    artifacts.sort_by(|a, b| a.file.cmp(&b.file));
    artifacts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_the_messages_of_cargo() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"assert-cmd"},"filenames":["/t/deps/libassert_cmd-1.rlib","/t/deps/libassert_cmd-1.rmeta"]}
{"reason":"compiler-artifact","target":{"kind":["proc-macro"],"name":"serde_derive"},"filenames":["/t/deps/libserde_derive-1.so"]}
{"reason":"build-finished","success":true}
something else
"#;
        let artifacts = artifacts_in(messages);
        let found: Vec<_> =
            artifacts.iter().map(|found| (found.name.as_str(), found.file_name())).collect();
        let expected = [
            ("assert_cmd", OsStr::new("libassert_cmd-1.rlib")),
            ("serde_derive", OsStr::new("libserde_derive-1.so")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn libraries_are_kept_once_for_each_version() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libone-1.rlib");
        fs::write(&file, "first").unwrap();
        let artifacts = [Artifact { name: "one".to_string(), file: file.clone() }];
        let base = folder.path().join("kept");
        let first = store(&base, &file, &artifacts).unwrap();
        assert_eq!(store(&base, &file, &artifacts).unwrap(), first);
        // As Cargo does it.
        fs::remove_file(&file).unwrap();
        fs::write(&file, "the second").unwrap();
        let second = store(&base, &file, &artifacts).unwrap();
        assert_ne!(second, first);
        assert_eq!(fs::read_to_string(first.join("libone-1.rlib")).unwrap(), "first");
        assert_eq!(fs::read_to_string(second.join("libone-1.rlib")).unwrap(), "the second");
        let folders = || {
            let entries = fs::read_dir(&base).unwrap().flatten();
            entries.filter(|entry| entry.path().is_dir()).count()
        };
        assert_eq!(folders(), 2);
        // What was only built again is the same.
        File::open(&file).unwrap().set_modified(SystemTime::now() + KEPT).unwrap();
        assert_eq!(store(&base, &file, &artifacts).unwrap(), second);
        assert_eq!(folders(), 2);

        let long_ago = SystemTime::now() - KEPT * 2;
        File::open(&first).unwrap().set_modified(long_ago).unwrap();
        store(&base, &file, &artifacts).unwrap();
        assert!(!first.exists() && second.exists());
    }
}
