//! A record on its way from one process to another.

use crate::process;
use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{Level, Log, Metadata};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What records that were handed on have among their values.
const PROCESS: &str = "process";
const PID: &str = "pid";
/// Microseconds since 1970.
const TIME: &str = "time";

/// Which process has made a record, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The name of the process (in Python: `processName`).
    pub process: String,
    /// Its id.
    pub pid: u32,
    /// When it made the record, to the microsecond.
    pub time: SystemTime,
}

impl Origin {
    /// Where a record comes from that a logger has got: from a child, which stands in its values (`process`,
    /// `pid` and `time`), or else from this process, now.
    #[must_use]
    pub fn of(record: &log::Record<'_>) -> Self {
        let values = record.key_values();
        let get = |key: &str| values.get(Key::from_str(key));
        let micros = get(TIME).and_then(|time| time.to_u64()).map(Duration::from_micros);
        let pid = get(PID).and_then(|pid| pid.to_u64()).and_then(|pid| pid.try_into().ok());
        match (get(PROCESS), pid, micros) {
            (Some(process), Some(pid), Some(micros)) => {
                Self { process: process.to_string(), pid, time: UNIX_EPOCH + micros }
            }
            _ => Self::here(),
        }
    }

    /// This process, now.
    pub(super) fn here() -> Self {
        let (process, pid) = (process::own_name(), std::process::id());
        Self { process, pid, time: SystemTime::now() }
    }
}

/// A record, with all that it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    level: u8,
    target: String,
    text: String,
    module: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    values: Vec<(String, String)>,
    process: String,
    pid: u32,
    micros: u64,
}

impl Record {
    /// A record that this process makes now.
    pub(super) fn of(record: &log::Record<'_>) -> Self {
        struct Values(Vec<(String, String)>);
        impl<'kvs> VisitSource<'kvs> for Values {
            fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
                self.0.push((key.to_string(), value.to_string()));
                Ok(())
            }
        }
        let mut values = Values(Vec::new());
        // A source that cannot be read any further has given what it could.
        let _ = record.key_values().visit(&mut values);
        let Origin { process, pid, time } = Origin::here();
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            level: record.level() as u8,
            target: record.target().to_string(),
            text: record.args().to_string(),
            module: record.module_path().map(str::to_string),
            file: record.file().map(str::to_string),
            line: record.line(),
            values: values.0,
            process,
            pid,
            micros: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
        }
    }

    fn level(&self) -> Level {
        Level::iter().find(|level| *level as u8 == self.level).unwrap_or(Level::Error)
    }

    /// Hands it to the logger of this process.
    pub(super) fn hand_to(&self, logger: &dyn Log) {
        let metadata = Metadata::builder().level(self.level()).target(&self.target).build();
        if !logger.enabled(&metadata) {
            return;
        }
        #[cfg(feature = "tracing")]
        let _span = tracing::dispatcher::has_been_set().then(|| {
            let time = UNIX_EPOCH + Duration::from_micros(self.micros);
            let time = jiff::Timestamp::try_from(time).unwrap_or_default();
            let (name, pid) = (&self.process, self.pid);
            tracing::error_span!(target: "common", "process", %name, pid, %time).entered()
        });
        logger.log(
            &log::Record::builder()
                .metadata(metadata)
                .args(format_args!("{}", self.text))
                .module_path(self.module.as_deref())
                .file(self.file.as_deref())
                .line(self.line)
                .key_values(self)
                .build(),
        );
    }
}

/// Its values, and whose it is.
impl Source for Record {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        visitor.visit_pair(Key::from_str(PROCESS), Value::from(self.process.as_str()))?;
        visitor.visit_pair(Key::from_str(PID), Value::from(self.pid))?;
        visitor.visit_pair(Key::from_str(TIME), Value::from(self.micros))?;
        for (key, value) in &self.values {
            visitor.visit_pair(Key::from_str(key), Value::from(value.as_str()))?;
        }
        Ok(())
    }
}

/// A level as Python names it.
pub(super) fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "SUBDEBUG",
    }
}
