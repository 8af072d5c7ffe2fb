//! One trial: a function that runs in a process of its own, once or under each start method.
//!
//! The trials of a program run on threads, and a process with threads does not fork. So each trial
//! starts this program again, as `NAME --exact --test-threads=1`, which runs it in the main thread and
//! nothing beside it; typed by hand, the same words do the same. There it may change what belongs to a
//! whole process: the default start method, the standard streams, an empty working directory.
//! [`transcript::Run`] ends it after a minute, and sees to it that no process is left behind.

use common::StartMethod;
use libtest_mimic::{Arguments, Failed, Trial as Mimic};
use std::time::Duration;
use transcript::{Limits, Run};

/// What a trial returns; `?` takes any error.
pub(crate) type Outcome = Result<(), Failed>;

/// Longer than anything takes here. Where it runs out, something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(40);

/// What a trial prints first where the machine lacks something that it needs.
pub(crate) const NOT_RUN: &str = "NOT RUN: ";

/// A trial.
#[derive(Clone)]
pub(crate) struct Trial {
    name: String,
    body: Body,
}

#[derive(Clone)]
enum Body {
    Once(fn() -> Outcome),
    Under(StartMethod, fn(StartMethod) -> Outcome),
}

/// A trial to which the start method is nothing.
pub(crate) fn once(name: &str, body: fn() -> Outcome) -> Vec<Trial> {
    vec![Trial { name: name.to_string(), body: Body::Once(body) }]
}

/// One trial for every start method.
pub(crate) fn each(name: &str, body: fn(StartMethod) -> Outcome) -> Vec<Trial> {
    StartMethod::ALL.into_iter().flat_map(|method| under(method, name, body)).collect()
}

/// A trial for one start method.
pub(crate) fn under(
    method: StartMethod,
    name: &str,
    body: fn(StartMethod) -> Outcome,
) -> Vec<Trial> {
    vec![Trial { name: format!("{name}::{method}"), body: Body::Under(method, body) }]
}

/// Runs the trials that the command line asks for, and ends the program.
pub(crate) fn run(trials: Vec<Trial>) -> ! {
    let arguments = Arguments::from_args();
    let is_alone = arguments.exact && arguments.test_threads == Some(1);
    let trials = trials.into_iter().map(|trial| {
        Mimic::test(
            trial.name.clone(),
            move || if is_alone { trial.run() } else { trial.run_alone() },
        )
    });
    libtest_mimic::run(&arguments, trials.collect()).exit()
}

impl Trial {
    fn run(&self) -> Outcome {
        match self.body {
            Body::Once(body) => body(),
            Body::Under(method, body) => body(method),
        }
    }

    fn run_alone(&self) -> Outcome {
        let arguments = [&self.name, "--exact", "--test-threads=1"].map(str::to_string);
        let run = Run::new(&std::env::current_exe()?, &arguments, Limits::default())?;
        run.assert.try_success()?;
        for line in run.stdout.lines().filter(|line| line.starts_with(NOT_RUN)) {
            println!("{}: {line}", self.name);
        }
        Ok(())
    }
}
