//! Algorithms with a planted bug, each of which a model must catch.
//!
//! The build makes them: see the table.

#[allow(dead_code, reason = "the snippets are for the build")]
pub(crate) mod table;

use crate::explore::{Entry, must_fail};
use table::Mutant;

/// What the build has made: the algorithms once more for each mutant, and the model that must catch it.
#[allow(unused, clippy::all, reason = "a bug may leave a name unused, and so may a model")]
mod built {
    use crate::explore::Entry;

    include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
}

/// The mutants, with the model that must catch each.
pub(crate) fn all() -> impl Iterator<Item = (&'static Mutant, Entry)> {
    table::mutants().zip(built::BUILT.iter().copied())
}

/// Runs the model of a mutant; it must fail as the table says.
pub(crate) fn must_be_caught(mutant: &Mutant, (_, model): Entry) {
    must_fail(mutant.fails, model);
}
