//! The grader from outside: what a student, an instructor and a hostile submission see of it.

mod assignments;
mod command_line;
mod course;
mod intake;
mod limits;
mod policy;
