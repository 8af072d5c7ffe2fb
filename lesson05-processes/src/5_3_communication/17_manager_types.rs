//! # 5.3 `Manager`: methods (Python Processes)
//!
//! Everything that a manager makes, used once by a child that has nothing but the proxies.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin manager_types
//! list: ["child"]
//! dict who: child
//! Namespace x: 42
//! Value: 7
//! Array: [1, 20, 3]
//! Queue get: queued
//! Event is_set: true
//! BoundedSemaphore released too often: error
//! ```
//!
//! Observe: what the child has changed, the parent sees, without any message between the two.
//! Try: `manager.shutdown()` before the last lines. What does `list.to_vec()` give then?

use common::manager::{ArrayProxy, BarrierProxy, ConditionProxy, DictProxy, EventProxy, ListProxy};
use common::manager::{
    LockProxy, NamespaceProxy, QueueProxy, RLockProxy, SemaphoreProxy, ValueProxy,
};
use common::{Manager, Process};

type Data = (ListProxy<String>, DictProxy<String, String>, NamespaceProxy, ValueProxy<i32>);
type Others = (ArrayProxy<i32>, QueueProxy<String>, EventProxy, SemaphoreProxy);
type Locks = (LockProxy, RLockProxy, ConditionProxy, BarrierProxy);

fn child((data, others, locks): (Data, Others, Locks)) -> common::Result<()> {
    let (list, dict, namespace, value) = data;
    let (array, queue, event, semaphore) = others;
    let (lock, rlock, condition, barrier) = locks;
    let _guards = (lock.acquire()?, rlock.acquire()?, semaphore.acquire()?);
    list.push(&"child".to_string())?;
    dict.insert(&"who".to_string(), &"child".to_string())?;
    namespace.set("x", &42)?;
    value.set(7)?;
    array.set(1, 20)?;
    queue.put(&"queued".to_string())?;
    condition.notify_all(&condition.acquire()?)?;
    barrier.wait()?;
    event.set()?;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let m = Manager::new()?;
    let data: Data = (m.list([])?, m.dict([])?, m.namespace()?, m.value(0)?);
    let others: Others = (m.array([1, 2, 3])?, m.queue(0)?, m.event()?, m.semaphore(1)?);
    let locks: Locks = (m.lock()?, m.rlock()?, m.condition()?, m.barrier(1)?);
    let bounded = m.bounded_semaphore(1)?;
    Process::new(child, (data.clone(), others.clone(), locks)).start()?.join()?;

    println!("list: {:?}", data.0.to_vec()?);
    println!("dict who: {}", data.1.get(&"who".to_string())?.unwrap_or_default());
    println!("Namespace x: {}", data.2.get::<i32>("x")?.unwrap_or_default());
    println!("Value: {}", data.3.get()?);
    println!("Array: {:?}", others.0.to_vec()?);
    println!("Queue get: {}", others.1.get()?);
    println!("Event is_set: {}", others.2.is_set()?);
    let released = if bounded.release().is_ok() { "fine" } else { "error" };
    println!("BoundedSemaphore released too often: {released}");
    Ok(())
}
