//! The logger of a process of ours: where its records go, and those of its children.

use super::LoggingError;
use super::gatherer::Line;
use super::record::Record;
use super::writer;
use crate::process;
use log::{LevelFilter, Log, Metadata};
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard};

/// The logger that `log` knows.
struct Router;

/// What a process does with its records.
#[derive(Clone)]
enum Way {
    Nowhere,
    Stderr,
    Line(Line),
    Logger(Arc<dyn Log>),
}

struct Setup {
    own: Way,
    /// What its children shall do.
    children: Option<Road>,
}

/// What a child does with its records.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Road {
    Stderr,
    Line(Line),
}

/// What a child is told about its records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    road: Road,
    /// By its number.
    level: usize,
}

static SETUP: RwLock<Setup> = RwLock::new(Setup { own: Way::Nowhere, children: None });

fn change() -> RwLockWriteGuard<'static, Setup> {
    SETUP.write().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the router this process's logger; false where it has another one.
fn is_logger() -> bool {
    static IS_LOGGER: OnceLock<bool> = OnceLock::new();
    *IS_LOGGER.get_or_init(|| log::set_logger(&Router).is_ok())
}

pub(super) fn to_stderr(level: LevelFilter) -> Result<(), LoggingError> {
    if !is_logger() {
        return Err(LoggingError::OtherLogger);
    }
    log::set_max_level(level);
    *change() = Setup { own: Way::Stderr, children: Some(Road::Stderr) };
    Ok(())
}

pub(super) fn install(logger: impl Log + 'static, level: LevelFilter) -> Result<(), LoggingError> {
    if !is_logger() {
        return Err(LoggingError::OtherLogger);
    }
    log::set_max_level(level);
    change().own = Way::Logger(Arc::new(logger));
    Ok(())
}

/// Has the records of children come over a line.
pub(super) fn gather(line: Line) {
    change().children = Some(Road::Line(line));
}

/// What a child that is started now is told.
pub(crate) fn plan() -> Option<Plan> {
    let setup = SETUP.read().unwrap_or_else(PoisonError::into_inner);
    let level = log::max_level() as usize;
    setup.children.clone().map(|road| Plan { road, level })
}

/// In a child: does as it was told.
pub(crate) fn begin(plan: Option<Plan>) {
    let Some(Plan { road, level }) = plan else { return };
    // A forked child may have a copy of another logger, which it keeps.
    if is_logger() {
        log::set_max_level(LevelFilter::iter().nth(level).unwrap_or(LevelFilter::Off));
    }
    let own = match &road {
        Road::Stderr => Way::Stderr,
        Road::Line(line) => Way::Line(line.clone()),
    };
    *change() = Setup { own, children: Some(road) };
}

/// What must not be in use while this process forks.
pub(crate) fn hold() -> impl Sized {
    change()
}

impl Router {
    fn way(&self) -> Way {
        SETUP.read().unwrap_or_else(PoisonError::into_inner).own.clone()
    }
}

impl Log for Router {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match self.way() {
            Way::Nowhere => false,
            Way::Logger(logger) => logger.enabled(metadata),
            Way::Stderr | Way::Line(_) => metadata.level() <= log::max_level(),
        }
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match self.way() {
            Way::Nowhere => {}
            Way::Logger(logger) => logger.log(record),
            Way::Stderr => print(record),
            Way::Line(line) => {
                if let Err(reason) = line.put(Record::of(record)) {
                    degrade(&reason);
                    print(record);
                }
            }
        }
    }

    fn flush(&self) {
        if let Way::Logger(logger) = self.way() {
            logger.flush();
        }
    }
}

/// Says once why records do not arrive.
fn degrade(reason: &str) {
    static WAS_SAID: AtomicBool = AtomicBool::new(false);
    if !WAS_SAID.swap(true, Ordering::Relaxed) {
        let name = process::own_name();
        let text = format!("[WARNING/{name}] common: records go to standard error: {reason}\n");
        write(&text);
    }
}

fn print(record: &log::Record<'_>) {
    write(&writer::line(record, &process::own_name()));
}

/// In one piece, so that lines of several processes do not mix.
fn write(line: &str) {
    // Where nobody can read it, nobody can be told so.
    let _ = io::stderr().write_all(line.as_bytes());
}
