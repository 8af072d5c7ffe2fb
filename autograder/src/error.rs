//! What can go wrong that is not the student's fault.
//!
//! A submission that does not compile or fails its tests is no error here: it has a
//! [`Report`](crate::report::Report).

use std::io;
use std::path::{Path, PathBuf};

/// What the grader's own operations return.
pub type Result<T> = std::result::Result<T, Error>;

/// The grader was used wrongly, or could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No course around the current directory.
    #[error(
        "no course found: no folder above {} has `assignments/` beside a Cargo.toml with [workspace]; \
         run the command inside the course",
        .0.display()
    )]
    NoCourse(PathBuf),

    /// An assignment that does not exist.
    #[error("no assignment is called {name:?}; there are: {}", list(.existing))]
    UnknownAssignment {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        existing: Vec<String>,
    },

    /// Something in an assignment's folder is wrong.
    #[error("{}: {message}", .file.display())]
    Assignment {
        /// The file at fault, from the root of the course.
        file: PathBuf,
        /// What is wrong with it.
        message: String,
    },

    /// The prebuilt libraries could not be had.
    #[error("the libraries for submissions could not be built: {0}")]
    Kit(String),

    /// A judge did not behave.
    #[error("the judge of {file} {message}")]
    Judge {
        /// The tests file that the judge was made from.
        file: String,
        /// What it did.
        message: String,
    },

    /// The operating system refused something.
    #[error("{action} {}: {source}", .path.display())]
    Io {
        /// What was tried, as in `cannot write`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },

    /// The runner could not run or end a program.
    #[error("{}: {source}", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What went wrong.
        source: crate::runner::RunError,
    },
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { action, path: path.to_path_buf(), source }
    }

    /// The exit code that the command line ends with: 64 for wrong use, 3 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::NoCourse(_) | Error::UnknownAssignment { .. } => 64,
            _ => 3,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}
