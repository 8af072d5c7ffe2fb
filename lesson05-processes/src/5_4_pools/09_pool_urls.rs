//! # 5.4 `Pool::map`: a list of URLs (multiprocessing Module)
//!
//! Five workers do ten things that take two seconds each; `map` keeps the order of the results.
//!
//! ```console,any-order,elapsed:4..30
//! $ cargo run -p lesson05-processes --bin pool_urls
//! Processing http://example.com/page0...
//! Processing http://example.com/page1...
//! Processing http://example.com/page2...
//! Processing http://example.com/page3...
//! Processing http://example.com/page4...
//! Processing http://example.com/page5...  <- after 1
//! Processing http://example.com/page6...  <- after 2
//! Processing http://example.com/page7...  <- after 3
//! Processing http://example.com/page8...  <- after 4
//! Processing http://example.com/page9...  <- after 5
//! Content of http://example.com/page0  <- after all above
//! Content of http://example.com/page1  <- after above
//! Content of http://example.com/page2  <- after above
//! Content of http://example.com/page3  <- after above
//! Content of http://example.com/page4  <- after above
//! Content of http://example.com/page5  <- after above
//! Content of http://example.com/page6  <- after above
//! Content of http://example.com/page7  <- after above
//! Content of http://example.com/page8  <- after above
//! Content of http://example.com/page9  <- after above
//! ```
//!
//! Observe: two rounds of two seconds, not ten: whoever has done a page takes the next one, so page 5 is begun after
//! page 0, page 6 after page 1. The results come when all are there, in the order of the pages.
//! Try: 4 workers, then 10, then 20. How long does it take, and when does another worker no longer help?

use common::Pool;
use std::thread::sleep;
use std::time::Duration;

fn process_url(url: String) -> String {
    println!("Processing {url}...");
    sleep(Duration::from_secs(2)); // The time that it takes to process it.
    format!("Content of {url}")
}

fn main() -> common::Result<()> {
    common::init();
    let urls = (0..10).map(|i| format!("http://example.com/page{i}"));
    let pool = Pool::new(5)?;
    for result in pool.map(process_url, urls)? {
        println!("{result}");
    }
    Ok(())
}
