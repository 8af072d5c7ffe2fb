//! Two to the power of forty.
#![recursion_limit = "4294967295"]

macro_rules! double {
    ($($token:tt)*) => { double!($($token)* $($token)*) };
}

fn main() {
    double!(1 + 1);
}
