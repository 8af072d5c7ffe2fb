//! # 5.3 `SharedMemory` and `ShareableList`: methods (Python Processes)
//!
//! A block and a list in shared memory go to a child as their names; what it changes is changed here.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin shareable_list
//! block has a name: true
//! size is at least 16: true
//! before: buf[0] = 0, list = [21, 2.5, "hello", true, None]
//! after: buf[0] = 255, list = [42, 2.5, "HI", true, None]
//! connect after unlink: not found
//! ```
//!
//! Observe: items of several kinds lie in one list, and each keeps the room that it began with.
//! Try: let the child write "nine char" in the place of "hello". What does it say, and what is in the list
//! afterwards?

use common::shared_memory::SharedMemoryError;
use common::{Process, ShareableList, SharedMemory};

fn change((block, list): (SharedMemory, ShareableList)) -> common::Result<()> {
    block.set(0, 255u8)?;
    list.set(0, 42)?;
    list.set(2, "HI")?;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let block = SharedMemory::create(16)?;
    let values = [21.into(), 2.5.into(), "hello".into(), true.into(), ().into()];
    let list = ShareableList::create(&values)?;
    println!("block has a name: {}", !block.name().is_empty());
    println!("size is at least 16: {}", block.len() >= 16);

    println!("before: buf[0] = {}, list = {:?}", block.get::<u8>(0)?, list.to_vec()?);
    let handles = (SharedMemory::open(block.name())?, ShareableList::open(list.name())?);
    Process::new(change, handles).start()?.join()?;
    println!("after: buf[0] = {}, list = {:?}", block.get::<u8>(0)?, list.to_vec()?);

    list.unlink()?;
    block.unlink()?;
    match SharedMemory::open(block.name()) {
        Err(SharedMemoryError::NotFound { .. }) => println!("connect after unlink: not found"),
        other => println!("connect after unlink: {other:?}"),
    }
    Ok(())
}
