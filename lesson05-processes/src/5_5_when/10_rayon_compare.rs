//! # 5.5 Alternative packages: joblib, and rayon (Python Processes, outline)
//!
//! Python programs call joblib for a parallel loop; Rust programs call rayon, which uses threads.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin rayon_compare
//! rayon: [20, 40, 60], in this process: true
//! pool:  [20, 40, 60], in this process: false
//! rayon: the longest word is "process", the very one of the list: true
//! pool:  the longest word is "process", the very one of the list: false
//! ```
//!
//! Observe: rayon reads `factor` and `words` where they are, and its result points into the list: in one process
//! nothing has to be encoded. The pool has a plain function, so the factor travels with each number, and what
//! comes back is a copy. For that a crash ends one worker of a pool, but the whole program with rayon.
//! Try: let the closure call `process::abort()` for the number 2. Then take that out, and let `longest` abort. What
//! is left in each case, and which one would you give code that you do not trust?

use common::Pool;
use rayon::prelude::*;
use std::process;

fn times((number, factor): (u32, u32)) -> (u32, u32) {
    (number * factor, process::id())
}

fn longest(words: Vec<String>) -> Option<String> {
    words.into_iter().max_by_key(String::len)
}

fn report(who: &str, results: Vec<(u32, u32)>) {
    let (products, pids): (Vec<u32>, Vec<u32>) = results.into_iter().unzip();
    let here = pids.iter().all(|&pid| pid == process::id());
    println!("{who:<6} {products:?}, in this process: {here}");
}

fn main() -> common::Result<()> {
    common::init();
    let pool = Pool::new(2)?;
    let (numbers, factor) = ([2, 4, 6], 10);
    report("rayon:", numbers.par_iter().map(|number| times((*number, factor))).collect());
    report("pool:", pool.map(times, numbers.map(|number| (number, factor)))?);

    let words = ["one", "process", "each"].map(String::from).to_vec();
    let found = words.par_iter().max_by_key(|word| word.len()).expect("there are words");
    let same = words.iter().any(|word| std::ptr::eq(word, found));
    println!("rayon: the longest word is {found:?}, the very one of the list: {same}");
    let found = pool.apply(longest, words.clone())?.expect("there are words");
    let same = words.iter().any(|word| std::ptr::eq(word, &found));
    println!("pool:  the longest word is {found:?}, the very one of the list: {same}");
    Ok(())
}
