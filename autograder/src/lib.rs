//! The autograder: builds a submission, runs it under limits, judges it by the tests of its
//! assignment.
//!
//! ```text
//!  cargo grade run NAME FILE
//!        |
//!        |  submission + prebuilt libraries        tests/public.rs, tests/hidden.rs
//!        |          | rustc                                | rustc
//!        v          v                                      v
//!     grader    program  <---- runs, under limits ----   judge
//!        ^                                                 |
//!        +----------- one line of JSON per event ----------+
//! ```
//!
//! Student code never runs in the process that grades it, and the tests of an assignment are never
//! compiled into the grader: a broken assignment breaks neither the grader nor the lessons.
//!
//! In reading order:
//!
//! | module | what it is |
//! | --- | --- |
//! | [`assignment`] | the folder of an assignment, read and checked |
//! | [`solution`] | starter and solution, cut from one annotated file |
//! | [`intake`] | which submissions are taken in |
//! | [`kit`] | the compiler, and the libraries that submissions and judges link against |
//! | [`build`] | one file to one program, with `rustc` |
//! | [`runner`] | runs one program under limits, and ends everything that it started |
//! | [`sandbox`] | what stands between a submission and the machine |
//! | `pipes` | the three pipes of a running program |
//! | [`tree`] | finds and ends the descendants of a process |
//! | [`doctor`] | what this machine gives, and how to get more |
//! | [`evidence`] | how many processes there were, and how many could run at the same time |
//! | [`explain`] | why a program hangs: who waits for whom |
//! | [`judge`] | what a tests file is written with, and the program that it becomes |
//! | [`grade`] | one submission from file to report |
//! | [`mod@reference`] | tests that the solution fails score nothing |
//! | `seed` | where the inputs of a test come from |
//! | [`report`] | the result, and how it is written |
//! | [`show`] | the report as a person reads it |
//! | [`verify`] | proves an assignment: starter, solution, mutants |
//! | `order` | an order to a helper process, and its answers |
//! | [`verdict`] | the verdicts |
//! | [`text`] | foreign bytes made harmless |
//! | [`error`] | what can go wrong that is not the student's fault |

pub mod assignment;
pub mod build;
pub mod doctor;
pub mod error;
pub mod evidence;
pub mod explain;
pub mod grade;
pub mod intake;
pub mod judge;
pub mod kit;
mod order;
mod pipes;
pub mod prelude;
pub mod reference;
pub mod report;
pub mod runner;
pub mod sandbox;
mod seed;
pub mod show;
pub mod solution;
pub mod text;
pub mod tree;
pub mod verdict;
pub mod verify;

pub use error::{Error, Result};
