//! All of the solution, in this place.
include!("@course@/assignments/shares/solution.rs");
