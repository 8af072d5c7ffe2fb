//! # 5.3 `Value`: type codes (Python Processes)
//!
//! Where Python says by a letter what a shared value is, the value's type says it in Rust.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin value_typecodes
//! 'b': signed char, 1 bytes
//! 'B': unsigned char, 1 bytes
//! 'h': signed short, 2 bytes
//! 'H': unsigned short, 2 bytes
//! 'i': signed int, 4 bytes
//! 'I': unsigned int, 4 bytes
//! 'l': signed long, 8 bytes
//! 'L': unsigned long, 8 bytes
//! 'q': signed long long, 8 bytes
//! 'Q': unsigned long long, 8 bytes
//! 'f': float, 4 bytes
//! 'd': double, 8 bytes
//! 'c': char, 1 bytes
//! 'u': unicode, 4 bytes
//! ```
//!
//! Observe: a long of C has as many bytes as the system likes (4 on Windows), an `i64` has 8 everywhere.
//! *Python Processes* calls 'b' "boolean" at one place and "signed char" at another: it is a number of one byte, and
//! Python has no code for a boolean, where Rust has `Value::new(true)`. (Its link to a full list leads nowhere: these
//! fourteen are all.)
//! Try: make a `Value::new(200i8)`. What does the compiler say? In Python the value would be -56.

use common::Value;
use std::ffi::{c_long, c_ulong};

fn main() -> common::Result<()> {
    common::init();
    println!("'b': signed char, {} bytes", size_of_val(&Value::new(i8::MIN)?.get()));
    println!("'B': unsigned char, {} bytes", size_of_val(&Value::new(u8::MAX)?.get()));
    println!("'h': signed short, {} bytes", size_of_val(&Value::new(i16::MIN)?.get()));
    println!("'H': unsigned short, {} bytes", size_of_val(&Value::new(u16::MAX)?.get()));
    println!("'i': signed int, {} bytes", size_of_val(&Value::new(i32::MIN)?.get()));
    println!("'I': unsigned int, {} bytes", size_of_val(&Value::new(u32::MAX)?.get()));
    println!("'l': signed long, {} bytes", size_of_val(&Value::new(c_long::MIN)?.get()));
    println!("'L': unsigned long, {} bytes", size_of_val(&Value::new(c_ulong::MAX)?.get()));
    println!("'q': signed long long, {} bytes", size_of_val(&Value::new(i64::MIN)?.get()));
    println!("'Q': unsigned long long, {} bytes", size_of_val(&Value::new(u64::MAX)?.get()));
    println!("'f': float, {} bytes", size_of_val(&Value::new(0.5f32)?.get()));
    println!("'d': double, {} bytes", size_of_val(&Value::new(0.1f64)?.get()));
    println!("'c': char, {} bytes", size_of_val(&Value::new(b'c')?.get()));
    println!("'u': unicode, {} bytes", size_of_val(&Value::new('ü')?.get()));
    Ok(())
}
