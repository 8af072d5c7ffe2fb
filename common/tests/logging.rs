//! Log records of many processes, of processes that are killed, and where nobody takes them.

use common::logging::{self, LoggingError, Origin, Writer};
use common::{Connection, Pool, Process, StartMethod, pipe};
use libtest_mimic::{Arguments, Failed, Trial};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

type Outcome = Result<(), Failed>;

/// A logger is for a whole program, so each trial is one: this test's again, with the trial's name.
const PROGRAM: &str = "COMMON_TEST_LOGGING";

fn main() {
    common::init();
    let programs: [(&str, fn()); 9] = [
        ("records_of_all_children_arrive_in_their_order", in_order),
        ("a_record_says_whose_it_is_and_all_that_it_said", says_all),
        ("what_a_killed_child_has_logged_arrives", killed),
        ("workers_and_grandchildren_log_too", workers),
        ("a_forked_child_logs_through_the_logger_of_gather_to", forked),
        ("what_the_library_does_is_logged_at_debug_level", library_events),
        ("a_program_has_one_logger", one_logger),
        ("a_logger_that_panics_ends_nothing", panicking_logger),
        ("a_level_silences_what_is_below_it", levels),
    ];
    if let Ok(name) = std::env::var(PROGRAM) {
        if let Some((_, program)) = programs.iter().find(|(other, _)| *other == name) {
            return program();
        }
        return other_program(&name);
    }
    let mut trials: Vec<Trial> = programs
        .into_iter()
        .map(|(name, _)| Trial::test(name, move || run(name).map(drop)))
        .collect();
    trials.extend([
        Trial::test("log_to_stderr_writes_as_python_does", to_stderr),
        Trial::test("a_writer_that_cannot_write_says_so_once", writer),
        Trial::test("the_end_of_a_program_waits_for_its_records", until_the_end),
        Trial::test("children_of_a_killed_program_log_on_standard_error", orphans),
        Trial::test("a_logger_that_is_too_slow_stops_nobody", slow_logger),
        Trial::test("a_logger_may_end_the_program", exiting_logger),
        Trial::test("a_closed_standard_error_ends_nothing", closed_stderr),
    ]);
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn program(name: &str) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(PROGRAM, name).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    Ok(command)
}

/// Runs a program, which must succeed; what it wrote to standard output and to standard error.
fn run(name: &str) -> Result<(String, String), Failed> {
    let output = program(name)?.output()?;
    let [out, err] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if !output.status.success() {
        return Err(format!("{}: {out}\n{err}", output.status).into());
    }
    Ok((out, err))
}

/// What was logged: whose it was, what it said, and of which level.
static SEEN: Mutex<Vec<(Origin, Level, String)>> = Mutex::new(Vec::new());

struct Collector;

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() != "unwanted"
    }

    fn log(&self, record: &Record<'_>) {
        let (origin, text) = (Origin::of(record), record.args().to_string());
        SEEN.lock().expect("nobody panics").push((origin, record.level(), text));
    }

    fn flush(&self) {}
}

/// The texts of what has arrived, by the names of their processes.
fn seen() -> HashMap<String, Vec<String>> {
    logging::flush();
    let mut texts: HashMap<String, Vec<String>> = HashMap::new();
    for (origin, _, text) in SEEN.lock().expect("nobody panics").iter() {
        texts.entry(origin.process.clone()).or_default().push(text.clone());
    }
    texts
}

fn log_many(count: u32) {
    for number in 0..count {
        log::info!("{number}");
    }
}

fn in_order() {
    const COUNT: u32 = 2000;
    logging::gather_to(Collector, LevelFilter::Info).expect("the first logger");
    let methods = [StartMethod::Spawn, StartMethod::Spawn, StartMethod::ForkServer];
    let start = |method| Process::new(log_many, COUNT).start_method(method).start();
    let children = methods.map(|method| start(method).expect("a child"));
    log::info!("here");
    for child in &children {
        assert!(child.join().expect("its end").is_success());
    }
    let mut seen = seen();
    assert_eq!(seen.remove("MainProcess"), Some(vec!["here".to_string()]));
    let expected: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    for child in &children {
        assert_eq!(seen.remove(child.name()).as_ref(), Some(&expected), "{}", child.name());
    }
    assert!(seen.is_empty(), "{seen:?}");
}

/// Everything that a record says.
static WHOLE: Mutex<Option<(Origin, String)>> = Mutex::new(None);

struct Whole;

impl Log for Whole {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "course"
    }

    fn log(&self, record: &Record<'_>) {
        let values = record.key_values();
        let more = values.get("number".into()).map(|value| value.to_string());
        let text = format!(
            "{} {} {} {:?} {:?} {:?} {more:?}",
            record.level(),
            record.target(),
            record.args(),
            record.module_path(),
            record.file(),
            record.line().is_some()
        );
        *WHOLE.lock().expect("nobody panics") = Some((Origin::of(record), text));
    }

    fn flush(&self) {}
}

fn says_all() {
    logging::gather_to(Whole, LevelFilter::Trace).expect("the first logger");
    let before = SystemTime::now() - Duration::from_millis(1);
    let target = |()| {
        log::trace!(target: "course", number = 7; "text with {}", "arguments");
        log::error!(target: "unwanted", "the logger does not want that");
    };
    let child = Process::new(target, ()).name("Ada").start().expect("a child");
    assert!(child.join().expect("its end").is_success());
    logging::flush();
    let whole = WHOLE.lock().expect("nobody panics").take();
    let (origin, text) = whole.expect("it has arrived");
    assert_eq!((origin.process.as_str(), origin.pid), ("Ada", child.pid()));
    assert!(origin.time >= before && origin.time <= SystemTime::now());
    let (module, file) = (Some(module_path!()), Some(file!()));
    let expected = format!("TRACE course text with arguments {module:?} {file:?} true Some(\"7\")");
    assert_eq!(text, expected);
}

fn killed() {
    logging::gather_to(Collector, LevelFilter::Info).expect("the first logger");
    for _ in 0..20 {
        let target = |ready: Connection<(), ()>| -> () {
            log_many(100);
            ready.send(&()).expect("the parent listens");
            loop {
                std::thread::park();
            }
        };
        let (ours, theirs) = pipe::<(), ()>().expect("a pipe");
        let child = Process::new(target, theirs).start().expect("a child");
        ours.recv().expect("it is ready");
        child.kill().expect("a signal");
        child.join().expect("its end");
        assert_eq!(seen()[child.name()].len(), 100);
    }
    // One that is killed while it logs leaves the others alone.
    for _ in 0..20 {
        let child = Process::new(|()| log_many(u32::MAX), ()).start().expect("a child");
        std::thread::sleep(Duration::from_millis(5));
        child.kill().expect("a signal");
        child.join().expect("its end");
    }
    let last = Process::new(log_many, 10).start().expect("a child");
    assert!(last.join().expect("its end").is_success());
    let seen = seen();
    assert_eq!(seen[last.name()].len(), 10);
    for texts in seen.values() {
        let numbers: Vec<usize> = texts.iter().map(|text| text.parse().expect("whole")).collect();
        assert!(numbers.iter().enumerate().all(|(place, &number)| place == number));
    }
}

fn workers() {
    logging::gather_to(Collector, LevelFilter::Info).expect("the first logger");
    for method in [StartMethod::Spawn, StartMethod::ForkServer] {
        let pool = Pool::builder().workers(2).start_method(method).build().expect("a pool");
        pool.map(|number: u32| log::info!("task {number}"), 0..100).expect("a map");
        drop(pool);
    }
    let parent = |()| {
        let child = Process::new(log_many, 3).name("grandchild").start().expect("a child");
        assert!(child.join().expect("its end").is_success());
    };
    let child = Process::new(parent, ()).start().expect("a child");
    assert!(child.join().expect("its end").is_success());
    let mut seen = seen();
    assert_eq!(seen.remove("grandchild").map(|texts| texts.len()), Some(3));
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 200);
    assert!(seen.keys().all(|name| name.starts_with("PoolWorker-")), "{seen:?}");
}

fn forked() {
    logging::gather_to(Collector, LevelFilter::Info).expect("the first logger");
    let child = Process::new(log_many, 100).start_method(StartMethod::Fork).even_with_threads();
    let child = child.start().expect("a child");
    assert!(child.join().expect("its end").is_success());
    assert_eq!(seen()[child.name()].len(), 100);
}

fn library_events() {
    logging::gather_to(Collector, LevelFilter::Debug).expect("the first logger");
    let child = Process::new(|()| 3, ()).start().expect("a child");
    child.join().expect("its end");
    let killed = |()| std::process::abort();
    let pool = Pool::new(1).expect("a pool");
    let _lost = pool.apply::<(), ()>(killed, ()).expect_err("its worker is dead");
    assert_eq!(pool.apply(|x: u32| x, 1).expect("by another one"), 1);
    drop(pool);
    let seen = seen().remove("MainProcess").expect("some events");
    let (name, pid) = (child.name(), child.pid());
    for expected in [
        format!("{name} (pid {pid}) has started"),
        format!("{name} (pid {pid}) {}", child.exit().expect("it has ended")),
    ] {
        assert!(seen.contains(&expected), "{expected:?} is not in {seen:#?}");
    }
    // What the library starts for itself is not the program's.
    assert!(!seen.iter().any(|text| text.starts_with("zygote")), "{seen:#?}");
    let is_replaced = |text: &String| text.ends_with("and another worker takes its place");
    assert_eq!(seen.iter().filter(|text| is_replaced(text)).count(), 1, "{seen:#?}");
}

fn one_logger() {
    log::set_logger(&Collector).expect("the first logger");
    log::set_max_level(LevelFilter::Info);
    let refused = common::log_to_stderr(LevelFilter::Info);
    assert!(matches!(refused, Err(LoggingError::OtherLogger)), "{refused:?}");
    let refused = logging::gather_to(Whole, LevelFilter::Info);
    assert!(matches!(refused, Err(LoggingError::OtherLogger)), "{refused:?}");
    logging::gather().expect("a thread");
    let child = Process::new(log_many, 3).start().expect("a child");
    child.join().expect("its end");
    assert_eq!(seen()[child.name()].len(), 3);
}

fn panicking_logger() {
    struct Panics;
    impl Log for Panics {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            assert_ne!(record.args().to_string(), "1", "a panic that the test expects");
            Collector.log(record);
        }

        fn flush(&self) {}
    }
    logging::gather_to(Panics, LevelFilter::Info).expect("the first logger");
    let child = Process::new(log_many, 3).start().expect("a child");
    child.join().expect("its end");
    assert_eq!(seen()[child.name()], ["0", "2"]);
}

fn levels() {
    let log = |()| {
        log::error!("error");
        log::info!("info");
        log::debug!("debug");
    };
    logging::gather_to(Collector, LevelFilter::Warn).expect("the first logger");
    let start = || Process::new(log, ()).start().expect("a child");
    let (first, second) = (start(), {
        log::set_max_level(LevelFilter::Debug);
        start()
    });
    for child in [&first, &second] {
        child.join().expect("its end");
    }
    let seen = seen();
    assert_eq!(seen[first.name()], ["error"]);
    assert_eq!(seen[second.name()], ["error", "info", "debug"]);
}

/// Programs that are looked at from outside.
fn other_program(name: &str) {
    let start = |count| Process::new(log_many, count).start().expect("a child");
    match name {
        "stderr" => {
            common::log_to_stderr(LevelFilter::Info).expect("the first logger");
            log::warn!("here");
            log::debug!("silent");
            for child in [start(3), start(3)] {
                assert!(child.join().expect("its end").is_success());
            }
        }
        "writer" => {
            struct Full;
            impl Write for Full {
                fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                    Err(ErrorKind::StorageFull.into())
                }

                fn flush(&mut self) -> std::io::Result<()> {
                    Ok(())
                }
            }
            logging::gather_to(Writer::new(Full), LevelFilter::Info).expect("the first logger");
            start(3).join().expect("its end");
            logging::flush();
            logging::gather_to(Writer::new(std::io::stdout()), LevelFilter::Info).expect("ours");
            start(3).join().expect("its end");
        }
        "leaves" => {
            struct Slow;
            impl Log for Slow {
                fn enabled(&self, _: &Metadata<'_>) -> bool {
                    true
                }

                fn log(&self, record: &Record<'_>) {
                    std::thread::sleep(Duration::from_millis(2));
                    println!("{}", record.args());
                }

                fn flush(&self) {}
            }
            logging::gather_to(Slow, LevelFilter::Info).expect("the first logger");
            // Nobody joins it here.
            start(200);
        }
        "exits" => {
            struct Exits;
            impl Log for Exits {
                fn enabled(&self, _: &Metadata<'_>) -> bool {
                    true
                }

                fn log(&self, record: &Record<'_>) {
                    logging::flush();
                    println!("{}", record.args());
                    std::process::exit(0);
                }

                fn flush(&self) {}
            }
            logging::gather_to(Exits, LevelFilter::Info).expect("the first logger");
            start(1).join().expect("its end");
            loop {
                std::thread::park();
            }
        }
        "dies" => {
            logging::gather_to(Collector, LevelFilter::Info).expect("the first logger");
            let target = |()| {
                let parent = common::process::parent().expect("it has one");
                parent.join().expect("its end");
                log_many(3);
            };
            Process::new(target, ()).start().expect("a child");
            std::process::abort();
        }
        "stuck" => {
            struct Stuck;
            impl Log for Stuck {
                fn enabled(&self, _: &Metadata<'_>) -> bool {
                    loop {
                        std::thread::park();
                    }
                }

                fn log(&self, _: &Record<'_>) {}

                fn flush(&self) {}
            }
            logging::gather_to(Stuck, LevelFilter::Info).expect("the first logger");
            let child = start(70_000);
            assert!(child.join().expect("its end").is_success());
            // What waits for the logger would wait for ever.
            println!("the child has ended");
            std::process::abort();
        }
        other => panic!("there is no program {other:?}"),
    }
}

fn to_stderr() -> Outcome {
    let (out, err) = run("stderr")?;
    assert_eq!(out, "");
    let mut lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.remove(0), "[WARNING/MainProcess] here");
    for child in ["Process-1", "Process-2"] {
        let head = format!("[INFO/{child}] ");
        let own: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix(&head)).collect();
        assert_eq!(own, ["0", "1", "2"], "{err}");
    }
    assert_eq!(lines.len(), 6, "{err}");
    Ok(())
}

fn writer() -> Outcome {
    let (out, err) = run("writer")?;
    assert_eq!(err, "common: log records are lost: no storage space\n");
    assert_eq!(out, "[INFO/Process-2] 0\n[INFO/Process-2] 1\n[INFO/Process-2] 2\n");
    Ok(())
}

fn until_the_end() -> Outcome {
    let (out, err) = run("leaves")?;
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(out.lines().collect::<Vec<_>>(), expected, "{err}");
    Ok(())
}

fn exiting_logger() -> Outcome {
    let (out, err) = run("exits")?;
    assert_eq!(out, "0\n", "{err}");
    Ok(())
}

fn orphans() -> Outcome {
    let mut child = program("dies")?.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut err = String::new();
    // Until the last of its processes has ended.
    child.stderr.take().expect("a pipe").read_to_string(&mut err)?;
    child.wait()?;
    let lines: Vec<&str> = err.lines().collect();
    let [why, rest @ ..] = &lines[..] else { return Err("nothing was written".into()) };
    assert!(why.contains("which gathers them, has ended"), "{err}");
    assert_eq!(rest, ["[INFO/Process-1] 0", "[INFO/Process-1] 1", "[INFO/Process-1] 2"]);
    Ok(())
}

fn slow_logger() -> Outcome {
    let output = program("stuck")?.output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the child has ended\n");
    let err = String::from_utf8_lossy(&output.stderr);
    let why = err.lines().next().unwrap_or_default();
    assert!(why.contains("which gathers them, is too slow"), "{why}");
    assert_eq!(err.lines().last(), Some("[INFO/Process-1] 69999"));
    Ok(())
}

fn closed_stderr() -> Outcome {
    let mut child = program("stderr")?.stderr(Stdio::piped()).spawn()?;
    drop(child.stderr.take());
    assert!(child.wait()?.success());
    let full = std::fs::File::options().write(true).open("/dev/full")?;
    assert!(program("stderr")?.stderr(full).status()?.success());
    Ok(())
}
