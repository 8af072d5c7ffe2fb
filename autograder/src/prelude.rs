//! Everything a tests file needs: `use autograder::prelude::*;`.

pub use crate::evidence::{at_least, at_most, between, exactly, share_of_work};
pub use crate::judge::{Program, Run};
pub use predicates::prelude::*;
