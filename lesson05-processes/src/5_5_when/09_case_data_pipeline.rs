//! # 5.5 Case study: a data-processing pipeline (Python Processes, outline)
//!
//! One process reads records, one cleans them, one adds them up; queues lead from one to the next.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin case_data_pipeline
//! read: 7 lines
//! clean: 5 records
//! aggregate: {"bern": 7, "oslo": 35, "rome": 12}
//! ```
//!
//! Observe: the stages work at the same time, each on another record, and no stage knows the others: it knows a
//! queue to get from, and one to put to. The end travels the same way: who is done shuts its queue down, and
//! the next one still gets what waits there. So the lines cannot change places. The pipeline is as fast as its
//! slowest stage.
//! Try: start a second process that cleans. Who may shut the queue of records down now? What can be lost when each of
//! the two does it at its own end?

use common::{Process, Queue};
use std::collections::BTreeMap;

const CSV: &str = "Oslo, 14\nRome,5\nBern,7\nRome,?\n oslo ,21\n\nRome,7";

fn read(lines: Queue<String>) -> common::Result<()> {
    for line in CSV.lines() {
        lines.put(line.to_string())?;
    }
    println!("read: {} lines", CSV.lines().count());
    lines.shutdown();
    Ok(())
}

fn clean((lines, records): (Queue<String>, Queue<(String, u32)>)) -> common::Result<()> {
    let mut kept = 0;
    for line in lines.iter() {
        let line = line?;
        let Some((city, number)) = line.split_once(',') else { continue };
        if let Ok(number) = number.trim().parse() {
            records.put((city.trim().to_lowercase(), number))?;
            kept += 1;
        }
    }
    println!("clean: {kept} records");
    records.shutdown();
    Ok(())
}

fn aggregate(records: Queue<(String, u32)>) -> common::Result<()> {
    let mut totals = BTreeMap::new();
    for record in records.iter() {
        let (city, number) = record?;
        *totals.entry(city).or_insert(0) += number;
    }
    println!("aggregate: {totals:?}");
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (lines, records) = (Queue::new()?, Queue::new()?);
    let reader = Process::new(read, lines.clone()).start()?;
    let cleaner = Process::new(clean, (lines, records.clone())).start()?;
    let adder = Process::new(aggregate, records).start()?;
    for stage in [reader, cleaner, adder] {
        stage.join()?;
    }
    Ok(())
}
