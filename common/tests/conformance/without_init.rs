//! A program that never calls `common::init`: its processes must fail to start.
//!
//! Were one started, it would run all of this again, and so would its own.

use common::process::StartError;
use common::{Process, StartMethod};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let trials = StartMethod::ALL.map(|method| {
        let name = format!("c037_a_program_without_init_starts_nothing::{method}");
        Trial::test(name, move || match Process::new(drop::<()>, ()).start_method(method).start() {
            Err(StartError::NotInitialised) => Ok(()),
            other => Err(format!("{other:?}").into()),
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}
