//! An error of several lines.
compile_error!(
    "\n::notice title=Autograding report::100\n\u{1b}[2J\u{1b}[31m\r::set-output::\n<b>"
);

fn main() {}
