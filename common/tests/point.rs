//! Points: each operation passes one, with the caller's line, and objects bear the same names everywhere.

use common::connection::{Client, Listener};
use common::point::{self, Point};
use common::sync::{Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore};
use common::{Array, AtomicValue, Process, Queue, StartMethod, Value, pipe};
use common::{ShareableList, ShareableValue, SharedMemory};
use libtest_mimic::{Arguments, Failed, Trial};
use std::cell::RefCell;
use std::process::Command;
use std::time::Duration;

thread_local! {
    static SEEN: RefCell<Vec<(String, String, u32)>> = const { RefCell::new(Vec::new()) };
}

fn note(point: &Point<'_>) {
    let text = format!("{} {}", point.operation(), point.object());
    let location = point.location();
    SEEN.with_borrow_mut(|seen| seen.push((text, location.file().to_string(), location.line())));
}

/// What this thread has passed since the last time.
fn seen() -> Vec<String> {
    SEEN.take().into_iter().map(|(text, ..)| text).collect()
}

fn main() {
    point::listen(note);
    common::init();
    let mut trials = vec![trial(OPERATIONS, operations), trial("notes_change_nothing_else", notes)];
    for method in StartMethod::ALL {
        trials.push(Trial::test(format!("names_are_the_same_everywhere::{method}"), move || {
            names(method);
            Ok(())
        }));
    }
    // Names count what the process has made, and a fork needs a process without threads.
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit();
}

const OPERATIONS: &str = "each_operation_passes_one_point_with_the_callers_line";
/// What asks for notes of the points; `autograder/tests/explain` reads them.
const NOTES: &str = "COMMON_WAITS";

fn trial(name: &str, body: fn()) -> Trial {
    Trial::test(name, move || -> Result<(), Failed> {
        body();
        Ok(())
    })
}

/// One operation: exactly this point, on the line of the call.
macro_rules! passes {
    ($expected:expr, $operation:expr) => {{
        SEEN.take();
        let value = $operation;
        let points = SEEN.take();
        assert_eq!(points.len(), 1, "{points:?}");
        let (text, file, line) = &points[0];
        assert_eq!((text.as_str(), file.as_str()), (&*$expected, file!()));
        // The formatter may break a call.
        assert!((line!()..=line!() + 3).contains(line), "{text} at line {line}");
        value
    }};
}

fn operations() {
    let zero = Duration::ZERO;
    let lock = passes!("create Lock-1", Lock::new().unwrap());
    let guard = passes!("acquire Lock-1", lock.acquire());
    passes!("try_acquire Lock-1", assert!(lock.try_acquire().is_none()));
    passes!("acquire_timeout Lock-1", assert!(lock.acquire_timeout(zero).is_none()));
    passes!("state Lock-1", assert!(lock.is_locked()));
    passes!("keep Lock-1", guard.keep());
    passes!("release Lock-1", lock.release().unwrap());
    let guard = lock.acquire();
    let line = line!() - 1;
    SEEN.take();
    drop(guard);
    assert_eq!(SEEN.take(), [("release Lock-1".to_string(), file!().to_string(), line)]);

    let rlock = passes!("create RLock-1", RLock::new().unwrap());
    let guard = passes!("acquire RLock-1", rlock.acquire());
    drop(passes!("try_acquire RLock-1", rlock.try_acquire().unwrap()));
    passes!("state RLock-1", assert!(rlock.is_locked()));
    passes!("keep RLock-1", guard.keep());
    passes!("release RLock-1", rlock.release().unwrap());
    drop(passes!("acquire_timeout RLock-1", rlock.acquire_timeout(zero).unwrap()));

    let semaphore = passes!("create Semaphore-1", Semaphore::new(1).unwrap());
    let permit = passes!("acquire Semaphore-1", semaphore.acquire());
    passes!("try_acquire Semaphore-1", assert!(semaphore.try_acquire().is_none()));
    passes!("acquire_timeout Semaphore-1", assert!(semaphore.acquire_timeout(zero).is_none()));
    passes!("state Semaphore-1", assert_eq!(semaphore.value(), 0));
    passes!("keep Semaphore-1", permit.keep());
    passes!("release Semaphore-1", semaphore.release().unwrap());
    let bounded = passes!("create BoundedSemaphore-1", BoundedSemaphore::new(1).unwrap());
    passes!("release BoundedSemaphore-1", assert!(bounded.release().is_err()));

    let condition = passes!("create Condition-1", Condition::with_lock(&lock).unwrap());
    let mut guard = passes!("acquire Lock-1", condition.acquire());
    passes!("wait_timeout Condition-1", condition.wait_timeout(&mut guard, zero));
    passes!("wait Condition-1", condition.wait_while(&mut guard, || false));
    passes!("wait_timeout Condition-1", condition.wait_while_timeout(&mut guard, zero, || true));
    passes!("notify Condition-1", condition.notify(&guard, 1));
    passes!("notify Condition-1", condition.notify_all(&guard));

    let event = passes!("create Event-1", Event::new().unwrap());
    passes!("wait_timeout Event-1", event.wait_timeout(zero));
    passes!("set Event-1", event.set());
    passes!("wait Event-1", event.wait());
    passes!("state Event-1", event.is_set());
    passes!("clear Event-1", event.clear());

    let barrier = passes!("create Barrier-1", Barrier::new(1).unwrap());
    passes!("wait Barrier-1", barrier.wait().unwrap());
    passes!("wait Barrier-1", barrier.wait_with(|| ()).unwrap());
    passes!("wait_timeout Barrier-1", barrier.wait_timeout(zero).unwrap());
    passes!("state Barrier-1", barrier.n_waiting());
    passes!("abort Barrier-1", barrier.abort());
    passes!("state Barrier-1", barrier.is_broken());
    passes!("reset Barrier-1", barrier.reset());

    let value = passes!("create Value-1", Value::new(1u32).unwrap());
    passes!("get Value-1", value.get());
    passes!("set Value-1", value.set(2));
    passes!("update Value-1", value.update(|number| *number += 1));
    let guard = passes!("acquire Value-1", value.lock());
    passes!("try_acquire Value-1", assert!(value.try_lock().is_none()));
    passes!("acquire_timeout Value-1", assert!(value.lock_timeout(zero).is_none()));
    drop(guard);
    assert_eq!(seen(), ["release Value-1"]);

    let array = passes!("create Array-1", Array::<u8>::new(3).unwrap());
    passes!("create Array-2", Array::from_slice(b"abc").unwrap());
    passes!("get Array-1", array.get(0).unwrap());
    passes!("get Array-1", array.to_vec());
    passes!("get Array-1", array.copy_out(0, &mut [0; 2]).unwrap());
    passes!("set Array-1", array.set(0, 1).unwrap());
    passes!("set Array-1", array.copy_in(0, &[1, 2]).unwrap());
    passes!("update Array-1", array.update(0, |number| *number += 1).unwrap());
    let guard = passes!("acquire Array-1", array.lock());
    passes!("try_acquire Array-1", assert!(array.try_lock().is_none()));
    passes!("acquire_timeout Array-1", assert!(array.lock_timeout(zero).is_none()));
    drop(guard);
    assert_eq!(seen(), ["release Array-1"]);

    let value = passes!("create AtomicValue-1", AtomicValue::new(1u32).unwrap());
    passes!("get AtomicValue-1", value.get());
    passes!("set AtomicValue-1", value.set(2));
    passes!("update AtomicValue-1", value.swap(2));
    passes!("update AtomicValue-1", value.compare_exchange(1, 2).unwrap_err());
    passes!("update AtomicValue-1", value.update(|number| number + 1));
    passes!("update AtomicValue-1", value.fetch_add(1));
    passes!("update AtomicValue-1", value.fetch_sub(1));
    passes!("update AtomicValue-1", value.fetch_max(1));
    passes!("update AtomicValue-1", value.fetch_min(1));
    passes!("update AtomicValue-1", value.fetch_and(1));
    passes!("update AtomicValue-1", value.fetch_or(1));
    passes!("update AtomicValue-1", value.fetch_xor(1));

    let queue = passes!("create Queue-1", Queue::<u8>::bounded(1).unwrap());
    passes!("put Queue-1", queue.put(1).unwrap());
    passes!("try_put Queue-1", queue.try_put(2).is_err());
    passes!("put_timeout Queue-1", queue.put_timeout(2, zero).is_err());
    passes!("state Queue-1", queue.len());
    passes!("state Queue-1", queue.is_empty());
    passes!("state Queue-1", queue.is_full());
    passes!("get Queue-1", queue.get().unwrap());
    passes!("try_get Queue-1", queue.try_get().is_err());
    passes!("get_timeout Queue-1", queue.get_timeout(zero).is_err());
    passes!("close Queue-1", queue.close());
    passes!("shutdown Queue-1", queue.shutdown());
    passes!("get Queue-1", queue.iter().next());

    SEEN.take();
    let (left, right) = pipe::<u8, u8>().unwrap();
    assert_eq!(seen(), ["create Connection-1", "create Connection-2"]);
    passes!("send Connection-1", left.send(&1).unwrap());
    passes!("poll Connection-2", right.poll().unwrap());
    passes!("poll MainProcess", common::connection::wait(&[&right], Some(zero)).unwrap());
    passes!("recv Connection-2", right.recv().unwrap());
    passes!("send Connection-1", left.send_bytes(b"x").unwrap());
    passes!("recv Connection-2", right.recv_bytes().unwrap());
    passes!("close Connection-1", left.close());

    let listener = passes!("create Listener-1", Listener::builder().bind().unwrap());
    passes!(
        "accept Listener-1",
        assert!(listener.accept_timeout::<(), ()>(zero).unwrap().is_none())
    );
    let client = Client::new(listener.address());
    let made = passes!("connect Connection-3", client.connect::<(), ()>().unwrap());
    passes!("accept Listener-1", listener.accept::<(), ()>().unwrap());
    drop(made);
    passes!("close Listener-1", listener.close());

    let block = passes!("create SharedMemory-1", SharedMemory::create(8).unwrap());
    passes!("set SharedMemory-1", block.set(0, 1u64).unwrap());
    passes!("get SharedMemory-1", block.get::<u64>(0).unwrap());
    passes!("get SharedMemory-1", block.to_vec::<u8>(0, 8).unwrap());
    let name = format!("common-test-point-{}", std::process::id());
    let named = passes!(
        format!("create SharedMemory {name:?}"),
        SharedMemory::create_named(&name, 8).unwrap()
    );
    passes!(format!("open SharedMemory {name:?}"), SharedMemory::open(&name).unwrap());
    passes!(format!("unlink SharedMemory {name:?}"), named.unlink().unwrap());
    passes!("unlink SharedMemory-1", block.unlink().unwrap());
    let values = [ShareableValue::Int(1), ShareableValue::None];
    let list = passes!("create SharedMemory-2", ShareableList::create(&values).unwrap());
    passes!("get SharedMemory-2", list.get(0).unwrap());
    passes!("set SharedMemory-2", list.set(0, 2).unwrap());
    passes!("unlink SharedMemory-2", list.unlink().unwrap());
    SEEN.take();
    assert_eq!(list.iter().count(), 2);
    assert_eq!(seen(), ["get SharedMemory-2", "get SharedMemory-2"]);
}

/// With notes everything is as without, also in children.
fn notes() {
    if std::env::var_os(NOTES).is_some() {
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.env(NOTES, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(OPERATIONS) && text.contains("names_are_the_same_everywhere"), "{text}");
}

/// A child uses an object of its parent, makes one of its own, and has a child.
fn names(method: StartMethod) {
    fn child((lock, answer): (Lock, common::Connection<Vec<String>, ()>)) {
        SEEN.take();
        drop(lock.acquire());
        drop(Lock::new().unwrap().acquire());
        let process = Process::new(grandchild, ()).start_method(StartMethod::Spawn);
        process.even_with_threads().start().unwrap().join().unwrap();
        answer.send(&seen()).unwrap();
    }
    fn grandchild((): ()) {}

    let lock = Lock::new().unwrap();
    let own = SEEN.take().pop().unwrap().0;
    let own = own.strip_prefix("create ").unwrap();
    let (ours, theirs) = pipe::<(), Vec<String>>().unwrap();
    SEEN.take();
    let process = Process::new(child, (lock.clone(), theirs)).start_method(method);
    let process = process.even_with_threads().start().unwrap();
    let start = seen();
    let path = start[0].strip_prefix("start Process-").unwrap().to_string();
    let answer = ours.recv().unwrap();
    process.join().unwrap();
    // What it sends was collected before it is sent.
    let expected = [
        format!("acquire {own}"),
        format!("release {own}"),
        format!("create {path}/Lock-1"),
        format!("acquire {path}/Lock-1"),
        format!("release {path}/Lock-1"),
        format!("start Process-{path}:1"),
        format!("join Process-{path}:1"),
    ];
    assert_eq!(answer, expected, "{method}");
}
