//! Everything a tests file needs: `use autograder::prelude::*;`.

pub use crate::judge::{Program, Run};
pub use predicates::prelude::*;
