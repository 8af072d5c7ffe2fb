//! Bytes that are no text, on both.
use std::io::Write;

fn main() {
    let much = [0xff, 0, 0xfe, 0x1b].repeat(1 << 14);
    while std::io::stdout().write_all(&much).is_ok() && std::io::stderr().write_all(&much).is_ok() {
    }
}
