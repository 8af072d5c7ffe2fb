//! The sources of a submission to one program, with `rustc`.
//!
//! The student's manifest, build script and Cargo configuration play no part: the sources that were
//! taken in are written to a fresh folder, below `src/` as Cargo has it, and the compiler itself is
//! called on `src/main.rs` with arguments that stand here.
//!
//! Sources can make a compiler read any file, and keep it busy for ever. So it runs in the sandbox like any
//! other program, as a [`Tool`] that sees three folders besides and hands out one file:
//!
//! | in the sandbox | on the host |
//! | --- | --- |
//! | `/source` | the sources that were taken in |
//! | `/toolchain` | the compiler's own folder |
//! | `/libraries` | the prebuilt libraries that submissions may be linked with |
//!
//! [`keep`] is that run: the program `autograder` in a second process, so that nothing is left when the
//! grader is killed meanwhile.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::assignment::Manifest;
use crate::error::{Error, Result};
use crate::intake::Submission;
use crate::kit::Kit;
use crate::runner::{self, Limits, Plan, RunError, Stop};
use crate::sandbox::{Sandbox, Show, Tier, Tool};
use crate::{order, text};

/// How many processors the compiler may keep busy for its whole time.
const PROCESSORS: u32 = 4;

/// How much the compiler may print.
const OUTPUT: usize = 4 << 20;

/// The most memory of the compiler and what it starts.
const MEMORY: u64 = 2 << 30;

/// Its threads, which are more than one per processor, and those of what it starts.
const PROCESSES: u32 = 1024;

/// The largest file that it writes.
const FILE_SIZE: u64 = 128 << 20;

/// How the compiler calls the program.
const PRODUCT: &str = "program";

/// Where things lie in the sandbox.
const SOURCE: &str = "/source";
const TOOLCHAIN: &str = "/toolchain";
const LIBRARIES: &str = "/libraries";

/// How much of that is shown.
const SHOWN: usize = 6000;

/// What the compiler made of a submission.
#[derive(Clone, Debug)]
pub enum Built {
    /// A program, and what the compiler remarked on it.
    Program {
        /// Where it lies.
        program: PathBuf,
        /// Warnings, safe to print; mostly empty.
        messages: String,
    },
    /// Nothing, and why.
    Failed {
        /// What the compiler said, safe to print.
        messages: String,
    },
}

/// Builds a submission in a new folder `build` below `work`.
///
/// `work` belongs to this submission: if the grader is killed meanwhile, the keeper removes it. In tier
/// `none`, the compiler can read whatever the grader can.
///
/// # Errors
///
/// If the compiler cannot be run. That it refuses the submission is no error.
pub fn build(
    kit: &Kit,
    mut sandbox: Sandbox,
    assignment: &Manifest,
    submission: &Submission,
    work: &Path,
) -> Result<Built> {
    let libraries = kit.libraries()?;
    let folder = work.join("build");
    let sources = folder.join("sources");
    fs::create_dir_all(&sources).map_err(Error::io("cannot create", &sources))?;
    write_sources(submission, &sources)?;
    let program = folder.join("program");
    let wall = assignment.limits.build();
    let tier = sandbox.tier;
    let show = |host: &Path, inside: &str| Show { host: host.to_path_buf(), inside: inside.into() };
    let source = show(&sources, SOURCE);
    let toolchain = show(&libraries.toolchain, TOOLCHAIN);
    let shown_libraries = show(&libraries.folder, LIBRARIES);

    // As `cargo run` builds it: what overflows or panics for the student does so here.
    let fixed = [
        "--edition=2024",
        "--crate-name=submission",
        "--crate-type=bin",
        "--color=never",
        "--diagnostic-width=100",
        "-Copt-level=1",
        "-Cdebug-assertions=on",
        "-Cdebuginfo=line-tables-only",
    ];
    let mut args: Vec<OsString> = fixed.iter().map(OsString::from).collect();
    args.extend(
        libraries
            .externs(shown_libraries.seen_from(tier), assignment.crates.iter().map(String::as_str)),
    );
    // In what the compiler says, and in what a panic says, paths begin below the submission.
    let mut remap = OsString::from("--remap-path-prefix=");
    remap.push(source.seen_from(tier));
    remap.push("=");
    args.push(remap);
    args.extend(["-o".into(), PRODUCT.into(), source.seen_from(tier).join("src/main.rs").into()]);

    let rustc = toolchain.seen_from(tier).join("bin/rustc");
    // Without a sandbox, the compiler works in the folder and leaves its product there.
    if tier != Tier::None {
        let shows = vec![source, toolchain, shown_libraries];
        sandbox.tool = Some(Tool { shows, product: (PRODUCT.into(), program.clone()) });
    } else {
        sandbox = Sandbox::none();
    }
    let order = Order {
        program: rustc,
        args: args.into_iter().map(OsStringExt::into_vec).collect(),
        path: env::var_os("PATH").unwrap_or_default().into_vec(),
        folder: folder.clone(),
        work: work.to_path_buf(),
        sandbox,
        wall,
    };
    let mut answer = None;
    order::place(
        Command::new(kit.keeper()).arg("keep"),
        &order,
        wall + Duration::from_secs(60),
        |line| {
            answer = Some(serde_json::from_str::<Answer>(line).map_err(|error| error.to_string())?);
            Ok(())
        },
    )
    .and_then(|()| answer.ok_or_else(|| "did not answer".to_string()))
    .and_then(|answer| match answer {
        Answer::Ended { success, said } => Ok(if success && program.is_file() {
            Built::Program { program, messages: said }
        } else {
            Built::Failed { messages: said }
        }),
        Answer::Fault(message) => Err(message),
    })
    .map_err(|message| Error::Kit(format!("the keeper of the compiler {message}")))
}

/// Writes every source under the path that intake checked: below the folder, each one new.
fn write_sources(submission: &Submission, folder: &Path) -> Result<()> {
    for source in &submission.files {
        let path = folder.join(&source.path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(Error::io("cannot create", parent))?;
        File::create_new(&path)
            .and_then(|mut file| file.write_all(&source.bytes))
            .map_err(Error::io("cannot write", &path))?;
    }
    Ok(())
}

/// What the keeper is to run.
#[derive(Serialize, Deserialize)]
struct Order {
    program: PathBuf,
    args: Vec<Vec<u8>>,
    path: Vec<u8>,
    folder: PathBuf,
    work: PathBuf,
    sandbox: Sandbox,
    wall: Duration,
}

/// What the keeper has to say about it.
#[derive(Serialize, Deserialize)]
enum Answer {
    Ended { success: bool, said: String },
    Fault(String),
}

/// The keeper's process: takes its order from stdin, runs the compiler, answers on stdout.
///
/// # Errors
///
/// If there is no order, or nobody to answer to.
pub fn keep() -> io::Result<()> {
    let order: Order = order::receive()?;
    // Sources can read it; what the grader's own one says of its user is not for them.
    let path = match order.sandbox.tier {
        Tier::None => OsString::from_vec(order.path),
        _ => "/usr/local/bin:/usr/bin:/bin".into(),
    };
    let plan = Plan {
        program: order.program,
        args: order.args.into_iter().map(OsString::from_vec).collect(),
        // The linker is looked for in PATH.
        env: vec![("PATH".into(), path)],
        folder: order.folder,
        input: None,
        limits: Limits {
            wall: order.wall,
            output: OUTPUT,
            cpu: order.wall * PROCESSORS,
            memory: MEMORY,
            processes: PROCESSES,
            file_size: FILE_SIZE,
            ..Limits::default()
        },
        sandbox: order.sandbox,
    };
    let answer = match runner::run(&plan, Some(io::stdin().as_fd())) {
        Ok(outcome) => {
            let stopped = match &outcome.stopped {
                Some(Stop::Time) => {
                    format!("the compiler was stopped after {} seconds\n", order.wall.as_secs())
                }
                Some(Stop::Output) => "the compiler printed too much and was stopped\n".to_string(),
                Some(Stop::Cpu) => "the compiler needed too much processor time\n".to_string(),
                Some(Stop::Memory) => {
                    format!("the compiler needed more than {} MiB of memory\n", MEMORY >> 20)
                }
                Some(Stop::Processes) => "the compiler had too many threads\n".to_string(),
                Some(Stop::Leftovers(_)) => "the compiler left processes behind\n".to_string(),
                None => String::new(),
            };
            let success = outcome.status.success() && outcome.stopped.is_none();
            Answer::Ended { success, said: stopped + &text::clean(&outcome.stderr, SHOWN) }
        }
        Err(RunError::Abandoned) => {
            // Nobody else will remove it now.
            let _ = fs::remove_dir_all(&order.work);
            return Ok(());
        }
        Err(error) => Answer::Fault(format!("failed: {error}")),
    };
    // If nobody hears it, the grader is gone by now.
    order::reply(&answer).inspect_err(|_| drop(fs::remove_dir_all(&order.work)))
}
