//! A lesson: its file, its header, and the rules for the code below it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use proc_macro2::{TokenStream, TokenTree};
use serde::Deserialize;

use crate::header::{Block, Header, HeaderError};
use crate::runner::{Limits, Run, binary};

/// How many lines of code a lesson may have. Blank lines and comments are free.
const LINES: usize = 45;

/// Words that no lesson needs, and what to do instead.
const BANNED: [(&str, &str); 3] = [
    ("unsafe", "what needs it belongs into `common`"),
    ("mod", "a lesson is one file; what is worth a module belongs into `common`"),
    ("trait", "a lesson defines none; what needs one belongs into `common`"),
];

/// A binary of a lesson crate.
#[derive(Debug)]
pub struct Lesson {
    /// The name for `cargo run --bin`.
    pub bin: String,
    /// Its source file.
    pub path: PathBuf,
    /// The same, from the folder of its crate.
    pub relative: PathBuf,
    /// Its text.
    pub source: String,
    /// Its header, or what is wrong with it.
    pub header: Result<Header, HeaderError>,
}

/// Why the lessons of a crate could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LessonError {
    /// A file could not be read.
    #[error("{} could not be read: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The manifest is not one.
    #[error("{} is not a manifest: {source}", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What the reader of TOML said.
        source: Box<toml::de::Error>,
    },
    /// The crate has no lessons.
    #[error("{} names no lesson; write a `[[bin]]` with name and path for each", .0.display())]
    None(PathBuf),
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    bin: Vec<Bin>,
}

#[derive(Deserialize)]
struct Bin {
    name: String,
    path: PathBuf,
}

/// The lessons of the crate in `folder`, in the order of its `Cargo.toml`.
///
/// # Errors
///
/// The manifest or a source file cannot be read, or there is no `[[bin]]`.
pub fn lessons(folder: &Path) -> Result<Vec<Lesson>, LessonError> {
    let read = |path: &Path| {
        fs::read_to_string(path)
            .map_err(|source| LessonError::File { path: path.to_owned(), source })
    };
    let path = folder.join("Cargo.toml");
    let manifest: Manifest = toml::from_str(&read(&path)?)
        .map_err(|source| LessonError::Manifest { path: path.clone(), source: Box::new(source) })?;
    if manifest.bin.is_empty() {
        return Err(LessonError::None(path));
    }
    let lesson = |bin: Bin| {
        let path = folder.join(&bin.path);
        let source = read(&path)?;
        let header = Header::parse(&source);
        Ok(Lesson { bin: bin.name, path, relative: bin.path, source, header })
    };
    manifest.bin.into_iter().map(lesson).collect()
}

impl Lesson {
    /// Its source file, as a reader finds it from the folder of its crate.
    pub fn file(&self) -> String {
        self.relative.display().to_string()
    }

    /// Everything that is wrong with its header, and with the code below it.
    pub fn problems(&self, package: &str) -> Vec<String> {
        let mut problems = Vec::new();
        match &self.header {
            Err(error) => problems.push(error.to_string()),
            Ok(header) => {
                for command in header.blocks.iter().map(|block| &block.command) {
                    if command.package != package || command.bin != self.bin {
                        problems.push(format!(
                            "`{}` is not a command for this lesson; write `-p {package} --bin {}`",
                            command.text, self.bin
                        ));
                    }
                }
            }
        }
        let code = self.source.lines().map(str::trim);
        let code = code.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        if code > LINES {
            problems.push(format!(
                "{code} lines of code; a lesson fits on a screen, {LINES} are the limit"
            ));
        }
        match identifiers(&self.source) {
            Err(error) => problems.push(error),
            Ok(words) => {
                let banned = BANNED.iter().filter(|(word, _)| words.iter().any(|w| w == word));
                problems.extend(banned.map(|(word, way)| format!("`{word}`: {way}")));
            }
        }
        problems
    }

    /// Runs block number `index` of its header and compares.
    ///
    /// # Errors
    ///
    /// A report for the reader: the command, and which rule it broke.
    pub fn keeps(&self, index: usize) -> Result<(), String> {
        let header = self.header.as_ref().map_err(ToString::to_string)?;
        let block = header.blocks.get(index).ok_or("the header has no such block")?;
        let args = &block.command.args;
        let result = Run::new(&binary(&self.bin), args, Limits::default());
        let result = result.map_err(|error| error.to_string()).and_then(|run| judge(block, run));
        result.map_err(|report| format!("$ {}\n{report}", block.command.text))
    }
}

/// Compares a run with its block: output first, because it tells most about the rest.
fn judge(block: &Block, run: Run) -> Result<(), String> {
    let stderr = match run.stderr.as_str() {
        "" => String::new(),
        text => format!("\nstandard error:\n{text}"),
    };
    block.output.check(&run.stdout).map_err(|mismatch| format!("{mismatch}{stderr}"))?;
    let assert = run.assert.try_code(block.exit).map_err(|error| error.to_string())?;
    if !block.stderr {
        assert.try_stderr("").map_err(|error| {
            format!("{error}\nrule broken: nothing comes on standard error; if it may, the fence says `stderr`")
        })?;
    }
    let pids = block.output.count_pids(&run.stdout);
    if let Some(promised) = block.pids.filter(|&promised| promised != pids) {
        return Err(format!("rule broken: [PID] is {promised} different process ids, not {pids}"));
    }
    let Some((low, high)) = block.elapsed else { return Ok(()) };
    let took = run.elapsed.as_secs_f64();
    match high {
        _ if took < low => {
            Err(format!("rule broken: it takes {low} s at least, but ended after {took:.2} s"))
        }
        Some(high) if took > high => {
            Err(format!("rule broken: it takes {high} s at most, but ended only after {took:.2} s"))
        }
        _ => Ok(()),
    }
}

/// The words of a Rust source: names and keywords, also inside macros, but not in text or comments.
/// An attribute's words count; those of a doc comment do not.
///
/// # Errors
///
/// The source is not Rust: the line where it stops to be.
pub fn identifiers(source: &str) -> Result<Vec<String>, String> {
    fn collect(tokens: TokenStream, words: &mut Vec<String>) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => collect(group.stream(), words),
                TokenTree::Ident(word) => words.push(word.to_string()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
    let tokens = TokenStream::from_str(source).map_err(|error| format!("not Rust: {error}"))?;
    let mut words = Vec::new();
    collect(tokens, &mut words);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lesson(code: &str, fence: &str, output: &str) -> Lesson {
        let source = format!(
            "//! # 5.1 T (Python Processes)\n//!\n//! Idea.\n//!\n//! ```{fence}\n\
             //! $ cargo run -p crate05 --bin one\n//! {output}\n//! ```\n//!\n\
             //! Observe: a\n//! Try: b\n\n{code}\n"
        );
        let path = PathBuf::from("src/01_one.rs");
        let header = Header::parse(&source);
        Lesson { bin: "one".into(), relative: path.clone(), path, source, header }
    }

    fn judged(fence: &str, output: &str, script: &str) -> Result<(), String> {
        let lesson = lesson("fn main() {}", fence, output);
        let args = ["-c".to_owned(), script.to_owned()];
        let run = Run::new(Path::new("/bin/sh"), &args, Limits::default()).expect("it ends");
        judge(&lesson.header.expect("well formed").blocks[0], run)
    }

    #[test]
    fn a_conforming_lesson_has_no_problems() {
        let text = "/// no unsafe, no mod\nfn main() { println!(\"unsafe trait mod\"); } // mod";
        assert_eq!(lesson(text, "console", "x").problems("crate05"), Vec::<String>::new());
    }

    #[test]
    fn each_rule_for_lessons_can_fail() {
        let problems = |code: &str| lesson(code, "console", "x").problems("crate05").join("\n");
        assert!(problems("mod helper;").contains("`mod`"));
        assert!(problems("fn main() { unsafe { f() } }").contains("`unsafe`"));
        assert!(problems("trait A {}").contains("`trait`"));
        assert!(problems("fn main() {").contains("not Rust"));
        assert_eq!(problems(&"x();\n\n// x\n".repeat(LINES)), "");
        assert!(problems(&"x();\n".repeat(LINES + 1)).contains("46 lines of code"));
        let other = lesson("", "console", "x").problems("crate07");
        assert!(other[0].contains("write `-p crate07 --bin one`"), "{other:?}");
        let mut renamed = lesson("", "console", "x");
        renamed.bin = "two".into();
        assert!(renamed.problems("crate05")[0].contains("--bin two`"));
        assert!(lesson("", "text", "x").problems("crate05")[0].starts_with("line 5:"));
    }

    #[test]
    fn output_status_and_standard_error_are_judged() {
        assert_eq!(judged("console", "x", "echo x"), Ok(()));
        let error = judged("console", "x", "echo y; echo why >&2").expect_err("another line");
        assert!(error.contains("line 1 must be `x`"), "{error}");
        assert!(error.ends_with("standard error:\nwhy\n"), "{error}");
        let error = judged("console", "x", "echo x; exit 1").expect_err("another status");
        assert!(error.contains("code"), "{error}");
        let error = judged("console", "x", "echo x; kill -9 $$").expect_err("killed");
        assert!(error.contains("interrupted"), "{error}");
        assert_eq!(judged("console,exit:101", "x", "echo x; exit 101"), Ok(()));
        assert!(judged("console,exit:101", "x", "echo x").is_err());
        let error = judged("console", "x", "echo x; echo why >&2").expect_err("standard error");
        assert!(error.contains("nothing comes on standard error"), "{error}");
        assert_eq!(judged("console,stderr", "x", "echo x; echo why >&2"), Ok(()));
    }

    #[test]
    fn process_ids_are_counted() {
        let echo = "echo 'a 7'; echo 'a 8'; echo 'a 7'";
        let promise = "a [PID]\n//! a [PID]\n//! a [PID]";
        assert_eq!(judged("console,any-order,pids:2", promise, echo), Ok(()));
        let error = judged("console,pids:3", promise, echo).expect_err("another number");
        assert!(error.contains("3 different process ids, not 2"), "{error}");
    }

    #[test]
    fn too_quick_and_too_slow_are_told() {
        assert_eq!(judged("console,elapsed:0.2..60", "x", "echo x; sleep 0.3"), Ok(()));
        let error = judged("console,elapsed:0.5..", "x", "echo x").expect_err("too quick");
        assert!(error.contains("0.5 s at least"), "{error}");
        let error =
            judged("console,elapsed:0..0.1", "x", "echo x; sleep 0.3").expect_err("too slow");
        assert!(error.contains("0.1 s at most"), "{error}");
    }

    #[test]
    fn time_is_taken_to_the_end_of_the_program() {
        let args = ["-c".to_owned(), "sleep 0.2".to_owned()];
        let run = Run::new(Path::new("/bin/sh"), &args, Limits::default()).expect("it ends");
        assert!(run.elapsed >= Duration::from_millis(200));
    }

    #[test]
    fn the_lessons_of_a_crate_are_read_from_its_manifest() {
        let folder = tempfile::tempdir().expect("a folder");
        let write =
            |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        write("Cargo.toml", "[package]\nname = \"crate05\"\n");
        let error = lessons(folder.path()).expect_err("no lessons").to_string();
        assert!(error.contains("names no lesson"), "{error}");
        write("Cargo.toml", "[[bin]]\nname = \"one\"\npath = \"01_one.rs\"\n");
        let error = lessons(folder.path()).expect_err("no file").to_string();
        assert!(error.contains("01_one.rs could not be read"), "{error}");
        write("01_one.rs", &lesson("fn main() {}", "console", "x").source);
        let found = lessons(folder.path()).expect("one lesson");
        assert_eq!(found[0].bin, "one");
        assert_eq!(found[0].problems("crate05"), Vec::<String>::new());
        write("Cargo.toml", "[[bin]");
        let error = lessons(folder.path()).expect_err("no manifest").to_string();
        assert!(error.contains("is not a manifest"), "{error}");
    }
}
