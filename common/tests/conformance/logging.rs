//! Log records of a process and of its children.
//!
//! A program has one logger, so what a trial looks at happens in a child of its own.

use crate::trial::{Outcome, Trial, each, once};
use common::logging;
use common::{Process, StartMethod};
use log::{LevelFilter, Log, Metadata, Record};
use std::sync::Mutex;

pub(crate) fn trials() -> Vec<Trial> {
    [
        once("c285_a_level_silences_what_is_below_it", silence),
        each("c286_a_child_has_the_level_of_its_parent", level),
        once("c287_a_record_names_the_callers_file", file),
    ]
    .concat()
}

/// Runs what has a logger of its own.
fn alone(program: fn(StartMethod), method: StartMethod) -> Outcome {
    let child = Process::new(program, method).start_method(StartMethod::Spawn).start()?;
    assert!(child.join()?.is_success(), "see its message");
    Ok(())
}

/// What was logged: level, file and text.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collector;

impl Log for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let file = record.file().expect("the macros tell it");
        let line = format!("{} {file} {}", record.level(), record.args());
        SEEN.lock().expect("nobody panics").push(line);
    }

    fn flush(&self) {}
}

fn seen() -> Vec<String> {
    logging::flush();
    std::mem::take(&mut *SEEN.lock().expect("nobody panics"))
}

fn silence() -> Outcome {
    fn program(_: StartMethod) {
        logging::gather_to(Collector, LevelFilter::Warn).expect("the first logger");
        log::debug!("nobody sees that");
        log::info!("nor that");
        log::warn!("but this");
        assert_eq!(seen(), [format!("WARN {} but this", file!())]);
    }
    alone(program, StartMethod::Spawn)
}

fn level(method: StartMethod) -> Outcome {
    fn program(method: StartMethod) {
        fn child((): ()) {
            log::error!("{}", log::max_level());
        }
        logging::gather_to(Collector, LevelFilter::Off).expect("the first logger");
        for level in [LevelFilter::Error, LevelFilter::Debug] {
            log::set_max_level(level);
            let child = Process::new(child, ()).start_method(method).even_with_threads();
            let child = child.start().expect("a child");
            assert!(child.join().expect("its end").is_success());
            let seen = seen();
            let expected = format!("ERROR {} {level}", file!());
            assert!(seen.contains(&expected), "{seen:?}");
        }
    }
    alone(program, method)
}

fn file() -> Outcome {
    fn program(_: StartMethod) {
        logging::gather_to(Collector, LevelFilter::Debug).expect("the first logger");
        let child = Process::new(|()| log::info!("from the child"), ()).start().expect("a child");
        assert!(child.join().expect("its end").is_success());
        let seen = seen();
        assert!(seen.contains(&format!("INFO {} from the child", file!())), "{seen:?}");
        // The library's own records as well.
        assert!(seen.iter().any(|line| line.contains("/start.rs ")), "{seen:?}");
    }
    alone(program, StartMethod::Spawn)
}
