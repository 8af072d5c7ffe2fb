//! The course's log: a file, a copy on the terminal, a stopwatch (in Python: `cse351.Log`).
//!
//! Each line begins with the clock, and a timed one ends with the seconds:
//!
//! ```text
//! 12:13:39| Finished:  = 0.73812000
//! ```
//!
//! A line goes out in one write to a file opened for appending, so lines of several processes do
//! not tear, and what was logged is in the file also when the process is killed next.

use crate::timer::Timer;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the logs of a program lie, below its working folder.
const FOLDER: &str = "logs";

/// How a log shall be, before it is opened.
#[derive(Clone, Debug)]
#[must_use = "a log is opened by open()"]
pub struct LogBuilder {
    path: PathBuf,
    terminal: bool,
}

impl LogBuilder {
    /// Prints each line on standard output as well.
    pub fn show_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Opens the log; a file of that name is begun anew. The stopwatch starts here.
    ///
    /// # Errors
    ///
    /// Where the folder or the file cannot be written; the error names it.
    pub fn open(self) -> io::Result<Log> {
        let named = |error: io::Error| {
            let text = format!("the log {} cannot be opened: {error}", self.path.display());
            io::Error::new(error.kind(), text)
        };
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(named)?;
        }
        File::create(&self.path).map_err(named)?;
        let file = OpenOptions::new().append(true).open(&self.path).map_err(named)?;
        Ok(Log { file, path: self.path, terminal: self.terminal, timer: Timer::start() })
    }
}

/// A log file with a stopwatch.
///
/// ```no_run
/// use common::Log;
///
/// let mut log = Log::named("map.log").show_terminal().open()?;
/// log.start_timer();
/// let seconds = log.stop_timer("Finished: ");
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    terminal: bool,
    timer: Timer,
}

impl Log {
    /// A log in the file `logs/NAME`, to be [opened](LogBuilder::open).
    #[doc(alias = "filename_log")]
    pub fn named(name: impl AsRef<Path>) -> LogBuilder {
        LogBuilder { path: Path::new(FOLDER).join(name), terminal: false }
    }

    /// Starts the stopwatch, or starts it again. Prints nothing.
    pub fn start_timer(&mut self) {
        self.timer = Timer::start();
    }

    /// Logs `message` and the seconds since the start, which it returns; the stopwatch goes on.
    pub fn step_timer(&mut self, message: &str) -> f64 {
        let seconds = self.timer.seconds();
        self.line(message, seconds);
        seconds
    }

    /// Logs `message` and the seconds since the start, which it returns, and starts anew.
    pub fn stop_timer(&mut self, message: &str) -> f64 {
        let seconds = self.step_timer(message);
        self.timer = Timer::start();
        seconds
    }

    /// One line, one write. A log never ends the program that logs: what cannot be written is said
    /// on standard error.
    fn line(&mut self, message: &str, seconds: f64) {
        let clock = jiff::ZonedDateTime::now().strftime("%H:%M:%S").to_string();
        let line = format!("{clock}| {message} = {seconds:.8}\n");
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            let path = self.path.display();
            let _ = writeln!(io::stderr(), "the log {path} cannot be written: {error}");
        }
        if self.terminal {
            let _ = io::stdout().write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_clock_the_message_and_eight_decimals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/test.log");
        let mut log = LogBuilder { path: path.clone(), terminal: false }.open().unwrap();
        log.start_timer();
        assert!(log.step_timer("Half: ") <= log.stop_timer("Finished: "));
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().nth(1).unwrap();
        let (clock, rest) = line.split_once("| Finished:  = ").unwrap();
        assert_eq!(clock.len(), "12:13:39".len());
        assert_eq!(rest.split_once('.').unwrap().1.len(), 8);
        assert!(rest.parse::<f64>().unwrap() >= 0.0);
    }

    #[test]
    fn a_log_that_cannot_be_opened_names_its_path() {
        let error = LogBuilder { path: "/proc/none/test.log".into(), terminal: false }.open();
        assert!(error.unwrap_err().to_string().contains("/proc/none/test.log"));
    }
}
