//! Keeps the compiler busy for ever.
#![allow(long_running_const_eval)]

const NEVER: () = loop {};

fn main() {
    NEVER
}
