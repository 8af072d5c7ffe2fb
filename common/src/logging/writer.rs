//! Records as lines of text.

use super::record::{self, Origin};
use log::{Log, Metadata, Record};
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// A logger that writes `[INFO/Process-1] text` into whatever takes text (in Python: a `StreamHandler` with the
/// format of `multiprocessing`).
///
/// ```
/// use common::logging::{self, Writer};
///
/// # common::init();
/// logging::gather_to(Writer::new(std::io::stdout()), log::LevelFilter::Info)?;
/// log::info!("to be seen");
/// # common::Result::Ok(())
/// ```
///
/// Each record is one write. The first error is said on standard error; the program goes on.
pub struct Writer<W> {
    target: Mutex<W>,
    has_failed: AtomicBool,
}

impl<W: Write> Writer<W> {
    /// Writes into `target`.
    pub const fn new(target: W) -> Self {
        Self { target: Mutex::new(target), has_failed: AtomicBool::new(false) }
    }

    fn try_to(&self, write: impl FnOnce(&mut W) -> io::Result<()>) {
        let written = write(&mut self.target.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = written
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            let _ = writeln!(io::stderr(), "common: log records are lost: {error}");
        }
    }
}

impl<W: Write + Send> Log for Writer<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = line(record, &Origin::of(record).process);
            self.try_to(|target| target.write_all(line.as_bytes()));
        }
    }

    fn flush(&self) {
        self.try_to(Write::flush);
    }
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// In Python's format.
pub(super) fn line(record: &Record<'_>, process: &str) -> String {
    format!("[{}/{process}] {}\n", record::name(record.level()), record.args())
}
