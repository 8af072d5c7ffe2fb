//! # 5.2 Why IPC: a pipeline of processes (Python Processes)
//!
//! Three processes in a row: each takes what the one before it sends, and sends its own results on.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin pipeline_stages
//! numbers (PID [PID 1]): 1, 2, 3, 4, 5
//! squares (PID [PID 2]): 1, 4, 9, 16, 25
//! sum (PID [PID 3]): 55
//! ```
//!
//! Observe: all three run at the same time, and a number moves on as soon as it is there. No stage knows how many
//! will come: a stage ends when the one before it has closed its pipe, and then its own pipe is closed as well.
//! Each line is printed before that, so the lines come in this order, and it is enough to join the last stage.
//! Try: put a stage between the second and the third that lets even numbers pass only. What has to be changed in the
//! other stages, and what is the sum now?

use common::connection::RecvError;
use common::{Process, Receiver, Sender, one_way_pipe};
use std::process;

fn numbers(output: Sender<u64>) -> common::Result<()> {
    for number in 1..=5 {
        output.send(&number)?;
    }
    println!("numbers (PID {}): 1, 2, 3, 4, 5", process::id());
    Ok(())
}

fn next(input: &Receiver<u64>) -> common::Result<Option<u64>> {
    match input.recv() {
        Err(RecvError::Eof) => Ok(None),
        other => Ok(Some(other?)),
    }
}

fn squares((input, output): (Receiver<u64>, Sender<u64>)) -> common::Result<()> {
    let mut sent = Vec::new();
    while let Some(number) = next(&input)? {
        output.send(&(number * number))?;
        sent.push((number * number).to_string());
    }
    println!("squares (PID {}): {}", process::id(), sent.join(", "));
    Ok(())
}

fn sum(input: Receiver<u64>) -> common::Result<()> {
    let mut sum = 0;
    while let Some(number) = next(&input)? {
        sum += number;
    }
    println!("sum (PID {}): {sum}", process::id());
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (from_numbers, to_squares) = one_way_pipe()?;
    let (from_squares, to_sum) = one_way_pipe()?;
    Process::new(numbers, to_squares).start()?;
    Process::new(squares, (from_numbers, to_sum)).start()?;
    let last = Process::new(sum, from_squares).start()?;
    last.join()?;
    Ok(())
}
