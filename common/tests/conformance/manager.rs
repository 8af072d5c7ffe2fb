//! Managers: containers behind proxies, primitives that a child uses, types of one's own.

use crate::trial::{Outcome, Trial, each, once};
use common::connection::{Address, Client, Listener};
use common::manager::{
    ArrayProxy, BarrierProxy, BoundedSemaphoreProxy, ConditionProxy, DictProxy, EventProxy,
    ListProxy, LockProxy, Managed, ManagerError, Methods, NamespaceProxy, QueueProxy, RLockProxy,
    SemaphoreProxy, SetProxy, ValueProxy,
};
use common::sync::Event;
use common::{AtomicValue, Manager, Process, StartMethod};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) fn trials() -> Vec<Trial> {
    [
        once("c146_a_list_behind_a_proxy_does_what_a_list_does", list),
        once("c148_iterating_goes_by_index_and_sees_changes", list_iter),
        once("c149_lists_in_lists_stay_apart", lists_in_a_list),
        once("c150_a_dict_behind_a_proxy_does_what_a_dict_does", dict),
        once("c151_a_dicts_proxy_has_every_method_of_a_mapping", mapping),
        once("c152_iterating_keeps_the_order_of_insertion", dict_iter),
        once("c153_dicts_in_dicts_are_proxies", dicts_in_a_dict),
        once("c154_a_queue_may_lie_in_a_list_or_a_dict", nested_queue),
        once("c155_names_are_set_read_and_deleted", namespace),
        each("c156_an_event_used_by_a_child", event),
        each("c157_a_lock_taken_by_a_child_and_released_by_the_parent", lock),
        each("c158_a_recursive_lock_used_by_a_child", rlock),
        each("c159_a_semaphore_taken_by_a_child", semaphore),
        each("c160_a_bounded_semaphore_taken_by_a_child", bounded_semaphore),
        each("c161_a_condition_used_by_a_child", condition),
        each("c162_a_barrier_reset_by_a_child", barrier),
        each("c164_a_queue_emptied_by_a_child", queue),
        each("c165_a_joinable_queue_emptied_by_a_child", joinable_queue),
        each("c166_all_that_can_be_done_to_a_list", every_list_method),
        each("c167_all_that_can_be_done_to_a_dict", every_dict_method),
        each("c168_a_value_set_by_a_child", value),
        each("c169_an_array_read_by_a_child", array),
        each("c170_a_namespace_read_by_a_child", shared_namespace),
        each("c171_all_that_can_be_done_to_a_set", every_set_method),
        once("c172_a_set_from_what_holds_items", set_from),
        once("c173_a_sets_proxy_has_every_method_of_a_set", set_methods),
        once("c174_types_of_ones_own", own_types),
        once("c175_the_scope_of_a_manager_ends_it", scope),
        once("c176_also_one_that_is_used_before", scope_of_a_started_one),
        each("c177_a_manager_far_away_by_address_and_key", far_away),
        once("c180_an_error_in_the_answer_is_the_callers", errors),
        once("c181_an_initializer_runs_once_in_the_server", initializer),
    ]
    .concat()
}

/// Has a child use a proxy, which must succeed.
fn in_a_child<P: Serialize + DeserializeOwned>(
    method: StartMethod,
    work: fn(P) -> common::Result<()>,
    proxy: P,
) -> Outcome {
    let exit = Process::new(work, proxy).start_method(method).start()?.join()?;
    if exit.is_success() { Ok(()) } else { Err(format!("the child {exit}").into()) }
}

fn manager(method: StartMethod) -> Result<Manager, ManagerError> {
    Manager::builder().start_method(method).start()
}

fn list() -> Outcome {
    let manager = Manager::new()?;
    let a = manager.list(0..10)?;
    assert_eq!(a.to_vec()?, (0..10).collect::<Vec<_>>());
    let b = manager.list::<i32>([])?;
    assert!(b.to_vec()?.is_empty());
    b.extend(&(0..5).collect::<Vec<_>>())?;
    assert_eq!(b.to_vec()?, [0, 1, 2, 3, 4]);
    assert_eq!((b.get(2)?, b.slice(2..10)?), (Some(2), vec![2, 3, 4]));
    b.repeat(2)?;
    assert_eq!(b.to_vec()?, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    // What is put together here is a list of this process.
    let both = [b.to_vec()?, vec![5, 6]].concat();
    assert_eq!((both.len(), b.len()?), (12, 10));
    // A list of proxies refers to the same lists.
    let e = manager.list([a.clone(), b.clone()])?;
    assert_eq!(e.get(0)?.ok_or("a")?.to_vec()?, a.to_vec()?);
    let f = manager.list([e])?;
    a.push(&77)?;
    let through = f.get(0)?.ok_or("e")?.get(0)?.ok_or("a")?;
    assert_eq!(through.to_vec()?.last(), Some(&77));
    Ok(())
}

fn list_iter() -> Outcome {
    let manager = Manager::new()?;
    let a = manager.list(0..10)?;
    let mut elements = a.iter();
    for expected in 0..10 {
        assert_eq!(elements.next().ok_or("an element")??, expected);
    }
    assert!(elements.next().is_none());
    let mut elements = a.iter();
    a.set(0, &100)?;
    assert_eq!(elements.next().ok_or("an element")??, 100);
    Ok(())
}

fn lists_in_a_list() -> Outcome {
    let manager = Manager::new()?;
    let mut lists = Vec::new();
    for _ in 0..3 {
        lists.push(manager.list([0; 4])?);
    }
    let outer = manager.list(lists)?;
    let inner = |index| -> Result<ListProxy<i32>, ManagerError> {
        Ok(outer.get(index)?.unwrap_or_else(|| panic!("no list {index}")))
    };
    inner(0)?.set(1, &55)?;
    assert_eq!(inner(0)?.to_vec()?, [0, 55, 0, 0]);
    assert_eq!(inner(1)?.to_vec()?, [0; 4]);
    assert_eq!(inner(1)?.pop()?, Some(0));
    assert_eq!((inner(0)?.len()?, inner(1)?.len()?), (4, 3));
    Ok(())
}

fn letters(manager: &Manager) -> Result<DictProxy<u32, char>, ManagerError> {
    let dict = manager.dict([])?;
    for number in 65..70 {
        dict.insert(&number, &char::from_u32(number).unwrap_or_default())?;
    }
    Ok(dict)
}

fn dict() -> Outcome {
    let manager = Manager::new()?;
    let dict = letters(&manager)?;
    let expected: Vec<_> = (65..70).zip('A'..).collect();
    assert_eq!(dict.items()?, expected);
    assert_eq!(dict.keys()?, [65, 66, 67, 68, 69]);
    assert_eq!(dict.values()?, ['A', 'B', 'C', 'D', 'E']);
    Ok(())
}

fn mapping() -> Outcome {
    let manager = Manager::new()?;
    let d: DictProxy<u8, u8> = manager.dict([])?;
    let (entry, none) = ((&1, &2), [(&3, &4); 0]);
    d.extend([entry])?;
    d.extend(none)?;
    assert_eq!(
        (d.get(&1)?, d.contains_key(&1)?, d.len()?, d.is_empty()?),
        (Some(2), true, 1, false)
    );
    assert_eq!((d.keys()?, d.values()?, d.items()?), (vec![1], vec![2], vec![(1, 2)]));
    assert_eq!((d.get_or_insert(&1, &9)?, d.insert(&1, &3)?), (2, Some(2)));
    assert_eq!((d.remove(&1)?, d.pop_last()?), (Some(3), None));
    d.clear()?;
    assert_eq!(d.iter()?.count(), 0);
    Ok(())
}

fn dict_iter() -> Outcome {
    let manager = Manager::new()?;
    let dict = letters(&manager)?;
    let mut entries = dict.iter()?;
    assert_eq!(entries.next(), Some((65, 'A')));
    // It goes over what was there: nothing breaks where the dictionary changes.
    dict.clear()?;
    assert_eq!(entries.map(|(key, _)| key).collect::<Vec<_>>(), [66, 67, 68, 69]);
    Ok(())
}

fn dicts_in_a_dict() -> Outcome {
    let manager = Manager::new()?;
    let pets = manager.dict([])?;
    let dogs = manager.dict([("sound".to_string(), "woof".to_string())])?;
    pets.insert(&"dogs".to_string(), &dogs)?;
    dogs.insert(&"colour".to_string(), &"brown".to_string())?;
    let through = pets.get(&"dogs".to_string())?.ok_or("dogs")?;
    assert_eq!(through.len()?, 2);
    drop(dogs);
    // Only the outer one holds it now; then only we do.
    assert_eq!(through.get(&"colour".to_string())?.as_deref(), Some("brown"));
    pets.clear()?;
    assert_eq!(pets.len()?, 0);
    through.insert(&"sound".to_string(), &"bark".to_string())?;
    assert_eq!(through.get(&"sound".to_string())?.as_deref(), Some("bark"));
    // A plain list is a plain list, and a proxy a proxy.
    let plain = manager.list([vec![1, 2, 3]])?;
    plain.get(0)?.ok_or("a list")?.push(4);
    assert_eq!(plain.get(0)?, Some(vec![1, 2, 3]));
    Ok(())
}

fn nested_queue() -> Outcome {
    let manager = Manager::new()?;
    let list = manager.list([manager.queue::<u32>(0)?])?;
    list.get(0)?.ok_or("a queue")?.put(&123)?;
    assert_eq!(list.get(0)?.ok_or("a queue")?.get()?, 123);
    let dict = manager.dict([(0, manager.queue::<u32>(0)?)])?;
    dict.get(&0)?.ok_or("a queue")?.put(&456)?;
    assert_eq!(dict.get(&0)?.ok_or("a queue")?.get()?, 456);
    Ok(())
}

fn namespace() -> Outcome {
    let manager = Manager::new()?;
    let n = manager.namespace()?;
    n.set("name", "Bob")?;
    n.set("job", "Builder")?;
    n.set("_hidden", "hidden")?;
    assert_eq!(n.get::<String>("name")?.as_deref(), Some("Bob"));
    assert_eq!(n.get::<String>("_hidden")?.as_deref(), Some("hidden"));
    assert!(n.remove("job")? && !n.remove("job")?);
    assert!(n.contains("name")? && !n.contains("job")?);
    assert_eq!(n.names()?, ["_hidden", "name"]);
    Ok(())
}

fn event(method: StartMethod) -> Outcome {
    fn work(event: EventProxy) -> common::Result<()> {
        assert!(event.is_set()?);
        event.wait()?;
        event.clear()?;
        Ok(())
    }
    let manager = manager(method)?;
    let event = manager.event()?;
    event.set()?;
    in_a_child(method, work, event.clone())?;
    assert!(!event.is_set()?);
    Ok(())
}

fn lock(method: StartMethod) -> Outcome {
    fn work((lock, done): (LockProxy, EventProxy)) -> common::Result<()> {
        lock.acquire()?.keep();
        done.wait()?;
        Ok(())
    }
    let manager = manager(method)?;
    let (lock, done) = (manager.lock()?, manager.event()?);
    let child = Process::new(work, (lock.clone(), done.clone())).start_method(method).start()?;
    while !lock.is_locked()? {
        std::thread::yield_now();
    }
    lock.release()?;
    assert!(matches!(lock.release(), Err(ManagerError::NotOwner)));
    done.set()?;
    assert!(child.join()?.is_success());
    Ok(())
}

fn rlock(method: StartMethod) -> Outcome {
    fn work(lock: RLockProxy) -> common::Result<()> {
        lock.acquire()?.keep();
        lock.acquire()?.keep();
        assert!(lock.is_locked()?);
        lock.release()?;
        lock.release()?;
        assert!(!lock.is_locked()?);
        Ok(())
    }
    let manager = manager(method)?;
    let lock = manager.rlock()?;
    in_a_child(method, work, lock.clone())?;
    assert!(matches!(lock.release(), Err(ManagerError::NotOwner)));
    Ok(())
}

fn semaphore(method: StartMethod) -> Outcome {
    fn work(semaphore: SemaphoreProxy) -> common::Result<()> {
        semaphore.acquire()?.keep()?;
        Ok(())
    }
    let manager = manager(method)?;
    let semaphore = manager.semaphore(1)?;
    in_a_child(method, work, semaphore.clone())?;
    assert_eq!(semaphore.value()?, 0);
    semaphore.release()?;
    assert_eq!(semaphore.value()?, 1);
    Ok(())
}

fn bounded_semaphore(method: StartMethod) -> Outcome {
    fn work(semaphore: BoundedSemaphoreProxy) -> common::Result<()> {
        semaphore.acquire()?.keep()?;
        Ok(())
    }
    let manager = manager(method)?;
    let semaphore = manager.bounded_semaphore(1)?;
    in_a_child(method, work, semaphore.clone())?;
    semaphore.release()?;
    assert!(matches!(semaphore.release(), Err(ManagerError::OverRelease(1))));
    Ok(())
}

fn condition(method: StartMethod) -> Outcome {
    fn work((condition, list): (ConditionProxy, ListProxy<u8>)) -> common::Result<()> {
        let guard = condition.acquire()?;
        list.push(&1)?;
        condition.notify_all(&guard)?;
        drop(guard);
        Ok(())
    }
    let manager = manager(method)?;
    let (condition, list) = (manager.condition()?, manager.list([])?);
    let mut guard = condition.acquire()?;
    let child =
        Process::new(work, (condition.clone(), list.clone())).start_method(method).start()?;
    let is_empty = || list.is_empty().unwrap_or(true);
    condition.wait_while(&mut guard, is_empty)?;
    assert_eq!(list.to_vec()?, [1]);
    drop(guard);
    assert!(child.join()?.is_success());
    Ok(())
}

fn barrier(method: StartMethod) -> Outcome {
    fn work(barrier: BarrierProxy) -> common::Result<()> {
        assert_eq!(barrier.parties()?, 5);
        barrier.abort()?;
        assert!(barrier.is_broken()?);
        barrier.reset()?;
        Ok(())
    }
    let manager = manager(method)?;
    let barrier = manager.barrier(5)?;
    in_a_child(method, work, barrier.clone())?;
    assert!(!barrier.is_broken()?);
    Ok(())
}

fn take_both(queue: QueueProxy<u32>) -> common::Result<()> {
    assert_eq!((queue.len()?, queue.is_full()?), (2, true));
    assert!(matches!(queue.try_put(&7), Err(ManagerError::Full(2))));
    assert_eq!((queue.get()?, queue.get()?), (5, 6));
    assert!(queue.is_empty()?);
    queue.task_done()?;
    queue.task_done()?;
    Ok(())
}

fn queue(method: StartMethod) -> Outcome {
    let manager = manager(method)?;
    let queue = manager.queue(2)?;
    queue.put(&5)?;
    queue.put(&6)?;
    in_a_child(method, take_both, queue.clone())?;
    assert!(queue.is_empty()? && !queue.is_full()?);
    assert!(matches!(queue.try_get(), Err(ManagerError::Empty)));
    Ok(())
}

fn joinable_queue(method: StartMethod) -> Outcome {
    let manager = manager(method)?;
    let queue = manager.queue(2)?;
    queue.put(&5)?;
    queue.put(&6)?;
    let work = Process::new(take_both, queue.clone()).start_method(method).start()?;
    queue.join()?;
    assert!(work.join()?.is_success());
    assert!(matches!(queue.task_done(), Err(ManagerError::NothingInHand)));
    Ok(())
}

fn every_list_method(method: StartMethod) -> Outcome {
    fn work(a: ListProxy<i32>) -> common::Result<()> {
        assert_eq!((a.count(&1)?, a.count(&5)?, a.position(&5)?), (1, 1, Some(5)));
        a.extend(&[10, 11])?;
        a.repeat(2)?;
        let mut copy = a.to_vec()?;
        assert_eq!(copy.len(), 24);
        copy.clear();
        assert_eq!(a.len()?, 24);
        a.sort_by(|left, right| left.cmp(right))?;
        assert_eq!(a.slice(..4)?, [0, 0, 1, 1]);
        a.reverse()?;
        assert_eq!(a.iter().next().and_then(Result::ok), Some(11));
        a.insert(0, &7)?;
        assert_eq!(a.remove(0)?, 7);
        assert_eq!(a.pop()?, Some(0));
        assert!(a.remove_item(&0)? && !a.contains(&0)?);
        a.clear()?;
        Ok(())
    }
    let manager = manager(method)?;
    let list = manager.list(0..10)?;
    in_a_child(method, work, list.clone())?;
    assert_eq!(list.len()?, 0);
    Ok(())
}

fn every_dict_method(method: StartMethod) -> Outcome {
    fn work(d: DictProxy<String, i32>) -> common::Result<()> {
        let key = |name: &str| name.to_string();
        assert_eq!((d.len()?, d.get(&key("foo"))?), (1, Some(5)));
        assert_eq!(d.items()?, [(key("foo"), 5)]);
        d.extend([(&key("bar"), &6)])?;
        assert_eq!(d.keys()?, ["foo", "bar"]);
        assert_eq!(d.values()?, [5, 6]);
        assert_eq!(d.pop_last()?, Some((key("bar"), 6)));
        assert_eq!((d.get_or_insert(&key("bar"), &0)?, d.insert(&key("bar"), &7)?), (0, Some(0)));
        assert_eq!(d.remove(&key("bar"))?, Some(7));
        assert_eq!(d.update(&key("foo"), |value| value.unwrap_or(0) + 1)?, 6);
        d.clear()?;
        Ok(())
    }
    let manager = manager(method)?;
    let dict = manager.dict([("foo".to_string(), 5)])?;
    in_a_child(method, work, dict.clone())?;
    assert_eq!(dict.len()?, 0);
    Ok(())
}

fn value(method: StartMethod) -> Outcome {
    fn work(value: ValueProxy<i32>) -> common::Result<()> {
        assert_eq!(value.get()?, 1);
        value.set(2)?;
        Ok(())
    }
    let manager = manager(method)?;
    let value = manager.value(1)?;
    in_a_child(method, work, value.clone())?;
    assert_eq!((value.get()?, value.shared()?.get()), (2, 2));
    Ok(())
}

fn array(method: StartMethod) -> Outcome {
    fn work(array: ArrayProxy<i32>) -> common::Result<()> {
        assert_eq!((array.get(0)?, array.get(1)?, array.len()?), (0, 1, 2));
        assert!(matches!(array.get(2), Err(ManagerError::OutOfRange { index: 2, len: 2 })));
        Ok(())
    }
    let manager = manager(method)?;
    in_a_child(method, work, manager.array([0, 1])?)
}

fn shared_namespace(method: StartMethod) -> Outcome {
    fn work(namespace: NamespaceProxy) -> common::Result<()> {
        assert_eq!(namespace.get::<i32>("x")?, Some(0));
        assert_eq!(namespace.get::<i32>("y")?, Some(1));
        Ok(())
    }
    let manager = manager(method)?;
    let namespace = manager.namespace()?;
    namespace.set("x", &0)?;
    namespace.set("y", &1)?;
    in_a_child(method, work, namespace)
}

fn every_set_method(method: StartMethod) -> Outcome {
    fn work(s: SetProxy<char>) -> common::Result<()> {
        assert_eq!(s.len()?, 3);
        assert_eq!(s.union(&['d', 'a'])?, ['a', 'b', 'c', 'd']);
        assert_eq!(s.intersection(&['d', 'a'])?, ['a']);
        assert_eq!(s.difference(&['d', 'a'])?, ['b', 'c']);
        assert_eq!(s.symmetric_difference(&['d', 'a'])?, ['b', 'c', 'd']);
        assert!(s.is_disjoint(&['x'])? && !s.is_disjoint(&['a'])?);
        assert!(s.is_subset(&['c', 'b', 'a', 'x'])? && !s.is_subset(&['a'])?);
        assert!(s.is_superset(&['b'])? && !s.is_superset(&['x'])?);
        s.extend(&['d'])?;
        s.difference_update(&['a'])?;
        assert_eq!(s.to_vec()?, ['b', 'c', 'd']);
        s.intersection_update(&['c', 'd', 'e'])?;
        s.symmetric_difference_update(&['d', 'e'])?;
        assert_eq!(s.to_vec()?, ['c', 'e']);
        assert!(s.insert(&'f')? && !s.insert(&'f')? && s.contains(&'f')?);
        assert!(s.remove(&'e')? && !s.remove(&'e')?);
        assert_eq!(s.pop()?, Some('f'));
        s.clear()?;
        Ok(())
    }
    let manager = manager(method)?;
    let set = manager.set(['a', 'b', 'c'])?;
    in_a_child(method, work, set.clone())?;
    assert!(set.is_empty()?);
    Ok(())
}

fn set_from() -> Outcome {
    let manager = Manager::new()?;
    assert_eq!(manager.set(std::collections::BTreeSet::from([2, 1]))?.to_vec()?, [1, 2]);
    assert_eq!(manager.set(vec![1, 2, 1])?.to_vec()?, [1, 2]);
    let dict = manager.dict([(1, 'a'), (2, 'b')])?;
    assert_eq!(manager.set(dict.keys()?)?.len()?, 2);
    Ok(())
}

fn set_methods() -> Outcome {
    let manager = Manager::new()?;
    let set = manager.set::<u8>([])?;
    assert!(
        set.is_empty()? && set.pop()?.is_none() && set.is_subset(&[])? && set.is_superset(&[])?
    );
    Ok(())
}

struct FooBar(Vec<u32>);

impl Managed for FooBar {
    type Argument = u32;

    fn create(count: u32) -> Self {
        Self((0..count).map(|number| number * number).collect())
    }

    fn methods(methods: &mut Methods<Self>) {
        methods.add("f", |_, ()| "f()");
        methods.add("g", |_, ()| Err::<(), _>("a ValueError"));
        methods.add("next", |squares, place: usize| squares.0.get(place).copied());
    }
}

fn own_types() -> Outcome {
    let manager = Manager::builder().register::<FooBar>("Foo").start()?;
    let object = manager.create::<FooBar>("Foo", &10)?;
    assert_eq!(object.call::<String>("f", &())?, "f()");
    assert_eq!(object.call::<Result<(), String>>("g", &())?, Err("a ValueError".to_string()));
    assert!(matches!(object.call::<()>("_h", &()), Err(ManagerError::NoMethod { .. })));
    let squares: Result<Vec<Option<u32>>, _> =
        (0..11usize).map(|place| object.call("next", &place)).collect();
    assert_eq!(
        squares?.into_iter().flatten().collect::<Vec<_>>(),
        [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
    );
    Ok(())
}

fn is_there(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

fn scope() -> Outcome {
    let pid = {
        let manager = Manager::new()?;
        assert!(is_there(manager.pid()));
        manager.pid()
    };
    assert!(!is_there(pid));
    Ok(())
}

fn scope_of_a_started_one() -> Outcome {
    let manager = Manager::new()?;
    let list = manager.list([1])?;
    let pid = manager.pid();
    {
        let manager = manager;
        assert_eq!(manager.number_of_objects()?, 1);
    }
    assert!(!is_there(pid));
    assert!(matches!(list.len(), Err(ManagerError::Ended)));
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Anything {
    Text(String),
    None,
    Truth(bool),
    Number(f64),
    Bytes(Vec<u8>),
}

fn values() -> Vec<Anything> {
    let texts =
        ["hello world", "hall\u{e5} v\u{e4}rlden", "\u{43f}\u{440}\u{438}\u{432}\u{456}\u{442}"];
    let mut values: Vec<_> = texts.map(|text| Anything::Text(text.to_string())).into();
    values.extend([Anything::None, Anything::Truth(true), Anything::Number(2.25)]);
    values.push(Anything::Bytes(b"hall\xe5 v\xe4rlden".to_vec()));
    values
}

fn far_away(method: StartMethod) -> Outcome {
    const KEY: &[u8; 32] = b"12345678901234567890123456789012";
    fn put(address: Address) -> common::Result<()> {
        let there = Manager::connect(Client::new(address).authkey(KEY))?;
        there.find::<QueueProxy<Vec<Anything>>>("queue")?.put(&values())?;
        Ok(())
    }
    let listener = Listener::builder().address(Address::tcp("localhost", 0)?).authkey(KEY);
    let manager = Manager::builder().start_method(method).serve(listener).start()?;
    let queue = manager.queue::<Vec<Anything>>(0)?;
    manager.publish("queue", &queue)?;
    let address = manager.address()?.ok_or("it is served")?;
    in_a_child(method, put, address.clone())?;
    // By another way to the same manager, from here.
    let there = Manager::connect(Client::new(&address).authkey(KEY))?;
    assert_eq!(there.find::<QueueProxy<Vec<Anything>>>("queue")?.get()?, values());
    // What has no encoding is an error, and nothing is put.
    let handles = there.queue::<Event>(0)?;
    assert!(matches!(handles.put(&Event::new()?), Err(ManagerError::Encode(_))));
    assert!(handles.is_empty()?);
    Ok(())
}

fn errors() -> Outcome {
    let manager = Manager::new()?;
    let list = manager.list([1u64])?;
    let error = list.update(0, |_| panic!("no such number")).unwrap_err();
    assert!(matches!(&error, ManagerError::Failed(text) if text.contains("no such number")));
    assert!(matches!(list.remove(5), Err(ManagerError::OutOfRange { index: 5, len: 1 })));
    assert_eq!(list.to_vec()?, [1], "who fails changes nothing");
    Ok(())
}

fn initializer() -> Outcome {
    let counter = AtomicValue::new(0u32)?;
    fn count(counter: AtomicValue<u32>) {
        counter.fetch_add(1);
    }
    let manager = Manager::builder().initializer(count, counter.clone()).start()?;
    assert_eq!(manager.list([1])?.len()?, 1);
    assert_eq!(counter.get(), 1);
    Ok(())
}
