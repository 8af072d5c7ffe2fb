//! Conditions and events: who waits, and who goes on.
//!
//! In `CPython` a condition has an `RLock` unless it is given another lock. Here it has a `Lock`, which
//! who waits gives back as a whole. Who notifies needs a guard, so doing it without the lock does not
//! compile.

use crate::trial::{LONG, Outcome, Trial, each, once};
use common::process::StartError;
use common::sync::{Condition, Event, Lock, Semaphore};
use common::{Child, Exit, Process, StartMethod};
use serde::{Deserialize, Serialize};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c114_one_notification_wakes_one_who_waits", notify),
        each("c115_notify_all_wakes_all_and_without_it_every_limit_runs_out", notify_all),
        each("c116_notify_wakes_as_many_as_it_says", notify_n),
        once("c117_a_wait_that_nobody_ends_returns_false_after_its_limit", limit),
        each("c120_a_wait_says_whether_it_was_notified", result),
        once("c122_the_debug_text_of_an_event_says_set_or_unset", text_of_event),
        each("edge_who_waits_for_a_state_sees_it_or_that_it_did_not_come", state),
        each("edge_an_event_lets_all_go_on_until_it_is_cleared", event),
        once("edge_a_limit_on_an_event_runs_out", limit_of_event),
        each("edge_what_is_given_back_in_a_wait_is_the_lock_that_others_use", lock_is_shared),
    ]
    .concat()
}

/// How long it takes to see that nothing comes.
const SHORT: Duration = Duration::from_millis(200);

/// What those who wait and those who wake them have in common.
#[derive(Clone, Serialize, Deserialize)]
struct Room {
    condition: Condition,
    /// One permit for each who began to wait.
    sleeping: Semaphore,
    /// One for each who was notified.
    woken: Semaphore,
    /// One for each whose limit has run out.
    late: Semaphore,
}

impl Room {
    fn new() -> std::io::Result<Self> {
        let condition = Condition::new()?;
        let [sleeping, woken, late] = [Semaphore::new(0)?, Semaphore::new(0)?, Semaphore::new(0)?];
        Ok(Self { condition, sleeping, woken, late })
    }

    /// Waits once, without a limit or with one.
    fn wait(&self, limit: Option<Duration>) {
        let mut guard = self.condition.acquire();
        self.sleeping.release().expect("there is no bound");
        let notified = match limit {
            None => {
                self.condition.wait(&mut guard);
                true
            }
            Some(limit) => self.condition.wait_timeout(&mut guard, limit),
        };
        let count = if notified { &self.woken } else { &self.late };
        count.release().expect("there is no bound");
    }

    /// Until so many wait, and the lock is free.
    fn until_they_sleep(&self, count: u32) {
        take(&self.sleeping, count);
        // Who begins to wait has the lock until it does.
        drop(self.condition.acquire());
    }

    fn notify(&self, count: u32) {
        self.condition.notify(&self.condition.acquire(), count);
    }

    /// After `count` more have gone on, nobody else does.
    fn goes_on(&self, count: u32) {
        take(&self.woken, count);
        thread::sleep(SHORT);
        assert_eq!(self.woken.value(), 0);
    }

    /// Nobody waits any more, and nothing is left over of what did.
    fn is_empty(&self) -> bool {
        let counts = [&self.sleeping, &self.woken, &self.late].map(Semaphore::value);
        counts == [0; 3] && format!("{:?}", self.condition) == "Condition(Lock(None), 0)"
    }
}

fn take(semaphore: &Semaphore, count: u32) {
    for _ in 0..count {
        semaphore.acquire_timeout(LONG).expect("it comes in time").keep();
    }
}

fn start(
    method: StartMethod,
    room: &Room,
    target: fn(Room),
    count: usize,
) -> Result<Vec<Child>, StartError> {
    let start = |_| Process::new(target, room.clone()).start_method(method).start();
    (0..count).map(start).collect()
}

fn ended(children: Vec<Child>) -> Outcome {
    for child in children {
        assert_eq!(child.join()?, Exit::Code(0));
    }
    Ok(())
}

fn notify(method: StartMethod) -> Outcome {
    let room = Room::new()?;
    // Before the thread, because a process with threads does not fork.
    let children = start(method, &room, |room| room.wait(None), 1)?;
    thread::scope(|scope| {
        scope.spawn(|| room.wait(None));
        room.until_they_sleep(2);
        thread::sleep(SHORT);
        assert_eq!(room.woken.value(), 0);
        for _ in 0..2 {
            room.notify(1);
            room.goes_on(1);
        }
    });
    ended(children)?;
    assert!(room.is_empty(), "{:?}", room.condition);
    Ok(())
}

fn notify_all(method: StartMethod) -> Outcome {
    fn twice(room: Room) {
        room.wait(Some(SHORT));
        room.wait(None);
    }
    let room = Room::new()?;
    let children = start(method, &room, twice, 3)?;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| twice(room.clone()));
        }
        take(&room.late, 6);
        // Six for the first time, and six for the second.
        room.until_they_sleep(12);
        thread::sleep(SHORT);
        assert_eq!(room.woken.value(), 0);
        room.condition.notify_all(&room.condition.acquire());
        room.goes_on(6);
    });
    ended(children)?;
    assert!(room.is_empty(), "{:?}", room.condition);
    Ok(())
}

fn notify_n(method: StartMethod) -> Outcome {
    let room = Room::new()?;
    let children = start(method, &room, |room| room.wait(None), 3)?;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| room.wait(None));
        }
        room.until_they_sleep(6);
        thread::sleep(SHORT);
        assert_eq!(room.woken.value(), 0);
        for (count, woken) in [(2, 2), (4, 4), (3, 0)] {
            room.notify(count);
            room.goes_on(woken);
        }
    });
    ended(children)?;
    assert!(room.is_empty(), "{:?}", room.condition);
    Ok(())
}

fn limit() -> Outcome {
    let condition = Condition::new()?;
    let mut guard = condition.acquire();
    for limit in [10, 100, 500].map(Duration::from_millis) {
        let start = Instant::now();
        assert!(!condition.wait_timeout(&mut guard, limit));
        assert!(start.elapsed() >= limit, "{limit:?}: {:?}", start.elapsed());
    }
    // A notification that came before is nothing to it.
    condition.notify(&guard, 1);
    assert!(!condition.wait_timeout(&mut guard, Duration::from_millis(10)));
    Ok(())
}

fn result(method: StartMethod) -> Outcome {
    fn child(condition: Condition) {
        // It cannot have the lock before the parent waits.
        condition.notify(&condition.acquire(), 1);
    }
    let condition = Condition::new()?;
    let mut guard = condition.acquire();
    assert!(!condition.wait_timeout(&mut guard, Duration::ZERO));
    assert!(!condition.wait_timeout(&mut guard, Duration::from_millis(100)));
    let child = Process::new(child, condition.clone()).start_method(method).start()?;
    assert!(condition.wait_timeout(&mut guard, LONG));
    assert!(condition.lock().is_locked());
    assert!(!condition.wait_timeout(&mut guard, Duration::ZERO));
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn text_of_event() -> Outcome {
    let event = Event::new()?;
    assert_eq!(format!("{event:?}"), "Event(unset)");
    event.set();
    assert_eq!(format!("{event:?}"), "Event(set)");
    event.clear();
    assert_eq!(format!("{event:?}"), "Event(unset)");
    Ok(())
}

fn state(method: StartMethod) -> Outcome {
    fn counts((condition, state): (Condition, Semaphore)) {
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(10));
            let guard = condition.acquire();
            state.release().expect("there is no bound");
            condition.notify(&guard, 1);
        }
    }
    let (condition, state) = (Condition::new()?, Semaphore::new(0)?);
    let argument = (condition.clone(), state.clone());
    let child = Process::new(counts, argument).start_method(method).start()?;
    let mut guard = condition.acquire();
    assert!(condition.wait_while_timeout(&mut guard, LONG, || state.value() != 4));
    assert_eq!(state.value(), 4);
    assert_eq!(child.join()?, Exit::Code(0));
    condition.wait_while(&mut guard, || state.value() != 4);
    let (start, mut asked) = (Instant::now(), 0);
    let came = condition.wait_while_timeout(&mut guard, SHORT, || {
        asked += 1;
        state.value() != 5
    });
    assert!(!came && asked > 0 && start.elapsed() >= SHORT);
    Ok(())
}

fn event(method: StartMethod) -> Outcome {
    fn waits((event, waiting, passed): (Event, Semaphore, Semaphore)) {
        waiting.release().expect("there is no bound");
        event.wait();
        assert!(event.is_set() && event.wait_timeout(Duration::ZERO));
        passed.release().expect("there is no bound");
    }
    let event = Event::new()?;
    let (waiting, passed) = (Semaphore::new(0)?, Semaphore::new(0)?);
    let argument = || (event.clone(), waiting.clone(), passed.clone());
    let start = || Process::new(waits, argument()).start_method(method).start();
    let children = [start()?, start()?, start()?];
    take(&waiting, 3);
    thread::sleep(SHORT);
    assert_eq!(passed.value(), 0);
    event.set();
    event.set();
    take(&passed, 3);
    // Who comes later goes on as well.
    let later = start()?;
    take(&passed, 1);
    for child in children.into_iter().chain([later]) {
        assert_eq!(child.join()?, Exit::Code(0));
    }
    event.clear();
    assert!(!event.is_set());
    let last = start()?;
    take(&waiting, 2);
    thread::sleep(SHORT);
    assert_eq!(passed.value(), 0);
    event.set();
    assert_eq!(last.join()?, Exit::Code(0));
    Ok(())
}

fn limit_of_event() -> Outcome {
    let event = Event::new()?;
    assert!(!event.wait_timeout(Duration::ZERO));
    for limit in [10, 300].map(Duration::from_millis) {
        let start = Instant::now();
        assert!(!event.wait_timeout(limit));
        assert!(start.elapsed() >= limit, "{limit:?}: {:?}", start.elapsed());
    }
    event.set();
    assert!(event.wait_timeout(Duration::ZERO));
    Ok(())
}

fn lock_is_shared(method: StartMethod) -> Outcome {
    /// Takes the lock by itself, while another waits with it.
    fn child((lock, full, empty): (Lock, Condition, Condition)) {
        let mut guard = lock.acquire();
        full.notify(&guard, 1);
        assert!(empty.wait_timeout(&mut guard, LONG));
    }
    let lock = Lock::new()?;
    let (full, empty) = (Condition::with_lock(&lock)?, Condition::with_lock(&lock)?);
    let mut guard = full.acquire();
    assert!(lock.is_locked() && empty.lock().is_locked());
    let argument = (lock.clone(), full.clone(), empty.clone());
    let child = Process::new(child, argument).start_method(method).start()?;
    assert!(full.wait_timeout(&mut guard, LONG));
    empty.notify(&guard, 1);
    drop(guard);
    assert_eq!(child.join()?, Exit::Code(0));
    assert!(!lock.is_locked());
    Ok(())
}
