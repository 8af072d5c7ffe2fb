//! # Answer: task files and callbacks (Python Processes)
//!
//! Each file says what is to be done; workers do it, and callbacks collect what they answer.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin answer_callback_tasks
//! done:   {"square 12": "144", "upper tango": "TANGO", "words to be or not to be": "6"}
//! failed: {"nobody knows how to fly", "square what: invalid digit found in string"}
//! ```
//!
//! Observe: the workers get the name of a file, not what is in it, and read it themselves. They answer in any
//! order, so an answer says what it is the answer to. The lists are this process's alone: no worker sees them,
//! and no two callbacks run at once; the mutex is for `main`, which is another thread.
//! Try: leave `error_callback` out. Who learns of the two failures now? Then leave `close` and `join` out: what
//! is printed?

use common::Pool;
use common::pool::TaskError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

static DONE: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
static FAILED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn do_task(file: PathBuf) -> (String, String) {
    let task = std::fs::read_to_string(file).expect("the file is there");
    let (kind, text) = task.split_once(' ').unwrap_or((&task, ""));
    let answer = match kind {
        "words" => text.split_whitespace().count().to_string(),
        "upper" => text.to_uppercase(),
        "square" => match text.parse::<u64>() {
            Ok(number) => (number * number).to_string(),
            Err(error) => panic!("{task}: {error}"),
        },
        _ => panic!("nobody knows how to {task}"),
    };
    (task, answer)
}

fn keep((task, answer): &(String, String)) {
    DONE.lock().expect("no callback panics").insert(task.clone(), answer.clone());
}

fn keep_error(error: &TaskError) {
    let TaskError::Panicked { message, .. } = error else { return };
    FAILED.lock().expect("no callback panics").insert(message.clone());
}

fn main() -> common::Result<()> {
    common::init();
    let folder = tempfile::tempdir()?;
    let tasks = ["words to be or not to be", "upper tango", "square 12", "fly", "square what"];
    let pool = Pool::new(2)?;
    for (number, task) in tasks.into_iter().enumerate() {
        let file = folder.path().join(format!("{number}.task"));
        std::fs::write(&file, task)?;
        let _ = pool.apply_async(do_task, file)?.callback(keep).error_callback(keep_error);
    }
    pool.close();
    pool.join()?;
    println!("done:   {:?}", DONE.lock().expect("no callback panics"));
    println!("failed: {:?}", FAILED.lock().expect("no callback panics"));
    Ok(())
}
