//! # 5.2 IPC mechanisms: System V shared memory (Python Processes, outline)
//!
//! A segment is made with `shmget`, attached with `shmat`, detached with `shmdt` and removed with `shmctl`.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin sysv_shared_memory
//! before: [1, 2, 3, 4]
//! after:  [1, 4, 9, 16]
//! removed, and still attached here: [1, 4, 9, 16]
//! nobody can attach it any more: true
//! ```
//!
//! Observe: the number of the segment is all that the child is given, and any program of the same user could attach it
//! by that. A segment that nobody removes outlives all processes: `ipcs -m` lists it, with how many have it
//! attached, and `ipcrm -m NUMBER` removes it.
//! Try: sleep for a minute before `drop(segment)`, and for another one after it, and look at `ipcs -m` in another
//! terminal both times: what has changed in the row of the segment?

use common::Process;
use common::ipc::Segment;

fn square(id: i32) -> common::Result<()> {
    let segment = Segment::attach(id)?;
    let mut numbers = [0u64; 4];
    segment.copy_out(0, &mut numbers)?;
    segment.copy_in(0, &numbers.map(|number| number * number))?;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let segment = Segment::create(4 * size_of::<u64>())?;
    segment.copy_in(0, &[1u64, 2, 3, 4])?;
    println!("before: {:?}", segment.get::<[u64; 4]>(0)?);

    let id = segment.id();
    Process::new(square, id).start()?.join()?;
    println!("after:  {:?}", segment.get::<[u64; 4]>(0)?);

    let mine = Segment::attach(id)?;
    drop(segment);
    println!("removed, and still attached here: {:?}", mine.get::<[u64; 4]>(0)?);
    drop(mine);
    println!("nobody can attach it any more: {}", Segment::attach(id).is_err());
    Ok(())
}
