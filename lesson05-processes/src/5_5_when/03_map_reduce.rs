//! # 5.5 Task distribution and result aggregation (Python Processes, outline)
//!
//! Workers count the words of one part of a text each, and the parent adds the counts up.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin map_reduce
//! map:    {"cat": 1, "dog": 1, "saw": 1, "the": 2}
//! map:    {"bird": 1, "dog": 1, "saw": 1, "the": 2}
//! map:    {"bird": 1, "cat": 1, "saw": 1, "the": 2}
//! map:    {"mouse": 1, "nobody": 1, "saw": 1, "the": 1}
//! reduce: {"bird": 2, "cat": 2, "dog": 2, "mouse": 1, "nobody": 1, "saw": 4, "the": 7}
//! the same as counted at once: true
//! ```
//!
//! Observe: no worker sees more than its part, and none needs a lock: each fills a map of its own, which comes
//! back as a result. It does not matter in which order the maps are added up, because adding has no order.
//! Try: let the workers count letters in the place of words. Then cut the text at every tenth letter, not at
//! the ends of lines: why are the counts of words wrong now, and those of letters still right?

use common::Pool;
use std::collections::BTreeMap;

const TEXT: &str = "the cat saw the dog
the dog saw the bird
the bird saw the cat
nobody saw the mouse";

type Counts = BTreeMap<String, u32>;

fn count_words(part: String) -> Counts {
    let mut counts = Counts::new();
    for word in part.split_whitespace() {
        *counts.entry(word.to_string()).or_default() += 1;
    }
    counts
}

fn add(mut total: Counts, part: Counts) -> Counts {
    for (word, count) in part {
        *total.entry(word).or_default() += count;
    }
    total
}

fn main() -> common::Result<()> {
    common::init();
    let parts = TEXT.lines().map(str::to_string);
    let mapped = Pool::new(2)?.map(count_words, parts)?;
    for counts in &mapped {
        println!("map:    {counts:?}");
    }
    let total = mapped.into_iter().fold(Counts::new(), add);
    println!("reduce: {total:?}");
    println!("the same as counted at once: {}", total == count_words(TEXT.to_string()));
    Ok(())
}
