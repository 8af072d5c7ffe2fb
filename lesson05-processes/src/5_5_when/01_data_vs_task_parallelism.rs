//! # 5.5 Data parallelism and task parallelism (Python Processes, outline)
//!
//! Either the same function works on parts of the data, or different functions work on all of it.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin data_vs_task_parallelism
//! data: sum of [31, 41, 59] = 131
//! data: sum of [26, 53, 58] = 137
//! data: sum of [97, 93, 23] = 213
//! data: sum of [84, 62, 64] = 210
//! data: sum of the sums = 691
//! task: sum      = 691 (process [PID 1])
//! task: smallest = 23 (process [PID 2])
//! task: largest  = 97 (process [PID 3])
//! ```
//!
//! Observe: the sum of the whole is put together from those of the parts, and both ways agree on it. There
//! can be as many parts as there are numbers, but never more tasks than there are questions: so data
//! parallelism grows with the data, and task parallelism with the program.
//! Try: ask each of the four parts for its largest number. How do you put the four answers together? For which
//! question are four answers not enough: how many numbers are above 50, or which one is the median?

use common::{Pool, Process, Sender};

type Task = (Vec<u32>, Sender<u32>);

fn sum_of_part(part: Vec<u32>) -> u32 {
    part.iter().sum()
}

fn sum((numbers, answer): Task) -> common::Result<()> {
    Ok(answer.send(&numbers.iter().sum())?)
}

fn smallest((numbers, answer): Task) -> common::Result<()> {
    Ok(answer.send(&numbers.into_iter().min().unwrap_or(0))?)
}

fn largest((numbers, answer): Task) -> common::Result<()> {
    Ok(answer.send(&numbers.into_iter().max().unwrap_or(0))?)
}

fn main() -> common::Result<()> {
    common::init();
    let numbers = [31, 41, 59, 26, 53, 58, 97, 93, 23, 84, 62, 64];

    let parts: Vec<Vec<u32>> = numbers.chunks(3).map(<[u32]>::to_vec).collect();
    let sums = Pool::new(2)?.map(sum_of_part, parts.clone())?;
    for (part, sum) in parts.iter().zip(&sums) {
        println!("data: sum of {part:?} = {sum}");
    }
    println!("data: sum of the sums = {}", sums.iter().sum::<u32>());

    let mut children = Vec::new();
    for task in [sum, smallest, largest] {
        let (answer, sender) = common::one_way_pipe()?;
        children.push((Process::new(task, (numbers.to_vec(), sender)).start()?, answer));
    }
    for (name, (child, answer)) in ["sum     ", "smallest", "largest "].iter().zip(children) {
        println!("task: {name} = {} (process {})", answer.recv()?, child.pid());
        child.join()?;
    }
    Ok(())
}
