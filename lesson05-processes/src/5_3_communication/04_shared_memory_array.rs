//! # 5.3 `SharedMemory`: an array, by its name (Python Processes)
//!
//! A block of memory has a name; another process opens it by that name and changes the numbers in it.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin shared_memory_array
//! Worker: [2, 3, 4, 5, 6]
//! Main process: [2, 3, 4, 5, 6]
//! ```
//!
//! Observe: what goes to the worker is a name and a length; the numbers themselves are not sent.
//! Try: leave out `unlink`. What does the program say when it ends, and which process says it?

use common::{Process, SharedMemory};

fn worker_shmem((name, len): (String, usize)) -> common::Result<()> {
    let shm = SharedMemory::open(&name)?;
    for index in 0..len {
        let offset = index * size_of::<i32>();
        shm.set(offset, shm.get::<i32>(offset)? + 1)?;
    }
    println!("Worker: {:?}", shm.to_vec::<i32>(0, len)?);
    shm.close();
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let a: [i32; 5] = [1, 2, 3, 4, 5];
    let shm = SharedMemory::create(size_of_val(&a))?;
    shm.copy_in(0, &a)?;

    let argument = (shm.name().to_string(), a.len());
    let process = Process::new(worker_shmem, argument).start()?;
    process.join()?;

    println!("Main process: {:?}", shm.to_vec::<i32>(0, a.len())?);

    // Once, by whoever is the last to need the name.
    shm.unlink()?;
    shm.close();
    Ok(())
}
