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
//!
//! A log is a handle: in the argument of a [`Process`](crate::Process) it goes to a child, which writes into the
//! same file, with a stopwatch of its own.

use crate::connection::Handle;
use crate::timer::Timer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Display};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// Where the logs of a program lie, below its working folder.
const FOLDER: &str = "logs";

/// How a log shall be, before it is opened.
#[derive(Clone, Debug)]
#[must_use = "a log is opened by open()"]
pub struct LogBuilder {
    path: PathBuf,
    appends: bool,
    style: Style,
}

/// How a line looks, and where it goes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Style {
    terminal: bool,
    levels: bool,
    clock: bool,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Info,
    Warning,
    Error,
}

/// As Python writes it.
impl Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        })
    }
}

impl LogBuilder {
    fn new(path: PathBuf) -> Self {
        Self { path, appends: false, style: Style { terminal: false, levels: false, clock: true } }
    }

    /// Prints each line on standard output as well.
    pub fn show_terminal(mut self) -> Self {
        self.style.terminal = true;
        self
    }

    /// Writes the level of each line behind the clock: `INFO`, `WARNING`, `ERROR`.
    pub fn show_levels(mut self) -> Self {
        self.style.levels = true;
        self
    }

    /// Leaves the clock out (in Python: `include_time=False`).
    #[doc(alias = "include_time")]
    pub fn without_clock(mut self) -> Self {
        self.style.clock = false;
        self
    }

    /// Goes on behind what is in the file, which is begun anew otherwise.
    pub fn append(mut self) -> Self {
        self.appends = true;
        self
    }

    /// Opens the log. The stopwatch starts here.
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
        if !self.appends {
            File::create(&self.path).map_err(named)?;
        }
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(&self.path).map_err(named)?;
        let (path, style, timer) = (self.path, self.style, Timer::start());
        Ok(Log { file, path, style, timer, is_failing: false })
    }
}

/// A log file with a stopwatch.
///
/// ```no_run
/// use common::Log;
///
/// let mut log = Log::named("map.log").show_terminal().open()?;
/// log.start_timer();
/// log.write("half of it is done");
/// log.write_blank_line();
/// let seconds = log.stop_timer("Finished: ");
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    style: Style,
    timer: Timer,
    /// It was said that the file cannot be written; that is not said of every line.
    is_failing: bool,
}

impl Log {
    /// A log in the file `logs/NAME`, to be [opened](LogBuilder::open).
    #[doc(alias = "filename_log")]
    pub fn named(name: impl AsRef<Path>) -> LogBuilder {
        LogBuilder::new(Path::new(FOLDER).join(name))
    }

    /// A log in a file that is named by month, day and time: `logs/1126-201506.log`.
    pub fn of_now() -> LogBuilder {
        Self::named(jiff::ZonedDateTime::now().strftime("%m%d-%H%M%S.log").to_string())
    }

    /// Where its file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Logs a message; each line of it is a line of the log.
    pub fn write(&mut self, message: impl Display) {
        self.log(Level::Info, &message);
    }

    /// Logs a warning.
    pub fn write_warning(&mut self, message: impl Display) {
        self.log(Level::Warning, &message);
    }

    /// Logs an error.
    pub fn write_error(&mut self, message: impl Display) {
        self.log(Level::Error, &message);
    }

    /// Logs an empty line.
    pub fn write_blank_line(&mut self) {
        self.put("\n");
    }

    /// Starts the stopwatch, or starts it again. Prints nothing.
    pub fn start_timer(&mut self) {
        self.timer = Timer::start();
    }

    /// Logs `message` and the seconds since the start, which it returns; the stopwatch goes on.
    pub fn step_timer(&mut self, message: &str) -> f64 {
        let seconds = self.timer.seconds();
        self.log(Level::Info, &format_args!("{message} = {seconds:.8}"));
        seconds
    }

    /// Logs `message` and the seconds since the start, which it returns, and starts anew.
    pub fn stop_timer(&mut self, message: &str) -> f64 {
        let seconds = self.step_timer(message);
        self.timer = Timer::start();
        seconds
    }

    fn log(&mut self, level: Level, message: &dyn Display) {
        let Style { levels, clock, .. } = self.style;
        let mut head = String::new();
        if clock {
            head += &jiff::ZonedDateTime::now().strftime("%H:%M:%S| ").to_string();
        }
        if levels {
            head += &format!("{level:<7}| ");
        }
        let message = message.to_string();
        let lines: String = message.split('\n').map(|line| format!("{head}{line}\n")).collect();
        self.put(&lines);
    }

    /// One message, one write. A log never ends the program that logs: what cannot be written is said on
    /// standard error, once until it can be written again.
    fn put(&mut self, lines: &str) {
        let written = self.file.write_all(lines.as_bytes());
        if let Err(error) = &written
            && !self.is_failing
        {
            let path = self.path.display();
            let _ = writeln!(io::stderr(), "the log {path} cannot be written: {error}");
        }
        self.is_failing = written.is_err();
        if self.style.terminal {
            let _ = io::stdout().write_all(lines.as_bytes());
        }
    }
}

impl Serialize for Log {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let file = self.file.as_fd().try_clone_to_owned().map_err(serde::ser::Error::custom)?;
        (Handle::from(file), &self.path, self.style).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Log {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (file, path, style) = <(Handle, PathBuf, Style)>::deserialize(deserializer)?;
        let file = file.into_fd().map_err(serde::de::Error::custom)?.into();
        Ok(Self { file, path, style, timer: Timer::start(), is_failing: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(log: &Log) -> String {
        fs::read_to_string(log.path()).unwrap()
    }

    #[test]
    fn a_line_has_the_clock_the_message_and_eight_decimals() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogBuilder::new(folder.path().join("deep/test.log")).open().unwrap();
        log.start_timer();
        assert!(log.step_timer("Half: ") <= log.stop_timer("Finished: "));
        let text = text(&log);
        let line = text.lines().nth(1).unwrap();
        let (clock, rest) = line.split_once("| Finished:  = ").unwrap();
        assert_eq!(clock.len(), "12:13:39".len());
        assert_eq!(rest.split_once('.').unwrap().1.len(), 8);
        assert!(rest.parse::<f64>().unwrap() >= 0.0);
    }

    #[test]
    fn levels_and_clock_are_shown_as_asked_and_every_line_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let builder = LogBuilder::new(folder.path().join("test.log"));
        let mut log = builder.clone().show_levels().without_clock().open().unwrap();
        log.write("one\ntwo");
        log.write_blank_line();
        log.write_warning(format_args!("{} is much", 3));
        log.write_error("it fails");
        let expected = "INFO   | one\nINFO   | two\n\nWARNING| 3 is much\nERROR  | it fails\n";
        assert_eq!(text(&log), expected);
        // It goes on, and begins anew.
        let mut log = builder.clone().without_clock().append().open().unwrap();
        log.write("more");
        assert_eq!(text(&log), format!("{expected}more\n"));
        let mut log = builder.show_levels().open().unwrap();
        log.write("new");
        let text = text(&log);
        assert!(
            text.ends_with("| INFO   | new\n") && text.len() == "12:13:39| INFO   | new\n".len()
        );
    }

    #[test]
    fn a_log_without_a_name_has_the_time() {
        let path = Log::of_now().path;
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(path.starts_with("logs") && name.len() == "1126-201506.log".len(), "{name}");
    }

    #[test]
    fn a_log_that_cannot_be_opened_names_its_path() {
        let error = LogBuilder::new("/proc/none/test.log".into()).open();
        assert!(error.unwrap_err().to_string().contains("/proc/none/test.log"));
    }

    #[test]
    fn a_full_disk_is_said_once_and_ends_nothing() {
        let mut log = LogBuilder::new("/dev/full".into()).append().open().unwrap();
        log.write("one");
        assert!(log.is_failing);
        log.write("two");
        assert!(log.is_failing && log.step_timer("three") >= 0.0);
    }

    #[test]
    fn a_log_travels_and_its_lines_go_into_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let builder = LogBuilder::new(folder.path().join("test.log")).without_clock();
        let mut log = builder.open().unwrap();
        let (left, right) = crate::pipe::<Log, ()>().unwrap();
        log.write("here");
        left.send(&log).unwrap();
        let mut there = right.recv().unwrap();
        there.write("there");
        log.write("here again");
        assert_eq!(text(&log), "here\nthere\nhere again\n");
        assert_eq!(there.path(), log.path());
    }
}
