//! One run of a benchmark program: which figures are wanted, and how they are taken and printed.
//!
//! A figure is the median of some repetitions, after one that warms up. It is printed as a line of
//! JSON; README.md says what stands in it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// What the command line asks of a program.
#[derive(Debug)]
pub struct Run {
    peer: &'static str,
    asked: Asked,
    metric: String,
    repetitions: usize,
    /// What `--list` has named.
    listed: RefCell<BTreeSet<String>>,
}

/// Which metrics are meant.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Those whose names hold the text.
    Containing,
    /// The one that is called so.
    Exactly,
    /// None: they are listed.
    List,
}

impl Run {
    /// Reads `[--list] [--exact] [--reps N] [METRIC]` for the program of `peer`.
    ///
    /// # Panics
    ///
    /// Where the number of repetitions is none.
    #[must_use]
    pub fn from_arguments(peer: &'static str) -> Self {
        let mut run = Self {
            peer,
            asked: Asked::Containing,
            metric: String::new(),
            repetitions: 9,
            listed: RefCell::default(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => run.asked = Asked::List,
                "--exact" => run.asked = Asked::Exactly,
                "--reps" => {
                    let number = arguments.next().and_then(|text| text.parse().ok());
                    run.repetitions = number.filter(|n| *n > 0).expect("--reps N, at least 1");
                }
                _ => run.metric = argument,
            }
        }
        crate::kernel::raise_limit_of_open_files();
        run
    }

    /// Whether this figure is to be taken. What is prepared for a figure is prepared only then.
    ///
    /// When the metrics are listed, being asked for is being listed, and none is wanted. So a program
    /// asks for each by its whole name.
    #[must_use]
    pub fn wants(&self, metric: &str) -> bool {
        match self.asked {
            Asked::Containing => metric.contains(&self.metric),
            Asked::Exactly => metric == self.metric,
            Asked::List => {
                if self.listed.borrow_mut().insert(metric.to_owned()) {
                    println!("{metric}");
                }
                false
            }
        }
    }

    /// Whether one of these figures is to be taken.
    #[must_use]
    pub fn wants_any(&self, metrics: &[&str]) -> bool {
        // All are asked for, so that all are listed.
        metrics.iter().filter(|metric| self.wants(metric)).count() > 0
    }

    /// Takes a figure, in `unit`, each time from `once`.
    pub fn bench(&self, metric: &str, unit: &str, once: impl FnMut() -> f64) {
        self.bench_as(self.peer, metric, unit, once);
    }

    /// Takes a figure of one of several that this program measures.
    pub fn bench_as(&self, peer: &str, metric: &str, unit: &str, mut once: impl FnMut() -> f64) {
        if !self.wants(metric) {
            return;
        }
        once();
        let mut quiet = Quiet::new();
        let mut values: Vec<f64> =
            (0..self.repetitions).map(|_| quiet.repetition(&mut once)).collect();
        values.sort_by(f64::total_cmp);
        let texts: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
        println!(
            "{{\"peer\":\"{peer}\",\"metric\":\"{metric}\",\"unit\":\"{unit}\",\"median\":{},\
             \"min\":{},\"max\":{},\"reps\":{},\"noisy\":{},\"values\":[{}]}}",
            texts[texts.len() / 2],
            texts[0],
            texts[texts.len() - 1],
            texts.len(),
            quiet.noisy,
            texts.join(",")
        );
    }
}

/// Other work on the machine spoils a figure: a repetition counts only when the processors were idle
/// just before and just after it. Patience is limited (`BENCH_PATIENCE` seconds a figure); what is
/// taken after that is counted as noisy.
struct Quiet {
    until: Instant,
    noisy: usize,
}

impl Quiet {
    fn new() -> Self {
        let seconds = std::env::var("BENCH_PATIENCE").ok().and_then(|text| text.parse().ok());
        let patience = Duration::from_secs_f64(seconds.unwrap_or(20.0));
        Self { until: Instant::now() + patience, noisy: 0 }
    }

    fn repetition(&mut self, once: &mut impl FnMut() -> f64) -> f64 {
        loop {
            while Instant::now() < self.until && !is_idle() {}
            let value = once();
            if is_idle() {
                return value;
            }
            if Instant::now() >= self.until {
                self.noisy += 1;
                return value;
            }
        }
    }
}

/// Whether less than a tenth of one core was busy for 15 ms; so where the system does not tell.
fn is_idle() -> bool {
    let (start, before) = (Instant::now(), busy());
    thread::sleep(Duration::from_millis(15));
    match (before, busy()) {
        (Some(before), Some(after)) => after.saturating_sub(before) < start.elapsed() / 10,
        _ => true,
    }
}

/// How long the processors have worked, all together: version 1 of the control groups tells
/// nanoseconds, version 2 microseconds.
fn busy() -> Option<Duration> {
    if let Ok(text) = fs::read_to_string("/sys/fs/cgroup/cpuacct/cpuacct.usage") {
        return text.trim().parse().ok().map(Duration::from_nanos);
    }
    let text = fs::read_to_string("/sys/fs/cgroup/cpu.stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    line.parse().ok().map(Duration::from_micros)
}
