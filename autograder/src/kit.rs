//! The compiler, and the libraries that submissions and judges link against.
//!
//! Cargo has built them already: the grader itself depends on them. So the grader asks Cargo once
//! more for its own library, which costs nothing, and reads from the messages where each `.rlib`
//! lies. From there on only `rustc` is called.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde::Deserialize;

use crate::assignment::{Assignment, Course, Visibility};
use crate::error::{Error, Result};
use crate::sandbox::{self, Detection, Sandbox};
use crate::text;

/// The libraries that an assignment may allow its submissions.
pub const OFFERED: &[&str] = &["common"];

/// The libraries that a tests file may use.
const FOR_JUDGES: &[&str] = &["assert_cmd", "autograder", "predicates"];

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
    /// The compiler itself, not a shim that picks one.
    pub rustc: PathBuf,
    /// The folder of all prebuilt libraries.
    pub dependencies: PathBuf,
    /// The libraries that are named in `extern`, by name.
    rlibs: BTreeMap<String, PathBuf>,
    /// Where judges are kept.
    judges: PathBuf,
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
        let rlibs = rlibs_in(&String::from_utf8_lossy(&built));
        for name in FOR_JUDGES.iter().chain(OFFERED) {
            if !rlibs.contains_key(*name) {
                return Err(Error::Kit(format!("cargo did not say where the library {name} lies")));
            }
        }
        let dependencies = rlibs["autograder"].parent().unwrap_or(root).to_path_buf();
        let judges = dependencies.parent().unwrap_or(root).join("grade/judges");

        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]).current_dir(root))?;
        let sysroot = String::from_utf8_lossy(&sysroot).trim_end().to_string();
        let rustc = Path::new(&sysroot).join("bin/rustc");
        if !rustc.is_file() {
            return Err(Error::Kit(format!("there is no {}", rustc.display())));
        }
        Ok(Libraries { rustc, dependencies, rlibs, judges })
    }

    /// The arguments that make libraries known to `rustc`.
    pub fn externs<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
        let mut arguments = vec!["-L".into(), joined("dependency=", &self.dependencies)];
        for name in names {
            if let Some(rlib) = self.rlibs.get(name) {
                arguments.push("--extern".into());
                arguments.push(joined(&format!("{name}="), rlib));
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
    pub fn judge(&self, assignment: &Assignment, visibility: Visibility) -> Result<PathBuf> {
        let source = assignment.folder.join(visibility.file());
        let name =
            format!("{}-{visibility:?}-{:016x}", assignment.name, self.fingerprint(&source)?);
        let judge = self.judges.join(name);
        if judge.is_file() {
            return Ok(judge);
        }
        fs::create_dir_all(&self.judges).map_err(Error::io("cannot create", &self.judges))?;
        // In a folder of its own first: another grader may be at the same work, and the compiler
        // puts more files beside its output than it keeps.
        let folder = tempfile::tempdir_in(&self.judges)
            .map_err(Error::io("cannot write to", &self.judges))?;
        let fresh = folder.path().join("judge");
        let mut rustc = Command::new(&self.rustc);
        rustc
            .args(["--edition", "2024", "--crate-name", "judge", "--crate-type", "bin"])
            .args(["--cap-lints", "allow", "--color", "never", "-C", "strip=symbols"])
            .args(self.externs(FOR_JUDGES.iter().copied()))
            .arg("-o")
            .arg(&fresh)
            .arg(&source);
        let compiled = rustc.output().map_err(Error::io("cannot start", &self.rustc))?;
        if !compiled.status.success() {
            let said = text::clean(&compiled.stderr, 8000);
            return Err(Error::Assignment {
                file: Path::new("assignments").join(&assignment.name).join(visibility.file()),
                message: format!("the tests do not compile\n{}", text::quote(&said)),
            });
        }
        fs::rename(&fresh, &judge).map_err(Error::io("cannot write", &judge))?;
        Ok(judge)
    }

    fn fingerprint(&self, source: &Path) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        fs::read(source).map_err(Error::io("cannot read", source))?.hash(&mut hasher);
        let libraries = FOR_JUDGES.iter().filter_map(|name| self.rlibs.get(*name));
        for file in libraries.chain([&self.rustc]) {
            file.hash(&mut hasher);
            modified(file).map_err(Error::io("cannot read", file))?.hash(&mut hasher);
        }
        Ok(hasher.finish())
    }
}

fn modified(file: &Path) -> io::Result<std::time::SystemTime> {
    fs::metadata(file)?.modified()
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

/// The libraries in Cargo's messages, by name.
fn rlibs_in(messages: &str) -> BTreeMap<String, PathBuf> {
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

    let mut rlibs = BTreeMap::new();
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<Message>(line) else { continue };
        let Some(target) =
            message.target.filter(|target| target.kind.iter().any(|kind| kind == "lib"))
        else {
            continue;
        };
        if message.reason != "compiler-artifact" {
            continue;
        }
        // Cargo puts a second copy of a workspace library where every later build with other
        // features replaces it. The one beside the metadata stays.
        let beside =
            message.filenames.iter().find(|file| file.extension().is_some_and(|e| e == "rmeta"));
        let named =
            message.filenames.iter().find(|file| file.extension().is_some_and(|e| e == "rlib"));
        let beside = beside.map(|file| file.with_extension("rlib")).filter(|file| file.is_file());
        if let Some(rlib) = beside.or(named.cloned()) {
            rlibs.insert(target.name.replace('-', "_"), rlib);
        }
    }
    rlibs
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
        let rlibs = rlibs_in(messages);
        assert_eq!(rlibs.len(), 1);
        assert_eq!(rlibs["assert_cmd"], Path::new("/t/deps/libassert_cmd-1.rlib"));
    }
}
