//! Managers: objects that any process uses, that live as long as somebody refers to them, and whoever is killed.

use common::connection::{Address, Client, Listener};
use common::manager::{
    ArrayProxy, BarrierProxy, ConditionProxy, DictProxy, ListProxy, LockProxy, Managed,
    ManagedGuard, ManagerError, Methods, QueueProxy, RLockProxy, SemaphoreProxy, ValueProxy,
};
use common::{Connection, Manager, Process, StartMethod, pipe};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

type Outcome = Result<(), Failed>;

/// The program is this test's again, as a client at an address.
const VARIABLE: &str = "COMMON_TEST_MANAGER";

fn main() {
    common::init();
    if let Ok(address) = std::env::var(VARIABLE) {
        return far_client(&address).unwrap_or_else(|error| panic!("{error}"));
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let mut trials = vec![
        Trial::test("a_list_does_what_a_list_does", list),
        Trial::test("a_dictionary_keeps_the_order_of_its_keys", dict),
        Trial::test("a_type_of_the_program_is_called_by_name", own_type),
        Trial::test("objects_refer_to_objects", nested),
        Trial::test("an_object_goes_with_its_last_proxy", counted),
        Trial::test("who_is_killed_refers_to_nothing", killed_client),
        Trial::test("a_message_that_nobody_reads_holds_nothing", lost_message),
        Trial::test("a_server_that_is_killed_is_an_error_for_all", killed_server),
        Trial::test("a_server_ends_with_a_program_that_is_killed", killed_owner),
        Trial::test("a_proxy_of_another_manager_is_refused", other_manager),
        Trial::test("who_is_killed_holds_no_lock_and_no_permit", killed_holder),
        Trial::test("a_guard_may_be_dropped_by_another_thread", moved_guard),
        Trial::test("a_barrier_breaks_with_who_waits_at_it", killed_party),
        Trial::test("clients_killed_at_random_harm_nobody", killed_at_random),
        Trial::test("sixty_four_clients_are_served_side_by_side", many_clients),
        Trial::test("a_condition_wakes_as_many_as_it_says", condition),
        Trial::test("a_manager_is_used_from_another_program_by_its_address", served),
        Trial::test("a_manager_is_served_with_a_key_only", no_key),
        Trial::test("between_network_namespaces", between_namespaces),
    ];
    for method in StartMethod::ALL {
        trials.push(Trial::test(format!("proxies_go_to_children::{method}"), move || {
            alone(travel, method)
        }));
    }
    trials.push(Trial::test("a_fork_has_no_proxy_that_it_was_not_given", || {
        alone(not_given, StartMethod::Fork)
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

/// Does it in a process of its own, which has one thread.
fn alone(work: fn(StartMethod), method: StartMethod) -> Outcome {
    let child = Process::new(work, method).start_method(StartMethod::Spawn).start()?;
    let exit = child.join()?;
    if exit.is_success() { Ok(()) } else { Err(format!("it {exit}; see its message").into()) }
}

/// Waits until it holds.
fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "it never holds");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn list() -> Outcome {
    let manager = Manager::new()?;
    let list = manager.list(0..10)?;
    assert_eq!(list.len()?, 10);
    list.extend(&[10, 11])?;
    list.push(&12)?;
    list.insert(0, &-1)?;
    list.insert(100, &13)?;
    assert_eq!(list.to_vec()?, (-1..=13).collect::<Vec<_>>());
    assert_eq!((list.get(3)?, list.get(15)?), (Some(2), None));
    list.set(3, &20)?;
    let error = list.set(15, &0).unwrap_err();
    assert!(matches!(error, ManagerError::OutOfRange { index: 15, len: 15 }), "{error}");
    assert_eq!((list.pop()?, list.remove(0)?), (Some(13), -1));
    assert!(matches!(list.remove(99), Err(ManagerError::OutOfRange { .. })));
    assert_eq!((list.position(&20)?, list.position(&21)?), (Some(2), None));
    assert!(list.contains(&20)? && list.remove_item(&20)? && !list.remove_item(&20)?);
    assert_eq!(list.slice(8..100)?, [9, 10, 11, 12]);
    assert_eq!(list.slice(..=1)?, [0, 1]);
    assert_eq!(list.slice(20..)?, [0; 0]);
    list.reverse()?;
    list.sort_by(|left, right| right.cmp(left).reverse())?;
    assert_eq!(list.slice(..3)?, [0, 1, 3]);
    assert_eq!(list.update(1, |element| element + 100)?, 101);
    let error = list.update(1, |_| panic!("not this one")).unwrap_err();
    assert!(error.to_string().contains("not this one"), "{error}");
    assert_eq!(list.get(1)?, Some(101));
    list.clear()?;
    assert!(list.is_empty()? && list.pop()?.is_none());
    list.extend(&[1, 2])?;
    list.repeat(2)?;
    assert_eq!(list.iter().collect::<Result<Vec<_>, _>>()?, [1, 2, 1, 2]);
    assert_eq!(list.count(&2)?, 2);
    // Large ones.
    let texts = manager.list(["a".repeat(3 << 20), String::new()])?;
    assert_eq!(texts.get(0)?.map(|text| text.len()), Some(3 << 20));
    Ok(())
}

fn dict() -> Outcome {
    let manager = Manager::new()?;
    let dict = manager.dict((65..70u32).map(|n| (n, char::from_u32(n).expect("a letter"))))?;
    assert_eq!(dict.len()?, 5);
    assert_eq!(dict.keys()?, [65, 66, 67, 68, 69]);
    assert_eq!(dict.values()?, ['A', 'B', 'C', 'D', 'E']);
    assert_eq!(dict.remove(&66)?, Some('B'));
    assert_eq!((dict.remove(&66)?, dict.get(&66)?, dict.contains_key(&66)?), (None, None, false));
    assert_eq!(dict.insert(&66, &'b')?, None);
    assert_eq!(dict.insert(&65, &'a')?, Some('A'));
    assert_eq!(dict.keys()?, [65, 67, 68, 69, 66]);
    assert_eq!(dict.get_or_insert(&65, &'x')?, 'a');
    assert_eq!(dict.get_or_insert(&70, &'x')?, 'x');
    assert_eq!(dict.pop_last()?, Some((70, 'x')));
    assert_eq!(dict.update(&1, |value| value.map_or('0', |_| '1'))?, '0');
    assert_eq!(dict.update(&1, |value| value.map_or('0', |_| '1'))?, '1');
    assert_eq!(dict.iter()?.last(), Some((1, '1')));
    dict.clear()?;
    assert!(dict.is_empty()? && dict.pop_last()?.is_none());
    Ok(())
}

struct Account {
    balance: i64,
}

impl Managed for Account {
    type Argument = i64;

    fn create(balance: i64) -> Self {
        assert!(balance >= 0, "nobody begins with {balance}");
        Self { balance }
    }

    fn methods(methods: &mut Methods<Self>) {
        methods.add("deposit", |account, amount: i64| {
            account.balance += amount;
            account.balance
        });
        methods.add("withdraw", |account, amount: i64| {
            if amount > account.balance {
                return Err(format!("{} are there", account.balance));
            }
            account.balance -= amount;
            Ok(account.balance)
        });
        methods.add("burn", |_, (): ()| -> u8 { panic!("it burns") });
    }
}

fn own_type() -> Outcome {
    let manager = Manager::builder().register::<Account>("Account").start()?;
    let account = manager.create::<Account>("Account", &10)?;
    assert_eq!(account.call::<i64>("deposit", &5i64)?, 15);
    let refused: Result<i64, String> = account.call("withdraw", &100i64)?;
    assert_eq!(refused, Err("15 are there".to_string()));
    let failed = account.call::<()>("burn", &()).unwrap_err();
    assert!(matches!(&failed, ManagerError::Failed(text) if text.contains("it burns")), "{failed}");
    assert_eq!(account.call::<i64>("deposit", &0i64)?, 15);
    assert!(matches!(account.call::<i64>("close", &()), Err(ManagerError::NoMethod { .. })));
    assert!(matches!(account.call::<i64>("deposit", "text"), Err(ManagerError::Argument(_))));
    assert!(matches!(account.call::<String>("deposit", &1i64), Err(ManagerError::Decode(_))));
    assert!(matches!(manager.create::<Account>("Bank", &1), Err(ManagerError::NoType(_))));
    assert!(matches!(manager.create::<Account>("Account", &-1), Err(ManagerError::Failed(_))));
    Ok(())
}

fn nested() -> Outcome {
    let manager = Manager::new()?;
    let inner = manager.list([1, 2])?;
    let outer = manager.list([inner.clone()])?;
    outer.push(&manager.list([3])?)?;
    inner.push(&4)?;
    let first = outer.get(0)?.ok_or("an element")?;
    assert_eq!(first.to_vec()?, [1, 2, 4]);
    assert_eq!(manager.number_of_objects()?, 3);
    let second = outer.get(1)?.ok_or("an element")?;
    outer.clear()?;
    assert_eq!(second.to_vec()?, [3]);
    drop(second);
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 2));
    let dict = manager.dict([("a".to_string(), vec![Some(inner)])])?;
    drop(first);
    let held = dict.get(&"a".to_string())?.ok_or("a value")?;
    assert_eq!(held[0].as_ref().ok_or("a list")?.len()?, 3);
    Ok(())
}

fn counted() -> Outcome {
    let manager = Manager::new()?;
    let list = manager.list([0u8])?;
    let again = list.clone();
    drop(list);
    assert_eq!(again.len()?, 1);
    drop(again);
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 0));
    Ok(())
}

type Family = (ListProxy<u32>, DictProxy<u32, ListProxy<u32>>);

fn travel(method: StartMethod) {
    fn child((list, dict): Family) {
        list.push(&1).expect("it is there");
        let mine = dict.get(&7).expect("it is there").expect("a list");
        mine.push(&2).expect("it is there");
        dict.insert(&8, &list).expect("it is there");
    }
    let manager = Manager::builder().start_method(method).start().expect("a manager");
    let list = manager.list([]).expect("a list");
    let dict = manager.dict([(7, manager.list([]).expect("a list"))]).expect("a dictionary");
    let process = Process::new(child, (list.clone(), dict.clone())).start_method(method);
    let exit = process.start().expect("a child").join().expect("its end");
    assert!(exit.is_success(), "{exit}");
    assert_eq!(list.to_vec().expect("it is there"), [1]);
    // The child has put the list into the dictionary.
    drop(list);
    let list = dict.get(&8).expect("it is there").expect("a list");
    assert_eq!(list.to_vec().expect("it is there"), [1]);
    let mine = dict.get(&7).expect("it is there").expect("a list");
    assert_eq!(mine.to_vec().expect("it is there"), [2]);
    drop((list, mine, dict));
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 0));
}

fn not_given(method: StartMethod) {
    // A fork has a copy of the proxy that it was not given.
    static LIST: OnceLock<ListProxy<u8>> = OnceLock::new();
    static GUARD: Mutex<Option<ManagedGuard>> = Mutex::new(None);
    fn child((): ()) {
        let list = LIST.get().expect("it was copied");
        assert!(matches!(list.len(), Err(ManagerError::NotGiven)));
        drop(GUARD.lock().expect("nobody panics").take());
        let own = Manager::new().expect("a manager");
        assert_eq!(own.list([1, 2]).expect("a list").len().expect("it is there"), 2);
    }
    let manager = Manager::builder().start_method(method).start().expect("a manager");
    LIST.set(manager.list([1]).expect("a list")).expect("it is set once");
    let lock = manager.lock().expect("a lock");
    *GUARD.lock().expect("nobody panics") = Some(lock.acquire().expect("it is free"));
    let exit = Process::new(child, ()).start_method(method).start().expect("a child").join();
    assert!(exit.expect("its end").is_success());
    assert_eq!(LIST.get().map(|list| list.len().expect("it is there")), Some(1));
    assert!(lock.is_locked().expect("it is there"), "the child's copy is no guard");
    GUARD.lock().expect("nobody panics").take();
    assert!(!lock.is_locked().expect("it is there"));
}

fn killed_client() -> Outcome {
    fn keep((list, ready): (ListProxy<u8>, Connection<u8, ()>)) {
        list.push(&1).expect("it is there");
        ready.send(&1).expect("the test receives");
        let _ = ready.recv();
    }
    let manager = Manager::new()?;
    let (ours, theirs) = pipe::<(), u8>()?;
    let list = manager.list([])?;
    let child = Process::new(keep, (list, theirs)).start()?;
    ours.recv()?;
    assert_eq!(manager.number_of_objects()?, 1, "the child refers to it");
    child.kill()?;
    child.join()?;
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 0));
    Ok(())
}

fn lost_message() -> Outcome {
    let manager = Manager::new()?;
    let (left, right) = pipe::<ListProxy<u8>, ListProxy<u8>>()?;
    let list = manager.list([5])?;
    left.send(&list)?;
    left.send(&list)?;
    drop(list);
    let received = right.recv()?;
    assert_eq!(received.get(0)?, Some(5));
    drop(received);
    assert_eq!(manager.number_of_objects()?, 1, "the second message holds it");
    drop((left, right));
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 0));
    Ok(())
}

fn killed_server() -> Outcome {
    let manager = Manager::new()?;
    let list = manager.list([1])?;
    let pid = manager.pid().to_string();
    let status = std::process::Command::new("kill").args(["-9", &pid]).status()?;
    assert!(status.success());
    eventually(|| matches!(list.len(), Err(ManagerError::Ended)));
    assert!(matches!(manager.list([1]), Err(ManagerError::Ended)));
    let (left, _right) = pipe::<ListProxy<u8>, ()>()?;
    assert!(left.send(&list).is_err());
    manager.shutdown();
    drop(list);
    Ok(())
}

fn killed_owner() -> Outcome {
    fn program(report: Connection<(u32, ListProxy<u8>), ()>) {
        let manager = Manager::new().expect("a manager");
        let list = manager.list([1]).expect("a list");
        report.send(&(manager.pid(), list)).expect("the test receives");
        let _ = report.recv();
    }
    let (ours, theirs) = pipe::<(), (u32, ListProxy<u8>)>()?;
    let child = Process::new(program, theirs).start()?;
    let (server, list) = ours.recv()?;
    assert_eq!(list.len()?, 1);
    child.kill()?;
    child.join()?;
    eventually(|| !std::path::Path::new(&format!("/proc/{server}")).exists());
    assert!(matches!(list.len(), Err(ManagerError::Ended)));
    Ok(())
}

fn other_manager() -> Outcome {
    let (one, two) = (Manager::new()?, Manager::new()?);
    let refused = one.publish("list", &two.list([1])?);
    assert!(matches!(refused, Err(ManagerError::OtherManager)), "{refused:?}");
    let refused = one.publish(&"x".repeat(256), &one.list([1])?);
    assert!(matches!(refused, Err(ManagerError::LongName(256))), "{refused:?}");
    let error = one.list([two.list([1])?]).unwrap_err();
    assert!(error.to_string().contains("another manager"), "{error}");
    // It is of its own type where it arrives.
    let (left, right) = pipe::<ListProxy<u8>, ()>()?;
    let (there, back) = pipe::<DictProxy<u8, u8>, ()>()?;
    drop((there, back));
    left.send(&one.list([1])?)?;
    drop((left, right));
    eventually(|| one.number_of_objects().is_ok_and(|objects| objects == 0));
    Ok(())
}

fn killed_holder() -> Outcome {
    type Held = (LockProxy, SemaphoreProxy, RLockProxy, Connection<u8, ()>);
    fn hold((lock, semaphore, rlock, ready): Held) {
        let _guards = (lock.acquire(), semaphore.acquire(), rlock.acquire());
        ready.send(&1).expect("the test receives");
        let _ = ready.recv();
    }
    let manager = Manager::new()?;
    let (lock, semaphore) = (manager.lock()?, manager.semaphore(1)?);
    let rlock = manager.rlock()?;
    let (ours, theirs) = pipe::<(), u8>()?;
    let held = (lock.clone(), semaphore.clone(), rlock.clone(), theirs);
    let child = Process::new(hold, held).start()?;
    ours.recv()?;
    assert!(lock.try_acquire()?.is_none() && semaphore.try_acquire()?.is_none());
    assert!(rlock.acquire_timeout(Duration::from_millis(20))?.is_none());
    child.kill()?;
    child.join()?;
    let guard = lock.acquire()?;
    assert!(guard.previous_holder_died());
    drop(guard);
    assert!(!lock.acquire()?.previous_holder_died());
    drop(semaphore.acquire()?);
    assert!(rlock.acquire()?.previous_holder_died());
    Ok(())
}

fn moved_guard() -> Outcome {
    let manager = Manager::new()?;
    let (lock, rlock, condition) = (manager.lock()?, manager.rlock()?, manager.condition()?);
    let guards = (lock.acquire()?, rlock.acquire()?, condition.acquire()?);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (_lock, _rlock, mut guard) = guards;
            condition.notify_all(&guard).expect("it is held");
            let limit = Duration::from_millis(5);
            assert!(!condition.wait_timeout(&mut guard, limit).expect("it is held"));
        });
    });
    assert!(!lock.is_locked()? && !rlock.is_locked()? && !condition.is_locked()?);
    Ok(())
}

fn killed_party() -> Outcome {
    fn wait(barrier: BarrierProxy) {
        let _ = barrier.wait();
    }
    let manager = Manager::new()?;
    let barrier = manager.barrier(3)?;
    let child = Process::new(wait, barrier.clone()).start()?;
    let other = Process::new(wait, barrier.clone()).start()?;
    eventually(|| barrier.n_waiting().is_ok_and(|waiting| waiting == 2));
    child.kill()?;
    // The other one is told, and ends.
    assert!(other.join()?.is_success());
    assert!(barrier.is_broken()? && matches!(barrier.wait(), Err(ManagerError::BrokenBarrier)));
    barrier.reset()?;
    let parties: Vec<_> = (0..3)
        .map(|_| {
            Process::new(|barrier: BarrierProxy| assert!(barrier.wait().is_ok()), barrier.clone())
                .start()
        })
        .collect::<Result<_, _>>()?;
    for party in parties {
        assert!(party.join()?.is_success());
    }
    child.join()?;
    Ok(())
}

type Shared = (LockProxy, ListProxy<u64>, DictProxy<u64, ListProxy<u64>>, QueueProxy<Vec<u8>>);

/// Uses everything, for ever.
fn work((lock, list, dict, queue): Shared) -> common::Result<()> {
    for round in 0.. {
        let guard = lock.acquire()?;
        list.push(&round)?;
        if list.len()? > 100 {
            list.clear()?;
        }
        drop(guard);
        dict.insert(&(round % 7), &list)?;
        if let Some(there) = dict.get(&(round % 5))? {
            there.position(&round)?;
        }
        queue
            .put_timeout(&vec![round as u8; 5000], Duration::from_millis(1))
            .or_else(unless_it_is_full)?;
        queue.get_timeout(Duration::from_millis(1)).map(drop).or_else(unless_it_is_full)?;
    }
    Ok(())
}

/// A queue may be full, or empty.
fn unless_it_is_full(error: ManagerError) -> Result<(), ManagerError> {
    match error {
        ManagerError::Full(_) | ManagerError::Empty => Ok(()),
        other => Err(other),
    }
}

fn killed_at_random() -> Outcome {
    let manager = Manager::new()?;
    let shared: Shared = (manager.lock()?, manager.list([])?, manager.dict([])?, manager.queue(3)?);
    let mut dice = 0x5eed_u64;
    for _ in 0..30 {
        let clients: Vec<_> =
            (0..3).map(|_| Process::new(work, shared.clone()).start()).collect::<Result<_, _>>()?;
        for client in clients {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            std::thread::sleep(Duration::from_micros((dice >> 33) % 8000));
            client.kill()?;
            client.join()?;
        }
        // Nobody holds the lock any more, and everything can be used.
        let guard = shared.0.acquire_timeout(Duration::from_secs(30))?;
        assert!(guard.is_some(), "somebody who was killed holds the lock");
        shared.1.push(&1)?;
        assert!(shared.3.len()? <= 3);
    }
    shared.2.clear()?;
    shared.1.clear()?;
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 4));
    Ok(())
}

fn many_clients() -> Outcome {
    const CALLS: u64 = 200;
    fn count((list, place): (ListProxy<u64>, usize)) -> common::Result<()> {
        for _ in 0..CALLS {
            list.update(place, |number| number + 1)?;
        }
        Ok(())
    }
    let manager = Manager::new()?;
    let list = manager.list(vec![0; 64])?;
    let clients: Vec<_> = (0..64)
        .map(|place| Process::new(count, (list.clone(), place)).start())
        .collect::<Result<_, _>>()?;
    for client in clients {
        assert!(client.join()?.is_success());
    }
    assert_eq!(list.to_vec()?, [CALLS; 64]);
    Ok(())
}

fn condition() -> Outcome {
    fn wait((condition, woken): (ConditionProxy, SemaphoreProxy)) -> common::Result<()> {
        let mut guard = condition.acquire()?;
        condition.wait(&mut guard)?;
        woken.release()?;
        Ok(())
    }
    let manager = Manager::new()?;
    let (condition, woken) = (manager.condition_with(&manager.lock()?)?, manager.semaphore(0)?);
    let children: Vec<_> = (0..4)
        .map(|_| Process::new(wait, (condition.clone(), woken.clone())).start())
        .collect::<Result<_, _>>()?;
    // Each notification wakes one that sleeps; who does not sleep yet is not woken.
    for expected in 1..=3 {
        eventually(|| {
            let guard = condition.acquire().expect("it is there");
            condition.notify(&guard, 1).expect("it is held");
            drop(guard);
            std::thread::sleep(Duration::from_millis(5));
            woken.value().is_ok_and(|value| value >= expected)
        });
    }
    children[0].kill()?;
    eventually(|| {
        let guard = condition.acquire().expect("it is there");
        condition.notify_all(&guard).expect("it is held");
        drop(guard);
        children.iter().all(|child| !child.is_alive())
    });
    let guard = condition.acquire()?;
    let mut other = manager.lock()?.acquire()?;
    drop(guard);
    assert!(matches!(condition.wait(&mut other), Err(ManagerError::NotOwner)));
    Ok(())
}

/// What a program does that has nothing of the manager but its address and key.
fn far_client(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let address: Address = address.parse()?;
    let wrong = Manager::connect(Client::new(&address).authkey(b"wrong"));
    assert!(matches!(wrong, Err(ManagerError::Io(_))), "{wrong:?}");
    let there = Manager::connect(Client::new(&address).authkey(b"secret"))?;
    let jobs: QueueProxy<String> = there.find("jobs")?;
    assert_eq!(jobs.get()?, "hello");
    let results: DictProxy<String, ListProxy<u32>> = there.find("results")?;
    let mine = there.list([1, 2])?;
    results.insert(&"mine".to_string(), &mine)?;
    mine.push(&3)?;
    assert!(matches!(mine.update(0, |number| number + 1), Err(ManagerError::OtherProgram)));
    assert!(matches!(there.value(1), Err(ManagerError::OtherProgram)));
    assert!(matches!(there.find::<QueueProxy<u8>>("results"), Err(ManagerError::OtherKind { .. })));
    assert!(matches!(there.find::<QueueProxy<u8>>("nothing"), Err(ManagerError::NoName(_))));
    // A proxy that came from far goes to a child of this program, which comes by the address too.
    let child = Process::new(|list: ListProxy<u32>| list.push(&4), mine.clone()).start()?;
    assert!(child.join()?.is_success());
    assert_eq!(mine.to_vec()?, [1, 2, 3, 4]);
    let (value, array): (ValueProxy<i32>, ArrayProxy<u8>) =
        (there.find("value")?, there.find("array")?);
    value.set(value.get()? + 1)?;
    assert_eq!((array.get(1)?, array.len()?, array.to_vec()?), (2, 3, vec![1, 2, 3]));
    array.set(2, 9)?;
    assert!(matches!(array.get(3), Err(ManagerError::OutOfRange { index: 3, len: 3 })));
    assert!(matches!(value.update(|number| number), Err(ManagerError::OtherProgram)));
    let guard = there.lock()?.acquire()?;
    drop(guard);
    Ok(())
}

/// Serves a manager at an address, and has a program use it that `start` starts.
fn serve(
    address: Address,
    start: impl FnOnce(&str) -> Result<std::process::ExitStatus, Failed>,
) -> Outcome {
    let listener = Listener::builder().address(address).authkey(b"secret").beyond_loopback();
    let manager = Manager::builder().serve(listener).start()?;
    let jobs = manager.queue::<String>(0)?;
    manager.publish("jobs", &jobs)?;
    let results = manager.dict::<String, ListProxy<u32>>([])?;
    manager.publish("results", &results)?;
    let (value, array) = (manager.value(7)?, manager.array([1u8, 2, 3])?);
    manager.publish("value", &value)?;
    manager.publish("array", &array)?;
    jobs.put(&"hello".to_string())?;
    let address = manager.address()?.ok_or("it is served")?;
    assert!(start(&address.to_string())?.success());
    assert_eq!((value.get()?, array.to_vec()?), (8, vec![1, 2, 9]));
    // It has gone, and what it has put there has not.
    let list = results.get(&"mine".to_string())?.ok_or("a list")?;
    assert_eq!(list.to_vec()?, [1, 2, 3, 4]);
    drop(list);
    results.clear()?;
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 4));
    Ok(())
}

fn another_program(address: &str) -> Result<std::process::ExitStatus, Failed> {
    let program = std::env::current_exe()?;
    Ok(std::process::Command::new(program).env(VARIABLE, address).status()?)
}

fn served() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("manager");
    serve(Address::from(&*path), another_program)?;
    assert!(!path.exists(), "the socket goes with the server");
    serve(Address::tcp("127.0.0.1", 0)?, another_program)?;
    // What is taken is taken.
    let listener = Listener::bind(Address::tcp("127.0.0.1", 0)?)?;
    let taken = Listener::builder().address(listener.address()).authkey(b"secret");
    let refused = Manager::builder().serve(taken).start();
    assert!(matches!(refused, Err(ManagerError::NotServed(_))), "{refused:?}");
    Ok(())
}

fn no_key() -> Outcome {
    let refused = Manager::builder().serve(Listener::builder()).start();
    assert!(matches!(refused, Err(ManagerError::NoKey)), "{refused:?}");
    Ok(())
}

/// A network of its own for a program, with a cable to this one; taken away when it is dropped.
struct Network(String);

impl Network {
    fn new() -> Option<Self> {
        let name = format!("common{}", std::process::id() % 100_000);
        let network = Self(name.clone());
        let commands = [
            format!("netns add {name}"),
            format!("link add {name} type veth peer name {name}b netns {name}"),
            format!("addr add 10.213.77.1/30 dev {name}"),
            format!("link set {name} up"),
            format!("-n {name} addr add 10.213.77.2/30 dev {name}b"),
            format!("-n {name} link set {name}b up"),
        ];
        commands.iter().all(|command| ip(command)).then_some(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&format!("netns delete {}", self.0));
    }
}

fn ip(arguments: &str) -> bool {
    let output = std::process::Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

fn between_namespaces() -> Outcome {
    let Some(network) = Network::new() else {
        println!("NOT RUN: nobody may make a network namespace here");
        return Ok(());
    };
    serve(Address::tcp("10.213.77.1", 0)?, |address| {
        let program = std::env::current_exe()?;
        let words = ["netns", "exec", &network.0];
        let status = std::process::Command::new("ip")
            .args(words)
            .arg(program)
            .env(VARIABLE, address)
            .status()?;
        Ok(status)
    })
}
